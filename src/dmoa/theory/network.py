"""The network that formulas and simulations speak of: devices, users, layers, proposers.

User i owns device i. A prompt of user i goes through M layers; in each, the own device and k
others, drawn anew, make one inference, and the layer ends when all are done. The own device
then aggregates. M = 0 is one inference by the own device. See the paper, section II.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from dmoa.errors import UsageError
from dmoa.theory.checks import check_count, check_not_negative, check_positive, check_shape


@dataclass(frozen=True)
class Lengths:
    """Mean service times of the three kinds of tasks, in units of a device's alpha.

    Their prompts differ: a first proposal reads the user's prompt, a refining one also k + 1
    responses, and the aggregation likewise.
    """

    first: float = 1.0
    refining: float = 1.0
    aggregating: float = 1.0

    def __post_init__(self) -> None:
        for name in ("first", "refining", "aggregating"):
            check_positive(f"length of {name} tasks", getattr(self, name))


@dataclass(frozen=True)
class QueueingNetwork:
    """n devices and their users.

    Attributes:
        alphas: n mean service times, seconds.
        rates: n arrival rates, prompts per second per user.
        layers: M, at most `LIMITS.layers`.
        proposers: k, other devices asked in each layer, at most n - 1 and
            `LIMITS.proposers`.
        lengths: relative service times of first, refining and aggregating tasks.
        slots: n numbers of tasks that a device serves at once; empty for one each.
        neighbours: for each device those it may ask; empty for all others.

    Raises:
        UsageError: a value makes no sense; names it.
    """

    alphas: tuple[float, ...]
    rates: tuple[float, ...]
    layers: int
    proposers: int
    lengths: Lengths = Lengths()
    slots: tuple[int, ...] = ()
    neighbours: tuple[tuple[int, ...], ...] = ()

    def __post_init__(self) -> None:
        n = self.size
        if n < 1:
            raise UsageError("a network needs at least one device; devices is 0")
        for d, alpha in enumerate(self.alphas):
            check_positive(f"alpha of device {d}", alpha)
        if len(self.rates) != n:
            raise UsageError(f"{len(self.rates)} rates for {n} devices; give one, or one a device")
        for i, rate in enumerate(self.rates):
            check_not_negative(f"rate of user {i}", rate)
        check_shape(n, self.layers, self.proposers)
        if self.slots and len(self.slots) != n:
            raise UsageError(f"{len(self.slots)} slots for {n} devices; give one, or one a device")
        if any(s < 1 for s in self.slots):
            raise UsageError(f"slots {min(self.slots)} of a device; it needs at least 1")
        self._check_neighbours()

    def _check_neighbours(self) -> None:
        if not self.neighbours:
            return
        n = self.size
        if len(self.neighbours) != n:
            raise UsageError(f"neighbours of {len(self.neighbours)} devices, but there are {n}")
        for i, others in enumerate(self.neighbours):
            for j in others:
                if not 0 <= j < n or j == i:
                    raise UsageError(
                        f"device {i} has neighbour {j}; use other devices, 0 to {n - 1}"
                    )
            if len(set(others)) != len(others):
                raise UsageError(f"device {i} has a neighbour twice: {list(others)}")
            if self.layers and len(others) < self.proposers:
                raise UsageError(
                    f"proposers is {self.proposers}, but device {i} has only"
                    f" {len(others)} neighbours; lower k or add neighbours"
                )

    @property
    def size(self) -> int:
        """n, the number of devices."""
        return len(self.alphas)

    @property
    def tasks_per_prompt(self) -> int:
        """C = (k+1) M + 1."""
        return tasks_per_prompt(self.layers, self.proposers)

    @property
    def is_equal(self) -> bool:
        """Whether all devices and users are alike and everybody may ask everybody."""
        return (
            len(set(self.alphas)) == 1
            and len(set(self.rates)) == 1
            and not self.neighbours
            and len(set(self.slots)) <= 1
        )


def equal_network(
    devices: int,
    alpha: float,
    rate: float,
    layers: int,
    proposers: int,
    lengths: Lengths = Lengths(),
) -> QueueingNetwork:
    """`devices` alike, the paper's setting."""
    check_count("devices", devices)
    return QueueingNetwork((alpha,) * devices, (rate,) * devices, layers, proposers, lengths)


def tasks_per_prompt(layers: int, proposers: int) -> int:
    """C = (k+1) M + 1, the inferences that one prompt costs; 1 for M = 0."""
    return (proposers + 1) * layers + 1


def spread(name: str, values: float | Sequence[float], devices: int | None) -> tuple[float, ...]:
    """One value for all devices, or one a device, as one a device.

    Raises:
        UsageError: the number of values is neither 1 nor that of devices.
    """
    listed = [float(values)] if isinstance(values, int | float) else [float(v) for v in values]
    n = len(listed) if devices is None else devices
    check_count("devices", n)
    if len(listed) == 1:
        return tuple(listed) * n
    if len(listed) != n:
        raise UsageError(f"{name} has {len(listed)} values for {n} devices; give one, or {n}")
    return tuple(listed)
