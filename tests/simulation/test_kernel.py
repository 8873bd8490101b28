"""The compiled kernel against exact values and against its event-by-event twin."""

import math
from typing import Any

import numpy as np
import pytest
from numba import njit

from dmoa.policies.proposers import draw_uniform
from dmoa.simulation import study
from dmoa.simulation.arrivals import Recorded
from dmoa.simulation.fcfs import kernel
from dmoa.simulation.study import run_replications, simulate
from dmoa.theory.selection import rate_limit_selected
from tests.simulation.twin import simulate_trace


def tables(**changes):
    found: dict[str, dict] = {
        "network": {"devices": 8, "alpha": 1.0, "rate": 0.08},
        "protocol": {"layers": 2, "proposers": 3},
        "service": {},
        "run": {"prompts": 20_000, "replications": 4, "seed": 11},
    }
    for name, values in changes.items():
        found[name] = {**found.get(name, {}), **values}
    return found


def random_trace(n, M, k, prompts, rate, seed):
    r = np.random.default_rng(seed)
    times = np.cumsum(r.exponential(1 / rate, prompts))
    owners = r.integers(0, n, prompts).astype(np.int32)
    draws = np.zeros((prompts, M, k), np.int32)
    for p in range(prompts):
        others = [d for d in range(n) if d != owners[p]]
        for layer in range(M):
            draws[p, layer] = r.choice(others, k, replace=False)
    services = r.exponential(1.0, (prompts, M + 1, k + 1))
    times -= times[0]
    return Recorded(times, owners, draws, services)


@pytest.mark.parametrize(
    ("n", "M", "k", "slots", "load"),
    [
        (4, 0, 0, 1, 0.9),
        (4, 1, 1, 1, 0.7),
        (4, 2, 3, 1, 0.9),
        (9, 3, 2, 1, 1.5),
        (5, 2, 4, 3, 0.9),
        (30, 4, 5, 1, 0.8),
    ],
)
def test_kernel_and_twin_agree_on_a_trace_to_the_last_digit(n, M, k, slots, load):
    rate = load * n * slots / ((k + 1) * M + 1)
    trace = random_trace(n, M, k, 3000, rate, seed=n + M)
    scenario = tables(
        network={"devices": n, "slots": slots},
        protocol={"layers": M, "proposers": k},
        arrivals={"law": "burst"},
        run={"replications": 1},
    )
    latencies, waited, longest = simulate_trace(
        trace.times, trace.owners, trace.draws, trace.services, n, [slots] * n
    )
    from dmoa.simulation.scenario import scenario_of

    found = run_replications(scenario_of(scenario), trace).replications[0]
    assert found.latencies == pytest.approx(latencies, rel=1e-9, abs=1e-9)
    assert found.longest == longest
    assert found.queue_mean * found.elapsed * n == pytest.approx(waited, rel=1e-9)


@pytest.mark.parametrize(
    ("service", "cv"),
    [
        ({"law": "exponential"}, 1.0),
        ({"law": "deterministic"}, 0.0),
        ({"law": "lognormal", "cv": 1.5}, 1.5),
        ({"law": "erlang", "shape": 4}, 0.5),
        ({"law": "recorded", "times": [1.0, 3.0]}, 0.5),
    ],
)
def test_without_collaboration_latency_is_pollaczek_and_khinchines(service, cv):
    rho, alpha = 0.6, 2.0
    outcome = simulate(
        tables(
            network={"devices": 4, "alpha": alpha, "rate": rho / alpha},
            protocol={"layers": 0, "proposers": 0},
            service=service,
            run={"prompts": 60_000, "replications": 10},
        )
    )
    wait = rho * (1 + cv**2) / (2 * (1 - rho))
    # Three half widths of a 95 % interval: a false alarm in some billions of seeds.
    assert abs(outcome.latency.mean - alpha * (1 + wait)) < 3 * outcome.latency.half_width
    assert abs(outcome.queue.mean - rho * wait) < 3 * outcome.queue.half_width
    assert outcome.utilisation == pytest.approx(rho, rel=0.03)


def test_slots_are_an_erlang_c_queue():
    lam, c = 1.6, 2
    a = lam
    p_wait = (a**c / 2 / (1 - a / c)) / (1 + a + a**c / 2 / (1 - a / c))
    outcome = simulate(
        tables(
            network={"devices": 2, "rate": lam, "slots": c},
            protocol={"layers": 0, "proposers": 0},
            run={"prompts": 80_000, "replications": 10},
        )
    )
    exact = 1 + p_wait / (c - lam)
    assert abs(outcome.latency.mean - exact) < 3 * outcome.latency.half_width


def test_littles_law_ties_queue_and_latency():
    # M = 2, k = 0: the tasks of a prompt wait one after another, so latency is all waits.
    outcome = simulate(
        tables(network={"rate": 0.25}, protocol={"layers": 2, "proposers": 0},
               run={"prompts": 60_000, "replications": 8})
    )  # fmt: skip
    waits = outcome.latency.mean - 3.0
    assert outcome.queue.mean == pytest.approx(0.25 * waits, rel=0.02)


def test_an_idle_network_takes_its_critical_path():
    outcome = simulate(tables(network={"rate": 1e-7}, run={"prompts": 20_000}))
    exact = 2 * (25 / 12) + 1
    assert abs(outcome.latency.mean - exact) < 3 * outcome.latency.half_width


def test_results_do_not_depend_on_threads():
    one, four = (simulate(tables(run={"prompts": 2000}), threads=t).to_dict() for t in (1, 4))
    for outcome in (one, four):
        del outcome["tasks_per_second"]
    assert one == four


def test_another_seed_is_another_sample():
    means = {simulate(tables(run={"prompts": 500, "seed": s})).latency.mean for s in range(3)}
    assert len(means) == 3


def test_an_unstable_network_has_growth_and_no_latency():
    from dmoa.theory.growth import equal_growth
    from dmoa.theory.network import equal_network

    outcome = simulate(tables(network={"rate": 0.25}, run={"prompts": 40_000}))
    assert not outcome.stable
    assert math.isnan(outcome.latency.mean)
    assert outcome.to_dict()["latency"]["mean"] is None
    assert outcome.growth_per_second == pytest.approx(
        equal_growth(equal_network(8, 1.0, 0.25, 2, 3)), rel=0.05
    )


def test_a_burst_measures_all_its_prompts():
    outcome = simulate(
        tables(
            network={"devices": 4, "alpha": 46.0, "rate": 0.25},
            arrivals={"law": "burst"},
            run={"prompts": 10, "replications": 200},
        )
    )
    assert outcome.stable
    assert outcome.warmup.prompts == 0
    assert outcome.tasks == 200 * 10 * 9
    assert outcome.latency.mean > 500


def test_the_least_backlog_shortens_the_wait():
    plain = simulate(tables(network={"rate": 0.8 / 9}))
    chosen = simulate(tables(network={"rate": 0.8 / 9}, protocol={"policy": "backlog"}))
    some = simulate(tables(network={"rate": 0.8 / 9}, protocol={"policy": "backlog", "sample": 4}))
    assert chosen.latency.mean < some.latency.mean < plain.latency.mean
    assert chosen.latency.mean == pytest.approx(12.5, rel=0.1)


def test_a_slow_device_is_spared_by_the_backlog():
    # 1.3 times the limit of uniform draws, within that of free choice
    slow = {"devices": 4, "alpha": [1.0, 1.0, 1.0, 4.0], "rate": 1.3 * 0.05}
    protocol = {"layers": 2, "proposers": 1}
    assert not simulate(tables(network=slow, protocol=protocol)).stable
    chosen = simulate(tables(network=slow, protocol={**protocol, "policy": "backlog"}))
    assert chosen.stable
    assert chosen.latency.mean < 40


def test_weighted_draws_favour_fast_devices():
    slow = {"devices": 4, "alpha": [1.0, 1.0, 1.0, 4.0], "rate": 0.045}
    protocol = {"layers": 2, "proposers": 1}
    uniform = simulate(tables(network=slow, protocol=protocol))
    weighted = simulate(tables(network=slow, protocol={**protocol, "policy": "weighted"}))
    assert weighted.latency.mean < uniform.latency.mean


def test_a_complete_graph_written_out_is_the_same_network():
    everybody = [[j for j in range(8) if j != i] for i in range(8)]
    given = simulate(tables(network={"neighbours": everybody}))
    default = simulate(tables())
    assert abs(given.latency.mean - default.latency.mean) < 2 * (
        given.latency.half_width + default.latency.half_width
    )


def test_neighbours_bound_who_is_asked():
    # Device 3 is nobody's neighbour: it only serves its own prompts.
    graph = [[1, 2], [0, 2], [0, 1], [0, 1]]
    network = {"devices": 4, "rate": 0.1, "neighbours": graph}
    outcome = simulate(tables(network=network, protocol={"layers": 1, "proposers": 1}))
    assert outcome.load == pytest.approx(0.1 * (2 + 0.5 * 2 + 0.5))
    assert math.isfinite(outcome.latency.mean)


def test_a_sample_of_more_than_there_are_is_all_of_them():
    many, everybody = (
        simulate(tables(protocol={"policy": "backlog", "sample": d})).latency for d in (40, 7)
    )
    assert many == everybody


def test_the_load_of_a_policy_is_computed_once(monkeypatch):
    calls = []

    def counted(*arguments):
        calls.append(arguments)
        return rate_limit_selected(*arguments)

    monkeypatch.setattr(study, "rate_limit_selected", counted)
    simulate(tables(protocol={"policy": "backlog"}, run={"prompts": 100, "replications": 2}))
    assert len(calls) == 1


def test_a_sparse_draw_is_the_draw_of_the_policy():
    """Large networks draw distances without an array of them: the same ones, number by number."""
    draw = np.random.default_rng(8)
    sparse: Any = njit(kernel.draw_distances.py_func)
    for _ in range(500):
        count = int(draw.integers(1, 12))
        k = int(draw.integers(0, count + 1))
        uniforms = draw.random(k + 1)
        plain = list(range(1, count + 1))
        draw_uniform(plain, uniforms.tolist(), k)
        chosen, moved = np.zeros(k + 1, np.int64), np.zeros((k + 1, 2), np.int64)
        sparse(uniforms, count, k, chosen, moved)
        assert chosen[:k].tolist() == plain[:k]


def test_a_network_of_a_hundred_thousand_behaves_like_one_of_a_thousand():
    means = [
        simulate(
            {
                "network": {"devices": n, "alpha": 1.0, "rate": 0.08},
                "protocol": {"layers": 1, "proposers": 3},
                "run": {"prompts": 200_000, "replications": 1, "warmup": 200_000, "seed": 3},
            }
        ).latency.mean
        for n in (1000, 100_000)
    ]
    assert means[1] == pytest.approx(means[0], rel=0.02)
