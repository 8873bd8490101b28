"""The choice of a plan: quality against work."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmoa.policies.law import largest_backlog
from dmoa.policies.plans import (
    ANYWHERE,
    Candidate,
    Load,
    alone,
    best,
    choosing,
    committee,
    counted,
    level_among,
    possible,
    wait,
    work_of,
)


def candidate(plan, quality):
    return Candidate(plan, quality, work_of(plan))


OWN = candidate(alone("ada"), 0.5)
PEER = candidate(alone("cyd"), 0.8)
TEAM = committee(1, ["ada", "bob", "cyd"], "ada")


def test_inferences_and_work_are_those_of_the_paper() -> None:
    two_layers = committee(2, ["ada", "bob", "cyd"], "ada")
    assert two_layers.inferences == 2 * 3 + 1
    assert work_of(two_layers) == {"ada": 3.0, "bob": 2.0, "cyd": 2.0}
    assert choosing(["ada", "bob"], "vote").inferences == 2
    assert work_of(choosing(["ada", "bob"], "vote")) == {"ada": 1.0, "bob": 1.0}
    assert work_of(committee(1, ["ada", "bob"], "cyd")) == {"ada": 1.0, "bob": 1.0, "cyd": 1.0}
    for plan in (two_layers, TEAM, alone("ada")):
        assert sum(work_of(plan).values()) == plan.inferences


def test_the_better_one_is_taken_when_nobody_is_busy() -> None:
    assert best([OWN, PEER]) == PEER


def test_of_equals_the_own_one_and_fewer_inferences_are_taken() -> None:
    assert best([OWN, candidate(alone("bob"), 0.5), candidate(TEAM, 0.5)]) == OWN


def test_more_inferences_must_be_worth_their_cost() -> None:
    assert best([OWN, candidate(TEAM, 0.52)]) == OWN
    assert best([OWN, candidate(TEAM, 0.56)]) == candidate(TEAM, 0.56)


def test_a_busy_peer_is_left_alone() -> None:
    assert best([OWN, PEER], Load({"cyd": 30.0})) == OWN
    assert best([OWN, PEER], Load({"cyd": 5.0})) == PEER
    assert best([OWN, PEER], Load({"cyd": 30.0}), patience=600.0) == PEER, "who waits gets it"


def test_work_on_a_slow_device_costs_more() -> None:
    assert best([OWN, PEER], Load({"cyd": 10.0})) == PEER
    assert best([OWN, PEER], Load({"cyd": 10.0}, pace={"cyd": 4.0})) == OWN


def test_backlog_makes_committees_dear() -> None:
    team = candidate(TEAM, 0.7)
    assert best([OWN, team]) == team
    assert best([OWN, team], Load({"ada": 9.0, "bob": 9.0, "cyd": 9.0})) == OWN


def test_whoever_is_drawn_costs_what_the_others_do() -> None:
    drawn = Candidate(TEAM, 0.9, {"ada": 2.0, ANYWHERE: 2.0})
    assert best([OWN, drawn]) == drawn
    assert best([OWN, drawn], Load(elsewhere=20.0)) == OWN


def test_nothing_is_taken_when_nothing_is_worth_its_price_until_the_queue_is_shorter() -> None:
    full = Load({"ada": 25.0})
    assert best([OWN], full) is None
    assert best([OWN, PEER], full) == PEER
    services = wait([OWN], full)
    assert best([OWN], Load({"ada": 25.0 - services - 0.01})) == OWN
    assert best([OWN], Load({"ada": 25.0 - services + 0.01})) is None
    hangs = Load({"ada": math.nan})
    assert best([OWN], hangs) is None
    assert math.isinf(wait([OWN], hangs))


@given(
    backlogs=st.lists(st.floats(0, 1e4), min_size=3, max_size=3),
    quality=st.floats(0.01, 1.0),
    patience=st.floats(1.0, 1000.0),
)
def test_no_queue_gets_work_beyond_the_bound(
    backlogs: list[float], quality: float, patience: float
) -> None:
    load = Load(dict(zip(("ada", "bob", "cyd"), backlogs, strict=True)))
    taken = best([candidate(TEAM, quality), candidate(alone("ada"), quality)], load, patience)
    for device in taken.work if taken else ():
        assert load.backlog[device] <= largest_backlog(quality, 1.0, patience) + 1e-6


def test_what_is_not_credibly_better_counts_as_worse() -> None:
    assert counted(0.9, 0.5, chance=0.94) < 0.5
    assert counted(0.9, 0.5, chance=0.96) == 0.9
    assert counted(0.3, 0.5, chance=0.2) == 0.3


def test_many_rivals_need_more_evidence() -> None:
    assert level_among(1) == pytest.approx(0.95)
    assert level_among(10) == pytest.approx(0.995)


def test_a_plan_is_possible_only_if_everyone_may_be_asked() -> None:
    assert possible(alone("ada"), "ada", lambda peer: False)
    assert not possible(TEAM, "ada", lambda peer: peer != "bob")
    assert possible(TEAM, "ada", lambda peer: peer != "ada")
