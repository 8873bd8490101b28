"""The latency approximation where exact values are known, and its limits."""

import numpy as np
import pytest

from dmoa.errors import UsageError
from dmoa.theory.latency import largest_of, predict, service_quantiles, wait_quantiles


@pytest.mark.parametrize("rho", [0.2, 0.5, 0.8, 0.95])
@pytest.mark.parametrize("cv", [0.0, 1.0, 2.0])
def test_without_collaboration_it_is_the_pollaczek_khinchine_queue(rho, cv):
    alpha = 3.0
    found = predict(4, alpha, rho / alpha, 0, 0, cv)
    wait = rho * (1 + cv**2) / (2 * (1 - rho))
    assert found.latency_mean == pytest.approx(alpha * (1 + wait), rel=1e-9)
    assert found.queue_mean == pytest.approx(rho * wait, rel=1e-9)


def test_an_mm1_queue_has_an_exponential_latency():
    found = predict(1, 1.0, 0.8, 0, 0)
    assert found.latency_p95 == pytest.approx(-np.log(0.05) / 0.2, rel=0.02)


def test_an_empty_network_takes_its_critical_path():
    # Mean of the largest of four exponential services is 1 + 1/2 + 1/3 + 1/4.
    found = predict(8, 1.0, 1e-9, 2, 3)
    assert found.latency_mean == pytest.approx(2 * (25 / 12) + 1, rel=0.01)
    assert predict(8, 2.0, 1e-9, 2, 3, cv=0).latency_mean == pytest.approx(6.0, rel=1e-4)


@pytest.mark.slow
def test_latency_grows_with_load_layers_and_proposers():
    def mean(rho, M, k):
        return predict(10, 1.0, rho / ((k + 1) * M + 1), M, k).latency_mean

    assert mean(0.5, 2, 3) < mean(0.8, 2, 3) < mean(0.95, 2, 3)
    assert mean(0.8, 1, 3) < mean(0.8, 2, 3)
    assert mean(0.8, 2, 1) < mean(0.8, 2, 3)


def test_quantiles_have_the_moments_they_stand_for():
    for cv in (0.0, 0.5, 1.0, 2.0):
        values = service_quantiles(cv, 128)
        assert values.mean() == pytest.approx(1.0)
        assert values.var() == pytest.approx(cv**2, rel=1e-6, abs=1e-12)
    assert wait_quantiles(0.7, 1.0, 256).mean() == pytest.approx(1.0)


def test_largest_of_counts_order_statistics():
    samples = np.arange(1.0, 7.0)  # a die
    assert largest_of(samples, 1) == pytest.approx(3.5)
    assert largest_of(samples, 2) == pytest.approx(161 / 36)


def test_an_unstable_network_has_no_steady_state():
    with pytest.raises(UsageError, match="no steady state"):
        predict(4, 1.0, 0.2, 2, 3)
