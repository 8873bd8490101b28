"""Bootstrap intervals over questions, one set of resamples for everything that is compared.

The same resamples serve all rows, so that a difference of two rows is resampled in pairs.
"""

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

Array = Any  # numpy arrays of one number a question

RESAMPLES = 4000
LEVEL = 0.95


class Interval(msgspec.Struct, frozen=True):
    """A mean, and its 95 % percentile interval."""

    mean: float
    low: float
    high: float


class Bootstrap:
    """Resamples of n questions.

    Args:
        n: questions.
        seed: of the resamples.
        resamples: how many.
    """

    def __init__(self, n: int, seed: int, resamples: int = RESAMPLES) -> None:
        random = np.random.default_rng(seed)
        # How often each question is in each resample.
        self._counts = random.multinomial(n, np.full(n, 1 / n), resamples).astype(np.float32)
        self.n = n
        self.seed = seed

    def mean(self, values: Sequence[float] | Array) -> Interval:
        """The mean of one number a question, and its interval."""
        array = np.asarray(values, dtype=np.float64)
        means = self._counts @ array.astype(np.float32) / self.n
        low, high = np.percentile(means, [50 * (1 - LEVEL), 50 * (1 + LEVEL)])
        # Single precision serves for resampling; its noise is cut off.
        return Interval(*(round(float(value), 6) for value in (array.mean(), low, high)))

    def percent(self, values: Sequence[float] | Array) -> Interval:
        """As `mean`, in percent, for values from 0 to 1 and their differences."""
        found = self.mean(values)
        return Interval(*(round(100 * value, 4) for value in (found.mean, found.low, found.high)))
