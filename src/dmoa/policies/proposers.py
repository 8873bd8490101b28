"""Which devices propose: each policy is one pure function, for live devices and simulations.

They take lists or arrays and put their choice in front, in place, so that the same lines run
as plain Python on a device and compiled in the simulator. Randomness comes in as `uniforms`,
drawn before, each in [0, 1).

    peers = list(range(n_peers))
    draw_uniform(peers, [random() for _ in range(k)], k)
    chosen = peers[:k]
"""

from typing import Protocol, TypeVar

Item = TypeVar("Item")


class Row(Protocol[Item]):
    """A list, or an array of one dimension."""

    def __len__(self) -> int: ...
    def __getitem__(self, index: int, /) -> Item: ...
    def __setitem__(self, index: int, value: Item, /) -> None: ...


def draw_uniform(candidates: Row[int], uniforms: Row[float], k: int) -> None:
    """Put k of the candidates in front, uniformly without replacement and in random order.

    The paper's rule: a partial Fisher-Yates shuffle. Candidates may come in any order, so one
    array can be used again and again. O(k).

    Args:
        candidates: device numbers; shuffled in place.
        uniforms: at least k numbers in [0, 1).
        k: how many are wanted, at most `len(candidates)`.
    """
    count = len(candidates)
    for place in range(k):
        other = place + int(uniforms[place] * (count - place))
        kept = candidates[place]
        candidates[place] = candidates[other]
        candidates[other] = kept


def draw_weighted(
    candidates: Row[int], weights: Row[float], total: float, uniforms: Row[float], k: int
) -> None:
    """Put k of the candidates in front, one after another with odds of their weights.

    With weights 1/alpha, a device twice as fast is drawn about twice as often. O(k n).

    Args:
        candidates: device numbers; reordered in place.
        weights: a positive weight for each candidate, in the same order; reordered alike.
        total: sum of the weights.
        uniforms: at least k numbers in [0, 1).
        k: how many are wanted, at most `len(candidates)`.
    """
    count = len(candidates)
    left = total
    for place in range(k):
        target = uniforms[place] * left
        other = place
        passed = weights[place]
        while passed <= target and other < count - 1:
            other += 1
            passed += weights[other]
        kept, weight = candidates[place], weights[place]
        candidates[place], weights[place] = candidates[other], weights[other]
        candidates[other], weights[other] = kept, weight
        left -= weights[place]


def keep_least(candidates: Row[int], costs: Row[float], drawn: int, k: int) -> None:
    """Put the k cheapest of the first `drawn` candidates in front.

    Ties go to the earlier candidate: at random, if the candidates were drawn in random order.
    O(k drawn).

    Args:
        candidates: device numbers; reordered in place.
        costs: what each of the first `drawn` candidates costs, in the same order; reordered
            alike.
        drawn: how many candidates stand for choice.
        k: how many are wanted, at most `drawn`.
    """
    for place in range(k):
        best = place
        for other in range(place + 1, drawn):
            if costs[other] < costs[best]:
                best = other
        chosen, cost = candidates[best], costs[best]
        # Shifted, not swapped, so that the rest stays in its random order.
        for other in range(best, place, -1):
            candidates[other], costs[other] = candidates[other - 1], costs[other - 1]
        candidates[place], costs[place] = chosen, cost


def least_backlog(
    candidates: Row[int], backlog: Row[float], uniforms: Row[float], d: int, k: int
) -> None:
    """Put in front the k least loaded of d candidates drawn uniformly.

    Args:
        candidates: device numbers; reordered in place.
        backlog: for each device number, the seconds until a task given to it now would be
            done: (queued + in service + 1) times its alpha.
        uniforms: at least d numbers in [0, 1).
        d: how many are drawn, k to `len(candidates)`.
        k: how many are wanted.
    """
    draw_uniform(candidates, uniforms, d)
    costs = [backlog[candidates[place]] for place in range(d)]
    keep_least(candidates, costs, d, k)
