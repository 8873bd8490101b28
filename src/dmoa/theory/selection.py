"""The load a network can carry when proposers may be chosen freely.

Any rule that takes k of d sampled devices leaves some work on each set J of devices: the
owners' own tasks, and proposals whose sample holds fewer than k devices outside J. No rule can
do with less, so the most loaded set gives a limit that is necessary for all rules. Taking the
least backlog of the d was stable at 0.97 and unstable at 1.03 of it in simulation; that it
always reaches the limit is not proved.
"""

import math
from collections.abc import Sequence
from itertools import accumulate

from dmoa.errors import UsageError
from dmoa.theory.checks import check_positive, check_shape
from dmoa.theory.network import spread

_ROUNDING = 1e-13  # relative; smaller differences are none


def rate_limit_selected(
    alpha: Sequence[float],
    layers: int,
    proposers: int,
    sample: int | None = None,
    weights: Sequence[float] | None = None,
) -> float:
    """Largest stable mean rate per user of any rule that takes k of `sample` drawn devices.

    s* = min over sets J of [sum_J 1/alpha_j] / [(M+1) sum_J w_j + M sum_i w_i E(k - H_iJ)^+],
    where H_iJ counts the sampled devices outside J. For a given size of J the expectation has
    one value for owners in J and one for the others, so that the best J of each size is found
    by sorting, and the least ratio by Dinkelbach's method, in any network. O(n log n + n k) when
    all users ask at one rate.

    Args:
        alpha: n mean service times, seconds.
        layers: M.
        proposers: k.
        sample: d, k to n - 1; n - 1 when left out. d = k gives Remark 1, d = n - 1 the best
            division of work over all devices.
        weights: proportions of the users' rates; equal when left out.

    Returns:
        Prompts per second per user, averaged over users.

    Raises:
        UsageError: the sample is smaller than k or larger than n - 1.
    """
    n = len(alpha)
    check_shape(n, layers, proposers)
    for device, value in enumerate(alpha):
        check_positive(f"alpha of device {device}", value)
    drawn = n - 1 if sample is None else sample
    if not proposers <= drawn <= n - 1:
        raise UsageError(
            f"sample is {drawn}; take {proposers} (the proposers) to {n - 1} (all other devices)"
        )
    shares = spread("weights", 1.0 if weights is None else weights, n)
    sets = _Sets([1.0 / a for a in alpha], shares, layers, proposers, drawn)
    ratio = sets.everybody()
    while True:
        better = sets.better_than(ratio)
        if better is None:
            return ratio * sum(shares) / n
        ratio = better


class _Sets:
    """Sets of devices by their ratio of speed to work that no rule can keep from them.

    The work of a set of m devices is `slope[m]` times its shares, and `constant[m]` besides.
    """

    def __init__(
        self, speeds: list[float], shares: Sequence[float], layers: int, proposers: int, drawn: int
    ) -> None:
        n = len(speeds)
        self.n, self.speeds, self.shares = n, speeds, shares
        short = _mean_shortfalls(n - 1, drawn, proposers)
        self.slope, self.constant = [0.0], [0.0]
        for size in range(1, n + 1):
            inside = short[n - size]
            # No owner is outside the set of all devices.
            outside = short[n - size - 1] if size < n else 0.0
            self.slope.append(layers + 1 + layers * (inside - outside))
            self.constant.append(layers * sum(shares) * outside)

    def everybody(self) -> float:
        """The ratio of the set of all devices."""
        return sum(self.speeds) / (self.slope[self.n] * sum(self.shares))

    def better_than(self, ratio: float) -> float | None:
        """A smaller ratio than this, of the best set that comes to light; None if none is smaller.

        A set is better if speed - ratio * work is negative. The least of speed - price * shares
        over the sets of a size is concave in the price, which is ratio * slope and falls with
        the size: between the prices of two sizes it is nowhere below its chord. Sizes whose
        chord is not negative hold no better set, others are halved. The chord is exact, and
        nothing halved, if the order of the devices is the same at both prices, as with equal
        shares.
        """
        ranges = [(1, self.n - 1)] if self.n > 1 else []
        while ranges:
            first, last = ranges.pop()
            high, low = ratio * self.slope[first], ratio * self.slope[last]
            at_high, at_low = self._prefixes(high), self._prefixes(low)
            best, hopeful = ratio, False
            for size in range(first, last + 1):
                slope, constant = self.slope[size], self.constant[size]
                bounds = []
                for price, (speed, shares) in ((high, at_high), (low, at_low)):
                    work = slope * shares[size] + constant
                    if work > 0:
                        best = min(best, speed[size] / work)
                    bounds.append(speed[size] - price * shares[size])
                part = (high - ratio * slope) / (high - low) if high > low else 0.0
                chord = (1 - part) * bounds[0] + part * bounds[1] - ratio * constant
                hopeful = hopeful or chord < -_ROUNDING * at_high[0][size]
            if best < ratio * (1 - _ROUNDING):
                return best
            if hopeful and high > low:
                middle = (first + last) // 2
                ranges += [(first, middle), (middle + 1, last)]
        return None

    def _prefixes(self, price: float) -> tuple[list[float], list[float]]:
        """Speed and shares of the best set of each size at a price of shares."""
        speeds, shares = self.speeds, self.shares
        order = sorted(range(self.n), key=lambda j: speeds[j] - price * shares[j])
        return (
            list(accumulate((speeds[j] for j in order), initial=0.0)),
            list(accumulate((shares[j] for j in order), initial=0.0)),
        )


def _mean_shortfalls(population: int, drawn: int, wanted: int) -> list[float]:
    """E (wanted - H)^+ for H of `outside` among `drawn` of `population` (hypergeometric).

    Returns:
        One for each number of `outside`, 0 to population. If all are drawn there is no rounding.
    """
    logs = [math.lgamma(i + 1) for i in range(population + 1)]

    def ways(of: int, taken: int) -> float:
        return logs[of] - logs[taken] - logs[of - taken]

    everything = ways(population, drawn)
    return [
        sum(
            (wanted - hits)
            * math.exp(ways(outside, hits) + ways(population - outside, drawn - hits) - everything)
            for hits in range(max(0, drawn - population + outside), min(wanted, outside, drawn) + 1)
        )
        for outside in range(population + 1)
    ]
