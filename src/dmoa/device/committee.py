"""Which committee a prompt gets: the one place where M and k are decided, and why.

A user's wish (`Wish`) comes from the name of a model and the request; what becomes of it is a
`CommitteePlan`. Whatever must not leave the device does not. What names M and k gets the paper's
rule, with these M and k. The model `dmoa` gets the plan that is best by what examinations found
(`standings`), or what the owner has set.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from dmoa.device.device import Device
from dmoa.device.examinations import Examinations
from dmoa.device.shapes import likeliest, shape_of
from dmoa.device.survey import Survey
from dmoa.policies.admission import ladder
from dmoa.protocol.aggregation import Aggregation
from dmoa.protocol.conversation import Sampling
from dmoa.protocol.records import PlanRecord
from dmoa.standings.decision import Decision, View, best_single, decide
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
        best: the device that is known to be the best writes the answer.
        local_only: nothing may leave this device.
    """

    size: Size | None = None
    aggregation: Aggregation | None = None
    affordable: bool = False
    best: bool = False
    local_only: bool = False


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
        aggregator: id of the device that writes the answer; None for the own one.
        among: ids of the devices that may propose; None for all.
        greedy: whether the likeliest words are wanted, unless the user has set a temperature.
        decided: for the record, what was decided by standings.
        local_only: whether nothing may leave this device.
    """

    layers: int
    proposers: int
    aggregation: Aggregation
    reason: str
    lowered: bool = False
    aggregator: str | None = None
    among: tuple[str, ...] | None = None
    greedy: bool = False
    decided: PlanRecord | None = None
    local_only: bool = False

    @property
    def notes(self) -> list[str]:
        """What the record of a prompt should say from the start."""
        return [self.reason] if self.lowered else []

    def sampling(self, wanted: Sampling) -> Sampling:
        """How tokens are drawn, given what the user wants."""
        return likeliest(wanted) if self.greedy else wanted

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
        examinations: what is known of the devices; with None nothing is decided by it.
        local_only: nothing of any prompt may leave this device.
    """

    def __init__(
        self,
        device: Device,
        *,
        layers: int | None,
        proposers: int,
        aggregation: Aggregation = Aggregation(),
        examinations: Examinations | None = None,
        local_only: bool = False,
    ) -> None:
        self.examinations = examinations
        self._local_only = local_only
        self._device = device
        self._layers = layers
        self._proposers = proposers
        self._aggregation = aggregation
        self._survey = Survey(device)

    async def plan(self, wish: Wish, text: str = "") -> CommitteePlan:
        """The committee of a prompt that comes now.

        Args:
            wish: what its user asks for.
            text: what it says, where its topic may matter.
        """
        if wish.local_only or self._local_only:
            reason = "nothing of this prompt may leave the device, so its own LLM answers alone"
            return CommitteePlan(0, 0, Aggregation(), reason, local_only=True)
        if self.examinations is not None and self._decides(wish):
            return await self._decided(self.examinations, text)
        plan = self._usual() if wish.size is None else _as_asked(wish.size)
        plan = replace(plan, aggregation=wish.aggregation or self._aggregation)
        if wish.affordable and plan.layers:
            plan = await self._as_affordable(plan)
        if plan.aggregation.fallback and plan.layers:
            plan = self._as_experienced(plan)
        return self._by_the_best(plan) if wish.best else plan

    def default(self) -> CommitteePlan:
        """What the model `dmoa` means while there is room."""
        if self.examinations is not None and self._decides(Wish()):
            made = self.examinations.view()
            return self._as_decided(made, decide(made, may_ask=self._is_there))
        return self._usual()

    # --- by standings ------------------------------------------------------------------------

    def _decides(self, wish: Wish) -> bool:
        """Whether what is known of the devices decides: nobody has said what is wanted."""
        said = wish.size is not None or wish.aggregation is not None
        return not said and self._layers is None and self._aggregation == Aggregation()

    async def _decided(self, examinations: Examinations, text: str) -> CommitteePlan:
        made = examinations.view()
        if len(made.candidates) == 1 and not made.by_topic:
            return self._as_decided(made, decide(made))  # at once, and nobody is asked
        loads = await self._survey.loads()

        def may_ask(device: str) -> bool:
            # One that is there and says nothing of itself is hung.
            return self._is_there(device) and (not loads.backlog or device in loads.backlog)

        topic = examinations.topic(text)
        return self._as_decided(made, decide(made, topic=topic, may_ask=may_ask, load=loads.load))

    def _is_there(self, device: str) -> bool:
        return device in self._device.peer_links.cards()

    def _as_decided(self, made: View, decision: Decision) -> CommitteePlan:
        plan = decision.plan
        shape = shape_of(plan, self._device.own_id)
        record = PlanRecord(
            plan.layers,
            plan.proposers,
            made.cards[plan.aggregator].name,
            [made.cards[device].name for device in plan.devices],
            plan.method,
        )
        return CommitteePlan(
            shape.layers,
            shape.proposers,
            shape.aggregation,
            decision.why,
            aggregator=shape.aggregator,
            among=shape.among,
            greedy=shape.greedy,
            decided=record,
        )

    def _by_the_best(self, plan: CommitteePlan) -> CommitteePlan:
        """The same committee, its answer written by the device that is known to be the best."""
        if self.examinations is None:
            return plan
        made = self.examinations.view()
        best = best_single(made, self._is_there)
        reason = f"{plan.reason}; {best.why}"
        if best.plan.aggregator == self._device.own_id:
            return replace(plan, reason=reason)
        return replace(plan, reason=reason, aggregator=best.plan.aggregator)

    # --- without standings -------------------------------------------------------------------

    def _usual(self) -> CommitteePlan:
        """A committee as the owner has set it, or of everybody where models differ.

        It follows measurement (`docs/quality.md`): different LLMs gain by one layer; equal ones
        gain nothing over one of them, decoded with care, so a committee of one model is left out.
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
