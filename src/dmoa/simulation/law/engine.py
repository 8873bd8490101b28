"""One replication of a network with a choice of plans."""

import math
import time
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from dmoa.errors import BadScenario
from dmoa.policies.admission import thresholds, work_limit
from dmoa.policies.law import mean_service
from dmoa.simulation.arrivals import Recorded
from dmoa.simulation.fcfs.engine import Progress, Replication, lay_out, service_law
from dmoa.simulation.law import state
from dmoa.simulation.law.kernel import run
from dmoa.simulation.law.state import Live, Results, Setting
from dmoa.simulation.random_numbers import new_stream
from dmoa.simulation.scenario import Scenario
from dmoa.theory.network import QueueingNetwork

SAMPLE = 16  # other devices that are looked at unless the scenario says otherwise
_TARGET = 40.0  # of the ladder, mean service times
_REMEMBERED = 64  # guests whose turn a device remembers
_KINDS = {
    "price": state.PRICE,
    "ladder": state.LADDER,
    "fixed": state.FIXED,
    "tail-drop": state.TAIL_DROP,
}


@dataclass
class LawReplication(Replication):
    """What a replication with plans measured besides.

    Attributes:
        quality: per offered prompt; refused and failed ones count 0.
        answered: share of the offered prompts.
        plans: share of the answered, shape (plans,).
        users: quality per offered prompt of each user, NaN for one who offered none, (n,).
    """

    quality: float = math.nan
    answered: float = math.nan
    plans: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    users: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))


def build_setting(scenario: Scenario, network: QueueingNetwork) -> Setting:
    """A scenario with a law, for the kernel."""
    law, n = scenario.law, network.size
    assert law is not None
    layers = np.array([plan.layers for plan in scenario.plans], np.int64)
    proposers = np.where(layers > 0, [plan.proposers for plan in scenario.plans], 0)
    devices = np.array([-1 if p.device is None else p.device for p in scenario.plans], np.int64)
    most = int(proposers.max())
    first, places, times = [0], [], []
    for M, k, device in zip(layers, proposers, devices, strict=True):
        if device >= 0:
            places.append(1 + most + int(device))
            times.append(1.0)
        else:
            places += range(int(k) + 1)
            times += [M + 1.0, *[float(M)] * int(k)]
        first.append(len(places))
    alphas = np.array(network.alphas)
    slots = np.array(network.slots or (1,) * n, np.int64)
    mean = mean_service(network.alphas)
    target = law.target or _TARGET * mean
    service, parameter, samples = service_law(scenario)
    return Setting(
        alphas=alphas,
        slots=slots,
        kind=_KINDS[law.kind],
        owner_first=scenario.protocol.discipline == "owner-first",
        patience=law.patience,
        age=law.age,
        sample=min(law.sample or SAMPLE, n - 1),
        fair=law.fair,
        share=float(slots.sum()) / n,
        mean=mean,
        bound=law.bound,
        layers=layers,
        proposers=proposers.astype(np.int64),
        devices=devices,
        qualities=np.array([plan.quality for plan in scenario.plans]),
        first=np.array(first, np.int64),
        places=np.array(places, np.int64),
        times=np.array(times),
        limit=work_limit(target, int(layers[0]), int(proposers[0])),
        target=target,
        thresholds=np.array(thresholds(len(layers))),
        law=service,
        parameter=parameter,
        samples=samples,
    )


def new_live(setting: Setting, prompts: int, random: np.random.Generator) -> Live:
    """An empty network."""
    n = len(setting.alphas)
    rows = 1024 + 4 * n
    counts = np.zeros(9, np.int64)
    counts[state.FREE_TASKS] = rows
    most = int(setting.proposers.max())
    counts[state.GUESTS] = most
    tasks = np.full((rows, 2), -1, np.int32)
    tasks[:-1, state.FOLLOWING] = np.arange(1, rows)
    remembered = min(n, _REMEMBERED) if setting.owner_first else 0
    slots = int(setting.slots.sum())
    width = max(setting.sample, most, 1)
    return Live(
        tasks=tasks,
        heads=np.full(n, -1, np.int32),
        tails=np.full(n, -1, np.int32),
        waiting=np.zeros(n, np.int32),
        serving=np.zeros(n, np.int32),
        current=np.zeros(n, np.int32),
        promised=np.zeros(n, np.int32),
        published=np.zeros(n, np.int32),
        said=np.zeros(n, np.int64),
        phases=random.random(n),
        recent=np.full((n, remembered), -1, np.int32),
        used=np.zeros(n),
        used_at=np.zeros(n),
        open_tasks=np.zeros(n, np.int64),
        layer=np.zeros(prompts, np.int8),
        left=np.zeros(prompts, np.int16),
        times=np.zeros(slots + 1),
        events=np.zeros((slots + 1, 2), np.int32),
        counts=counts,
        clock=np.zeros(2),
        rung=np.zeros(n, np.int64),
        calm=np.full(n, -1.0),
        candidates=np.arange(1, n, dtype=np.int32),
        costs=np.zeros(width),
        uniforms=np.zeros(width),
        prices=np.zeros(1 + most + (n if setting.devices.max() >= 0 else 0)),
        seconds=np.zeros(len(setting.places)),
    )


def compile_law() -> None:
    """Load the compiled kernel, or compile it (half a minute, once)."""
    tables = {
        "network": {"alpha": [1.0, 1.0], "rate": 0.1},
        "law": {},
        "plans": [{"layers": 1, "proposers": 1, "quality": 0.5}],
        "arrivals": {"law": "burst"},
        "run": {"prompts": 10},
    }
    scenario = Scenario.model_validate(tables)
    seed = np.random.SeedSequence(0)
    replicate_law(scenario, scenario.to_network(), seed, warmup=0, load=0.5, stable=True)


def replicate_law(
    scenario: Scenario,
    network: QueueingNetwork,
    seed: np.random.SeedSequence,
    *,
    warmup: int,
    load: float,
    stable: bool,
    recorded: Recorded | None = None,
    progress: Progress | None = None,
) -> LawReplication:
    """Run one replication; the arguments are those of `fcfs.engine.replicate`.

    Raises:
        BadScenario: recorded arrivals say who proposed or how long it took.
    """
    if recorded and (recorded.draws is not None or recorded.services is not None):
        raise BadScenario(
            "arrivals.file has proposers or seconds, which a law draws; leave only time and owner"
        )
    course = lay_out(
        scenario, network, seed, warmup=warmup, load=load, stable=stable, recorded=recorded
    )
    arrivals, warmup, wanted = course.arrivals, course.warmup, course.wanted
    times = arrivals.times
    setting = build_setting(scenario, network)
    live = new_live(setting, len(times), np.random.default_rng(course.seeds[1]))
    live.counts[state.UNMEASURED] = wanted
    results = Results(
        latencies=np.full(len(times), np.nan),
        fates=np.zeros(len(times), np.int8),
        plans=np.full(len(times), -1, np.int16),
        totals=np.zeros(4),
        queues=np.zeros((2, network.size), np.int64),
    )
    window = np.array(course.window)
    marks = np.array([wanted // 2, wanted - 1])
    stream = new_stream(course.seeds[0])
    begun = time.perf_counter()
    while not run(setting, arrivals, live, results, window, stream, marks, wanted):
        live = _grown(live)
    ended = time.perf_counter()
    if progress:
        progress(1.0)
    until = window[1] if math.isfinite(window[1]) else float(live.clock[state.NOW])
    elapsed = float(until - window[0])
    growth = np.zeros(0)
    if not stable:
        growth = (results.queues[1] - results.queues[0]) / (times[marks[1]] - times[marks[0]])
    measured = slice(warmup, wanted)
    answered = results.fates[measured] == state.ANSWERED
    if not stable:
        # In queues that grow for ever all prompts end some time: count those that did by now.
        answered &= times[measured] + results.latencies[measured] <= times[marks[1]]
    plans = results.plans[measured]
    worth = np.where(answered, setting.qualities[plans], 0.0)
    owners = arrivals.owners[measured]
    offered = np.bincount(owners, minlength=network.size)
    with np.errstate(invalid="ignore"):
        users = np.bincount(owners, worth, minlength=network.size) / offered
    shares = np.bincount(plans[answered], minlength=len(setting.qualities)) / max(
        int(answered.sum()), 1
    )
    return LawReplication(
        latencies=results.latencies[measured],
        warmup=results.latencies[:warmup],
        queue_mean=float(results.totals[state.WAITED]) / network.size / elapsed,
        longest=int(results.totals[state.LONGEST]),
        utilisation=float(results.totals[state.BUSY]) / float(setting.slots.sum()) / elapsed,
        growth=growth,
        tasks=int(results.totals[state.TASKS]),
        elapsed=elapsed,
        ran=(begun, ended),
        quality=float(worth.mean()),
        answered=float(answered.mean()),
        plans=shares,
        users=users,
    )


def _grown(live: Live) -> Live:
    """Twice the room for waiting tasks."""
    rows = len(live.tasks)
    more = np.full((rows, 2), -1, np.int32)
    more[:-1, state.FOLLOWING] = np.arange(rows + 1, 2 * rows)
    more[-1, state.FOLLOWING] = live.counts[state.FREE_TASK]
    live.counts[state.FREE_TASK] = rows
    live.counts[state.FREE_TASKS] += rows
    return live._replace(tasks=np.concatenate((live.tasks, more)))
