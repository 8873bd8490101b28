"""From a scenario to numbers with intervals: replications on all cores, put together."""

import math
import os
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dmoa.simulation.arrivals import Recorded, load_arrivals
from dmoa.simulation.fcfs.engine import Progress, Replication, compile_kernel, replicate
from dmoa.simulation.scenario import Scenario, load_scenario, scenario_of
from dmoa.simulation.statistics import LONGEST_WARMUP, Estimate, estimate, mser5, warmup_prompts
from dmoa.theory.network import QueueingNetwork
from dmoa.theory.selection import rate_limit_selected
from dmoa.theory.stability import network_load

Array = NDArray[np.float64]

_MOST_BINS = 5000
_BOUNDED_LOAD = 0.9
_PRICED_LOAD = 0.75  # five relaxation times are then as many memories of the law's fairness


@dataclass(frozen=True)
class Latency(Estimate):
    """Seconds from a prompt to its answer: the mean, and quantiles of all prompts; or NaN."""

    mean: float = math.nan
    half_width: float = math.nan
    p50: float = math.nan
    p95: float = math.nan
    p99: float = math.nan


@dataclass(frozen=True)
class QueueLength(Estimate):
    """Tasks per device: the mean, and the most over devices and replications."""

    max: int


@dataclass(frozen=True)
class Warmup:
    """What was left out of each replication.

    Attributes:
        prompts: how many.
        mser5_more: how many MSER-5 would leave out of the measured rest.
        settled: whether that is little enough.
    """

    prompts: int
    mser5_more: int
    settled: bool


@dataclass(frozen=True)
class SimulationResult:
    """What a simulation found; seconds, and tasks per device.

    Attributes:
        stable: whether there is a steady state; without one, latency is NaN.
        load: of the busiest device under uniform draws, or the share of the rate limit under
            the policy that was asked for.
        latency: from a prompt to its answer.
        queue: of a device.
        utilisation: share of time that slots are busy.
        growth_per_second: tasks/s of the fastest-growing queue, 0.0 when stable.
        tasks: inferences simulated, of all replications.
        tasks_per_second: the same per second of wall clock, without compilation.
        warmup: what was left out.
        outcomes: what else the scenario makes, e.g. goodput, by its name.
        seed: from which all randomness comes.
    """

    stable: bool
    load: float
    latency: Latency
    queue: QueueLength
    utilisation: float
    growth_per_second: float
    tasks: int
    tasks_per_second: float
    warmup: Warmup
    seed: int
    prompts: int
    replications: int
    outcomes: dict[str, Estimate] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Plain types, for JSON; None for NaN."""
        plain: dict[str, Any] = without_nan(asdict(self))
        return plain


class StoppedEarly(Exception):
    """A replication that nobody waits for any more."""


def simulate(
    scenario: Scenario | Mapping[str, Any] | str | Path,
    *,
    recorded: Recorded | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
) -> SimulationResult:
    """Simulate a scenario by independent replications.

    The result depends on the scenario and its seed only, not on the number of threads.

    Args:
        scenario: a scenario, its tables as dictionaries, or the path of a file.
        recorded: observed arrivals instead of drawn ones.
        threads: how many replications run at once; as many as there are cores when left out.
        progress: is told the share that is done, from several threads.

    Raises:
        UsageError: the scenario makes no sense.
    """
    if isinstance(scenario, str | Path):
        scenario = load_scenario(Path(scenario))
    elif not isinstance(scenario, Scenario):
        scenario = scenario_of(dict(scenario))
    return put_together(run_replications(scenario, recorded, threads, progress))


@dataclass(frozen=True)
class Run:
    """A scenario that has been simulated.

    Attributes:
        load: see `policy_load`, which takes a while for many devices.
        stable: whether there is a steady state.
        replications: in order of their seeds.
    """

    scenario: Scenario
    network: QueueingNetwork
    load: float
    stable: bool
    replications: list[Replication]


def run_replications(
    scenario: Scenario,
    recorded: Recorded | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Run:
    """Run all replications of a scenario; see `simulate`."""
    network = scenario.to_network()
    if scenario.arrivals.file is not None:
        recorded = load_arrivals(
            scenario.arrivals.file, network.size, network.layers, network.proposers
        )
    load = policy_load(scenario, network)
    # A burst and bounded queues always have a steady state.
    stable = load < 1 or scenario.is_bounded or scenario.arrivals.law != "poisson"
    # Bounds hold the load of what is admitted below 1.
    calm = min(load, _BOUNDED_LOAD) if scenario.is_bounded else load
    if scenario.law is not None and scenario.law.kind == "price":
        calm = min(load, _PRICED_LOAD)
    warmup = scenario.run.warmup
    if warmup is None:
        warmup = warmup_prompts(network, calm, squared_cv(scenario))[0] if stable else 0
    run: Callable[..., Replication] = replicate
    if scenario.is_plain:
        compile_kernel()
    else:
        from dmoa.simulation.events.engine import compile_events, replicate_events

        run = replicate_events
        compile_events()
    seeds = np.random.SeedSequence(scenario.run.seed).spawn(scenario.run.replications)
    done = [0.0] * len(seeds)
    stopped = threading.Event()

    def one(index: int) -> Replication:
        def tell(share: float) -> None:
            if stopped.is_set():
                raise StoppedEarly
            done[index] = share
            if progress:
                progress(sum(done) / len(done))

        return run(
            scenario, network, seeds[index],
            warmup=warmup, load=calm, stable=stable, recorded=recorded, progress=tell,
        )  # fmt: skip

    workers = min(threads or os.cpu_count() or 1, len(seeds))
    if workers == 1:
        replications = [one(index) for index in range(len(seeds))]
        return Run(scenario, network, load, stable, replications)
    # Threads are enough: the kernels release the interpreter's lock.
    with ThreadPoolExecutor(workers) as pool:
        futures = [pool.submit(one, index) for index in range(len(seeds))]
        try:
            replications = [future.result() for future in futures]
        finally:
            # After Ctrl-C or a failure the others stop at their next report of progress.
            stopped.set()
    return Run(scenario, network, load, stable, replications)


def put_together(run: Run) -> SimulationResult:
    """Means and intervals over replications."""
    scenario, stable, replications = run.scenario, run.stable, run.replications
    latency = Latency()
    if stable:
        answered = [r.latencies[np.isfinite(r.latencies)] for r in replications]
        means = estimate([float(a.mean()) if len(a) else math.nan for a in answered])
        everything = np.concatenate(answered)
        if len(everything):
            p50, p95, p99 = (float(q) for q in np.quantile(everything, (0.5, 0.95, 0.99)))
            latency = Latency(means.mean, means.half_width, p50, p95, p99)
    queue = estimate([r.queue_mean for r in replications])
    growth = 0.0 if stable else _fastest_growth(run.network, [r.growth for r in replications])
    wall = max(r.ran[1] for r in replications) - min(r.ran[0] for r in replications)
    tasks = sum(r.tasks for r in replications)
    names = replications[0].outcomes
    result = SimulationResult(
        stable=stable,
        load=run.load,
        latency=latency,
        queue=QueueLength(queue.mean, queue.half_width, max(r.longest for r in replications)),
        utilisation=float(np.mean([r.utilisation for r in replications])),
        growth_per_second=max(growth, 0.0),
        tasks=tasks,
        tasks_per_second=tasks / wall if wall > 0 else 0.0,
        warmup=_warmup_report(replications),
        seed=scenario.run.seed,
        prompts=len(replications[0].latencies),
        replications=len(replications),
        outcomes={name: estimate([r.outcomes[name] for r in replications]) for name in names},
    )
    if scenario.law is None:
        return result
    from dmoa.simulation.law.results import with_law

    return with_law(result, scenario, run.network, replications)


def without_nan(value: Any) -> Any:
    """Plain types with None where there is NaN, which JSON does not have."""
    match value:
        case dict():
            return {key: without_nan(inner) for key, inner in value.items()}
        case list():
            return [without_nan(inner) for inner in value]
        case float() if math.isnan(value):
            return None
    return value


def _fastest_growth(network: QueueingNetwork, slopes: list[Array]) -> float:
    """Growth of the fastest-growing queue, tasks/s.

    Averaged over replications and over devices that are alike: the largest of noisy slopes
    would be too large.
    """
    by_device = np.mean(slopes, axis=0)
    if network.neighbours:
        return float(by_device.max())
    slots = network.slots or (1,) * network.size
    kinds: dict[tuple[float, ...], list[float]] = {}
    for slope, *kind in zip(by_device, network.alphas, network.rates, slots, strict=True):
        kinds.setdefault(tuple(kind), []).append(float(slope))
    return max(sum(values) / len(values) for values in kinds.values())


def _warmup_report(replications: list[Replication]) -> Warmup:
    """Prompts left out, and what MSER-5 says of the rest, averaged over replications."""
    rows = np.array([_binned(r.latencies) for r in replications])
    series = rows[:, np.isfinite(rows).all(axis=0)].mean(axis=0)
    width = max(1, len(replications[0].latencies) // _MOST_BINS)
    more = mser5(series) * width
    warmup = len(replications[0].warmup)
    settled = more <= len(replications[0].latencies) // 2 and warmup < LONGEST_WARMUP
    return Warmup(warmup, more, settled)


def _binned(latencies: Array) -> Array:
    width = max(1, len(latencies) // _MOST_BINS)
    count = len(latencies) // width
    means: Array = latencies[: count * width].reshape(count, width).mean(1)
    return means


def policy_load(scenario: Scenario, network: QueueingNetwork) -> float:
    """Load of the busiest device, or the share of the rate limit where proposers are chosen.

    With the policy `backlog` the limit is that of free choice (`theory.selection`), in a
    complete graph of single slots; `weighted` and neighbour graphs are judged by uniform draws,
    which is cautious.
    """
    chosen = scenario.protocol.policy == "backlog" and network.layers > 0
    alike = scenario.protocol.first == scenario.protocol.refining == scenario.protocol.aggregating
    if chosen and alike and not network.neighbours and not network.slots:
        limit = rate_limit_selected(
            network.alphas, network.layers, network.proposers,
            scenario.sample_size(network), network.rates,
        )  # fmt: skip
        scale = scenario.protocol.first
        return scale * sum(network.rates) / network.size / limit
    return network_load(network)


def squared_cv(scenario: Scenario) -> float:
    """Squared coefficient of variation of the service times."""
    service = scenario.service
    if service.law == "lognormal":
        return float(service.cv or 0) ** 2
    if service.law == "erlang":
        return 1.0 / (service.shape or 1)
    if service.law == "recorded":
        times = np.array(service.times)
        return float(times.var() / times.mean() ** 2)
    return 1.0 if service.law == "exponential" else 0.0
