"""Theorem 1, Remark 1 and what generalises them."""

import math
import random
from itertools import combinations

import pytest

from dmoa.errors import UsageError
from dmoa.theory.early_stop import (
    load_early_answer,
    load_early_selected,
    load_early_stop,
    load_selected,
    mean_layers,
)
from dmoa.theory.growth import device_growth, equal_growth, growth_per_second
from dmoa.theory.memory import queue_bytes, task_bytes
from dmoa.theory.network import Lengths, QueueingNetwork, equal_network, tasks_per_prompt
from dmoa.theory.selection import rate_limit_selected
from dmoa.theory.stability import (
    device_loads,
    is_stable,
    load,
    network_load,
    network_rate_limit,
    rate_limit,
    task_rates,
)


def test_theorem_1_counts_the_inferences_of_the_papers_table():
    costs = [tasks_per_prompt(*Mk) for Mk in [(0, 0), (1, 1), (1, 2), (2, 1), (2, 2), (1, 3)]]
    assert costs == [1, 3, 4, 5, 7, 5]
    assert load(46.0, 0.25, 2, 3) == pytest.approx(103.5)
    assert rate_limit(1.0, 2, 3) == pytest.approx(1 / 9)


def test_the_limit_itself_is_not_stable():
    assert is_stable(1.0, 0.11, 2, 3)
    assert not is_stable(0.5, 2.0, 0, 0)
    assert not is_stable(0.25, 1.0, 1, 2)


def test_remark_1_lets_the_slowest_device_decide():
    assert rate_limit([1, 1, 1, 4], 2, 3) == pytest.approx(1 / 36)


def test_generalised_loads_reduce_to_theorem_1():
    for n, M, k in [(4, 0, 0), (4, 1, 1), (8, 2, 3), (5, 3, 4)]:
        loads = device_loads(equal_network(n, 2.0, 0.01, M, k))
        assert loads == pytest.approx([load(2.0, 0.01, M, k)] * n)


def test_every_task_is_counted_once_whatever_the_graph():
    neighbours = ((1, 2), (0, 2, 3), (3, 0), (2, 1))
    network = QueueingNetwork(
        (1.0, 2.0, 3.0, 1.0), (0.1, 0.0, 0.3, 0.2), 3, 2, neighbours=neighbours
    )
    tasks = sum(map(sum, task_rates(network)))
    assert tasks == pytest.approx(sum(network.rates) * network.tasks_per_prompt)


def test_lengths_and_slots_weigh_tasks():
    lengths = Lengths(first=1.0, refining=2.0, aggregating=3.0)
    network = equal_network(8, 1.0, 0.01, 3, 3, lengths)
    assert network_load(network) == pytest.approx(0.01 * (1 * 4 + 2 * 4 * 2 + 3))
    slotted = QueueingNetwork((1.0, 1.0), (0.1, 0.1), 1, 1, slots=(1, 2))
    assert device_loads(slotted) == pytest.approx([0.3, 0.15])


def test_rate_limit_of_a_network_keeps_the_proportions_of_its_users():
    network = QueueingNetwork((1.0, 2.0, 1.0), (0.01, 0.02, 0.0), 2, 1)
    limit = network_rate_limit(network)
    factor = limit / (sum(network.rates) / 3)
    scaled = QueueingNetwork(network.alphas, tuple(r * factor for r in network.rates), 2, 1)
    assert network_load(scaled) == pytest.approx(1.0)


def most_loaded_set(alphas, M, k, d, weights):
    """The limit of free choice by trying every set of devices."""
    n, best = len(alphas), math.inf
    for J in (c for m in range(1, n + 1) for c in combinations(range(n), m)):
        work = (M + 1) * sum(weights[j] for j in J)
        for i in range(n):
            outside = n - len(J) - (i not in J)
            ways = sum(
                max(0, k - h) * math.comb(outside, h) * math.comb(n - 1 - outside, d - h)
                for h in range(d + 1)
            )
            work += M * weights[i] * ways / math.comb(n - 1, d)
        best = min(best, sum(1 / alphas[j] for j in J) / work if work else math.inf)
    return best * sum(weights) / n


@pytest.mark.parametrize("seed", range(20))
def test_free_choice_finds_the_most_loaded_set(seed):
    r = random.Random(seed)
    n = r.randint(2, 8)
    k = r.randint(0, n - 1)
    d, M = r.randint(k, n - 1), r.randint(0, 4)
    alphas = [r.uniform(0.3, 4) for _ in range(n)]
    weights = [r.uniform(0.1, 3) for _ in range(n)]
    assert rate_limit_selected(alphas, M, k, d, weights) == pytest.approx(
        most_loaded_set(alphas, M, k, d, weights), rel=1e-12
    )


@pytest.mark.slow
def test_free_choice_among_ten_thousand_devices_is_found_at_once():
    n = 10_000
    r = random.Random(1)
    assert rate_limit_selected([1.0] * n, 2, 3) == pytest.approx(1 / 9)
    alphas, weights = ([r.uniform(0.3, 4) for _ in range(n)] for _ in range(2))
    assert rate_limit_selected(alphas, 2, 3) == pytest.approx(
        sum(1 / a for a in alphas) / 9 / n, rel=1e-3
    )
    everybody = rate_limit_selected(alphas, 2, 3, weights=weights)
    assert everybody > 1.0001 * rate_limit_selected(alphas, 2, 3, 4, weights)


def test_free_choice_of_no_choice_is_remark_1():
    alphas = [1.0, 2.0, 3.0, 4.0]
    assert rate_limit_selected(alphas, 2, 2, 2) == pytest.approx(rate_limit(alphas, 2, 2))
    # All others are asked: rounding must not make the limit differ from Theorem 1.
    assert rate_limit_selected([1.0] * 4, 2, 3) == rate_limit(1.0, 2, 3)


def test_free_choice_of_the_design_examples():
    assert rate_limit_selected([1, 1, 1, 4], 2, 1) / rate_limit([1, 1, 1, 4], 2, 1) == (
        pytest.approx(5 / 3)
    )
    alphas = [1.0] * 15 + [4.0] * 5
    assert rate_limit_selected(alphas, 2, 3, 6) / rate_limit(alphas, 2, 3) == (
        pytest.approx(2.8897, abs=1e-4)
    )


def test_early_stop_counts_layers():
    assert mean_layers(3, 0.0) == 3
    assert mean_layers(3, 1.0) == 1
    assert mean_layers(2, 0.5) == 1.5
    assert load_early_stop(1.0, 0.1, 2, 3, 0.0) == pytest.approx(load(1.0, 0.1, 2, 3))
    assert load_early_answer(1.0, 0.1, 2, 3, 0.5) == pytest.approx(0.1 * (4 * 1.5 + 0.25))
    assert load_early_selected(1.0, 0.1, 2, 3, 0.0) == load_selected(1.0, 0.1, 2, 3)


def test_nothing_grows_below_the_limit():
    assert growth_per_second(equal_network(4, 1.0, 0.11, 2, 3)) == 0.0
    assert equal_growth(equal_network(4, 1.0, 0.11, 2, 3)) == 0.0


def test_growth_without_collaboration_is_the_excess():
    assert equal_growth(equal_network(4, 2.0, 0.8, 0, 0)) == pytest.approx(0.8 - 0.5)


def test_both_growth_formulas_agree_on_equal_devices():
    network = equal_network(6, 1.0, 0.3, 2, 3)
    assert device_growth(network) == pytest.approx([equal_growth(network)] * 6, rel=1e-9)


def test_only_the_slow_device_grows():
    growth = device_growth(QueueingNetwork((1.0, 1.0, 1.0, 6.0), (0.04,) * 4, 2, 1))
    assert growth[:3] == [0.0, 0.0, 0.0]
    assert growth[3] > 0


def test_memory_counts_texts():
    assert task_bytes(0, 0, 1000, 2000) == 1000
    # M = 1, k = 1: two tasks with the prompt, one with two responses as well
    assert task_bytes(1, 1, 1000, 2000, 300) == pytest.approx(1000 + (4000 + 300) / 3)
    assert queue_bytes(3.0, 0, 0, 1000, 2000) == 3000


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: load(-1.0, 0.1, 1, 1), "alpha is -1.0"),
        (lambda: load(1.0, math.nan, 1, 1), "rate is nan"),
        (lambda: equal_network(4, 1.0, 0.1, 1, 4), "only 3 others"),
        (lambda: equal_network(4, 1.0, 0.1, 9, 1), "layers is 9"),
        (lambda: rate_limit_selected([1.0] * 4, 2, 2, 1), "sample is 1"),
        (lambda: QueueingNetwork((1.0, 1.0), (0.1,), 1, 1), "1 rates for 2 devices"),
        (
            lambda: QueueingNetwork((1.0,) * 3, (0.1,) * 3, 1, 2, neighbours=((1,),) * 3),
            "neighbour",
        ),
        (lambda: mean_layers(2, 1.5), "agreement is 1.5"),
    ],
)
def test_senseless_values_are_named(call, words):
    with pytest.raises(UsageError, match=words):
        call()
