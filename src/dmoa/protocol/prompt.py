"""Algorithm 1 of arXiv 2412.21200 for one prompt, on devices that fail.

It knows the devices by name, how to ask one of them for an inference (its own is asked like
any other), a clock and a random generator; nothing of HTTP, Zenoh or llama.cpp.
`PROTOCOL.md` beside this file states the invariants.
"""

import asyncio
import random
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import msgspec

from dmoa.errors import DeadlinePassed, PeerRefused
from dmoa.policies.limits import LIMITS
from dmoa.protocol.aggregation import Aggregation, agreed
from dmoa.protocol.conversation import Constraints, Message, Sampling
from dmoa.protocol.events import Accepted, Event, Finished, Text
from dmoa.protocol.experience import Experience
from dmoa.protocol.layer import Layer, LayerPolicy, Proposal
from dmoa.protocol.ledger import Ledger
from dmoa.protocol.packing import INSTRUCTION, levelled
from dmoa.protocol.records import PlanRecord, PromptRecord
from dmoa.protocol.tasks import Answer, Committee, Say, Task
from dmoa.protocol.writing import Writing
from dmoa.selection import consensus

MEANWHILE_SECONDS = 0.05
"""After so long the next step's inferences are under way, and there is time to learn."""


def new_prompt_id() -> str:
    """The id of one more prompt."""
    return f"prompt-{secrets.token_hex(12)}"


@dataclass(frozen=True)
class Prompt:
    """What a user asks.

    Attributes:
        layers: M, number of layers of proposers; 0 asks the own LLM only.
        proposers: k, number of other devices in each layer.
        why: why it is this M and k, in a sentence.
        notes: what the answer's record should say from the start.
        streamed: whether the user sees the answer as it comes, so that it cannot be begun anew
            without a trace.
        held: whether an answer that must have a form is kept back until it is known to have it.
        draft_tokens: longest draft, where that is another than the answer's.
        aggregator: id of the device that writes the answer; None for the own one.
        among: ids of the devices that may be proposers; None for all that are there.
        local_only: nothing of it leaves the own device, whatever else it says and whoever fails.
        plan: for the record, what was decided.
    """

    messages: list[Message]
    layers: int
    proposers: int
    sampling: Sampling = Sampling()
    constraints: Constraints | None = None
    instruction: str = INSTRUCTION
    aggregation: Aggregation = Aggregation()
    policy: LayerPolicy = field(default_factory=LayerPolicy)
    why: str = "whoever made the prompt gave M and k"
    notes: list[str] = field(default_factory=list)
    streamed: bool = True
    held: bool = False
    draft_tokens: int | None = None
    aggregator: str | None = None
    among: Sequence[str] | None = None
    local_only: bool = False
    plan: PlanRecord | None = None
    id: str = field(default_factory=new_prompt_id)

    def tasks(self, own: str) -> dict[str, int]:
        """How many inferences it needs of each device that is certain, when nothing fails.

        Args:
            own: id of the device whose user asks.
        """
        among = [own] if self.among is None else self.among
        named = among if len(among) <= self.proposers + 1 or self.among is None else []
        if own in among:
            named = list(dict.fromkeys((own, *named)))
        if self.local_only:
            named = [own]
        tasks = dict.fromkeys(named, self.layers) if self.layers else {}
        chooses = self.layers and self.aggregation.method != "synthesise"
        if not chooses or self.constraints is not None:
            writer = own if self.local_only or self.aggregator is None else self.aggregator
            tasks[writer] = tasks.get(writer, 0) + 1
        return tasks


async def answer(
    prompt: Prompt,
    committee: Committee,
    random_generator: random.Random,
    tell: Callable[[Event], None],
    experience: Experience | None = None,
    deadline: float | None = None,
) -> Finished:
    """Run a prompt through its layers and the aggregation.

    Args:
        prompt: the prompt.
        committee: the devices.
        random_generator: draws the proposers.
        tell: is called with each event as it happens, the returned one last.
        experience: what the owner's device has learnt of drafts; grows.
        deadline: seconds after which the prompt is given up.

    Raises:
        ContextExceeded: the prompt is longer than every window.
        QueueFull: every device refused for want of room.
        RequestRefused: the own LLM's server says that the request is wrong.
        DeadlinePassed: it took too long.
        NobodyAnswered: no device could answer.
    """
    run = _Run(prompt, committee, random_generator, tell, experience or Experience())
    return await run.answer(deadline)


class _Run:
    """The state of one prompt on its way."""

    def __init__(
        self,
        prompt: Prompt,
        committee: Committee,
        random_generator: random.Random,
        tell: Callable[[Event], None],
        experience: Experience,
    ) -> None:
        self.experience = experience
        self.prompt = prompt
        self.committee = committee = _OwnAlone(committee) if prompt.local_only else committee
        self.random = random_generator
        self.tell = tell
        self.asked = 0
        self.record = PromptRecord(
            id=prompt.id,
            started=time.time(),
            M=prompt.layers,
            k=0,
            k_requested=prompt.proposers if prompt.layers else 0,
            notes=list(prompt.notes),
            why=prompt.why,
            plan=prompt.plan,
        )
        self.ledger = Ledger(self.record, committee)

    async def answer(self, deadline: float | None) -> Finished:
        with self.ledger:
            self.tell(Accepted(self.record))
            try:
                async with asyncio.timeout(deadline) as limit:
                    finished = await self._through_layers()
            except TimeoutError:
                if deadline is None or not limit.expired():
                    raise  # a fault of ours, and not our deadline
                raise DeadlinePassed(
                    f"the prompt was not answered in {deadline:.0f} s;"
                    " ask for fewer layers, or raise prompt_deadline"
                ) from None
        self.tell(finished)
        return finished

    async def _through_layers(self) -> Finished:
        how, M = self.prompt.aggregation, self.prompt.layers
        # What must have a form, only an aggregator can give one.
        free = self.prompt.constraints is None
        drafts: list[Proposal] = []
        for number in range(1, M + 1):
            if new := await self._layer(number, drafts):
                drafts = new  # otherwise nobody's draft is better than the last layer's
                if number < M or how.method == "synthesise" or not free:
                    asyncio.get_running_loop().call_later(MEANWHILE_SECONDS, self._learn, new)
            if how.early_stop and free and (same := agreed(_texts(drafts))) is not None:
                if number < M:
                    self.ledger.note(
                        f"the drafts of layer {number} agree; no further layer was asked"
                    )
                return self._selected(drafts[same])
        if how.method != "synthesise" and drafts:
            if free:
                return self._selected(self._choose(drafts))
            self.ledger.note(f"tools and formats need an aggregator, so {how.method} was not used")
        return await self._aggregate(drafts)

    async def _layer(self, number: int, before: list[Proposal]) -> list[Proposal]:
        """The drafts of one more layer."""
        read = _readable(before)
        layer = Layer(
            number,
            self.prompt.layers,
            self.prompt.proposers,
            self.prompt.policy,
            among=self.prompt.among,
            committee=self.committee,
            random_generator=self.random,
            ledger=self.ledger,
            tell=self.tell,
            make_task=lambda device: self._task(number, read, device),
        )
        return await layer.run()

    # --- choosing a draft -----------------------------------------------------------------

    def _choose(self, drafts: list[Proposal]) -> Proposal:
        best = self._learn(drafts)
        if self.prompt.aggregation.method == "vote":
            drafts = self._own_first(drafts)
            return drafts[consensus.vote(_texts(drafts))]
        return best

    def _learn(self, drafts: list[Proposal]) -> Proposal:
        """Learn from a layer; returns its best draft."""
        drafts = self._own_first(drafts)
        return drafts[self.experience.learn(_texts(drafts), [draft.device for draft in drafts])]

    def _own_first(self, drafts: list[Proposal]) -> list[Proposal]:
        # On a tie the own draft wins, and how often it does is what fallback reads.
        return sorted(drafts, key=lambda draft: draft.device != self.committee.own_id)

    def _selected(self, draft: Proposal) -> Finished:
        """A draft as the answer, without a last inference."""
        self.tell(Text(draft.text))
        return Finished(draft.text, "stop", self.record)

    # --- aggregation ----------------------------------------------------------------------

    async def _aggregate(self, drafts: list[Proposal]) -> Finished:
        """A device writes the answer; if none can, the first draft is it."""
        read, last = _readable(drafts), self.prompt.layers + 1
        writing = Writing(
            committee=self.committee,
            random_generator=self.random,
            ledger=self.ledger,
            tell=self.tell,
            make_task=lambda device: self._task(last, read, device, final=True),
            constraints=self.prompt.constraints,
            first=self.prompt.aggregator,
            streamed=self.prompt.streamed,
            held=self.prompt.held,
        )
        if finished := await writing.run():
            return finished
        if not drafts:
            raise writing.verdict()
        self.ledger.note("no device could aggregate; the answer is the first draft")
        return self._selected(drafts[0])

    def _task(self, layer: int, drafts: list[str], device: str, *, final: bool = False) -> Task:
        self.asked += 1
        sampling = self.prompt.sampling.for_inference(self.asked - 1)
        own = device == self.committee.own_id
        if not final and self.prompt.draft_tokens is not None:
            sampling = msgspec.structs.replace(sampling, max_tokens=self.prompt.draft_tokens)
        return Task(
            id=secrets.token_hex(16),
            prompt=self.prompt.id,
            layer=layer,
            messages=self.prompt.messages,
            drafts=drafts,
            instruction=self.prompt.instruction if drafts else "",
            sampling=sampling if own else sampling.for_others(),
            constraints=self.prompt.constraints if final else None,
            stream=final,
        )


class _OwnAlone:
    """The committee of a prompt that must not leave its device: there is nobody else."""

    def __init__(self, whole: Committee) -> None:
        self.own_id = whole.own_id
        self.describe = whole.describe
        self._whole = whole

    def peers(self) -> Sequence[str]:
        return []

    async def infer(self, device: str, task: Task, say: Say) -> Answer:
        if device != self.own_id:
            raise PeerRefused("local", "this prompt must not leave its device")
        return await self._whole.infer(device, task, say)


def _texts(drafts: Sequence[Proposal]) -> list[str]:
    return [draft.text for draft in drafts]


def _readable(drafts: Sequence[Proposal]) -> list[str]:
    """What the next layer reads of a layer's drafts."""
    return levelled(_texts(drafts), LIMITS.drafts_characters)
