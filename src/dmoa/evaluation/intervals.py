"""Bootstrap intervals over questions, one set of resamples for everything that is compared.

The same resamples serve all rows, so that a difference of two rows is resampled in pairs.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

Array = Any  # numpy arrays of one number a question

RESAMPLES = 4000
LEVEL = 0.95


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

    def mean(self, values: Sequence[float] | Array) -> dict[str, float]:
        """The mean of one number a question, and its 95 % percentile interval."""
        array = np.asarray(values, dtype=np.float64)
        means = self._counts @ array.astype(np.float32) / self.n
        low, high = np.percentile(means, [50 * (1 - LEVEL), 50 * (1 + LEVEL)])
        values_of = {"mean": array.mean(), "low": low, "high": high}
        # Single precision serves for resampling; its noise is cut off.
        return {name: round(float(value), 6) for name, value in values_of.items()}

    def percent(self, values: Sequence[float] | Array) -> dict[str, float]:
        """As `mean`, in percent, for values from 0 to 1 and their differences."""
        return {name: round(100 * value, 4) for name, value in self.mean(values).items()}
