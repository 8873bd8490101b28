"""What a client asks becomes a prompt of the device, in the same way for every API."""

from dataclasses import dataclass, field, replace

from dmoa.api import models
from dmoa.api.background import background_task
from dmoa.api.errors import ApiError
from dmoa.device.committee import ALONE, CommitteePlan, Committees, Wish
from dmoa.device.device import Device
from dmoa.protocol.conversation import Constraints, Message, Sampling
from dmoa.protocol.forms import Form
from dmoa.protocol.layer import LayerPolicy
from dmoa.protocol.packing import INSTRUCTION
from dmoa.protocol.prompt import Prompt
from dmoa.protocol.required import RequiredCall, demand_of

OWN = "own"


@dataclass(frozen=True)
class PromptDefaults:
    """What the owner of a device has set for all prompts.

    Attributes:
        policy: how long layers wait.
        background: whether what chat programs ask for themselves goes to the own LLM alone.
        draft_tokens: longest draft; None for as long as the answer may be.
        aggregator: name or id of the device that writes the answer, or `own`.
    """

    policy: LayerPolicy = field(default_factory=LayerPolicy)
    background: bool = True
    draft_tokens: int | None = None
    aggregator: str = OWN


@dataclass(frozen=True)
class Asked:
    """What a request asks, whatever API it came by.

    Attributes:
        model: as the client calls it.
        instruction: of the aggregation, where the client has one of its own.
        draft_tokens: longest draft, where it is wished.
        aggregator: name or id of the device that is to write the answer.
        local_only: nothing of the prompt may leave this device, whatever the model says.
        patience: what the answer is worth to the client, see `policies.law`.
        notes: what of the request was left out, for the prompt's record.
        stream: whether the client reads the answer as it comes.
    """

    model: str
    messages: list[Message]
    sampling: Sampling = Sampling()
    constraints: Constraints | None = None
    instruction: str | None = None
    draft_tokens: int | None = None
    aggregator: str | None = None
    local_only: bool = False
    patience: float | None = None
    notes: list[str] = field(default_factory=list)
    stream: bool = False


class PromptMaker:
    """Makes the prompts of one device.

    Args:
        device: the device.
        committees: decide M and k.
        defaults: what its owner has set.
    """

    def __init__(self, device: Device, committees: Committees, defaults: PromptDefaults) -> None:
        self._device = device
        self._committees = committees
        self._defaults = defaults

    def check(self, asked: Asked) -> tuple[Wish, RequiredCall | Form | None]:
        """Refuse what can never be answered; what its model means, and what its answer must be.

        Raises:
            ApiError: there is no such model, or M or k is out of range.
            RequestRefused: the form that is asked for makes no sense.
        """
        return models.parse(asked.model, self._device.llm.info.name), demand_of(asked.constraints)

    async def make(self, asked: Asked) -> Prompt:
        """The prompt of a request, of which the device knows from now on.

        Raises:
            QueueFull: no plan is worth what its work costs now.
            ApiError: there is no such model or aggregator, or M or k is out of range.
            RequestRefused: the form that is asked for makes no sense.
        """
        wish, demand = self.check(asked)
        if asked.local_only:
            wish = replace(wish, local_only=True)
        plan = await self._plan(replace(wish, patience=asked.patience), asked.messages)
        prompt = Prompt(
            messages=asked.messages,
            layers=plan.layers,
            proposers=plan.proposers,
            sampling=plan.sampling(asked.sampling),
            constraints=asked.constraints,
            instruction=asked.instruction or INSTRUCTION,
            aggregation=plan.aggregation,
            policy=self._defaults.policy,
            why=plan.reason,
            notes=[*plan.notes, *asked.notes],
            streamed=asked.stream,
            # A server that keeps to forms needs no waiting for the end.
            held=isinstance(demand, Form) and not self._device.llm.info.capabilities.formats,
            draft_tokens=asked.draft_tokens or self._defaults.draft_tokens,
            aggregator=self._aggregator(asked.aggregator, plan),
            among=plan.among,
            local_only=plan.local_only,
            plan=plan.decided,
        )
        self._device.expect(prompt)
        return prompt

    async def _plan(self, wish: Wish, messages: list[Message]) -> CommitteePlan:
        if self._defaults.background and (task := background_task(messages)) is not None:
            alone = replace(ALONE, local_only=wish.local_only, patience=wish.patience)
            plan = await self._committees.plan(alone)
            return replace(plan, reason=f"a chat program wants {task}, which needs no committee")
        said = [message.content for message in messages if message.role == "user"]
        return await self._committees.plan(wish, said[-1] if said else "")

    def _aggregator(self, wanted: str | None, plan: CommitteePlan) -> str | None:
        """Id of the device that is to write the answer; None for the own one."""
        name = wanted or self._defaults.aggregator
        if not plan.layers or (wanted is None and name == OWN):
            return plan.aggregator
        device = self._device
        if name in (OWN, device.name, device.own_id):
            return None
        for peer, card in device.peer_links.cards().items():
            if name in (peer, card.name):
                return peer
        if wanted is None:
            return None  # the one that is set is away
        raise ApiError(404, f"aggregator {wanted!r} is no device that is here now")
