"""Latency and queue of an equal, stable network: an approximation.

Assumes n equal devices with one slot, Poisson arrivals, FCFS and uniform proposers. No closed
form is known: the k + 1 tasks of a layer fork, wait in queues that depend on one another, and
join. The approximation corrects the Pollaczek-Khinchine queue for two things: a prompt's own
later tasks are in the queue of its own device (`ahead`), and they come when that device has
just been seen to be busy or idle (`delay`). Its error against simulation, over a grid, is in
docs/theory.md; it is worst when n is close to k + 1. For k = 0 the mean queue is exact for
exponential service.

All times inside are in units of alpha; S is a service time with mean 1 and squared coefficient
of variation c2, W the wait of a task, T = W + S, Y the largest of k such T.
"""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dmoa.errors import UsageError
from dmoa.theory.checks import check_not_negative, check_positive, check_shape
from dmoa.theory.network import tasks_per_prompt

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

_WAITS, _SERVICES = 256, 128  # quantiles that stand for the laws of W and S
_DAMPING = 0.5
_PRECISION = 1e-6
_SAMPLES = 40_000  # prompts drawn for the 95th percentile
_SEED = 20241231


@dataclass(frozen=True)
class Prediction:
    """What a stable network does in the mean.

    Attributes:
        latency_mean: seconds from a prompt's arrival to its answer.
        latency_p95: its 95th percentile, seconds.
        queue_mean: tasks that wait at a device.
    """

    latency_mean: float
    latency_p95: float
    queue_mean: float


def predict(
    devices: int, alpha: float, rate: float, layers: int, proposers: int, cv: float = 1.0
) -> Prediction:
    """Latency and queue of an equal network in steady state; an approximation (see the module).

    Args:
        devices: n.
        alpha: mean service time, seconds.
        rate: lambda, prompts per second per user.
        layers: M.
        proposers: k.
        cv: coefficient of variation of the service time: 0 is deterministic, 1 exponential,
            anything else lognormal.

    Raises:
        UsageError: a value makes no sense, or the network is not stable.
    """
    check_shape(devices, layers, proposers)
    check_positive("alpha", alpha)
    check_not_negative("rate", rate)
    check_not_negative("cv", cv)
    M, k = layers, proposers if layers else 0
    rho = alpha * rate * tasks_per_prompt(M, k)
    if rho >= 1:
        raise UsageError(
            f"load is {rho:.4g}: there is no steady state at 1 or more; lower the rate, M or k"
        )
    model = _Model(devices, M, k, rho, cv)
    wait = _mean_wait_alone(M, rho, cv) if k == 0 else model.solve()
    mean = model.mean_latency(wait)
    p95 = model.percentile(wait, 0.95)
    return Prediction(alpha * mean, alpha * p95, rho * wait)


def _mean_wait_alone(M: int, rho: float, cv: float) -> float:
    """Without proposers: a queue whose customers come back M times; exact for M/M service."""
    return rho * ((1 + cv**2) / 2 + M / 2) / ((1 - rho) * (1 + M / 2))


class _Model:
    """The equations of one network, for a given mean wait w."""

    def __init__(self, n: int, M: int, k: int, rho: float, cv: float) -> None:
        self.n, self.M, self.k, self.rho = n, M, k, rho
        self.cv, self.c2 = cv, cv**2
        C = tasks_per_prompt(M, k)
        others = max(n - 1, 1)
        self.ahead = M * (M + 1) / (2 * C) + k**2 * M * (M - 1) / (2 * others * C)
        self.repeated = k * M * (M - 1) / (2 * C)
        self.shared = M * k * (k + 1) / (others * C * (1 + self.c2))
        self.coupling = min(1.0, 2 * self.shared / (1 + self.c2))
        self.services = service_quantiles(cv, _SERVICES)
        self.unit_waits = wait_quantiles(rho, cv, _WAITS)

    def solve(self) -> float:
        """The fixed point w, by damped iteration."""
        w = self.rho * (1 + self.c2) / 2 / (1 - self.rho)
        for _ in range(500):
            new = self._next_wait(w)
            # The correction cannot take the wait below 0.
            new = max(new, 0.0)
            if abs(new - w) <= _PRECISION * max(w, 1e-3):
                return new
            w += _DAMPING * (new - w)
        return w

    def _next_wait(self, w: float) -> float:
        rho, r, X = self.rho, self.coupling, self.ahead
        T = self._sojourns(w)
        mean_peers = largest_of(T, self.k)
        mean_layer = largest_of(T, self.k + 1)
        overlap = self._mean_overlap(T)
        delay = (1 - r) * (mean_layer - mean_peers + overlap - 1) + r * w
        return (
            rho * ((1 + self.c2) / 2 + X) / (1 - rho)
            - X * delay
            - self.repeated * (1 - self.k / max(self.n - 1, 1)) * r * w
        )

    def mean_latency(self, w: float) -> float:
        """M layers, each its largest sojourn, and the aggregation."""
        if self.k == 0:
            return (self.M + 1) * (1 + w)
        T = self._sojourns(w)
        variance = float((w * self.unit_waits).var())
        spread = ((1 - self.shared) * variance + self.c2) / max(variance + self.c2, 1e-12)
        longest = largest_of(T, self.k + 1) - (1 + w)
        return self.M * (1 + w + longest * math.sqrt(max(spread, 0.0))) + 1 + w

    def percentile(self, w: float, share: float) -> float:
        """Percentile of the latency, from prompts drawn with a fixed seed.

        The own device's wait of one layer is still there in the next with probability
        exp(-layer (1 - sqrt rho)^2 2 / (1 + c2)); the peers' waits are drawn afresh.
        """
        import numpy as np

        random = np.random.default_rng(_SEED)
        waits = w * self.unit_waits

        def draw(values: "Array", *shape: int) -> "Array":
            return values[random.integers(len(values), size=shape)]

        fading = (1 - math.sqrt(self.rho)) ** 2 * 2 / (1 + self.c2)
        own = draw(waits, _SAMPLES)
        latency = np.zeros(_SAMPLES)
        for _ in range(self.M):
            layer = own + draw(self.services, _SAMPLES)
            if self.k:
                peers = draw(waits, self.k, _SAMPLES) + draw(self.services, self.k, _SAMPLES)
                layer = np.maximum(layer, peers.max(axis=0))
            latency += layer
            kept = random.random(_SAMPLES) < np.exp(-layer * fading)
            own = np.where(kept, own, draw(waits, _SAMPLES))
        latency += own + draw(self.services, _SAMPLES)
        return float(np.quantile(latency, share))

    def _sojourns(self, w: float) -> "Array":
        import numpy as np

        return np.sort(np.add.outer(w * self.unit_waits, self.services).ravel())

    def _mean_overlap(self, T: "Array") -> float:
        """E min(B, Y): B the busy period that starts with a task, Y the largest of k sojourns.

        B is taken as inverse Gaussian with mean 1 / (1 - rho) and variance
        (c2 + rho) / (1 - rho)^3, the moments of a busy period of M/G/1.
        """
        import numpy as np
        from scipy.special import log_ndtr, ndtr

        mean = 1 / (1 - self.rho)
        shape = mean**3 * (1 - self.rho) ** 3 / (self.c2 + self.rho)
        grid = np.linspace(0, float(T[-1]), 4000)[1:]
        root = np.sqrt(shape / grid)
        # The second term is exp(2 shape/mean) ndtr(-...), whose factors overflow and vanish.

        below = ndtr(root * (grid / mean - 1)) + np.exp(
            2 * shape / mean + log_ndtr(-root * (grid / mean + 1))
        )
        survival = np.concatenate(([1.0], 1 - below))
        step = grid[0]
        within = np.concatenate(([0.0], np.cumsum((survival[1:] + survival[:-1]) / 2 * step)))
        means = np.interp(T, np.concatenate(([0.0], grid)), within)
        return largest_of(T, self.k, means)


def largest_of(samples: "Array", count: int, values: "Array | None" = None) -> float:
    """Mean of the largest of `count` independent draws from sorted, equally likely samples.

    Args:
        samples: sorted values, shape (N,).
        count: how many are drawn, 1 or more.
        values: shape (N,), a function of the samples whose mean is wanted instead.
    """
    import numpy as np

    N = len(samples)
    steps = np.diff((np.arange(N + 1) / N) ** count)
    return float(steps @ (samples if values is None else values))


def service_quantiles(cv: float, count: int) -> "Array":
    """`count` equally likely values that stand for a service law with mean 1, shape (count,)."""
    import numpy as np
    from scipy.special import ndtri

    ranks = (np.arange(count) + 0.5) / count
    if cv == 0:
        values = np.ones(count)
    elif cv == 1:
        values = -np.log1p(-ranks)
    else:
        sigma = math.sqrt(math.log1p(cv**2))
        values = np.exp(sigma * ndtri(ranks) - sigma**2 / 2)
    return _with_moments(values, 1.0, cv**2)


def wait_quantiles(rho: float, cv: float, count: int) -> "Array":
    """Waits of M/G/1 at load rho, stretched to mean 1, as equally likely values, shape (count,).

    Nobody waits with probability 1 - rho; a wait above 0 is taken as a gamma variable with the
    first two moments of the Pollaczek-Khinchine law.
    """
    import numpy as np
    from scipy.special import gammaincinv

    c2 = cv**2
    third = {0.0: 1.0, 1.0: 6.0}.get(cv, (1 + c2) ** 3)
    if rho == 0:
        return np.zeros(count)
    mean = (1 + c2) / (2 * (1 - rho))
    second = 2 * rho * mean**2 + third / (3 * (1 - rho))
    shape = mean**2 / (second - mean**2)
    ranks = (np.arange(count) + 0.5) / count
    positive = np.clip((ranks - (1 - rho)) / rho, 0, None)
    values = np.where(positive > 0, gammaincinv(shape, positive), 0.0)
    variance = (second / rho) / mean**2 - 1
    return _with_moments(values, 1.0, variance)


def _with_moments(values: "Array", mean: float, variance: float) -> "Array":
    """Stretch the tail of quantiles so that mean and variance are right in spite of the cut."""
    import numpy as np

    if variance <= 0 or values.max() <= 0:
        return values * mean / max(float(values.mean()), 1e-12)

    def moments(power: float) -> "Array":
        bent: Array = np.power(values, power)
        return bent * (mean / float(bent.mean()))

    low, high = 0.5, 2.0
    for _ in range(50):
        middle = (low + high) / 2
        if moments(middle).var() < variance:
            low = middle
        else:
            high = middle
    return moments((low + high) / 2)
