"""Latency and queue of a row: as it was run, and as the burst that the paper ran.

As it was run: mean latency, and the time-averaged number of waiting tasks per device, which is
the sum of all waiting times over the time of observation and the number of devices. As the
paper ran it: ten of the answers, drawn again and again, arrive within a few service times, and
their measured service times are replayed on devices that serve in order of arrival.
"""

import statistics
from collections import defaultdict
from collections.abc import Sequence

import msgspec
import numpy as np

from dmoa.evaluation.outcomes import GradedAnswer
from dmoa.simulation.published.replay import TracedPrompt, replay_prompts
from dmoa.simulation.statistics import Spread, spread

BURST = 10
"""Prompts of the paper's experiment."""

ARRIVALS = 46.0
"""Of these, per mean service time: the paper's prompts come at 1/s to devices that need 46 s."""

DRAWS = 200


def mean_service(outcomes: Sequence[GradedAnswer]) -> float:
    """Seconds of an inference on average."""
    return statistics.fmean(i.service_seconds for o in outcomes for i in o.inferences)


class Times(msgspec.Struct, frozen=True):
    """Seconds, and waiting tasks per device: means, and a 95th percentile."""

    latency: float
    latency_p95: float
    queue: float
    service: float


class Bursts(msgspec.Struct, frozen=True):
    """Seconds, and waiting tasks per device, of so many bursts of ten."""

    draws: int
    latency: Spread
    queue: Spread


def as_run(outcomes: Sequence[GradedAnswer], devices: int) -> Times:
    """Latency, queue and service time as they were."""
    spans: dict[tuple[int, str], list[GradedAnswer]] = defaultdict(list)
    for outcome in outcomes:
        spans[outcome.session, outcome.team].append(outcome)
    observed = sum(
        max(o.started + o.seconds for o in together) - min(o.started for o in together)
        for together in spans.values()
    )
    waited = sum(i.queue_seconds for o in outcomes for i in o.inferences)
    seconds = [outcome.seconds for outcome in outcomes]
    return Times(
        latency=statistics.fmean(seconds),
        latency_p95=float(np.quantile(seconds, 0.95)),
        queue=waited / observed / devices if observed else 0.0,
        service=mean_service(outcomes),
    )


def as_burst(outcomes: Sequence[GradedAnswer], seed: int, draws: int = DRAWS) -> Bursts:
    """Latency and queue of bursts of ten.

    Args:
        outcomes: of one row.
        seed: of the draws.
        draws: bursts.
    """
    random = np.random.default_rng(seed)
    gap = mean_service(outcomes) / ARRIVALS
    latency, queue = np.empty(draws), np.empty(draws)
    for draw in range(draws):
        chosen = random.choice(len(outcomes), BURST, replace=len(outcomes) < BURST)
        arrivals = np.cumsum(random.exponential(gap, BURST))
        burst = [
            _prompt(outcomes[int(i)], float(time)) for i, time in zip(chosen, arrivals, strict=True)
        ]
        figures = replay_prompts(burst).true
        latency[draw], queue[draw] = figures.latency, figures.queue
    return Bursts(draws, spread(latency), spread(queue))


def _prompt(outcome: GradedAnswer, arrival: float) -> TracedPrompt:
    layers = tuple(
        {inference.device + 1: inference.service_seconds for inference in layer}
        for layer in outcome.layers
    )
    return TracedPrompt(arrival, outcome.owner + 1, layers)
