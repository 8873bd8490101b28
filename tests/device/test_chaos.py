"""Chaos: a fixed set of schedules; `make torture` runs fresh ones."""

from collections import Counter

import pytest

from tests.torture.chaos import Operation, run, schedule, smallest

SEEDS = range(30)


@pytest.mark.slow
def test_whatever_happens_prompts_are_answered_once_or_refused_and_all_heals() -> None:
    endings: Counter[str] = Counter()
    for seed in SEEDS:
        script = schedule(seed)
        try:
            endings += run(script, seed)
        except Exception as error:
            raise AssertionError(f"run({smallest(script, seed)}, {seed}) fails: {error}") from error
    # The schedules are no idle ones: every kind of ending is among theirs.
    assert set(endings) >= {"answered", "refused", "given up"}, endings
    assert endings["answered"] > 2 * len(SEEDS), endings


def test_a_seed_always_gives_the_same_schedule() -> None:
    assert schedule(7) == schedule(7)
    assert schedule(7) != schedule(8)


def test_a_failing_schedule_is_cut_down_to_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(script: list[Operation], seed: int) -> None:
        assert not {"hang", "kill"} <= {what for what, *_ in script}

    monkeypatch.setattr("tests.torture.chaos.run", fail)
    needed: list[Operation] = [("hang", 1, 0, 0), ("kill", 2, 0, 0)]
    rest: list[Operation] = [("wait", 0, 3, 0), ("ask", 0, 1, 1)]
    assert smallest([rest[0], needed[0], rest[1], needed[1], rest[0]], 1) == needed
