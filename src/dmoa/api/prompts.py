"""From what a client asks to a prompt of the device: the same for every API."""

from dataclasses import dataclass, field, replace

from dmoa.api import models
from dmoa.api.background import background_task
from dmoa.api.errors import ApiError
from dmoa.api.requests import Extension
from dmoa.device.committee import ALONE, CommitteePlan, Committees, Wish
from dmoa.device.device import Device
from dmoa.protocol.conversation import Constraints, Message, Sampling
from dmoa.protocol.forms import form_of
from dmoa.protocol.layer import LayerPolicy
from dmoa.protocol.packing import INSTRUCTION
from dmoa.protocol.prompt import Prompt

OWN = "own"


@dataclass(frozen=True)
class Habits:
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


class Prompts:
    """Makes the prompts of one device.

    Args:
        device: the device.
        committees: decide M and k.
        habits: what its owner has set.
    """

    def __init__(self, device: Device, committees: Committees, habits: Habits) -> None:
        self._device = device
        self._committees = committees
        self._habits = habits

    async def make(
        self,
        model: str,
        messages: list[Message],
        sampling: Sampling,
        constraints: Constraints | None = None,
        *,
        extension: Extension | None = None,
        streamed: bool,
    ) -> Prompt:
        """A prompt.

        Args:
            model: as the client names it.
            messages, sampling, constraints: what it asks.
            extension: dmoa's own part of the request.
            streamed: whether it reads the answer as it comes.

        Raises:
            ApiError: there is no such model or aggregator, or M or k is out of range.
            RequestRefused: the form that is asked for makes no sense.
        """
        wish = models.parse(model, self._device.llm.info.name)
        wanted, habits = extension or Extension(), self._habits
        form = form_of(constraints)
        if wanted.local_only:
            wish = replace(wish, local_only=True)
        plan = await self._plan(wish, messages)
        return Prompt(
            messages=messages,
            layers=plan.layers,
            proposers=plan.proposers,
            sampling=plan.sampling(sampling),
            constraints=constraints,
            instruction=wanted.instruction or INSTRUCTION,
            aggregation=plan.aggregation,
            policy=habits.policy,
            why=plan.reason,
            notes=plan.notes,
            streamed=streamed,
            # A server that keeps to forms needs no waiting for the end.
            held=form is not None and not self._device.llm.info.capabilities.formats,
            draft_tokens=wanted.draft_tokens or habits.draft_tokens,
            aggregator=self._aggregator(wanted.aggregator, plan),
            among=plan.among,
            local_only=plan.local_only,
            plan=plan.decided,
        )

    async def _plan(self, wish: Wish, messages: list[Message]) -> CommitteePlan:
        if self._habits.background and (task := background_task(messages)) is not None:
            plan = await self._committees.plan(replace(ALONE, local_only=wish.local_only))
            return replace(plan, reason=f"a chat program wants {task}, which needs no committee")
        asked = [message.content for message in messages if message.role == "user"]
        return await self._committees.plan(wish, asked[-1] if asked else "")

    def _aggregator(self, wanted: str | None, plan: CommitteePlan) -> str | None:
        """Id of the device that is to write the answer; None for the own one."""
        name = wanted or self._habits.aggregator
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
