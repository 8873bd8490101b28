"""Which plan a prompt is answered by: candidates with their qualities and work, and the law.

A plan says who is asked and what becomes of the answers. A candidate is a plan with the quality
that can be counted on (0 to 1) and the inferences that it puts on each device. `best` takes the
one that is worth most to the user by the prices of `policies.law`, or none: then the prompt is
refused, and `wait` says for how long.

    own = Candidate(alone("ada"), 0.36, {"ada": 1.0})
    peer = Candidate(alone("cyd"), 0.78, {"cyd": 1.0})
    assert best([own, peer]) == peer
    assert best([own, peer], Load({"cyd": 40.0})) == own
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from dmoa.policies.law import PATIENCE, choose_plan, price, retry_after

Method = Literal["alone", "synthesise", "select", "vote"]

EFFORT = 0.01
"""Without it a second layer would be taken for any gain, however small, on idle devices."""
ANYWHERE = ""
"""In a candidate's work: whoever is drawn of the other devices."""
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
        work: inferences put on each device, or `ANYWHERE`.
    """

    plan: Plan
    quality: float
    work: Mapping[str, float]


@dataclass(frozen=True)
class Load:
    """How busy the devices are, as far as the owner of a prompt knows.

    Attributes:
        backlog: work queued, in service or promised, by device, in mean service times of the
            network; none for the idle.
        pace: mean service time of each device, in those of the network; 1 where it is missing.
        elsewhere: backlog of the devices that are not named.
    """

    backlog: Mapping[str, float] = field(default_factory=dict)
    pace: Mapping[str, float] = field(default_factory=dict)
    elsewhere: float = 0.0


UNLOADED = Load()


class _Table:
    """Candidates as the law reads them."""

    def __init__(self, candidates: Sequence[Candidate], load: Load, effort: float) -> None:
        places: dict[str, int] = {}
        self.qualities: list[float] = []
        self.first = [0]
        self.places: list[int] = []
        self.seconds: list[float] = []
        for candidate in candidates:
            inferences = sum(candidate.work.values())
            self.qualities.append(candidate.quality - effort * max(0.0, inferences - 1.0))
            for device, work in candidate.work.items():
                self.places.append(places.setdefault(device, len(places)))
                self.seconds.append(work * load.pace.get(device, 1.0))
            self.first.append(len(self.places))
        self.backlogs = [
            load.backlog.get(device, 0.0 if device != ANYWHERE else load.elsewhere)
            for device in places
        ]


def best(
    candidates: Sequence[Candidate],
    load: Load = UNLOADED,
    patience: float = PATIENCE,
    effort: float = EFFORT,
) -> Candidate | None:
    """The candidate that is worth most, of equals the first; None if none is worth its price.

    O(candidates and their work).

    Args:
        candidates: the plans that can be carried out.
        load: how busy the devices are.
        patience: V of `policies.law`.
        effort: quality that an inference beyond the first must bring while nobody is busy.
    """
    table = _Table(candidates, load, effort)
    prices = [price(backlog, patience) for backlog in table.backlogs]
    chosen = choose_plan(
        table.qualities, table.first, table.places, table.seconds, prices, patience
    )
    return candidates[chosen] if chosen >= 0 else None


def wait(
    candidates: Sequence[Candidate],
    load: Load = UNLOADED,
    patience: float = PATIENCE,
    effort: float = EFFORT,
) -> float:
    """Mean service times until some candidate is worth its price, if nothing more comes.

    Arguments as of `best`.
    """
    table = _Table(candidates, load, effort)
    return retry_after(
        table.qualities, table.first, table.places, table.seconds, table.backlogs, patience
    )


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
