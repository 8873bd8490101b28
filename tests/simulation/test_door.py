"""The baseline `ladder`: refusals at the door, and rungs."""

import pytest

from dmoa.simulation.events import door


def test_admission_looks_at_the_network_the_own_queue_and_fairness():
    limit = door.work_limit(25.0, 2, 3)
    assert limit == pytest.approx(25 * 5 / 9)
    assert door.admits(limit, 99.0, 0.0, limit, 25.0, 2)
    assert not door.admits(1.01 * limit, limit, 0.0, limit, 25.0, 2)
    assert door.admits(1.4 * limit, 0.6 * limit, 0.0, limit, 25.0, 2)
    assert not door.admits(1.6 * limit, 0.0, 0.0, limit, 25.0, 2)
    assert not door.admits(0.0, 0.0, 17.0, limit, 25.0, 2)


def test_rungs_go_down_at_once_and_up_after_ten_calm_services():
    limits = door.thresholds(5)
    assert limits == [0.5, 0.625, 0.75, 0.875, 1.0]
    assert door.next_rung(0, limits, 0.8, -1.0, 0.0, 1.0) == (3, -1.0)
    rung, calm = door.next_rung(3, limits, 0.5, -1.0, 100.0, 1.0)
    assert (rung, calm) == (3, 100.0)
    assert door.next_rung(3, limits, 0.5, calm, 109.0, 1.0) == (3, 100.0)
    assert door.next_rung(3, limits, 0.5, calm, 110.0, 1.0) == (2, 110.0)
