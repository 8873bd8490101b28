"""The law: its bounds hold for any backlog, and lies buy nothing."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmoa.policies import law

V = 60.0
QUALITIES = [0.873, 0.843, 0.772, 0.671, 0.532]
SHAPES = [(2, 3), (1, 3), (1, 2), (1, 1), (0, 0)]
USELESS = [math.nan, -1.0, -math.inf]

backlogs = st.floats(0, 1e9)
patiences = st.floats(0.01, 1e4)


def committees() -> Any:
    """The plans of the design, on prices of the owner and of three others."""
    first: list[int] = [0]
    places: list[int] = []
    seconds: list[float] = []
    for M, k in SHAPES:
        places += range(k + 1)
        seconds += [M + 1.0, *[float(M)] * k]
        first.append(len(places))
    return first, places, seconds


def choose(backlog, patience=V, qualities=QUALITIES):
    prices = [law.price(b, patience) for b in backlog]
    first, places, seconds = committees()
    return law.choose_plan(qualities, first, places, seconds, prices, patience)


def test_idle_devices_give_the_best_plan_and_full_ones_refuse():
    assert choose([0.0] * 4) == 0
    assert choose([1000.0] * 4) == -1


def test_a_prompt_is_refused_only_when_no_plan_is_worth_more_than_nothing():
    own = law.backlog_at(V * QUALITIES[-1], V)
    assert choose([0.999 * own, *[1e9] * 3]) == 4
    assert choose([1.001 * own, *[1e9] * 3]) == -1


@given(st.lists(backlogs, min_size=4, max_size=4), patiences)
def test_no_device_gets_work_beyond_the_bound(backlog, patience):
    chosen = choose(backlog, patience)
    if chosen < 0:
        return
    bound = law.largest_backlog(max(QUALITIES), 1.0, patience)
    assert bound <= law.REACH * patience * (1 + 1e-9)
    first, places, _ = committees()
    for entry in range(first[chosen], first[chosen + 1]):
        assert backlog[places[entry]] <= bound * (1 + 1e-9)


@given(
    st.lists(backlogs, min_size=4, max_size=4), st.lists(st.floats(0, 1), min_size=5, max_size=5)
)
def test_the_chosen_plan_is_worth_most(backlog, qualities):
    chosen = choose(backlog, qualities=qualities)
    prices = [law.price(b, V) for b in backlog]
    first, places, seconds = committees()
    worths = [
        V * qualities[p]
        - sum(seconds[e] * prices[places[e]] for e in range(first[p], first[p + 1]))
        for p in range(5)
    ]
    assert max(worths) <= (worths[chosen] if chosen >= 0 else 0.0) + 1e-9


@given(st.lists(backlogs, min_size=4, max_size=4), backlogs)
def test_more_backlog_never_makes_a_refused_prompt_welcome(backlog, more):
    if choose(backlog) < 0:
        assert choose([b + more for b in backlog]) < 0


@given(st.floats(0, 25), st.floats(0, 5))
def test_price_rises_and_its_inverse_undoes_it(backlog, more):
    assert law.price(backlog + more, V) >= law.price(backlog, V)
    assert law.backlog_at(law.price(backlog, V), V) == pytest.approx(backlog)


def test_price_is_all_of_the_patience_at_its_reach_and_convex_below():
    assert law.price(law.REACH * V, V) == pytest.approx(V)
    steps = [law.price(b, V) for b in range(25)]
    assert all(b - a < c - b for a, b, c in zip(steps, steps[1:], steps[2:], strict=False))


@pytest.mark.parametrize("lie", [*USELESS, math.inf, 1e300])
def test_a_peer_that_says_nonsense_is_left_out_like_a_silent_one(lie):
    """No plan with it is taken, and all others as if it were the fullest device there is."""
    first, places, seconds = [0, 1, 2, 4], [0, 1, 0, 2], [1.0, 1.0, 1.0, 1.0]

    def chosen(said, own):
        seen = law.seen_backlog(said, 0.0, 0.0, 0.0)
        prices = [law.price(own, V), law.price(seen, V), law.price(0.0, V)]
        return law.choose_plan([0.5, 0.99, 0.6], first, places, seconds, prices, V)

    for own in (0.0, 5.0, 12.0, 1e3):
        assert chosen(lie, own) == chosen(1e6, own)
        assert chosen(lie, own) != 1


@given(st.sampled_from([*USELESS, math.inf, 1e300]), backlogs, st.floats(0, 100))
def test_what_a_liar_says_is_unusable_or_bounded(lie, mean, age):
    seen = law.seen_backlog(lie, mean, age, 0.0)
    assert math.isnan(seen) or 0 <= seen <= max(mean, 1e6)


def test_a_peer_that_says_nothing_waits_gets_more_work_itself_and_nobody_less_quality():
    """Lying with 0 draws work to the liar; its own prompts are priced at its true backlog."""
    honest, liar = choose([5.0, 9.0, 9.0, 9.0]), choose([5.0, 0.0, 9.0, 9.0])
    assert QUALITIES[liar] >= QUALITIES[honest]


def test_old_news_fade_to_the_mean_and_fresh_ones_are_believed():
    assert law.seen_backlog(10.0, 2.0, 0.0, 3.0) == 10.0
    old = law.seen_backlog(10.0, 2.0, 1e3, 0.0)
    assert old == pytest.approx(2.0 * (1 - law.CAUTION))
    assert law.seen_backlog(10.0, 2.0, 1e3, 1.0) == pytest.approx(old + law.AVOIDANCE)


def test_fewer_are_looked_at_when_news_are_old():
    assert law.looked_at(16, 3, 0.0) == 16
    assert law.looked_at(16, 3, 1e3) == 6
    assert law.looked_at(4, 3, 1e3) == 4


def test_patience_shrinks_only_for_those_who_take_more_than_their_share():
    assert law.fair_patience(V, 0.5, 1.0) == V
    assert law.fair_patience(V, 4.0, 1.0) == pytest.approx(V * law.FAIR_SHARE / 4)


@given(st.lists(st.floats(0, 40), min_size=4, max_size=4))
def test_retry_after_comes_true_when_nothing_else_comes(backlog):
    first, places, seconds = committees()
    wait = law.retry_after(QUALITIES, first, places, seconds, backlog, V)
    later = [max(b - wait - 1e-6, 0.0) for b in backlog]
    assert choose(later) >= 0
    if wait > 0.01:
        assert choose(backlog) < 0
        assert choose([max(b - wait + 0.01, 0.0) for b in backlog]) < 0


def test_retry_after_is_infinite_when_no_plan_is_worth_anything():
    assert law.retry_after([0.0], [0, 1], [0], [1.0], [0.0], V) == math.inf
    assert law.retry_after([0.5], [0, 1], [0], [1.0], [math.nan], V) == math.inf


@pytest.mark.parametrize("lie", [0.0, -1.0, math.nan, math.inf, 1e300, 1e-300])
def test_one_absurd_mean_service_time_moves_the_mean_no_more_than_a_slow_device(lie):
    assert law.mean_service([1.0, 1.0, 1.0, 1.0, lie]) <= (4 + law.SPREAD) / 5
    assert law.mean_service([1.0, 1.0, 1.0, 1.0, lie]) >= (4 + 1 / law.SPREAD) / 5


def test_without_any_mean_service_time_there_is_an_error():
    with pytest.raises(ValueError, match="no mean service time"):
        law.mean_service([0.0, math.nan])
