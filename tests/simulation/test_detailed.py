"""The event-by-event kernel: equal to the plain one where it can be, and its own rules."""

import numpy as np
import pytest

from dmoa.simulation.arrivals import Recorded
from dmoa.simulation.events import state
from dmoa.simulation.events.engine import new_live, replicate_events
from dmoa.simulation.events.heap import add_event
from dmoa.simulation.events.kernel import run
from dmoa.simulation.events.rules import build_rules
from dmoa.simulation.fcfs.engine import build_model
from dmoa.simulation.scenario import scenario_of
from dmoa.simulation.study import run_replications, simulate
from tests.simulation.test_kernel import random_trace, tables
from tests.simulation.twin import simulate_trace

# The first test compiles the kernel, which takes long on a loaded machine.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


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
    detailed = replicate_events(
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
    assert abs(first.queue.mean - plain.queue.mean) < 3 * (
        first.queue.half_width + plain.queue.half_width
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
    assert some.latency.mean < whole.latency.mean
    assert some.utilisation < whole.utilisation


def test_a_bounded_queue_never_exceeds_its_bound():
    outcome = simulate(tables(network={"rate": 0.3}, queue={"bound": 5}, run={"prompts": 5000}))
    assert outcome.stable
    assert outcome.queue.max == 5
    fates = outcome.outcomes
    assert fates["answered"].mean + fates["failed"].mean == pytest.approx(1.0)


def test_cancellation_saves_goodput_when_queues_refuse_tasks():
    def goodput(cancel):
        return (
            simulate(
                tables(
                    network={"rate": 0.3},
                    queue={"bound": 5, "cancel": cancel},
                    run={"prompts": 5000},
                )
            )
            .outcomes["goodput"]
            .mean
        )

    assert goodput(True) > 1.2 * goodput(False)


def test_failures_lose_the_prompts_of_the_failed_devices_only():
    outcome = simulate(
        tables(
            network={"rate": 0.05},
            failures={"mean_up": 950.0, "mean_down": 50.0},
            run={"prompts": 8000},
        )
    )
    # A twentieth of the time an owner is away; its open prompts are lost besides.
    assert 0.03 < outcome.outcomes["lost"].mean < 0.1
    assert outcome.outcomes["failed"].mean == 0
    assert outcome.outcomes["answered"].mean + outcome.outcomes["lost"].mean == (pytest.approx(1.0))


@pytest.mark.parametrize(
    ("devices", "events", "tasks"),
    [
        # Device 2 fails; 1 has answered already, so nobody takes over.
        (3, [(5.0, state.DEVICE_FAILS, 2)], 4),
        # Device 3 was not asked, and takes over.
        (4, [(5.0, state.DEVICE_FAILS, 2)], 5),
        # Device 1 fails, 3 takes over; 1 is back when 2 fails, but was asked before.
        (
            4,
            [
                (0.5, state.DEVICE_FAILS, 1),
                (3.0, state.DEVICE_RETURNS, 1),
                (5.0, state.DEVICE_FAILS, 2),
            ],
            5,
        ),
    ],
)
def test_no_device_proposes_twice_in_a_layer(devices, events, tasks):
    scenario = scenario_of(
        tables(
            network={"devices": devices},
            protocol={"layers": 1, "proposers": 2},
            service={"law": "deterministic"},
            failures={"mean_up": 1e12, "mean_down": 1e12},
        )
    )
    network = scenario.to_network()
    prompt = Recorded(
        np.zeros(1),
        np.zeros(1, np.int32),
        np.array([[[1, 2]]], np.int32),
        np.array([[[20.0, 1.0, 10.0], [1.0, 0.0, 0.0]]]),
    )
    setting = state.Setting(
        model=build_model(scenario, network, track=False),
        rules=build_rules(scenario, network)._replace(mean_up=0.0),
        arrivals=prompt.to_arrivals(),
        window=np.array([0.0, np.inf]),
        marks=np.zeros(2, np.int64),
        wanted=1,
    )
    seeds = np.random.SeedSequence(0).spawn(2)
    live = new_live(setting, (seeds[0], seeds[1]))
    setting = setting._replace(rules=build_rules(scenario, network))
    for time, kind, device in events:
        add_event(live, time, kind, np.int64(device), state.FIRST)
    assert run(setting, live, True, 100) == state.DONE
    assert live.prompts["latency"][0] == 21.0
    assert live.counts[state.TASKS] == tasks


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
