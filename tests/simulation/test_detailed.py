"""The event-by-event kernel: equal to the plain one where it can be, and its own rules."""

import numpy as np
import pytest

from dmoa.simulation.events.engine import replicate_detailed
from dmoa.simulation.scenario import scenario_of
from dmoa.simulation.study import run_replications, simulate
from tests.simulation.test_kernel import random_trace, tables
from tests.simulation.twin import simulate_trace

# The first test compiles the kernel, which takes long on a loaded machine.
pytestmark = pytest.mark.timeout(600)


@pytest.mark.parametrize(("n", "M", "k", "load"), [(4, 0, 0, 0.9), (6, 2, 3, 0.9), (5, 3, 1, 1.4)])
def test_both_kernels_agree_on_a_trace(n, M, k, load):
    trace = random_trace(n, M, k, 2000, load * n / ((k + 1) * M + 1), seed=n)
    scenario = scenario_of(
        tables(
            network={"devices": n},
            protocol={"layers": M, "proposers": k},
            arrivals={"law": "burst"},
            run={"replications": 1},
        )
    )
    plain = run_replications(scenario, trace).replications[0]
    detailed = replicate_detailed(
        scenario,
        scenario.to_network(),
        np.random.SeedSequence(0),
        warmup=0,
        load=load,
        stable=True,
        recorded=trace,
    )
    assert detailed.latencies == pytest.approx(plain.latencies, rel=1e-9)
    assert detailed.longest == plain.longest
    assert detailed.queue_mean == pytest.approx(plain.queue_mean, rel=1e-9)
    assert detailed.utilisation == pytest.approx(plain.utilisation, rel=1e-9)


def test_the_order_of_service_does_not_change_the_mean_queue():
    # Kleinrock's conservation law, for tasks of one length at one device.
    shared: dict[str, dict] = {"network": {"rate": 0.7}, "protocol": {"layers": 0, "proposers": 0}}
    plain = simulate(tables(**shared))
    shared["protocol"] = {**shared["protocol"], "discipline": "owner-first"}
    first = simulate(tables(**shared))
    assert abs(first.queue["mean"] - plain.queue["mean"]) < 3 * (
        first.queue["half_width"] + plain.queue["half_width"]
    )


@pytest.mark.parametrize(("n", "M", "k", "load"), [(4, 1, 3, 0.9), (6, 2, 3, 1.3), (9, 2, 2, 0.8)])
def test_owner_first_equals_its_twin(n, M, k, load):
    trace = random_trace(n, M, k, 2000, load * n / ((k + 1) * M + 1), seed=n)
    scenario = scenario_of(
        tables(
            network={"devices": n},
            protocol={"layers": M, "proposers": k, "discipline": "owner-first"},
            arrivals={"law": "burst"},
            run={"replications": 1},
        )
    )
    latencies, waited, longest = simulate_trace(
        trace.times, trace.owners, trace.draws, trace.services, n, owner_first=True
    )
    found = run_replications(scenario, trace).replications[0]
    assert found.latencies == pytest.approx(latencies, rel=1e-9)
    assert found.longest == longest
    assert found.queue_mean * found.elapsed * n == pytest.approx(waited, rel=1e-9)


def test_a_quorum_with_cancellation_saves_work_and_time():
    rate = {"network": {"rate": 0.07}}
    whole = simulate(tables(**rate))
    some = simulate(tables(**rate, protocol={"quorum": 3}, queue={"cancel": True}))
    assert some.latency["mean"] < whole.latency["mean"]
    assert some.utilisation < whole.utilisation


def test_a_bounded_queue_never_exceeds_its_bound():
    outcome = simulate(tables(network={"rate": 0.3}, queue={"bound": 5}, run={"prompts": 5000}))
    assert outcome.stable
    assert outcome.queue["max"] == 5
    fates = outcome.outcomes
    assert fates["answered"]["mean"] + fates["failed"]["mean"] == pytest.approx(1.0)


def test_cancellation_saves_goodput_when_queues_refuse_tasks():
    def goodput(cancel):
        return simulate(
            tables(
                network={"rate": 0.3},
                queue={"bound": 5, "cancel": cancel},
                run={"prompts": 5000},
            )
        ).outcomes["goodput"]["mean"]

    assert goodput(True) > 1.2 * goodput(False)


@pytest.mark.parametrize("offered", [1.5, 3.0])
def test_admission_at_the_door_keeps_goodput_under_overload(offered):
    outcome = simulate(
        tables(
            network={"rate": offered / 9},
            admission={"target": 25.0},
            run={"prompts": 8000, "replications": 4},
        )
    )
    assert outcome.outcomes["goodput"]["mean"] > 0.85
    assert outcome.outcomes["failed"]["mean"] == 0
    assert outcome.queue["max"] < 60


def test_the_ladder_answers_nearly_everybody():
    outcome = simulate(
        tables(
            network={"rate": 3 / 9},
            admission={"target": 25.0, "ladder": True},
            run={"prompts": 8000, "replications": 4},
        )
    )
    assert outcome.outcomes["answered"]["mean"] > 0.9
    assert outcome.outcomes["mean_rung"]["mean"] > 1


def test_failures_lose_the_prompts_of_the_failed_devices_only():
    outcome = simulate(
        tables(
            network={"rate": 0.05},
            failures={"mean_up": 950.0, "mean_down": 50.0},
            run={"prompts": 8000},
        )
    )
    # A twentieth of the time an owner is away; its open prompts are lost besides.
    assert 0.03 < outcome.outcomes["lost"]["mean"] < 0.1
    assert outcome.outcomes["failed"]["mean"] == 0
    assert outcome.outcomes["answered"]["mean"] + outcome.outcomes["lost"]["mean"] == (
        pytest.approx(1.0)
    )


def test_no_device_proposes_twice_in_a_layer():
    def tasks(devices):
        outcome = simulate(
            tables(
                network={"devices": devices, "rate": 0.02},
                protocol={"layers": 1, "proposers": 2},
                arrivals={"law": "burst"},
                failures={"mean_up": 20.0, "mean_down": 0.2},
                run={"prompts": 2000, "replications": 2},
            )
        )
        assert outcome.outcomes["lost"]["mean"] > 0.05
        return outcome.tasks

    # All three are asked from the start: whoever could take over has answered, or failed itself.
    assert tasks(3) <= 2 * 2000 * 4
    assert tasks(12) > 1.01 * tasks(3)


@pytest.mark.parametrize(
    "rules",
    [{"protocol": {"discipline": "owner-first"}}, {"network": {"rate": 0.5}}],
    ids=["detailed", "plain and unstable"],
)
@pytest.mark.parametrize("threads", [1, 2])
def test_a_simulation_can_be_interrupted(rules, threads):
    shares = []

    def interrupt(share):
        shares.append(share)
        raise KeyboardInterrupt

    scenario = scenario_of(tables(**rules, run={"prompts": 400_000, "replications": 2}))
    with pytest.raises(KeyboardInterrupt):
        run_replications(scenario, threads=threads, progress=interrupt)
    assert max(shares) < 0.2
