"""Which plan a prompt is answered by: quality against work, as one pure function.

A plan says who is asked and what becomes of the answers. A candidate is a plan with the quality
that can be counted on (0 to 1) and the work that it puts on each device. `best` takes the one
with the largest

    V q - sum over devices of w_d (B_d + P/n + idle a) / a

w_d: mean service times that the plan puts on d; B_d: seconds queued or in service there; P/n:
seconds promised and not yet placed; a: mean service time; V: the patience, in service times.
`idle` is what an inference costs when nothing is queued anywhere: without it a second layer
would be taken for any gain however small. This is drift-plus-penalty: with no backlog it is
quality, less a small price an inference.

    own = Candidate(alone("ada"), 0.36, {"ada": 1.0})
    peer = Candidate(alone("cyd"), 0.78, {"cyd": 1.0})
    assert best([own, peer]).plan.aggregator == "cyd"
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

Method = Literal["alone", "synthesise", "select", "vote"]

PATIENCE = 60.0
"""V: mean service times that a surely right answer may cost, work times backlog."""
IDLE = 0.6
"""Mean service times queued that an idle device counts as: at V = 60, a point an inference."""
LEVEL = 0.95
"""How sure a device must be before it leaves what it has for something else."""
JUST_BELOW = 1e-6


@dataclass(frozen=True)
class Plan:
    """Who is asked, and what becomes of the answers.

    Attributes:
        layers: M; 0 if nothing is aggregated by an LLM.
        proposers: k, devices beside the owner of a committee.
        aggregator: device that writes the answer; of `select` and `vote` the one that wins a
            tie; of `alone` the only one.
        devices: those that are asked for drafts, in order; none of `alone`.
        method: what is done.
    """

    layers: int
    proposers: int
    aggregator: str
    devices: tuple[str, ...] = ()
    method: Method = "alone"

    @property
    def inferences(self) -> int:
        """Inferences that it takes when nothing fails."""
        if self.method == "alone":
            return 1
        if self.method == "synthesise":
            return self.layers * len(self.devices) + 1
        return len(self.devices)

    @property
    def members(self) -> frozenset[str]:
        """Every device that has work of it."""
        return frozenset((self.aggregator, *self.devices))


def alone(device: str) -> Plan:
    """One device answers."""
    return Plan(0, 0, device)


def choosing(devices: Sequence[str], method: Literal["select", "vote"]) -> Plan:
    """One of several devices' drafts is the answer; of equals, the first device's."""
    return Plan(1, len(devices) - 1, devices[0], tuple(devices), method)


def committee(layers: int, devices: Sequence[str], aggregator: str) -> Plan:
    """Drafts of all devices, M layers deep, become an answer of the aggregator."""
    return Plan(layers, len(devices) - 1, aggregator, tuple(devices), "synthesise")


def work_of(plan: Plan) -> dict[str, float]:
    """Inferences that a plan puts on each device: its work if all of them take equally long."""
    each = plan.layers if plan.method == "synthesise" else 1
    work = dict.fromkeys(plan.devices, float(each))
    if plan.method in ("alone", "synthesise"):
        work[plan.aggregator] = work.get(plan.aggregator, 0.0) + 1.0
    return work


@dataclass(frozen=True)
class Candidate:
    """A plan that could be carried out.

    Attributes:
        plan: what would be done.
        quality: probability that its answer is right, as far as it can be counted on.
        work: mean service times put on each device.
    """

    plan: Plan
    quality: float
    work: Mapping[str, float]


@dataclass(frozen=True)
class Load:
    """How busy the devices are, as last published.

    Attributes:
        backlog: seconds of work queued or in service, by device; none for the idle.
        promised: seconds a device promised to admitted prompts and not yet placed.
        alpha: mean service time, seconds.
    """

    backlog: Mapping[str, float] = field(default_factory=dict)
    promised: float = 0.0
    alpha: float = 1.0


UNLOADED = Load()


def worth(
    candidate: Candidate, load: Load = UNLOADED, patience: float = PATIENCE, idle: float = IDLE
) -> float:
    """What a plan is worth now, in mean service times; below 0 it is not worth its work."""
    backlog, floor = load.backlog, load.promised + idle * load.alpha
    cost = sum(work * (backlog.get(d, 0.0) + floor) for d, work in candidate.work.items())
    return patience * candidate.quality - cost / load.alpha


def best(
    candidates: Sequence[Candidate],
    load: Load = UNLOADED,
    patience: float = PATIENCE,
    idle: float = IDLE,
) -> Candidate:
    """The candidate that is worth most; of equals the first. O(candidates and their work).

    Raises:
        ValueError: there is no candidate.
    """
    return max(candidates, key=lambda candidate: worth(candidate, load, patience, idle))


def counted(mean: float, reference: float, chance: float, level: float = LEVEL) -> float:
    """The quality that something other than the reference counts with.

    Leaving what one has needs evidence: until it is credible that the other is better, it
    counts as a little worse than the reference, however good it looks.

    Args:
        mean: its estimated quality.
        reference: quality of what it would replace.
        chance: probability that it is better.
        level: how sure one must be.
    """
    return mean if chance >= level else min(mean, reference - JUST_BELOW)


def level_among(rivals: int, level: float = LEVEL) -> float:
    """The level for each of several rivals, so that all together are wrong as seldom as one.

    Bonferroni: the luckiest of 64 equal peers looks better than it is.
    """
    return 1.0 - (1.0 - level) / max(1, rivals)


def possible(plan: Plan, own: str, may_ask: Callable[[str], bool]) -> bool:
    """Whether everyone whom a plan needs may be asked: alive, allowed, not `local_only`."""
    return all(device == own or may_ask(device) for device in plan.members)
