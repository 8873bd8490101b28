"""What the best rule can reach: the most quality that the devices' time can buy.

A linear programme: each user's prompts are divided among plans, each plan puts work on devices,
and no device may be given more than it can do. No rule can do better in the long run, whatever
it knows; with one plan the limit is that of Theorem 1 and of free choice of proposers.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from dmoa.errors import UsageError
from dmoa.theory.checks import check_not_negative, check_positive
from dmoa.theory.network import tasks_per_prompt

_MOST_KINDS = 24  # of devices, up to which guests' work is kept apart by whose it is


@dataclass(frozen=True)
class Plan:
    """A way to answer a prompt.

    Attributes:
        quality: expected, 0 to 1.
        layers: M of a committee that the own device aggregates.
        proposers: k of it.
        device: instead, the device that answers alone, from 0.

    Raises:
        UsageError: the quality is outside 0 to 1, or a number is negative.
    """

    quality: float
    layers: int = 0
    proposers: int = 0
    device: int | None = None

    def __post_init__(self) -> None:
        if not 0.0 <= self.quality <= 1.0:
            raise UsageError(f"quality of a plan is {self.quality}; use 0 to 1")
        if self.layers < 0 or self.proposers < 0 or (self.device is not None and self.device < 0):
            raise UsageError(f"a plan has a negative number: {self}; use 0 or more")

    @property
    def guests(self) -> int:
        """Inferences of other devices that a prompt costs."""
        return self.layers * self.proposers


def equal_fluid_quality(load: float, plans: Sequence[Plan]) -> float:
    """The bound for equal devices and users, in closed form.

    The best mean quality of a mixture of plans, refusal among them, whose mean number of
    inferences is at most 1 / load: a point of the concave hull of (inferences, quality).

    Args:
        load: lambda alpha, of one inference a prompt.
        plans: committees; a device that answers alone counts as one inference anywhere.
    """
    check_not_negative("load", load)
    budget = float("inf") if load == 0 else 1.0 / load
    points = [(0.0, 0.0)]
    points += [(float(tasks_per_prompt(p.layers, p.proposers)), p.quality) for p in plans]
    best = max(quality for cost, quality in points if cost <= budget)
    for cost, quality in points:
        for dearer, better in points:
            if cost <= budget < dearer:
                share = (budget - cost) / (dearer - cost)
                best = max(best, quality + share * (better - quality))
    return best


def fluid_quality(
    alphas: Sequence[float],
    rates: Sequence[float],
    plans: Sequence[Plan],
    slots: Sequence[int] = (),
) -> float:
    """The most quality per offered prompt that any rule can reach in the long run.

    Proposers are chosen freely, but no device twice in a layer. Devices and users that are
    alike are taken together, which loses nothing: the mean of optimal solutions is optimal. With
    more than two dozen kinds of them it is not kept apart whose guests a device serves; the
    result is then still a bound.

    Args:
        alphas: mean service times, seconds, shape (n,).
        rates: prompts/s of each user, shape (n,).
        plans: to choose from; with k of at most n - 1.
        slots: of each device; one each when empty.

    Raises:
        UsageError: a value makes no sense; names it.
    """
    import numpy as np
    from scipy.optimize import linprog
    from scipy.sparse import coo_array

    n = len(alphas)
    slots = tuple(slots) or (1,) * n
    for d, (alpha, rate) in enumerate(zip(alphas, rates, strict=True)):
        check_positive(f"alpha of device {d}", alpha)
        check_not_negative(f"rate of user {d}", rate)
    for plan in plans:
        if (plan.device or 0) >= n or (plan.layers and plan.proposers >= n):
            raise UsageError(f"{plan} does not fit {n} devices")
    total = sum(rates)
    if total == 0 or not plans:
        raise UsageError("there are no prompts, or no plans; give a rate and a plan")

    # Kinds of devices: those that are alike, and each that a plan names.
    named = {plan.device for plan in plans if plan.device is not None}
    kinds: dict[tuple[float, ...], list[int]] = {}
    for d in range(n):
        mark = float(d) if d in named else -1.0
        kinds.setdefault((alphas[d], rates[d], float(slots[d]), mark), []).append(d)
    groups = list(kinds.items())
    where = {d: g for g, (_, members) in enumerate(groups) for d in members}
    size = [len(members) for _, members in groups]
    apart = len(groups) <= _MOST_KINDS

    # Unknowns: x, prompts/s by kind of user and plan; y, guests' tasks/s by (user and plan, or
    # plan alone,) and kind of device. Rows: at most so many.
    worth: list[float] = []
    rows: list[tuple[list[tuple[int, float]], float]] = []
    loads: list[list[tuple[int, float]]] = [[] for _ in groups]
    equal: list[list[tuple[int, float]]] = []
    committees = [p for p in plans if p.guests]
    pooled: dict[Plan, list[tuple[int, float]]] = {p: [] for p in committees}
    for g, ((alpha, rate, _, _), members) in enumerate(groups):
        offered: list[tuple[int, float]] = []
        for plan in plans:
            x = len(worth)
            worth.append(plan.quality / total)
            offered.append((x, 1.0))
            if plan.device is not None:
                loads[where[plan.device]].append((x, alphas[plan.device]))
                continue
            loads[g].append((x, alpha * (plan.layers + 1)))
            if plan.guests and apart:
                spent = [(x, -float(plan.guests))]
                for e, ((other, *_), theirs) in enumerate(groups):
                    y = len(worth)
                    worth.append(0.0)
                    spent.append((y, 1.0))
                    loads[e].append((y, other))
                    available = len(theirs) - (e == g)
                    rows.append(([(y, 1.0), (x, -float(plan.layers * available))], 0.0))
                equal.append(spent)
            elif plan.guests:
                pooled[plan].append((x, -float(plan.guests)))
        rows.append((offered, rate * len(members)))
    if not apart:
        for spent in pooled.values():
            for e, ((other, *_), _) in enumerate(groups):
                spent.append((len(worth), 1.0))
                loads[e].append((len(worth), other))
                worth.append(0.0)
            equal.append(spent)
    for e, ((_, _, width, _), _) in enumerate(groups):
        rows.append((loads[e], width * size[e]))

    def matrix(lines: Sequence[Sequence[tuple[int, float]]]) -> "coo_array":
        entries = [(r, c, v) for r, line in enumerate(lines) for c, v in line]
        r, c, v = zip(*entries, strict=True)
        return coo_array((v, (r, c)), shape=(len(lines), len(worth)))

    solved = linprog(
        -np.array(worth),
        A_ub=matrix([line for line, _ in rows]),
        b_ub=[bound for _, bound in rows],
        A_eq=matrix(equal) if equal else None,
        b_eq=[0.0] * len(equal) if equal else None,
        method="highs",
    )
    assert solved.status == 0, solved.message
    return float(-solved.fun)
