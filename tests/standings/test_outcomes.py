"""Outcomes, posteriors, fading and change, with seeded coins."""

import random

import msgspec
import pytest

from dmoa.standings.outcomes import (
    HALF_LIFE,
    KEPT,
    SUBJECTS,
    Outcome,
    Pair,
    Record,
    Standings,
    better,
    paired,
    subject_of,
)


def record(rights: list[bool], topic: str = "", at: float = 0.0) -> Record:
    made = Record()
    for question, right in enumerate(rights):
        made.add(Outcome(question, topic, right, at))
    return made


def coin(seed: int, rate: float, n: int) -> list[bool]:
    rng = random.Random(seed)
    return [rng.random() < rate for _ in range(n)]


def test_nothing_known_is_anything() -> None:
    skill = Record().skill(0.0)
    assert skill.mean == 0.5
    low, high = skill.interval()
    assert low == pytest.approx(0.025)
    assert high == pytest.approx(0.975)


def test_the_interval_is_honest() -> None:
    """Of 400 subjects whose skill is drawn from the prior, 95 % lie in their intervals."""
    rng = random.Random(3)
    inside = 0
    for seed in range(400):
        rate = rng.random()
        skill = record(coin(seed, rate, 30)).skill(0.0)
        low, high = skill.interval()
        inside += low <= rate <= high
    assert 0.92 <= inside / 400 <= 0.98


def test_old_outcomes_fade() -> None:
    made = record([True] * 8)
    assert made.skill(0.0).right == 9.0
    assert made.skill(HALF_LIFE).right == pytest.approx(5.0)


def test_a_question_counts_once() -> None:
    made = Record()
    for right in (False, True):
        made.add(Outcome(7, "units", right, 0.0))
    assert (made.asked(), made.right()) == (1, 1)


def test_a_rating_counts_less_than_an_examination() -> None:
    known = Standings()
    known.rate("ada", good=False, at=0.0)
    skill = known.record("ada").skill(0.0)
    assert skill.wrong == pytest.approx(1.25)
    assert known.record("ada").asked() == 0


def test_bad_ratings_undo_good_examinations_in_the_end() -> None:
    peer, own = record([True] * 12 + [False] * 8), record([False] * 8 + [True] * 12)
    for question in range(20, 30):
        peer.add(Outcome(question, "", True, 0.0))
        own.add(Outcome(question, "", False, 0.0))
    assert better(peer, own, 0.0) > 0.95
    for number in range(1, 41):
        peer.add(Outcome(-number, "", False, 0.0))
    assert better(peer, own, 0.0) < 0.7


def test_a_topic_of_which_little_is_known_is_drawn_to_the_whole() -> None:
    made = record([True] * 30)
    made.add(Outcome(99, "dates", False, 0.0))
    assert 0.75 < made.topic_skill("dates", 0.0).mean < made.skill(0.0).mean
    for question in range(100, 112):
        made.add(Outcome(question, "dates", False, 0.0))
    assert made.topic_skill("dates", 0.0).mean < 0.4


def test_a_swapped_model_is_found_out_within_fifty_questions() -> None:
    found = 0
    for seed in range(60):
        made = record(coin(seed, 0.78, 60))
        before = made.changes
        for at, right in enumerate(coin(seed + 1000, 0.3, 50)):
            made.add(Outcome(1000 + at, "", right, 0.0))
        found += made.changes > before
    assert found >= 54


def test_one_that_never_changes_is_seldom_taken_for_changed() -> None:
    changed = sum(record(coin(seed, 0.7, 120)).changes > 0 for seed in range(60))
    assert changed <= 5


def test_after_a_fall_what_was_before_is_forgotten() -> None:
    made = record([True] * 60)
    for at in range(20):
        made.add(Outcome(1000 + at, "", False, 0.0))
    assert made.skill(0.0).mean < 0.3


def test_pairs_are_compared_on_shared_questions() -> None:
    first, second = record([True] * 12), record([False, True] * 20)
    pair = paired(first, second, 0.0)
    assert (pair.wins, pair.losses, pair.ties) == (6, 0, 6)
    assert pair.chance == pytest.approx(1 - 0.5**7)
    assert Pair(3, 3, 50).chance == pytest.approx(0.5)


def test_without_shared_questions_the_posteriors_are_compared() -> None:
    first, second = Record(), record([False] * 30)
    for question in range(1000, 1030):
        first.add(Outcome(question, "", True, 0.0))
    assert better(first, second, 0.0) > 0.999
    assert better(Record(), Record(), 0.0) == pytest.approx(0.5)


def test_memory_is_bounded() -> None:
    made = record([True, False] * KEPT)
    assert len(made.outcomes) == KEPT
    known = Standings()
    for device in range(SUBJECTS + 5):
        known.note(f"device {device}", Outcome(0, "", True, 0.0))
    assert len(known.records) == SUBJECTS
    assert known.record("device 0").asked() == 0


def test_another_model_on_the_same_card_starts_from_nothing() -> None:
    known = Standings()
    known.note(subject_of("ada", "big"), Outcome(0, "", True, 0.0))
    assert known.record(subject_of("ada", "small")).asked() == 0


def test_standings_survive_a_restart() -> None:
    known = Standings()
    known.note("ada", Outcome(3, "units", True, 5.0))
    known.rate("ada", good=True, at=6.0)
    kept = msgspec.msgpack.decode(msgspec.msgpack.encode(known), type=Standings)
    assert kept == known
