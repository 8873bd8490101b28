"""Which committee a prompt gets: the one place where M and k are decided, and why.

A user's wish (`Wish`) comes from the name of a model; what becomes of it (`CommitteePlan`)
depends on what the device is set to, on the models that are there, on the load of the network
and on what the device has learnt of the others' drafts.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from dmoa.device.device import Device
from dmoa.device.survey import Survey
from dmoa.policies.admission import ladder
from dmoa.protocol.aggregation import Aggregation
from dmoa.theory.network import QueueingNetwork
from dmoa.theory.stability import network_load

LOAD_LIMIT = 0.8
"""Predicted load of the busiest device that is still taken; latency grows steeply above."""


@dataclass(frozen=True)
class Size:
    """How many layers (M), and how many other devices in each (k)."""

    layers: int
    proposers: int


@dataclass(frozen=True)
class Wish:
    """What a user asks for.

    Attributes:
        size: M and k; None leaves them to the device.
        aggregation: what is done with drafts; None leaves it to the device.
        affordable: not more than the network has room for just now.
    """

    size: Size | None = None
    aggregation: Aggregation | None = None
    affordable: bool = False


ALONE = Wish(Size(0, 0), Aggregation())
"""The own LLM, and nobody else."""


@dataclass(frozen=True)
class CommitteePlan:
    """What a prompt gets.

    Attributes:
        layers: M.
        proposers: k.
        aggregation: what is done with the drafts.
        reason: why, in a sentence.
        lowered: whether it is less than the user would expect, so that a note says why.
    """

    layers: int
    proposers: int
    aggregation: Aggregation
    reason: str
    lowered: bool = False

    @property
    def notes(self) -> list[str]:
        """What the record of a prompt should say from the start."""
        return [self.reason] if self.lowered else []

    def lower(self, layers: int, proposers: int, reason: str) -> "CommitteePlan":
        """The same with a smaller committee."""
        return replace(self, layers=layers, proposers=proposers, reason=reason, lowered=True)


class Committees:
    """Decides M and k for the prompts of a device.

    Args:
        device: the device.
        layers: M that its owner has set; None where it depends on the models that are there.
        proposers: k that its owner has set.
        aggregation: what is done with drafts unless a prompt says otherwise.
    """

    def __init__(
        self,
        device: Device,
        *,
        layers: int | None,
        proposers: int,
        aggregation: Aggregation = Aggregation(),
    ) -> None:
        self._device = device
        self._layers = layers
        self._proposers = proposers
        self._aggregation = aggregation
        self._survey = Survey(device)

    async def plan(self, wish: Wish) -> CommitteePlan:
        """The committee of a prompt that comes now."""
        plan = self.default() if wish.size is None else _as_asked(wish.size)
        plan = replace(plan, aggregation=wish.aggregation or self._aggregation)
        if wish.affordable and plan.layers:
            plan = await self._as_affordable(plan)
        if plan.aggregation.fallback and plan.layers:
            plan = self._as_experienced(plan)
        return plan

    def default(self) -> CommitteePlan:
        """What the model `dmoa` means while there is room.

        Without a wish of the owner it follows measurement (`docs/quality.md`): different LLMs
        gain by one layer; equal ones gain nothing over one of them, decoded with care, so a
        committee of one model is left out.
        """
        if self._layers is not None:
            reason = f"this device is set to M = {self._layers}, k = {self._proposers}"
            return CommitteePlan(self._layers, self._proposers, self._aggregation, reason)
        reason = f"different models are there, which gain by one layer of k = {self._proposers}"
        plan = CommitteePlan(1, self._proposers, self._aggregation, reason)
        models = [card.model for card in self._device.peer_links.cards().values()]
        if not models:
            return replace(plan, layers=0, reason="no other device is there")
        if all(model == self._device.llm.info.name for model in models):
            reason = "every device runs the same model, so the committee was left out"
            return plan.lower(0, plan.proposers, f"{reason}; ask dmoa-m1-k3 for it all the same")
        return plan

    async def _as_affordable(self, plan: CommitteePlan) -> CommitteePlan:
        loads = await self._survey.loads()
        if not loads.alphas:
            return plan
        layers, proposers = affordable(plan.layers, plan.proposers, loads.alphas, loads.rates)
        if (layers, proposers) == (plan.layers, min(plan.proposers, len(loads.alphas) - 1)):
            return plan
        return plan.lower(
            layers,
            proposers,
            f"the load of the network leaves room for M = {layers}, k = {proposers} now",
        )

    def _as_experienced(self, plan: CommitteePlan) -> CommitteePlan:
        experience = self._device.experience
        if not experience.hopeless:
            return plan
        explores = experience.explores
        experience.count_hopeless_prompt()
        if explores:
            return replace(
                plan, reason="the own drafts have been the best ones lately; this is a new trial"
            )
        return plan.lower(
            0,
            plan.proposers,
            "the committee was left out: the own drafts have been the best ones lately",
        )


def _as_asked(size: Size) -> CommitteePlan:
    reason = f"the prompt asks for M = {size.layers}, k = {size.proposers}"
    if not size.layers:
        reason = "the prompt asks for the own LLM alone"
    return CommitteePlan(size.layers, size.proposers, Aggregation(), reason)


def affordable(
    layers: int, proposers: int, alphas: Sequence[float], rates: Sequence[float]
) -> tuple[int, int]:
    """The first rung of a ladder below (M, k) at which no device is loaded beyond the limit.

    M goes first, then k, so that a network gives up layers before it refuses prompts.

    Args:
        layers: M that is wanted.
        proposers: k that is wanted.
        alphas: mean service time of each device, seconds.
        rates: prompts per second of each device's user.

    Returns:
        M and k; (0, 0) if nothing else can be afforded.
    """
    for M, k in ladder(layers, min(proposers, len(alphas) - 1)):
        if network_load(QueueingNetwork(tuple(alphas), tuple(rates), M, k)) <= LOAD_LIMIT:
            return M, k
    return 0, 0
