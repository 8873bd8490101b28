"""Who answers users worse than examinations is found out; who does not is left alone."""

import random

import msgspec
import pytest

from dmoa.standings.agreements import (
    DISTRUSTED_FOR,
    EVIDENCE,
    FIRST_CHECKED,
    LEAST_COMPARED,
    Agreements,
    digest,
)

EXAMS = 80


def reply(rng: random.Random, right: float) -> str:
    said = 7 if rng.random() < right else rng.randrange(100, 10_000)
    return f"Let me see.\n\nAnswer: {said}"


def examined(rng: random.Random, skills: dict[str, float]) -> Agreements:
    known = Agreements()
    for question in range(EXAMS):
        for name, skill in skills.items():
            known.examined(name, question, reply(rng, skill))
    return known


def found_after(skills: dict[str, float], real: float, seed: int, prompts: int) -> int | None:
    """After how many prompts the peer is distrusted that is right in a share of `real`."""
    rng = random.Random(seed)
    known = examined(rng, skills)
    for asked in range(1, prompts + 1):
        said = {name: reply(rng, skill) for name, skill in skills.items()}
        said["peer"] = reply(rng, real)
        if known.compare("peer", "peer", "own", said, 0.0):
            return asked
    return None


def test_a_sleeper_is_found_by_the_own_llm_alone() -> None:
    after = [found_after({"own": 0.6, "peer": 1.0}, 0.0, seed, 60) for seed in range(20)]
    assert all(n is not None and n <= 40 for n in after), after


def test_a_weak_own_llm_finds_it_with_two_witnesses() -> None:
    skills = {"own": 0.02, "peer": 1.0, "one": 0.7, "two": 0.6}
    after = [found_after(skills, 0.0, seed, 60) for seed in range(20)]
    assert all(n is not None and n <= 40 for n in after), after
    # By itself it learns nothing.
    assert found_after({"own": 0.02, "peer": 1.0}, 0.0, 1, 300) is None


def test_an_honest_peer_is_left_alone() -> None:
    skills = {"own": 0.6, "peer": 0.8, "one": 0.7, "two": 0.6}
    found = [found_after(skills, 0.8, seed, 200) for seed in range(20)]
    assert sum(n is not None for n in found) <= 1, found


def test_one_liar_can_blame_nobody() -> None:
    rng = random.Random(1)
    known = examined(rng, {"own": 0.4, "peer": 0.9, "liar": 0.9, "two": 0.6})
    for _ in range(200):
        said = {name: reply(rng, s) for name, s in (("own", 0.4), ("peer", 0.9), ("two", 0.6))}
        said["liar"] = "Answer: 3"
        assert not known.compare("peer", "peer", "own", said, 0.0)


def test_the_distrusted_are_not_counted_on_for_a_while_whatever_they_are_called() -> None:
    known = Agreements(distrusted={"key": 100.0})
    assert not known.trusts("key", 100.0 + DISTRUSTED_FOR)
    assert known.trusts("key", 101.0 + DISTRUSTED_FOR)
    assert known.trusts("other", 100.0)


def test_nothing_is_concluded_before_enough_examinations() -> None:
    known = Agreements()
    for question in range(LEAST_COMPARED - 1):
        known.examined("own", question, "7")
        known.examined("peer", question, "7")
    for _ in range(200):
        assert not known.compare("peer", "peer", "own", {"own": "7", "peer": "8"}, 0.0)


def test_the_first_prompts_are_checked_and_then_a_share() -> None:
    known = Agreements()
    for _ in range(FIRST_CHECKED):
        assert known.checks("peer", 0.99)
        known.compare("peer", "peer", "own", {"peer": "7"}, 0.0)
    assert not known.checks("peer", 0.99)
    assert known.checks("peer", 0.01)
    known.evidence["peer"]["witness"] = EVIDENCE / 2
    assert known.checks("peer", 0.99), "one that is suspected"


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("Answer: 1,000", "It is 1000.\nAnswer: **1000**", True),
        ("Paris.", "The answer is paris", True),
        ("Answer: 12", "Answer: 13", False),
        ("", " ", True),
        ("\ud83d", "Oslo", False),
    ],
)
def test_equal_answers_are_equal_however_they_are_put(one: str, other: str, same: bool) -> None:
    assert (digest(one) == digest(other)) is same


def test_memory_is_bounded_and_survives_a_restart() -> None:
    known = Agreements()
    for i in range(400):
        known.examined(f"peer{i}", i, "7")
        known.examined("own", i, "7")
        known.compare(f"peer{i}", f"peer{i}", "own", {f"peer{i}": "7", "own": "8"}, 0.0)
    assert max(len(known.said), len(known.said["own"]), len(known.evidence)) <= 256
    assert msgspec.json.decode(msgspec.json.encode(known), type=Agreements) == known
