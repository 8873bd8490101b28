"""One device ends at a random moment: short schedules; `make torture` runs long ones."""

import pytest

from dmoa.protocol.layer import SECOND_LOOK_SECONDS
from tests.torture.endings import Ending, faults, run, schedule

PROMPTS = 60


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_an_ending_loses_no_prompt_answers_none_twice_and_costs_little(seed: int) -> None:
    found = run(seed, PROMPTS)
    assert not faults(found, PROMPTS), schedule(seed, PROMPTS)


@pytest.mark.slow
def test_a_device_that_hangs_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    early = Ending("stopped", 1, 3.0, 30.0)
    monkeypatch.setattr("tests.torture.endings.schedule", lambda seed, prompts: early)
    assert max(run(1, PROMPTS).added) == pytest.approx(
        2.0 + SECOND_LOOK_SECONDS, abs=1e-3
    )  # the doubt, and no more
