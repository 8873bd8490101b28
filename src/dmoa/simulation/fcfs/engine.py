"""One replication of a plain scenario, run by the compiled kernel."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from dmoa.errors import UsageError
from dmoa.simulation.arrivals import Recorded, draw_arrivals
from dmoa.simulation.fcfs import kernel
from dmoa.simulation.fcfs.calendar import grown, new_calendar
from dmoa.simulation.fcfs.kernel import Arrivals, Model, State
from dmoa.simulation.random_numbers import (
    DETERMINISTIC,
    ERLANG,
    EXPONENTIAL,
    LOGNORMAL,
    RECORDED,
    new_stream,
)
from dmoa.simulation.scenario import Scenario
from dmoa.theory.network import QueueingNetwork

_POLICIES = {
    "uniform": kernel.UNIFORM,
    "backlog": kernel.BACKLOG,
    "weighted": kernel.WEIGHTED,
}
_LARGEST_WEIGHTED = 3000  # weighted draws keep a row of candidates for each owner
_CHUNKS = 40  # reports of progress

Progress = Callable[[float], None]


@dataclass
class Replication:
    """What one replication measured.

    Attributes:
        latencies: seconds of each measured prompt in order of arrival; NaN if not answered.
        warmup: seconds of each prompt of the warm-up, likewise.
        queue_mean: waiting tasks per device, averaged over time and devices.
        longest: the longest queue of any device.
        utilisation: share of time that a slot is busy, averaged over slots.
        growth: tasks per second by which each device's queue grew, shape (n,); empty when
            it was not asked for.
        tasks: tasks placed.
        elapsed: seconds simulated, of the measured part.
        ran: when it began and ended, seconds of the wall clock.
        outcomes: counts and shares that only some scenarios have.
    """

    latencies: NDArray[np.float64]
    warmup: NDArray[np.float64]
    queue_mean: float
    longest: int
    utilisation: float
    growth: NDArray[np.float64]
    tasks: int
    elapsed: float
    ran: tuple[float, float]
    outcomes: dict[str, float] = field(default_factory=dict)


def build_model(scenario: Scenario, network: QueueingNetwork, *, track: bool = True) -> Model:
    """The arrays that the kernel works on."""
    n = network.size
    policy = scenario.protocol.policy
    slots = network.slots or (1,) * n
    rows = network.neighbours
    if policy == "weighted" and not rows:
        if n > _LARGEST_WEIGHTED:
            raise UsageError(
                f"policy weighted takes at most {_LARGEST_WEIGHTED} devices without neighbours,"
                f" not {n}; use uniform or backlog"
            )
        rows = tuple(tuple(j for j in range(n) if j != i) for i in range(n))
    if rows:
        candidates = np.concatenate([np.array(row, np.int32) for row in rows])
        first = np.concatenate(([0], np.cumsum([len(row) for row in rows]))).astype(np.int64)
    else:
        candidates = np.arange(1, n, dtype=np.int32)
        first = np.zeros(0, np.int64)
    alphas = np.array(network.alphas)
    law, parameter, samples = service_law(scenario)
    lengths = network.lengths
    alone = network.layers == 0
    return Model(
        alphas,
        np.concatenate(([0], np.cumsum(slots))).astype(np.int64),
        candidates,
        first,
        1 / alphas[candidates] if policy == "weighted" else np.zeros(0),
        network.layers,
        network.proposers,
        _POLICIES[policy],
        scenario.sample_size(network) if policy == "backlog" else 0,
        np.array([lengths.first, lengths.refining,
                  lengths.first if alone else lengths.aggregating]),
        law,
        parameter,
        samples,
        track or policy == "backlog",
    )  # fmt: skip


def service_law(scenario: Scenario) -> tuple[int, float, NDArray[np.float64]]:
    """Law, parameter and samples of `random_numbers.service`."""
    table = scenario.service
    none = np.ones(1)
    if table.law == "lognormal":
        assert table.cv is not None
        return LOGNORMAL, math.sqrt(math.log1p(table.cv**2)), none
    if table.law == "erlang":
        assert table.shape is not None
        return ERLANG, float(table.shape), none
    if table.law == "recorded":
        times = np.array(table.times)
        return RECORDED, 0.0, times / times.mean()
    return (EXPONENTIAL if table.law == "exponential" else DETERMINISTIC), 0.0, none


def new_state(model: Model, stream: NDArray[np.uint64], *, open_places: int) -> State:
    """An empty network."""
    n = len(model.alphas)
    waits = max(1024, 4 * n if model.track else 0) + model.proposers
    width = max(model.proposers, model.sample, 1)
    counts = np.zeros(7, np.int64)
    counts[kernel.ROOM] = waits - 1
    return State(
        np.zeros(int(model.first_slot[-1])),
        np.arange(open_places, dtype=np.int32),
        np.zeros(waits),
        np.arange(1, waits + 1, dtype=np.int32),
        np.zeros(n, np.int32),
        np.zeros(n, np.int32),
        np.zeros(n, np.int32),
        counts,
        np.zeros(2),
        np.zeros(2),
        np.zeros(width),
        np.zeros(width),
        np.zeros(width, np.int64),
        np.zeros((width, 2), np.int64),
        stream,
    )


class Engine:
    """A network that can be run piece by piece.

    Args:
        model: the network.
        arrivals: its prompts.
        wanted: prompts, the first ones, whose latency is wanted.
        stream: random numbers.
        window: seconds from and to which queue and utilisation are measured.
        day: about three times the expected seconds between ends of layers.
        places: expected number of open prompts. Only speed depends on it, and on `day`.
    """

    def __init__(
        self,
        model: Model,
        arrivals: Arrivals,
        wanted: int,
        stream: NDArray[np.uint64],
        window: tuple[float, float],
        day: float,
        places: int = 1024,
    ) -> None:
        self.model, self.arrivals = model, arrivals
        self.latencies = np.full(wanted, np.nan)
        self.state = new_state(model, stream, open_places=places)
        self.state.counts[kernel.UNMEASURED] = wanted
        self.state.window[:] = window
        self.calendar = new_calendar(places, day)

    def advance(self, upto: int, until: float = -math.inf) -> None:
        """Let the prompts before number `upto` arrive, then run until `until` seconds."""
        arguments = (self.model, self.arrivals)
        while not kernel.run(*arguments, self.state, self.calendar, self.latencies, upto, until):
            self._grow()

    def queues(self, at: float) -> NDArray[np.int32]:
        """Waiting tasks of each device at `at` seconds, to which the engine has advanced."""
        kernel.expire_all(self.state, at)
        return self.state.waiting.copy()

    @property
    def last_end(self) -> float:
        """When the last task placed so far ends."""
        return float(self.state.free_at.max())

    def _grow(self) -> None:
        """Double what is full: places for open prompts, or for waiting tasks."""
        old = self.state
        if old.counts[kernel.OPEN] == len(old.spare):
            size = len(old.spare)
            self.state = old = old._replace(
                spare=np.concatenate((old.spare, np.arange(size, 2 * size, dtype=np.int32))),
            )
            self.calendar = grown(self.calendar, 2 * size)
        if old.counts[kernel.ROOM] <= self.model.proposers:
            size = len(old.starts)
            # The new places go in front of the list of free ones.
            after = np.concatenate((old.after, np.arange(size + 1, 2 * size + 1, dtype=np.int32)))
            after[-1] = old.counts[kernel.FREE_WAIT]
            old.counts[kernel.FREE_WAIT] = size
            old.counts[kernel.ROOM] += size
            self.state = old._replace(
                starts=np.concatenate((old.starts, np.zeros(size))), after=after
            )


def compile_kernel() -> None:
    """Load the compiled kernel, or compile it, so that no measured time holds that."""
    network = QueueingNetwork((1.0, 1.0), (0.1, 0.1), 1, 1)
    tables = {
        "network": {"alpha": [1.0, 1.0], "rate": 0.1},
        "protocol": {"layers": 1, "proposers": 1},
    }
    model = build_model(Scenario.model_validate(tables), network)
    arrivals = draw_arrivals(np.random.default_rng(0), network.rates, 2)
    stream = new_stream(np.random.SeedSequence(0))
    engine = Engine(model, arrivals, 1, stream, (0.0, math.inf), 1.0)
    engine.advance(2)
    engine.queues(0.0)


@dataclass(frozen=True)
class Course:
    """What one replication goes through.

    Attributes:
        arrivals: of all prompts: warm-up, measured ones, and those after them.
        warmup: how many come before the measured ones.
        wanted: warm-up and measured ones together.
        window: seconds from and to which queue and utilisation are measured.
        seeds: of services and draws, and of failures.
    """

    arrivals: Arrivals
    warmup: int
    wanted: int
    window: tuple[float, float]
    seeds: tuple[np.random.SeedSequence, np.random.SeedSequence]


def lay_out(
    scenario: Scenario,
    network: QueueingNetwork,
    seed: np.random.SeedSequence,
    *,
    warmup: int,
    load: float,
    stable: bool,
    recorded: Recorded | None,
) -> Course:
    """Draw the arrivals of a replication, or take recorded ones; see `replicate`."""
    arrivals_seed, stream_seed, failure_seed = seed.spawn(3)
    if recorded:
        prompts, warmup = len(recorded.times), 0
        arrivals = recorded.to_arrivals()
    else:
        prompts = scenario.run.prompts
        warmup = warmup if scenario.arrivals.law == "poisson" else 0
        drawn = arrivals_to_draw(scenario, network, load, prompts + warmup, stable=stable)
        arrivals = draw_arrivals(np.random.default_rng(arrivals_seed), network.rates, drawn)
    wanted = prompts + warmup
    times = arrivals.times
    since = float(times[warmup]) if warmup else 0.0
    # Without prompts afterwards, all is measured until the last answer.
    until = float(times[wanted]) if len(times) > wanted else math.inf
    return Course(arrivals, warmup, wanted, (since, until), (stream_seed, failure_seed))


def replicate(
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
    """Run one replication of a plain scenario.

    Args:
        scenario: what to simulate.
        network: the same in the terms of the theory.
        seed: of this replication.
        warmup: prompts before the measured ones.
        load: under the scenario's policy.
        stable: whether to wait for all answers; otherwise growth is measured.
        recorded: arrivals instead of drawn ones.
        progress: is told the share that is done.
    """
    course = lay_out(
        scenario, network, seed, warmup=warmup, load=load, stable=stable, recorded=recorded
    )
    model = build_model(scenario, network)
    arrivals, wanted, window = course.arrivals, course.wanted, course.window
    times = arrivals.times
    rate = len(times) / max(float(times[-1]), 1e-300)
    open_prompts = rate * 5 * (network.layers + 1) * max(network.alphas) / (1 - min(load, 0.9))
    engine = Engine(
        model, arrivals, wanted, new_stream(course.seeds[0]), window,
        day=3 / rate / max(network.layers, 1),
        places=int(min(max(open_prompts, 1024), len(times) + 1)),
    )  # fmt: skip
    begun = time.perf_counter()
    growth = np.zeros(0)
    if stable:
        _advance(engine, 0, wanted, wanted, progress)
        engine.advance(len(times))
        engine.advance(len(times), math.inf)
    else:
        growth = _measure_growth(engine, times, wanted, progress)
    ended = time.perf_counter()
    if not math.isfinite(window[1]):
        window = (0.0, engine.last_end)
    elapsed = window[1] - window[0]
    state = engine.state
    return Replication(
        latencies=engine.latencies[course.warmup :],
        warmup=engine.latencies[: course.warmup],
        queue_mean=float(state.sums[kernel.WAITED]) / network.size / elapsed,
        longest=int(state.counts[kernel.LONGEST]),
        utilisation=float(state.sums[kernel.BUSY]) / len(state.free_at) / elapsed,
        growth=growth,
        tasks=int(state.counts[kernel.TASKS]),
        elapsed=elapsed,
        ran=(begun, ended),
    )


def _advance(engine: Engine, since: int, upto: int, wanted: int, progress: Progress | None) -> None:
    """Let prompts arrive, in pieces after each of which progress is told."""
    for chunk in range(1, _CHUNKS + 1):
        arrived = since + (upto - since) * chunk // _CHUNKS
        engine.advance(arrived)
        if progress:
            progress(arrived / wanted)


def _measure_growth(
    engine: Engine, times: NDArray[np.float64], wanted: int, progress: Progress | None
) -> NDArray[np.float64]:
    """Slope of each device's queue over the later half of the arrivals, shape (n,)."""
    half = wanted // 2
    _advance(engine, 0, half, wanted, progress)
    before = engine.queues(float(times[half - 1]))
    _advance(engine, half, wanted, wanted, progress)
    after = engine.queues(float(times[wanted - 1]))
    return (after - before) / float(times[wanted - 1] - times[half - 1])


def arrivals_to_draw(
    scenario: Scenario, network: QueueingNetwork, load: float, wanted: int, *, stable: bool
) -> int:
    """How many prompts arrive, if `wanted` are to be followed to their end.

    In steady state others come after them, for many times a latency, so that the last measured
    ones meet the same network as the first.
    """
    if scenario.arrivals.law != "poisson":
        return wanted
    if not stable:
        return wanted + 1
    seconds = max(network.alphas) * (network.layers + 1) * 40 / (1 - min(load, 0.999))
    return wanted + int(sum(network.rates) * seconds) + 100
