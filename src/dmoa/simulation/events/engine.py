"""One replication of a scenario with plans or rules of its own, run event by event."""

import math
import time
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from dmoa.errors import BadScenario
from dmoa.simulation.arrivals import Recorded
from dmoa.simulation.events import state
from dmoa.simulation.events.heap import add_event
from dmoa.simulation.events.kernel import run
from dmoa.simulation.events.rules import build_rules
from dmoa.simulation.events.state import Live, Setting
from dmoa.simulation.fcfs.engine import Progress, Replication, build_model, lay_out
from dmoa.simulation.random_numbers import new_stream
from dmoa.simulation.scenario import Scenario
from dmoa.theory.network import QueueingNetwork

_REMEMBERED = 64  # guests whose turn a device remembers
_SLICE = 200_000  # events between two reports of progress, at which a run can be interrupted


@dataclass
class PlannedReplication(Replication):
    """What a replication measured besides.

    Attributes:
        quality: per offered prompt; refused and failed ones count 0.
        plans: share of the answered, shape (plans,).
        users: quality per offered prompt of each user, NaN for one who offered none, (n,).
        loads: share of time that each device's slots are busy, shape (n,).
    """

    quality: float = math.nan
    plans: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    users: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    loads: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))


def new_live(
    setting: Setting, seeds: tuple[np.random.SeedSequence, np.random.SeedSequence]
) -> Live:
    """An empty network; the first failures are still to come.

    Args:
        setting: of the network.
        seeds: of services and draws; of failures, and of when devices publish.
    """
    rules, n = setting.rules, len(setting.model.alphas)
    random = np.random.default_rng(seeds[1])
    devices = np.zeros(n, state.DEVICE)
    devices["head"] = devices["tail"] = -1
    devices["calm"] = -1.0
    devices["up"] = True
    devices["phase"] = random.random(n)
    prompts = np.zeros(len(setting.arrivals.times), state.PROMPT)
    prompts["latency"] = prompts["closed"] = np.nan
    for name in ("first", "chain", "plan", "layer"):
        prompts[name] = -1
    counts = np.zeros(10, np.int64)
    counts[state.UNMEASURED] = setting.wanted
    counts[state.FREE_TASK] = -1
    width = max(n, rules.most, 64)
    named = n if rules.devices.max() >= 0 else 0
    live = Live(
        devices=devices,
        prompts=prompts,
        tasks=np.zeros(0, state.TASK),
        events=np.zeros(0, state.EVENT),
        recent=np.full((n, min(n, _REMEMBERED) if rules.owner_first else 0), -1, np.int32),
        queues=np.zeros((2, n), np.int64),
        counts=counts,
        sums=np.zeros(4),
        random=new_stream(seeds[0]),
        distances=np.arange(1, n, dtype=np.int32),
        chosen=np.zeros(width, np.int32),
        costs=np.zeros(width),
        uniforms=np.zeros(width),
        prices=np.zeros(1 + rules.most + named),
        work=np.zeros(len(rules.places)),
    )
    live = with_room(live, 1024 + 4 * n)
    if rules.mean_up > 0:
        for device, until in enumerate(random.exponential(rules.mean_up, n)):
            add_event(live, until, state.DEVICE_FAILS, device, 0)
    return live


def with_room(live: Live, rows: int) -> Live:
    """The same with room for so many more tasks and events."""
    before = len(live.tasks)
    more = np.zeros(rows, state.TASK)
    more["following"] = np.arange(before + 1, before + rows + 1)
    more["following"][-1] = live.counts[state.FREE_TASK]
    more["sibling"] = -1
    live.counts[state.FREE_TASK] = before
    live.counts[state.FREE_TASKS] += rows
    return live._replace(
        tasks=np.concatenate((live.tasks, more)),
        events=np.concatenate((live.events, np.zeros(2 * rows, state.EVENT))),
    )


def compile_events() -> None:
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
    replicate_events(scenario, scenario.to_network(), seed, warmup=0, load=0.5, stable=True)


def replicate_events(
    scenario: Scenario,
    network: QueueingNetwork,
    seed: np.random.SeedSequence,
    *,
    warmup: int,
    load: float,
    stable: bool,
    recorded: Recorded | None = None,
    progress: Progress | None = None,
) -> PlannedReplication:
    """Run one replication; the arguments are those of `fcfs.engine.replicate`.

    Raises:
        BadScenario: recorded arrivals say who proposed or how long it took, but not by which
            plan, where there is a choice.
    """
    partly = recorded and (recorded.draws is not None or recorded.services is not None)
    if scenario.law is not None and recorded and partly and recorded.plans is None:
        raise BadScenario(
            "arrivals.file has proposers or seconds, which a law draws; leave only time and owner"
        )
    course = lay_out(
        scenario, network, seed, warmup=warmup, load=load, stable=stable, recorded=recorded
    )
    wanted, times = course.wanted, course.arrivals.times
    setting = Setting(
        model=build_model(scenario, network, track=False),
        rules=build_rules(scenario, network),
        arrivals=course.arrivals,
        window=np.array(course.window),
        marks=np.array([wanted // 2, wanted - 1]),
        wanted=wanted,
    )
    live = new_live(setting, course.seeds)
    begun = time.perf_counter()
    while (end := run(setting, live, stable, _SLICE)) != state.DONE:
        if end == state.FULL:
            live = with_room(live, len(live.tasks))
        elif progress:
            progress(min(int(live.counts[state.NEXT_PROMPT]), wanted) / wanted)
    ended = time.perf_counter()
    if progress:
        progress(1.0)
    since = course.window[0]
    until = min(course.window[1], float(live.sums[state.NOW]))
    growth = np.zeros(0)
    if not stable:
        seconds = times[setting.marks[1]] - times[setting.marks[0]]
        growth = (live.queues[1] - live.queues[0]) / seconds
    return _measured(setting, live, course.warmup, until - since, growth, (begun, ended))


def _measured(
    setting: Setting,
    live: Live,
    warmup: int,
    elapsed: float,
    growth: NDArray[np.float64],
    ran: tuple[float, float],
) -> PlannedReplication:
    """What a run that has ended found."""
    n, wanted, rules = len(live.devices), setting.wanted, setting.rules
    measured, sums = live.prompts[warmup:wanted], live.sums
    fates, plans = measured["fate"], measured["plan"]
    answered = fates == state.ANSWERED
    slots = np.diff(setting.model.first_slot)
    worth = np.where(answered, rules.qualities[plans], 0.0)
    owners = setting.arrivals.owners[warmup:wanted]
    offered = np.bincount(owners, minlength=n)
    with np.errstate(invalid="ignore"):
        users = np.bincount(owners, worth, minlength=n) / offered
    shares = np.bincount(plans[answered], minlength=len(rules.qualities))
    since = setting.window[0]
    inside = live.prompts["fate"] == state.ANSWERED
    inside &= (live.prompts["closed"] >= since) & (live.prompts["closed"] < since + elapsed)
    names = {"answered": state.ANSWERED, "refused": state.REFUSED,
             "failed": state.FAILED, "lost": state.LOST}  # fmt: skip
    outcomes = {name: float((fates == fate).mean()) for name, fate in names.items()}
    # Service seconds of answered prompts, of all that the slots had.
    goodput = float(live.prompts["spent"][inside].sum()) / float(slots.sum()) / elapsed
    return PlannedReplication(
        latencies=measured["latency"].copy(),
        warmup=live.prompts["latency"][:warmup].copy(),
        queue_mean=float(sums[state.WAITED]) / n / elapsed,
        longest=int(live.counts[state.LONGEST]),
        utilisation=float(sums[state.BUSY]) / float(slots.sum()) / elapsed,
        growth=growth,
        tasks=int(live.counts[state.TASKS]),
        elapsed=elapsed,
        ran=ran,
        outcomes={**outcomes, "goodput": goodput},
        quality=float(worth.mean()),
        plans=shares / max(int(answered.sum()), 1),
        users=users,
        loads=live.devices["busy"] / slots / elapsed,
    )
