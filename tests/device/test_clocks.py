"""The wall clock jumps: one schedule; `make torture` runs more."""

import pytest

from tests.torture.clocks import run


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_nothing_waits_for_a_clock_that_jumps(seed: int) -> None:
    found, failed = run(seed)
    assert not failed
    assert found["jumps"] > 20
