"""Which committee a prompt gets: the one place where M and k are decided, and why.

A user's wish (`Wish`) comes from the name of a model and the request; what becomes of it is a
`CommitteePlan`. Whatever must not leave the device does not. What names M and k gets the paper's
rule, with these M and k. The model `dmoa` gets the plan that is worth most now, by what
examinations found (`standings`) and by what work costs (`policies.plans`), or what the owner has
set. Where no plan is worth its price, the prompt is refused, and told when one will be.
"""

from dataclasses import dataclass, replace

from dmoa.device.device import Device
from dmoa.device.examinations import Examinations
from dmoa.device.shapes import likeliest, shape_of
from dmoa.errors import QueueFull
from dmoa.policies.law import PATIENCE
from dmoa.policies.plans import ANYWHERE, Candidate, alone, best, wait
from dmoa.protocol.aggregation import Aggregation
from dmoa.protocol.conversation import Sampling
from dmoa.protocol.records import PlanRecord
from dmoa.standings.decision import Decision, View, able, best_single, decide, decide_idle

LOOKED_AT = 32
"""Other devices, drawn by chance, whose load says how busy all of them are."""
WISHED = 1.0
"""Quality of what a user asks for by name: it is worth all of the patience to them."""


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
        best: the device that is known to be the best writes the answer.
        local_only: nothing may leave this device.
        patience: mean service times that a surely right answer may cost, work times price;
            None leaves it to the device.
    """

    size: Size | None = None
    aggregation: Aggregation | None = None
    best: bool = False
    local_only: bool = False
    patience: float | None = None


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
        patience: mean service times that a surely right answer may cost, unless a prompt says
            otherwise.
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
        patience: float = PATIENCE,
    ) -> None:
        self._patience = patience
        self.examinations = examinations
        self._local_only = local_only
        self._device = device
        self._layers = layers
        self._proposers = proposers
        self._aggregation = aggregation

    async def plan(self, wish: Wish, text: str = "") -> CommitteePlan:
        """The committee of a prompt that comes now.

        Nothing is awaited after the decision: whoever calls this and tells the device of the
        prompt at once (`Device.expect`) has decided on what is true.

        Args:
            wish: what its user asks for.
            text: what it says, where its topic may matter.

        Raises:
            QueueFull: no plan is worth what its work costs now; says when one will be.
        """
        if wish.local_only or self._local_only:
            reason = "nothing of this prompt may leave the device, so its own LLM answers alone"
            plan = CommitteePlan(0, 0, Aggregation(), reason, local_only=True)
            return await self._at_the_door(plan, wish)
        if self.examinations is not None and self._decides(wish):
            return await self._decided(self.examinations, wish, text)
        plan = self._usual() if wish.size is None else _as_asked(wish.size)
        plan = replace(plan, aggregation=wish.aggregation or self._aggregation)
        if plan.aggregation.fallback and plan.layers:
            plan = self._as_experienced(plan)
        return await self._at_the_door(self._by_the_best(plan) if wish.best else plan, wish)

    def default(self) -> CommitteePlan:
        """What the model `dmoa` means while there is room."""
        if self.examinations is not None and self._decides(Wish()):
            made = self.examinations.view()
            return self._as_decided(made, decide_idle(made, may_ask=self._is_there))
        return self._usual()

    # --- by standings ------------------------------------------------------------------------

    def _decides(self, wish: Wish) -> bool:
        """Whether what is known of the devices decides: nobody has said what is wanted."""
        said = wish.size is not None or wish.aggregation is not None
        return not said and self._layers is None and self._aggregation == Aggregation()

    async def _decided(self, examinations: Examinations, wish: Wish, text: str) -> CommitteePlan:
        made = examinations.view()
        topic = examinations.topic(text)
        loads = self._device.loads
        members = {device for c in made.of(topic) for device in c.plan.members}
        await loads.renew(device for device in members if self._is_there(device))

        def may_ask(device: str) -> bool:
            return self._is_there(device) and not loads.is_silent(device)

        load, patience = loads.load(members), self._patience_for(wish)
        decision = decide(made, topic=topic, may_ask=may_ask, load=load, patience=patience)
        if decision is None:
            raise self._refusal(wait(able(made, topic, may_ask), load, patience))
        return self._as_decided(made, decision)

    def _patience_for(self, wish: Wish) -> float:
        wanted = self._patience if wish.patience is None else wish.patience
        return self._device.loads.patience(wanted)

    def _refusal(self, services: float) -> QueueFull:
        seconds = self._device.loads.seconds(services)
        return QueueFull(
            "there is more work than an answer is worth waiting for; more patience waits longer",
            seconds,
        )

    async def _at_the_door(self, plan: CommitteePlan, wish: Wish) -> CommitteePlan:
        """A plan that was not chosen by its price is taken only if it is worth that."""
        own, loads = self._device.own_id, self._device.loads
        work: dict[str, float] = {own: plan.layers + (0.0 if plan.aggregator else 1.0)}
        if plan.aggregation.method != "synthesise" and plan.layers:
            work[own] = plan.layers
        elif plan.aggregator:
            work[plan.aggregator] = 1.0
        peers = list(self._device.peer_links.cards())
        proposers = min(plan.proposers, len(peers))
        if plan.layers and proposers:
            work[ANYWHERE] = float(plan.layers * proposers)
            sample = self._device.random.sample(peers, min(len(peers), LOOKED_AT))
            await loads.renew(sample)
        candidate = Candidate(alone(own), WISHED, work)
        load, patience = loads.load(work), self._patience_for(wish)
        if best([candidate], load, patience, effort=0.0) is None:
            raise self._refusal(wait([candidate], load, patience, effort=0.0))
        return plan

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
