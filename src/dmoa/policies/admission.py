"""Committees from the wanted one down to none, for those that a network can still afford."""


def ladder(layers: int, proposers: int) -> list[tuple[int, int]]:
    """Rungs from the wanted (M, k) down to no collaboration: layers first, then proposers.

    The second layer costs most and, by measurement, buys least.
    """
    rungs = [(M, proposers) for M in range(layers, 0, -1)]
    if layers:
        rungs += [(1, k) for k in range(proposers - 1, 0, -1)]
    return [*rungs, (0, 0)]
