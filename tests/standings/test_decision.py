"""Whom a device asks, given what it has found out; networks of coins with known skills."""

import itertools
import random
import statistics
from collections.abc import Callable, Mapping

import pytest

from dmoa.policies.plans import Load, Plan, alone, choosing, committee
from dmoa.standings.decision import (
    NOTHING_HELD,
    Card,
    Held,
    View,
    decide,
    decide_idle,
    plan_subject,
    view,
)
from dmoa.standings.outcomes import Outcome, Standings

CARDS = {name: Card(name, name, f"model of {name}") for name in ("ada", "bob", "cyd")}
TEAM = committee(1, ["ada", "bob", "cyd"], "ada")
VOTE = choosing(["cyd", "bob", "ada"], "vote")
TOPICS = ("units", "dates", "code")

Rights = Callable[[random.Random, str], Mapping[object, bool]]
"""Who is right in a question of a topic: devices by name, and plans."""


def independent(**skills: float) -> Rights:
    return lambda rng, topic: {name: rng.random() < skill for name, skill in skills.items()}


def examined(
    rights: Rights, questions: int, seed: int = 0, own: str = "ada", plans: tuple[Plan, ...] = ()
) -> View:
    rng, known = random.Random(seed), Standings()
    for question in range(questions):
        topic = TOPICS[question % len(TOPICS)]
        for who, right in rights(rng, topic).items():
            card = CARDS.get(str(who))
            subject = plan_subject(who, CARDS) if isinstance(who, Plan) else card and card.subject
            assert subject
            known.note(subject, Outcome(question, topic, right, 0.0))
    return view(known, own, CARDS.values(), 0.0, plans)


def test_until_something_is_known_the_own_llm_answers() -> None:
    decision = decide_idle(view(Standings(), "ada", CARDS.values(), 0.0, [TEAM]))
    assert decision.plan == alone("ada")
    assert decision.why.startswith("too little is known")


def test_a_far_better_peer_is_asked_alone() -> None:
    decision = decide_idle(examined(independent(ada=0.35, bob=0.2, cyd=0.8), 60))
    assert decision.plan == alone("cyd")
    assert decision.why == "cyd's LLM was right in 47 of 60 questions, this one's in 19"


def test_a_peer_that_was_only_lucky_is_not() -> None:
    left = sum(
        decide_idle(examined(independent(ada=0.6, bob=0.6, cyd=0.55), 60, seed)).plan
        != alone("ada")
        for seed in range(200)
    )
    assert left <= 20


def test_a_strong_owner_keeps_its_own_llm() -> None:
    for seed in range(100):
        made = examined(independent(ada=0.78, bob=0.36, cyd=0.17), 60, seed, plans=(TEAM,))
        assert decide_idle(made).plan == alone("ada")


def test_a_weak_owner_finds_the_strong_peer_in_sixty_questions() -> None:
    for seed in range(100):
        made = examined(independent(ada=0.36, bob=0.17, cyd=0.78), 60, seed)
        assert decide_idle(made).plan == alone("cyd")


def complementary(rng: random.Random, topic: str) -> Mapping[object, bool]:
    said: dict[object, bool] = {name: rng.random() < 0.55 for name in CARDS}
    return said | {TEAM: sum(said.values()) >= 1 and rng.random() < 0.95}


def test_a_committee_that_is_better_on_the_same_questions_is_taken() -> None:
    decision = decide_idle(examined(complementary, 200, plans=(TEAM, VOTE)))
    assert decision.plan == TEAM
    assert "it won" in decision.why


def test_a_committee_that_only_repeats_its_best_member_is_not() -> None:
    def same(rng: random.Random, topic: str) -> Mapping[object, bool]:
        right = rng.random() < 0.6
        return {"ada": right, "bob": right, "cyd": right, TEAM: right}

    decision = decide_idle(examined(same, 200, plans=(TEAM,)))
    assert decision.plan == alone("ada")
    assert decision.why.endswith("committees have not been better")


def test_a_plan_that_was_not_examined_is_no_candidate() -> None:
    made = examined(independent(ada=0.5, bob=0.5, cyd=0.5), 60, plans=(TEAM,))
    assert all(candidate.plan != TEAM for candidate in made.candidates)


def by_topic(rng: random.Random, topic: str) -> Mapping[object, bool]:
    good = dict(zip(TOPICS, CARDS, strict=True))[topic]
    return {name: rng.random() < (0.9 if name == good else 0.3) for name in CARDS}


def test_topics_count_where_they_help() -> None:
    made = examined(by_topic, 240)
    assert {decide_idle(made, topic=t).plan.aggregator for t in TOPICS} == {"ada", "bob", "cyd"}
    assert decide_idle(made, topic="poetry").topic == ""


def test_topics_do_not_count_where_they_do_not_help() -> None:
    told = sum(
        bool(examined(independent(ada=0.6, bob=0.6, cyd=0.6), 120, seed).by_topic)
        for seed in range(30)
    )
    assert told <= 3


def test_who_may_not_be_asked_is_not() -> None:
    made = examined(independent(ada=0.35, bob=0.7, cyd=0.8), 60)
    assert decide_idle(made, may_ask=lambda peer: peer != "cyd").plan == alone("bob")
    local = decide_idle(made, may_ask=lambda peer: False)
    assert local.plan == alone("ada")
    assert "cannot be asked" in local.why


def test_a_busy_peer_is_passed_over_and_that_is_said() -> None:
    made = examined(independent(ada=0.35, bob=0.2, cyd=0.8), 60)
    decision = decide(made, load=Load({"cyd": 1000.0}))
    assert decision
    assert decision.plan == alone("ada")
    assert "is busier" in decision.why


def test_what_a_card_claims_of_its_model_changes_nothing() -> None:
    known = Standings()
    for question in range(60):
        known.note(CARDS["ada"].subject, Outcome(question, "", True, 0.0))
        known.note(CARDS["cyd"].subject, Outcome(question, "", False, 0.0))
    boaster = Card("cyd", "cyd (the best)", "gpt-9-ultra")
    decision = decide_idle(view(known, "ada", [CARDS["ada"], boaster], 0.0))
    assert decision.plan == alone("ada")


@pytest.mark.parametrize("questions", [0, 5, 9])
def test_few_questions_are_no_ground_to_leave(questions: int) -> None:
    made = examined(lambda rng, topic: {"ada": False, "cyd": True}, questions)
    assert decide_idle(made).plan == alone("ada")


# --- what was chosen is held -------------------------------------------------------------------


def history(
    rights: Rights, questions: int, seed: int, plans: tuple[Plan, ...] = (), holds: bool = True
) -> list[Plan]:
    """What is chosen after each question, as outcomes come in."""
    rng, known, held, chosen = random.Random(seed), Standings(), NOTHING_HELD, []
    for question in range(questions):
        for who, right in rights(rng, "").items():
            plan = who if isinstance(who, Plan) else alone(str(who))
            known.note(plan_subject(plan, CARDS), Outcome(question, "", right, 0.0))
        made = view(known, "ada", CARDS.values(), 0.0, plans, held)
        held = made.held if holds else NOTHING_HELD
        chosen.append(decide_idle(made).plan)
    return chosen


def changes(chosen: list[Plan]) -> int:
    return sum(a != b for a, b in itertools.pairwise(chosen))


EQUAL_PEERS = {"ada": 0.36, "bob": 0.78, "cyd": 0.76}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("skills", "team"),
    [(EQUAL_PEERS, 0.0), ({"ada": 0.5, "bob": 0.58, "cyd": 0.56}, 0.0),
     ({"ada": 0.5, "bob": 0.5, "cyd": 0.5}, 0.56), ({"ada": 0.5, "bob": 0.5, "cyd": 0.5}, 0.8)],
)  # fmt: skip
def test_choices_change_seldom_and_cost_no_more_for_it(
    skills: Mapping[str, float], team: float
) -> None:
    def rights(rng: random.Random, topic: str) -> Mapping[object, bool]:
        found = dict(independent(**skills)(rng, topic))
        return found | {TEAM: rng.random() < team} if team else found

    worth = {alone(name): skill - 0.01 for name, skill in skills.items()}
    worth[TEAM] = team - 0.04
    best, plans = max(worth.values()), (TEAM,) if team else ()
    turns: dict[bool, list[int]] = {}
    regret: dict[bool, float] = {}
    for holds in (True, False):
        found = [history(rights, 80, seed, plans, holds) for seed in range(5)]
        turns[holds] = [changes(chosen) for chosen in found]
        regret[holds] = statistics.fmean(best - worth[p] for chosen in found for p in chosen[20:])
    assert max(turns[True]) <= 3
    assert sum(turns[True]) <= sum(turns[False])
    assert regret[True] <= regret[False] + 0.01


def test_without_holding_two_equal_peers_take_turns() -> None:
    rights = independent(**EQUAL_PEERS)
    assert (
        changes(history(rights, 60, 3, holds=True))
        <= 1
        < changes(history(rights, 60, 3, holds=False))
    )


def mixed(questions: int) -> list[int]:
    """Questions in an order in which nobody seems to fall in skill."""
    return [7 * i % questions for i in range(questions)]


def record_of(rights: Mapping[str, int], questions: int = 60) -> Standings:
    """Who is right in the first so many questions."""
    known = Standings()
    for question in mixed(questions):
        for name, count in rights.items():
            known.note(CARDS[name].subject, Outcome(question, "", question < count, 0.0))
    return known


def test_a_held_peer_is_kept_without_credible_reason_and_left_with_one() -> None:
    held = Held("cyd")
    for ada, bob, cyd, taken in (
        (30, 10, 29, "cyd"),  # no clear difference
        (40, 10, 29, "ada"),
        (20, 31, 30, "cyd"),
        (20, 45, 30, "bob"),
    ):
        known = record_of({"ada": ada, "bob": bob, "cyd": cyd})
        made = view(known, "ada", CARDS.values(), 0.0, held=held)
        assert decide_idle(made).plan == alone(taken)
        assert made.held.single == ("" if taken == "ada" else taken)
        free = view(known, "ada", CARDS.values(), 0.0)
        assert decide_idle(free).plan != alone("cyd")


def test_one_that_is_away_for_a_while_is_held_when_it_comes_back() -> None:
    known = record_of({"ada": 30, "bob": 10, "cyd": 31})
    here = [CARDS["ada"], CARDS["bob"]]
    away = view(known, "ada", here, 0.0, held=Held("cyd", TEAM))
    assert decide_idle(away).plan == alone("ada")
    assert away.held == Held("cyd", TEAM)
    back = view(known, "ada", CARDS.values(), 0.0, held=away.held)
    assert decide_idle(back).plan == alone("cyd")


def team_record(wins: int, losses: int) -> Standings:
    known = record_of(dict.fromkeys(CARDS, 30))
    for question in mixed(60):
        right = question < 30 - losses or 30 <= question < 30 + wins
        known.note(plan_subject(TEAM, CARDS), Outcome(question, "", right, 0.0))
    return known


def test_a_held_committee_stays_while_it_is_worth_its_inferences() -> None:
    for wins, losses, kept, taken_anew in ((12, 6, True, False), (7, 6, False, False)):
        known = team_record(wins, losses)
        made = view(known, "ada", CARDS.values(), 0.0, [TEAM], Held("", TEAM))
        assert (decide_idle(made).plan == TEAM) == kept
        assert (made.held.plan == TEAM) == kept
        free = view(known, "ada", CARDS.values(), 0.0, [TEAM])
        assert (decide_idle(free).plan == TEAM) == taken_anew


def test_bad_ratings_of_a_committee_undo_it_and_no_member() -> None:
    known = team_record(20, 2)
    made = view(known, "ada", CARDS.values(), 0.0, [TEAM])
    assert decide_idle(made).plan == TEAM
    for _ in range(80):
        known.rate(plan_subject(TEAM, CARDS), False, 0.0)
    after = view(known, "ada", CARDS.values(), 0.0, [TEAM], made.held)
    assert decide_idle(after).plan == alone("ada")
    assert after.candidates[0] == made.candidates[0], "the members stand as they stood"
