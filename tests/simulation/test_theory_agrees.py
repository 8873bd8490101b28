"""Formulas and simulation say the same: growth, limits, latency."""

import pytest

from dmoa.simulation.study import simulate
from dmoa.theory.growth import device_growth, equal_growth
from dmoa.theory.latency import predict
from dmoa.theory.network import Lengths, QueueingNetwork, equal_network
from dmoa.theory.selection import rate_limit_selected
from tests.simulation.test_kernel import tables


@pytest.mark.parametrize(("M", "k", "load"), [(1, 1, 1.2), (2, 3, 1.5), (3, 2, 2.0), (2, 3, 4.0)])
def test_equal_queues_grow_as_the_formula_says(M, k, load):
    rate = load / ((k + 1) * M + 1)
    outcome = simulate(
        tables(
            network={"rate": rate},
            protocol={"layers": M, "proposers": k},
            run={"prompts": 40_000},
        )
    )
    expected = equal_growth(equal_network(8, 1.0, rate, M, k))
    assert outcome.growth_per_second == pytest.approx(expected, rel=0.05)


def test_growth_with_tasks_of_different_lengths():
    lengths = Lengths(first=1.0, refining=2.0, aggregating=3.0)
    outcome = simulate(
        tables(
            network={"rate": 0.12},
            protocol={"first": 1.0, "refining": 2.0, "aggregating": 3.0},
            run={"prompts": 40_000},
        )
    )
    expected = equal_growth(equal_network(8, 1.0, 0.12, 2, 3, lengths))
    assert outcome.growth_per_second == pytest.approx(expected, rel=0.08)


def test_the_slowest_device_grows_as_the_formula_says():
    alphas = (1.0, 1.0, 2.0, 3.0)
    network = QueueingNetwork(alphas, (0.15,) * 4, 2, 2)
    outcome = simulate(
        tables(
            network={"devices": 4, "alpha": list(alphas), "rate": 0.15},
            protocol={"proposers": 2},
            run={"prompts": 40_000},
        )
    )
    assert outcome.growth_per_second == pytest.approx(max(device_growth(network)), rel=0.05)


@pytest.mark.parametrize("side", [0.96, 1.04])
@pytest.mark.parametrize(
    ("alphas", "M", "k", "d"),
    [([1.0, 1.0, 1.0, 4.0], 2, 1, 3), ([1.0] * 6 + [3.0] * 2, 2, 3, 5), ([1.0] * 8, 1, 2, 4)],
)
def test_the_least_backlog_reaches_the_limit_of_free_choice(alphas, M, k, d, side):
    rate = side * rate_limit_selected(alphas, M, k, d)
    outcome = simulate(
        tables(
            network={"devices": len(alphas), "alpha": alphas, "rate": rate},
            protocol={"layers": M, "proposers": k, "policy": "backlog", "sample": d},
            run={"prompts": 60_000, "replications": 4, "warmup": 20_000},
        )
    )
    assert outcome.stable == (side < 1)
    if side < 1:
        # Nowhere near what 4 % too much would have piled up by then.
        assert outcome.queue.mean < 60
    else:
        assert outcome.growth_per_second > 0.005


@pytest.mark.parametrize(("n", "M", "k", "load"), [(8, 2, 3, 0.8), (20, 1, 3, 0.6), (4, 2, 1, 0.5)])
def test_the_latency_approximation_is_within_its_stated_error(n, M, k, load):
    rate = load / ((k + 1) * M + 1)
    outcome = simulate(
        tables(network={"devices": n, "rate": rate}, protocol={"layers": M, "proposers": k})
    )
    found = predict(n, 1.0, rate, M, k)
    assert found.latency_mean == pytest.approx(outcome.latency.mean, rel=0.1)
    assert found.latency_p95 == pytest.approx(outcome.latency.p95, rel=0.2)
    assert found.queue_mean == pytest.approx(outcome.queue.mean, rel=0.15)
