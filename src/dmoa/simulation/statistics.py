"""Intervals over replications, and how much of a simulation to leave out as warm-up."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from dmoa.theory.network import QueueingNetwork

LONGEST_WARMUP = 20_000_000  # prompts; beyond it a simulation would take memory for gigabytes
_RELAXATIONS = 5.0


@dataclass(frozen=True)
class Estimate:
    """A mean with the half width of its 95 % interval; NaN where there is none."""

    mean: float
    half_width: float


def estimate(values: Sequence[float]) -> Estimate:
    """Mean over independent replications, and Student's 95 % interval."""
    numbers = np.asarray(values, float)
    numbers = numbers[np.isfinite(numbers)]
    count = len(numbers)
    if count == 0:
        return Estimate(math.nan, math.nan)
    mean = float(numbers.mean())
    if count == 1:
        return Estimate(mean, math.nan)
    spread = float(numbers.std(ddof=1)) / math.sqrt(count)
    return Estimate(mean, student_quantile(0.975, count - 1) * spread)


class Spread(msgspec.Struct, frozen=True):
    """The mean of draws, and what 90 % of them lie between."""

    mean: float
    p5: float
    p95: float


def spread(values: NDArray[np.float64]) -> Spread:
    """Of draws, shape (draws,)."""
    low, high = np.quantile(values, (0.05, 0.95))
    return Spread(float(values.mean()), float(low), float(high))


def student_quantile(share: float, degrees: int) -> float:
    """Quantile of Student's t distribution."""
    from scipy.special import stdtrit

    return float(stdtrit(degrees, share))


def relaxation_time(network: QueueingNetwork, load: float, c2: float) -> float:
    """Seconds in which a queue that starts empty forgets that, about.

    The relaxation time of a queue with Poisson arrivals in heavy traffic,
    (1 + c2) alpha / (1 - sqrt load)^2, for the slowest device.
    """
    rho = min(load, 0.9999)
    return (1 + c2) * max(network.alphas) / (1 - math.sqrt(rho)) ** 2


def warmup_prompts(network: QueueingNetwork, load: float, c2: float) -> tuple[int, bool]:
    """Prompts that arrive in five relaxation times, and whether so many can be afforded.

    Args:
        network: whose rates and service times count.
        load: below 1, under the policy that is simulated.
        c2: squared coefficient of variation of the service times.
    """
    seconds = _RELAXATIONS * relaxation_time(network, load, c2)
    seconds += 10 * (network.layers + 1) * max(network.alphas)
    prompts = int(sum(network.rates) * seconds) + 1
    return min(prompts, LONGEST_WARMUP), prompts <= LONGEST_WARMUP


def mser5(series: NDArray[np.float64]) -> int:
    """Observations to leave out at the start by the rule MSER-5.

    White, "An effective truncation heuristic for bias reduction in simulation output" (1997):
    batches of five; leave out as many as make the standard error of the rest least. More than
    half means that the series is too short to tell.

    Args:
        series: observations in order, averaged over replications, shape (observations,).
    """
    batches = series[: len(series) // 5 * 5].reshape(-1, 5).mean(axis=1)
    count = len(batches)
    if count < 4:
        return 0
    # Sums of the batches from each one on, to the end.
    left = np.arange(count, 0, -1)
    sums = np.cumsum(batches[::-1])[::-1]
    squares = np.cumsum((batches**2)[::-1])[::-1]
    errors = (squares - sums**2 / left) / left.astype(float) ** 2
    return int(np.argmin(errors[: max(count - 5, 1)])) * 5
