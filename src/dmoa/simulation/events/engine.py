"""One replication of a scenario with rules of its own, run event by event."""

import math
import time

import numpy as np

from dmoa.errors import UsageError
from dmoa.policies.admission import ladder, thresholds, work_limit
from dmoa.simulation.arrivals import Recorded
from dmoa.simulation.events import state
from dmoa.simulation.events.kernel import run
from dmoa.simulation.events.state import Live, Results, Rules
from dmoa.simulation.fcfs.engine import Progress, Replication, build_model, lay_out
from dmoa.simulation.fcfs.kernel import Model
from dmoa.simulation.random_numbers import new_stream
from dmoa.simulation.scenario import Scenario
from dmoa.theory.network import QueueingNetwork

_LARGEST = 4000  # devices whose turns among guests can be kept
_SLICE = 200_000  # events between two reports of progress, at which a run can be interrupted


def build_rules(scenario: Scenario, network: QueueingNetwork) -> Rules:
    """The rules of a scenario for the kernel."""
    protocol, admission = scenario.protocol, scenario.admission
    M, k = network.layers, network.proposers
    rungs = ladder(M, k) if admission.ladder else [(M, k)]
    target = admission.target or 0.0
    return Rules(
        owner_first=protocol.discipline == "owner-first",
        quorum=protocol.quorum or 0,
        bound=scenario.queue.bound or 0,
        cancel=scenario.queue.cancel,
        mean_up=scenario.failures.mean_up or 0.0,
        mean_down=scenario.failures.mean_down or 0.0,
        target=target,
        limit=work_limit(target, M, k),
        age=max(admission.age, 1e-3 * min(network.alphas)),
        rungs=np.array(rungs, np.int64),
        thresholds=np.array(thresholds(len(rungs))),
    )


def new_live(model: Model, rules: Rules, prompts: int) -> Live:
    """An empty network, with the first events of failures and gossip still to come."""
    n = len(model.alphas)
    rows = 1024
    counts = np.zeros(8, np.int64)
    counts[state.FREE_TASKS] = rows
    tasks = np.zeros((rows, 8), np.int64)
    tasks[:, state.NEXT] = np.arange(1, rows + 1)
    tasks[:, state.SIBLING] = -1
    guests = n if rules.owner_first else 0
    return Live(
        tasks=tasks,
        seconds=np.zeros(rows),
        heads=np.full(n, -1, np.int64),
        tails=np.full(n, -1, np.int64),
        waiting=np.zeros(n, np.int64),
        serving=np.zeros(n, np.int64),
        up=np.ones(n, np.bool_),
        served=np.zeros((guests, guests), np.int64),
        work=np.zeros(n, np.int64),
        layer=np.full(prompts, -1, np.int64),
        pending=np.zeros(prompts, np.int64),
        missing=np.zeros(prompts, np.int64),
        left=np.zeros(prompts, np.int64),
        first=np.full(prompts, -1, np.int64),
        chain=np.full(prompts, -1, np.int64),
        times=np.zeros(4096 + 4 * n),
        events=np.zeros((4096 + 4 * n, 3), np.int64),
        counts=counts,
        clock=np.zeros(2),
        rung=np.zeros(n, np.int64),
        calm=np.full(n, -1.0),
        candidates=np.zeros(max(n, 64), np.int32),
        costs=np.zeros(max(n, 64)),
        uniforms=np.zeros(max(n, 64)),
    )


def new_results(model: Model, prompts: int) -> Results:
    """Nothing found yet."""
    return Results(
        latencies=np.full(prompts, np.nan),
        fates=np.zeros(prompts, np.int8),
        rungs=np.zeros(prompts, np.int8),
        spent=np.zeros(prompts),
        closed=np.full(prompts, np.nan),
        totals=np.zeros(4),
        queues=np.zeros((2, len(model.alphas)), np.int64),
    )


def compile_detailed() -> None:
    """Load the compiled kernel, or compile it (half a minute, once)."""
    tables = {
        "network": {"alpha": [1.0, 1.0], "rate": 0.1},
        "protocol": {"layers": 1, "proposers": 1},
        "arrivals": {"law": "burst"},
        "run": {"prompts": 10},
    }
    scenario = Scenario.model_validate(tables)
    seed = np.random.SeedSequence(0)
    replicate_detailed(scenario, scenario.to_network(), seed, warmup=0, load=0.5, stable=True)


def replicate_detailed(
    scenario: Scenario,
    network: QueueingNetwork,
    seed: np.random.SeedSequence,
    *,
    warmup: int,
    load: float,
    stable: bool,
    recorded: Recorded | None = None,
    progress: Progress | None = None,
) -> Replication:
    """Run one replication; the arguments are those of `engine.replicate`."""
    if network.size > _LARGEST:
        raise UsageError(
            f"{network.size} devices with bounds, failures, admission or owner-first service are"
            f" more than the {_LARGEST} that can be simulated; use plain fcfs, or fewer devices"
        )
    course = lay_out(
        scenario, network, seed, warmup=warmup, load=load, stable=stable, recorded=recorded
    )
    arrivals, warmup, wanted = course.arrivals, course.warmup, course.wanted
    times = arrivals.times
    model = build_model(scenario, network, track=False)
    rules = build_rules(scenario, network)
    live = new_live(model, rules, len(times))
    if rules.mean_up > 0:
        failures = np.random.default_rng(course.seeds[1])
        for device, until in enumerate(failures.exponential(rules.mean_up, network.size)):
            state.add_event(live, until, state.DEVICE_FAILS, device, 0)
    if rules.target > 0:
        state.add_event(live, 0.0, state.GOSSIP, 0, 0)
    results = new_results(model, len(times))
    since = course.window[0]
    window = np.array(course.window)
    marks = np.array([wanted // 2, wanted - 1])
    stream = new_stream(course.seeds[0])
    begun = time.perf_counter()
    while True:
        end = run(
            model, rules, arrivals, live, results, window, stream, marks, wanted, stable, _SLICE
        )
        if end == state.DONE:
            break
        if end == state.FULL:
            live = _grown(live)
        elif progress:
            progress(min(int(live.counts[state.NEXT_PROMPT]), wanted) / wanted)
    ended = time.perf_counter()
    if progress:
        progress(1.0)
    until = window[1] if math.isfinite(window[1]) else float(live.clock[0])
    elapsed = float(until - since)
    growth = np.zeros(0)
    if not stable:
        growth = (results.queues[1] - results.queues[0]) / (times[marks[1]] - times[marks[0]])
    slots = int(model.first_slot[-1])
    return Replication(
        latencies=results.latencies[warmup:wanted],
        warmup=results.latencies[:warmup],
        queue_mean=float(results.totals[state.WAITED]) / network.size / elapsed,
        longest=int(results.totals[state.LONGEST]),
        utilisation=float(results.totals[state.BUSY]) / slots / elapsed,
        growth=growth,
        tasks=int(results.totals[state.TASKS]),
        elapsed=elapsed,
        ran=(begun, ended),
        outcomes=_outcomes(scenario, results, slice(warmup, wanted), since, until, slots),
    )


def _outcomes(
    scenario: Scenario,
    results: Results,
    measured: slice,
    since: float,
    until: float,
    slots: int,
) -> dict[str, float]:
    """Shares of what became of the measured prompts, and goodput."""
    fates = results.fates[measured]
    found = {
        "answered": float((fates == state.ANSWERED).mean()),
        "refused": float((fates == state.REFUSED).mean()),
        "failed": float((fates == state.FAILED).mean()),
        "lost": float((fates == state.LOST).mean()),
        # Service seconds of answered prompts, of all that the slots had.
        "goodput": _goodput(results, since, until, slots),
    }
    if scenario.admission.ladder:
        admitted = results.rungs[measured][fates == state.ANSWERED]
        found["mean_rung"] = float(admitted.mean()) if len(admitted) else math.nan
    return found


def _goodput(results: Results, since: float, until: float, slots: int) -> float:
    answered = results.fates == state.ANSWERED
    inside = answered & (results.closed >= since) & (results.closed < until)
    return float(results.spent[inside].sum()) / slots / (until - since)


def _grown(live: Live) -> Live:
    """Twice the room for tasks and events."""
    rows = len(live.seconds)
    more = np.zeros((rows, 8), np.int64)
    more[:, state.NEXT] = np.arange(rows + 1, 2 * rows + 1)
    more[:, state.SIBLING] = -1
    more[-1, state.NEXT] = live.counts[state.FREE_TASK]
    live.counts[state.FREE_TASK] = rows
    live.counts[state.FREE_TASKS] += rows
    return live._replace(
        tasks=np.concatenate((live.tasks, more)),
        seconds=np.concatenate((live.seconds, np.zeros(rows))),
        times=np.concatenate((live.times, np.zeros(len(live.times)))),
        events=np.concatenate((live.events, np.zeros_like(live.events))),
    )
