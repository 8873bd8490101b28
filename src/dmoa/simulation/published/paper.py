"""The paper's Tables I and II as the burst that they are, and its theorem on both sides.

Ten prompts that come within ten seconds to devices that need most of a minute for an inference
are a burst: the load is 11 to 104 times what is stable. A burst has a latency and a queue, of
course, but they depend on how many prompts it has. So each (M, k) is shown as the paper ran
it, over many draws of ten prompts, and in the steady state of a load that is stable.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import msgspec
import numpy as np

from dmoa.simulation.published.replay import TracedPrompt, replay_prompts
from dmoa.simulation.statistics import Spread, spread
from dmoa.simulation.study import Latency, QueueLength, simulate
from dmoa.theory.growth import equal_growth
from dmoa.theory.network import equal_network, tasks_per_prompt
from dmoa.theory.stability import load

DEVICES = 4
PROMPTS = 10
TOTAL_RATE = 1.0  # prompts per second
STEADY_LOAD = 0.8


class Figures(msgspec.Struct, frozen=True):
    """What the paper says: latency in seconds, its figure of the queue, accuracy in %."""

    latency: float
    queue: float
    accuracy: float


@dataclass(frozen=True)
class Published:
    """A row of the paper's tables."""

    layers: int
    proposers: int
    figures: Figures


@dataclass(frozen=True)
class Timing:
    """What an inference takes, fitted to the latencies of a table.

    Attributes:
        alpha: seconds of every task. Constant times fit the paper's figures best (Table I:
            RMS error of the latency 4.6 %, against 6.8 % with exponential ones).
        reload: seconds that a device's first task of each layer takes besides: the published
            script loads each model anew for each layer, and times that as part of the task.
    """

    alpha: float
    reload: float = 0.0


TABLES = {
    "I": (
        Timing(46.0),
        (
            Published(0, 0, Figures(94.01, 0.60, 21.91)),
            Published(1, 1, Figures(329.92, 2.04, 29.55)),
            Published(1, 2, Figures(484.81, 3.28, 39.63)),
            Published(2, 1, Figures(603.43, 2.32, 28.88)),
            Published(2, 2, Figures(790.01, 4.80, 39.89)),
            Published(1, 3, Figures(578.88, 3.74, 39.79)),
            Published(2, 3, Figures(1074.28, 5.78, 40.63)),
        ),
    ),
    "II": (
        Timing(55.0, 271.0),
        (
            Published(0, 0, Figures(409.58, 1.71, 23.62)),
            Published(1, 1, Figures(806.88, 2.36, 39.41)),
            Published(1, 2, Figures(1112.33, 2.72, 39.52)),
            Published(2, 1, Figures(1357.74, 1.83, 38.22)),
            Published(2, 2, Figures(1971.50, 3.07, 40.51)),
            Published(1, 3, Figures(1292.73, 2.92, 38.96)),
            Published(2, 3, Figures(2274.59, 4.21, 55.55)),
        ),
    ),
}


def draw_burst(
    random: np.random.Generator, timing: Timing, M: int, k: int, prompts: int = PROMPTS
) -> list[TracedPrompt]:
    """One burst as the paper's: Poisson arrivals, owners and proposers uniform."""
    times = np.cumsum(random.exponential(1 / TOTAL_RATE, prompts))
    owners = random.integers(1, DEVICES + 1, prompts)
    reloaded: set[tuple[int, int]] = set()

    def task(layer: int, device: int) -> float:
        seconds = timing.alpha
        if (layer, device) not in reloaded:
            reloaded.add((layer, device))
            seconds += timing.reload
        return seconds

    burst = []
    for time, owner in zip(times, owners, strict=True):
        others = [d for d in range(1, DEVICES + 1) if d != owner]
        layers = []
        for layer in range(M):
            workers = [int(owner), *map(int, random.choice(others, k, replace=False))]
            layers.append({device: task(layer, device) for device in workers})
        layers.append({int(owner): task(M, int(owner))})
        burst.append(TracedPrompt(float(time), int(owner), tuple(layers)))
    return burst


class OurBursts(msgspec.Struct, frozen=True):
    """Our bursts of a row: latency, the published figure of the queue, and the true queue."""

    latency: Spread
    published_queue: Spread
    queue: Spread


class Steady(msgspec.Struct, frozen=True):
    """A steady state: prompts/s per user, and `SimulationResult`'s latency and queue."""

    rate: float
    latency: Latency
    queue: QueueLength


class TableRow(msgspec.Struct, frozen=True):
    """A row: what the paper says, our bursts and whether they contain it, and a steady state.

    Attributes:
        inside: whether the paper's latency is within 90 % of our bursts.
        load: of the paper's rate.
        steady: at load 0.8.
    """

    layers: int
    proposers: int
    published: Figures
    inside: bool
    burst: OurBursts
    load: float
    steady: Steady


class Table(msgspec.Struct, frozen=True):
    """A table; `rms_latency_error` is relative, of the bursts' mean latency."""

    alpha: float
    reload: float
    rms_latency_error: float
    rows: list[TableRow]


class ReproducedTables(msgspec.Struct, frozen=True):
    """Both tables, I and II, each row of `draws` bursts."""

    draws: int
    seed: int
    first: Table = msgspec.field(name="I")
    second: Table = msgspec.field(name="II")


def reproduce_tables(
    draws: int = 200, seed: int = 0, progress: Callable[[float], None] | None = None
) -> ReproducedTables:
    """Latency and queue of both tables, published and ours.

    Args:
        draws: bursts of ten prompts for each row.
        seed: of all of them.
        progress: is told the share that is done.
    """
    found = []
    count = sum(len(rows) for _, rows in TABLES.values())
    done = 0
    for timing, rows in TABLES.values():
        ours = []
        for row in rows:
            ours.append(_reproduce_row(row, timing, draws, seed))
            done += 1
            if progress:
                progress(done / count)
        off = [r.burst.latency.mean / r.published.latency - 1 for r in ours]
        error = math.sqrt(sum(e * e for e in off) / len(off))
        found.append(Table(timing.alpha, timing.reload, error, ours))
    return ReproducedTables(draws, seed, *found)


def _reproduce_row(row: Published, timing: Timing, draws: int, seed: int) -> TableRow:
    M, k = row.layers, row.proposers
    random = np.random.default_rng((seed, M, k))
    replays = [replay_prompts(draw_burst(random, timing, M, k)) for _ in range(draws)]
    latency = spread(np.array([r.true.latency for r in replays]))
    return TableRow(
        layers=M,
        proposers=k,
        published=row.figures,
        inside=latency.p5 <= row.figures.latency <= latency.p95,
        burst=OurBursts(
            latency,
            spread(np.array([r.published.queue for r in replays])),
            spread(np.array([r.true.queue for r in replays])),
        ),
        load=load(timing.alpha, TOTAL_RATE / DEVICES, M, k),
        steady=_steady(timing.alpha, M, k, seed),
    )


def _steady(alpha: float, M: int, k: int, seed: int) -> Steady:
    """The steady state at load 0.8, exponential service, without reloading."""
    rate = STEADY_LOAD / alpha / tasks_per_prompt(M, k)
    outcome = simulate(
        {
            "network": {"devices": DEVICES, "alpha": alpha, "rate": rate},
            "protocol": {"layers": M, "proposers": k},
            "run": {"prompts": 40_000, "replications": 8, "seed": seed},
        }
    )
    return Steady(rate, outcome.latency, outcome.queue)


# n, M, k of the theorem's check
CONFIGURATIONS = ((4, 0, 0), (4, 1, 1), (4, 2, 3), (8, 1, 3), (8, 2, 3), (8, 3, 2), (20, 2, 5))
SIDES = (0.9, 0.95, 1.05, 1.1)


class QueuePath(msgspec.Struct, frozen=True):
    """The mean queue over the devices, at times in units of alpha."""

    time: list[float]
    queue: list[float]


class Side(msgspec.Struct, frozen=True):
    """One load: growth of the queues in tasks/s, what the formula says, and whether it fits."""

    load: float
    growth: float
    predicted: float
    queue: float
    fits: bool
    path: QueuePath


class Configuration(msgspec.Struct, frozen=True):
    """One network at loads on both sides of 1."""

    devices: int
    layers: int
    proposers: int
    loads: list[Side]


class ReproducedTheorem(msgspec.Struct, frozen=True):
    """All configurations; `confirmed` if every load fits."""

    prompts: int
    seed: int
    confirmed: bool
    configurations: list[Configuration]


def reproduce_theorem(
    prompts: int = 200_000, seed: int = 0, progress: Callable[[float], None] | None = None
) -> ReproducedTheorem:
    """Theorem 1 by simulation: queues on both sides of load 1.

    A queue counts as bounded if it does not grow from the first to the second half of a long
    run by a twentieth of what the formula says for 5 % too much load; and as growing if it
    grows by half of what the formula says for its load.
    """
    found = []
    total = len(CONFIGURATIONS) * len(SIDES)
    for done, (n, M, k) in enumerate(CONFIGURATIONS):
        sides = []
        for place, rho in enumerate(SIDES):
            sides.append(_one_side(n, M, k, rho, prompts, seed))
            if progress:
                progress((done * len(SIDES) + place + 1) / total)
        found.append(Configuration(n, M, k, sides))
    confirmed = all(side.fits for one in found for side in one.loads)
    return ReproducedTheorem(prompts, seed, confirmed, found)


def _one_side(n: int, M: int, k: int, rho: float, prompts: int, seed: int) -> Side:
    rate = rho / tasks_per_prompt(M, k)
    series = list(queue_path(n, M, k, rate, prompts, seed))
    times = np.array([t for t, _ in series])
    queues = np.array([q for _, q in series])
    half = len(times) // 2
    measured = float(np.polyfit(times[half:], queues[half:], 1)[0])
    predicted = equal_growth(equal_network(n, 1.0, rate, M, k))
    yardstick = equal_growth(equal_network(n, 1.0, 1.05 / tasks_per_prompt(M, k), M, k))
    fits = measured > predicted / 2 if rho > 1 else abs(measured) < yardstick / 20
    return Side(
        load=rho,
        growth=measured,
        predicted=predicted,
        queue=float(queues[half:].mean()),
        fits=bool(fits),
        path=QueuePath(times.tolist(), queues.tolist()),
    )


def queue_path(
    n: int, M: int, k: int, rate: float, prompts: int, seed: int, steps: int = 60
) -> Iterator[tuple[float, float]]:
    """Mean queue over the devices, at `steps` times of a run with exponential services, alpha 1."""
    from dmoa.simulation.arrivals import draw_arrivals
    from dmoa.simulation.fcfs.engine import Engine, build_model
    from dmoa.simulation.random_numbers import new_stream
    from dmoa.simulation.scenario import scenario_of

    tables = {
        "network": {"devices": n, "alpha": 1.0, "rate": rate},
        "protocol": {"layers": M, "proposers": k},
    }
    scenario = scenario_of(tables)
    network = scenario.to_network()
    arrivals_seed, stream_seed = np.random.SeedSequence((seed, n, M, k)).spawn(2)
    arrivals = draw_arrivals(np.random.default_rng(arrivals_seed), network.rates, prompts)
    day = 2 / (n * rate * max(M, 1))
    engine = Engine(
        build_model(scenario, network), arrivals, prompts, new_stream(stream_seed),
        (0.0, math.inf), day,
    )  # fmt: skip
    for step in range(1, steps + 1):
        upto = prompts * step // steps
        engine.advance(upto)
        time = float(arrivals.times[upto - 1])
        yield time, float(engine.queues(time).mean())
