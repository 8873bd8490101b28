"""Algorithm 1 of arXiv 2412.21200 for one prompt, on devices that fail.

It knows the devices by name, how to ask one of them for an inference (its own is asked like
any other), a clock and a random generator; nothing of HTTP, Zenoh or llama.cpp.
`PROTOCOL.md` beside this file states the invariants.
"""

import asyncio
import logging
import math
import random
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from dmoa.errors import (
    ContextExceeded,
    DmoaError,
    LLMError,
    NobodyAnswered,
    PeerGone,
    PeerRefused,
    PeerSilent,
    QueueFull,
)
from dmoa.policies.limits import LIMITS
from dmoa.policies.proposers import draw_uniform
from dmoa.protocol.aggregation import Aggregation, Experience, agreed
from dmoa.protocol.conversation import Constraints, Message, Sampling
from dmoa.protocol.events import (
    Accepted,
    Aggregating,
    Draft,
    Event,
    Finished,
    LayerFinished,
    LayerStarted,
    Restarted,
    Text,
)
from dmoa.protocol.packing import INSTRUCTION, levelled, strip_reasoning
from dmoa.protocol.records import InferenceRecord, LayerRecord, Outcome, PromptRecord
from dmoa.protocol.tasks import Answer, Piece, Say, Step, Task
from dmoa.text import printable

log = logging.getLogger(__name__)

PREVIEW_CHARACTERS = 120


class Committee(Protocol):
    """The devices that a prompt may be given to."""

    own_id: str
    """Id of the owner's device."""

    def peers(self) -> Sequence[str]:
        """Ids of the other devices that are there now."""

    def describe(self, device: str) -> tuple[str, str]:
        """Name and model of a device."""

    async def infer(self, device: str, task: Task, say: Say) -> Answer:
        """Ask a device for an inference; cancelling this cancels it there.

        Raises:
            DmoaError: the device did not answer; another one may.
        """


@dataclass(frozen=True)
class LayerPolicy:
    """How long a layer waits for its responses.

    A layer ends when all its responses are in, as in the paper. Beyond the paper it also
    ends `grace` seconds after a `quorum` of them is in, and at its `deadline` in any case.
    Drafts that came too late cost quality, so the defaults are generous: a slow device is
    waited for, a dead one is not.

    Attributes:
        deadline: seconds from the start of a layer.
        quorum: share of the k+1 responses, rounded up to at least one.
        grace: seconds after the quorum.
    """

    deadline: float = 600.0
    quorum: float = 0.75
    grace: float = 120.0


@dataclass(frozen=True)
class Prompt:
    """What a user asks.

    Attributes:
        layers: M, number of layers of proposers; 0 asks the own LLM only.
        proposers: k, number of other devices in each layer.
        notes: what the answer's record should say from the start.
    """

    messages: list[Message]
    layers: int
    proposers: int
    sampling: Sampling = Sampling()
    constraints: Constraints | None = None
    instruction: str = INSTRUCTION
    aggregation: Aggregation = Aggregation()
    policy: LayerPolicy = field(default_factory=LayerPolicy)
    notes: list[str] = field(default_factory=list)
    id: str = field(default_factory=lambda: f"prompt-{secrets.token_hex(12)}")


@dataclass(frozen=True)
class Proposal:
    """A draft, and the device that wrote it."""

    device: str
    text: str


async def answer(
    prompt: Prompt,
    committee: Committee,
    random_generator: random.Random,
    tell: Callable[[Event], None],
    experience: Experience | None = None,
) -> Finished:
    """Run a prompt through its layers and the aggregation.

    Args:
        prompt: the prompt.
        committee: the devices.
        random_generator: draws the proposers.
        tell: is called with each event as it happens, the returned one last.
        experience: what the owner's device has learnt of drafts; grows.

    Raises:
        ContextExceeded: the prompt is longer than every window.
        QueueFull: every device refused for want of room.
        NobodyAnswered: no device could answer.
    """
    run = _Run(prompt, committee, random_generator, tell, experience or Experience())
    return await run.answer()


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
        self.layers = prompt.layers
        self.prompt = prompt
        self.committee = committee
        self.random = random_generator
        self.tell = tell
        self.now = asyncio.get_running_loop().time
        self.started = self.now()
        self.asked = 0
        self.begun = False  # whether the user has seen a part of the answer
        self.record = PromptRecord(
            id=prompt.id,
            started=time.time(),
            M=prompt.layers,
            k=0,
            k_requested=prompt.proposers if prompt.layers else 0,
        )
        self.record.notes += prompt.notes
        if prompt.aggregation.fallback and self.layers and experience.leaves_committee_out():
            self.layers = self.record.M = 0
            self._note("the committee was left out: the own drafts have been the best ones lately")

    async def answer(self) -> Finished:
        self.tell(Accepted(self.record))
        try:
            finished = await self._through_layers()
        except DmoaError as error:
            self.record.error = str(error)
            raise
        finally:
            self.record.total()
            self.record.seconds = self.now() - self.started
        self.tell(finished)
        return finished

    async def _through_layers(self) -> Finished:
        how = self.prompt.aggregation
        drafts: list[Proposal] = []
        for layer in range(1, self.layers + 1):
            drafts = await self._layer(layer, drafts)
            texts = [draft.text for draft in drafts]
            # What must have a form, only an aggregator can give one.
            may_stop = how.early_stop and self.prompt.constraints is None
            if may_stop and (index := agreed(texts)) is not None:
                if layer < self.layers:
                    self._note(f"the drafts of layer {layer} agree; no further layer was asked")
                return self._selected(texts[index])
        if how.method != "synthesise" and drafts:
            if self.prompt.constraints is None:
                texts = [draft.text for draft in drafts]
                return self._selected(texts[self._choose(drafts)])
            self._note(f"tools and formats need an aggregator, so {how.method} was not used")
        return await self._aggregate(drafts)

    def _choose(self, drafts: list[Proposal]) -> int:
        # The own draft first: on a tie it wins, and its device's record is what fallback reads.
        order = sorted(range(len(drafts)), key=lambda i: drafts[i].device != self.committee.own_id)
        chosen = self.experience.choose(
            self.prompt.aggregation.method,
            [drafts[i].text for i in order],
            [drafts[i].device for i in order],
        )
        return order[chosen]

    def _selected(self, text: str) -> Finished:
        """A draft as the answer, without a last inference."""
        self.tell(Text(text))
        self.record.total()
        return Finished(text, "stop", self.record)

    # --- layers ---------------------------------------------------------------------------

    async def _layer(self, layer: int, before: list[Proposal]) -> list[Proposal]:
        """One layer of proposers; returns its drafts in the order in which they were asked."""
        policy, started = self.prompt.policy, self.now()
        peers = list(self.committee.peers())
        wanted = min(self.prompt.proposers, len(peers))
        if wanted < self.prompt.proposers:
            self._note(
                f"layer {layer}: {wanted} of {self.prompt.proposers} other devices were there"
            )
        # A random order: the first k are the proposers, the rest stand by to replace them.
        order = list(range(len(peers)))
        draw_uniform(order, [self.random.random() for _ in order], len(order))
        spare = [peers[i] for i in order]
        proposers = [self.committee.own_id, *spare[:wanted]]
        del spare[:wanted]
        record = LayerRecord(layer, [])
        self.record.layers.append(record)
        self.record.k = max(self.record.k, wanted)
        drafts: dict[int, Proposal] = {}
        running: dict[asyncio.Task[str], InferenceRecord] = {}
        ended: asyncio.Queue[asyncio.Task[str]] = asyncio.Queue()
        texts = _texts(before)

        def ask(inference: InferenceRecord) -> None:
            proposing = asyncio.create_task(self._propose(layer, inference, texts))
            proposing.add_done_callback(ended.put_nowait)
            running[proposing] = inference

        def keep(task: asyncio.Task[str]) -> None:
            inference = running.pop(task)
            place = record.proposers.index(inference)
            drafts[place] = Proposal(inference.device, task.result())

        record.proposers += [self._inference(device, None) for device in proposers]
        # The others first: their way is longer.
        for inference in [*record.proposers[1:], record.proposers[0]]:
            ask(inference)
        self.tell(LayerStarted(layer, self.layers, list(record.proposers)))
        quorum = max(1, math.ceil(policy.quorum * len(proposers)))
        ends = started + policy.deadline
        try:
            async with asyncio.timeout_at(ends) as deadline:
                while running:
                    task = await ended.get()
                    if task.exception() is None:
                        keep(task)
                        if len(drafts) == quorum and running:
                            deadline.reschedule(min(ends, self.now() + policy.grace))
                        continue
                    inference = running.pop(task)
                    self._failed(task, inference)
                    spare = [d for d in spare if d in self.committee.peers()]
                    if spare:
                        instead = self._inference(spare.pop(0), inference.device)
                        record.proposers.append(instead)
                        ask(instead)
        except TimeoutError:  # what is there has to do, to the last moment
            for task in [t for t in running if t.done() and t.exception() is None]:
                keep(task)
        finally:
            await self._stop(running)
        record.seconds = self.now() - started
        if not drafts:
            self._note(f"layer {layer}: no draft came in; the answer goes on without")
        self.tell(LayerFinished(record, len(drafts)))
        # Nobody's draft is better than the last layer's.
        return [drafts[i] for i in sorted(drafts)] or before

    async def _propose(self, layer: int, inference: InferenceRecord, drafts: list[str]) -> str:
        """One draft, without the parts in which a model thinks aloud."""
        task = self._task(layer, drafts)
        text = ""

        def hear(step: Step) -> None:
            nonlocal text
            if isinstance(step, Piece) and len(text) < PREVIEW_CHARACTERS:
                text += step.text
                inference.preview = _preview(text)
                self.tell(Draft(layer, inference))

        answer = await self.committee.infer(inference.device, task, hear)
        draft = self._answered(inference, answer)
        self.tell(Draft(layer, inference))
        return draft

    async def _stop(self, running: dict[asyncio.Task[str], InferenceRecord]) -> None:
        """End what nobody needs any more, here and on the peers."""
        for task, inference in running.items():
            inference.outcome = "late"
            self._ended(inference)
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    # --- aggregation ----------------------------------------------------------------------

    async def _aggregate(self, drafts: list[Proposal]) -> Finished:
        """The owner's LLM writes the answer; when it fails, another device does."""
        layer = self.layers + 1
        cause: str | None = None
        failures: list[DmoaError] = []
        tried: set[str] = set()
        while True:
            device = self._next_aggregator(tried)
            if device is None:
                break
            tried.add(device)
            replaces = self.record.aggregator[-1].device if self.record.aggregator else None
            inference = self._inference(device, replaces)
            self.record.aggregator.append(inference)
            self.tell(Aggregating(inference, cause))
            task = self._task(layer, _texts(drafts), final=True)
            self.begun = False
            try:
                answer = await self.committee.infer(device, task, self._pass_on)
                self._answered(inference, answer)
            except DmoaError as error:
                self._mark_failed(inference, error)
                failures.append(error)
                cause = f"{inference.name}: {error}"
                self._note(f"the aggregator {cause}")
                if self.begun:
                    self.tell(Restarted(cause))
                continue
            self.record.total()
            return Finished(answer.text, answer.finish_reason, self.record, answer.tool_calls)
        if drafts:
            self._note("no device could aggregate; the answer is the first draft")
            self.tell(Text(drafts[0].text))
            return Finished(drafts[0].text, "stop", self.record)
        raise self._verdict(failures)

    def _pass_on(self, step: Step) -> None:
        """What the aggregator says goes to the user as it comes."""
        if isinstance(step, Piece):
            self.begun = True
            self.tell(Text(step.text, step.tool_calls))

    def _next_aggregator(self, tried: set[str]) -> str | None:
        if self.committee.own_id not in tried:
            return self.committee.own_id
        others = [device for device in self.committee.peers() if device not in tried]
        return self.random.choice(others) if others else None

    def _verdict(self, failures: list[DmoaError]) -> DmoaError:
        for kind in (ContextExceeded, QueueFull):
            if all(isinstance(failure, kind) for failure in failures):
                return failures[-1]
        causes = "; ".join(dict.fromkeys(str(failure) for failure in failures))
        return NobodyAnswered(f"no device could answer: {causes}")

    # --- bookkeeping ----------------------------------------------------------------------

    def _task(self, layer: int, drafts: list[str], *, final: bool = False) -> Task:
        self.asked += 1
        return Task(
            id=secrets.token_hex(16),
            prompt=self.prompt.id,
            layer=layer,
            messages=self.prompt.messages,
            drafts=drafts,
            instruction=self.prompt.instruction if drafts else "",
            sampling=self.prompt.sampling.for_inference(self.asked - 1),
            constraints=self.prompt.constraints if final else None,
            stream=final,
        )

    def _inference(self, device: str, replaces: str | None) -> InferenceRecord:
        name, model = self.committee.describe(device)
        asked = self.now() - self.started
        return InferenceRecord(device, name, model, asked_at=asked, replaces=replaces)

    def _answered(self, inference: InferenceRecord, answer: Answer) -> str:
        text = strip_reasoning(answer.text)
        if not text and not answer.tool_calls:
            raise PeerRefused("empty", "its answer was empty")
        inference.outcome = "answered"
        self._ended(inference)
        inference.queue_seconds = answer.queue_seconds
        inference.service_seconds = answer.service_seconds
        inference.usage = answer.usage
        inference.characters_cut = answer.characters_cut
        inference.preview = _preview(text)
        if answer.characters_cut:
            self._note(
                f"{inference.name}: {answer.characters_cut} characters of the drafts did not"
                " fit its context window"
            )
        return text

    def _failed(self, task: "asyncio.Task[str]", inference: InferenceRecord) -> None:
        error = task.exception()
        assert error is not None
        if not isinstance(error, DmoaError):
            # A fault of ours in reading one device's answer costs no more than that answer.
            log.error("proposer %s", inference.name, exc_info=error)
            error = LLMError(f"internal error: {type(error).__name__}")
        self._mark_failed(inference, error)

    def _mark_failed(self, inference: InferenceRecord, error: DmoaError) -> None:
        inference.outcome = _outcome(error)
        inference.detail = str(error)
        self._ended(inference)

    def _ended(self, inference: InferenceRecord) -> None:
        inference.seconds = self.now() - self.started - inference.asked_at

    def _note(self, note: str) -> None:
        if note not in self.record.notes:
            self.record.notes.append(note)


def _texts(drafts: Sequence[Proposal]) -> list[str]:
    """What the next layer reads of a layer's drafts."""
    return levelled([draft.text for draft in drafts], LIMITS.drafts_characters)


def _outcome(error: DmoaError) -> Outcome:
    match error:
        case PeerGone():
            return "gone"
        case PeerSilent():
            return "silent"
        case PeerRefused() | QueueFull() | ContextExceeded():
            return "refused"
        case _:
            return "failed"


def _preview(text: str) -> str:
    return printable(" ".join(text.split()), PREVIEW_CHARACTERS)
