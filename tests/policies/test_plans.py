"""The choice of a plan: quality against work."""

import pytest

from dmoa.policies.plans import (
    Candidate,
    Load,
    alone,
    best,
    choosing,
    committee,
    counted,
    level_among,
    possible,
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
    assert best([OWN, candidate(TEAM, 0.56)]).plan == TEAM


def test_a_busy_peer_is_left_alone() -> None:
    assert best([OWN, PEER], Load({"cyd": 100.0}, alpha=3.0)) == OWN
    assert best([OWN, PEER], Load({"cyd": 20.0}, alpha=3.0)) == PEER


def test_promised_work_makes_committees_dear() -> None:
    team = candidate(TEAM, 0.7)
    assert best([OWN, team]) == team
    assert best([OWN, team], Load(promised=6.0)) == OWN


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
