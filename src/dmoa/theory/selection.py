"""The load a network can carry when proposers may be chosen freely.

Any rule that takes k of d sampled devices leaves some work on each set J of devices: the
owners' own tasks, and proposals whose sample holds fewer than k devices outside J. No rule can
do with less, so the most loaded set gives a limit that is necessary for all rules. Taking the
least backlog of the d was stable at 0.97 and unstable at 1.03 of it in simulation; that it
always reaches the limit is not proved.
"""

import math
from collections.abc import Sequence

from dmoa.errors import UsageError
from dmoa.theory.checks import check_positive, check_shape
from dmoa.theory.network import spread


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
    one value for owners in J and one for the others, so the best J of each size is found by
    Dinkelbach's method for ratios, in any network.

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
    speeds = [1.0 / a for a in alpha]
    shares = spread("weights", 1.0 if weights is None else weights, n)
    total = sum(shares)
    limit = min(
        _limit_of_size(size, speeds, shares, layers, proposers, drawn) for size in range(1, n + 1)
    )
    return limit * total / n


def _limit_of_size(
    size: int,
    speeds: Sequence[float],
    shares: Sequence[float],
    layers: int,
    proposers: int,
    drawn: int,
) -> float:
    """Smallest ratio over the sets of `size` devices."""
    n = len(speeds)
    forced_in = _mean_shortfall(n - 1, n - size, drawn, proposers)
    # No owner is outside the set of all devices.
    forced_out = _mean_shortfall(n - 1, n - size - 1, drawn, proposers) if size < n else 0.0
    # work(J) = slope * (shares of J) + constant
    slope = layers + 1 + layers * (forced_in - forced_out)
    constant = layers * sum(shares) * forced_out

    ratio = math.inf
    chosen = sorted(range(n), key=lambda j: speeds[j])[:size]
    while True:
        work = slope * sum(shares[j] for j in chosen) + constant
        better = sum(speeds[j] for j in chosen) / work if work > 0 else math.inf
        if not better < ratio * (1 - 1e-15):
            return ratio
        ratio = better
        price = ratio * slope
        chosen = sorted(range(n), key=lambda j: speeds[j] - price * shares[j])[:size]


def _mean_shortfall(population: int, outside: int, drawn: int, wanted: int) -> float:
    """E (wanted - H)^+ for H of `outside` among `drawn` of `population` (hypergeometric).

    In whole numbers until the last division, so that k = n - 1 has no rounding.
    """
    if population == 0:
        return 0.0
    ways = sum(
        (wanted - hits) * math.comb(outside, hits) * math.comb(population - outside, drawn - hits)
        for hits in range(max(0, drawn - (population - outside)), min(wanted, outside, drawn) + 1)
    )
    return ways / math.comb(population, drawn)
