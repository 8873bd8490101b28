"""One inference on this device: a place in the queue, a prompt that fits, a watched stream."""

import asyncio
from contextlib import aclosing
from typing import Any

import msgspec

from dmoa.device.meter import DeviceMeter
from dmoa.device.queue import DeviceQueue
from dmoa.errors import ContextExceeded, LLMBroken, LLMError, LLMStalled, RequestRefused
from dmoa.llm.embedding import no_embeddings
from dmoa.llm.interface import LLM, Alive, Embedded, Embedder, End, Token
from dmoa.policies.limits import DEFAULTS, LIMITS
from dmoa.protocol.conversation import Usage
from dmoa.protocol.packing import Packed, fit
from dmoa.protocol.tasks import Answer, Piece, Say, Task, Waiting, Working

DEFAULT_ANSWER_TOKENS = 1024
FITTING_ATTEMPTS = 3
READING_SECONDS = 0.05  # for a token of a prompt, on a slow processor


class InferenceService:
    """Runs the tasks of the owner and of guests through one queue and one LLM.

    Args:
        llm: the device's LLM.
        queue: its queue.
        meter: where arrivals, service times and tokens are counted.
        heartbeat_seconds: a task that waits says so this often.
        first_token_seconds: an LLM may take so long to begin its answer, and longer for a
            long prompt.
        stall_seconds: an LLM that has begun and gives no sign of life for so long has failed.
    """

    def __init__(
        self,
        llm: LLM,
        queue: DeviceQueue,
        meter: DeviceMeter,
        *,
        heartbeat_seconds: float = DEFAULTS.heartbeat_seconds,
        first_token_seconds: float = DEFAULTS.first_token_seconds,
        stall_seconds: float = DEFAULTS.stall_seconds,
    ) -> None:
        self.llm = llm
        self.queue = queue
        self.meter = meter
        self.heartbeat_seconds = heartbeat_seconds
        self.first_token_seconds = first_token_seconds
        self.stall_seconds = stall_seconds
        self._probing: set[asyncio.Task[object]] = set()

    @property
    def mean_service_seconds(self) -> float:
        """Measured alpha; 1 s until there is a measurement."""
        return self.meter.service_seconds.mean() or 1.0

    async def run(self, task: Task, origin: str | None, say: Say) -> Answer:
        """Make an inference; cancelling this cancels it wherever it is.

        Args:
            task: what to infer.
            origin: id of the device that asks, None for the owner of this one.
            say: is told each step.

        Raises:
            QueueFull: there is no room.
            ContextExceeded: the conversation alone is longer than the window.
            RequestRefused: the LLM's server says that the request is wrong.
            LLMError: the LLM failed or stalled.
        """
        self._end_probes()
        return await self._run(task, origin, say, measured=True)

    async def probe(self, task: Task, say: Say = lambda step: None) -> Answer:
        """Make an inference of the device's own, which is no part of its load.

        It enters no measurement but that of health. When a task comes, the asyncio task that
        runs this is cancelled, so give it one of its own.

        Args:
            task: what to infer.
            say: is told each step.

        Raises:
            QueueFull, ContextExceeded, LLMError: see `run`.
        """
        probing = asyncio.current_task()
        assert probing is not None
        self._probing.add(probing)
        try:
            return await self._run(task, None, say, measured=False)
        finally:
            self._probing.discard(probing)

    async def embed(self, request: dict[str, Any]) -> Embedded:
        """Vectors of texts, when the LLM has time for the owner; no part of what is measured.

        Args:
            request: see `Embedder.embed`.

        Raises:
            QueueFull: there is no room.
            RequestRefused: the request is wrong, or the LLM makes no embeddings.
            LLMError: the LLM failed or stalled.
        """
        name = self.llm.info.name
        if not isinstance(self.llm, Embedder):
            raise RequestRefused(400, no_embeddings(name))
        self._end_probes()
        size = len(msgspec.json.encode(request))
        patience = self.first_token_seconds + READING_SECONDS * (size // 3)
        with self.queue.enter(size, None, seconds_each=self.mean_service_seconds) as ticket:
            await ticket.turn()
            try:
                async with asyncio.timeout(patience):
                    return await self.llm.embed(request)
            except TimeoutError:
                raise LLMStalled(f"{name} has made no embeddings in {patience:.0f} s") from None

    def _end_probes(self) -> None:
        for probing in self._probing:
            probing.cancel()

    async def _run(self, task: Task, origin: str | None, say: Say, *, measured: bool) -> Answer:
        arrived = self.meter.clock()
        with self.queue.enter(
            task.size(), origin, seconds_each=self.mean_service_seconds
        ) as ticket:
            if measured:
                self.meter.tasks.count()
            if ticket.position:
                say(Waiting(ticket.position))
                while not await ticket.turn(self.heartbeat_seconds):
                    say(Waiting(ticket.position))
                say(Working())
            try:
                return await self._serve(task, arrived, say, measured=measured)
            except (ContextExceeded, RequestRefused):
                raise  # the prompt's fault
            except LLMError as error:
                self.meter.failure = str(error)
                raise

    async def _serve(self, task: Task, arrived: float, say: Say, *, measured: bool) -> Answer:
        started = self.meter.clock()
        response = _Response(self.meter, say)
        patience = self.first_token_seconds + READING_SECONDS * estimated_tokens(task)
        try:
            async with asyncio.timeout(patience) as deadline:
                packed = await self._stream(task, response, deadline)
        except TimeoutError:
            name = self.llm.info.name
            if response.first_token is None:
                raise LLMStalled(f"{name} has not begun to answer in {patience:.0f} s") from None
            raise LLMStalled(f"{name} has made no token for {self.stall_seconds:.0f} s") from None
        finished = self.meter.clock()
        end = response.end
        if end is None:
            raise LLMBroken(f"{self.llm.info.name} ended without a last word")
        if measured:
            self._measure(finished - started, finished, response)
        whole = response.whole
        return Answer(
            text=whole.text,
            finish_reason=end.finish_reason,
            usage=end.usage,
            queue_seconds=started - arrived,
            service_seconds=finished - started,
            tool_calls=whole.tool_calls,
            characters_cut=packed.characters_cut,
            reasoning=whole.reasoning,
            notes=[note[: LIMITS.note_characters] for note in end.notes[: LIMITS.notes]],
            # Nobody asked for what is longer than a stop may be.
            stopped_by=(end.stopped_by or "")[: LIMITS.stop_characters] or None,
        )

    def _measure(self, seconds: float, finished: float, response: "_Response") -> None:
        self.meter.service_seconds.add(seconds)
        first, end = response.first_token, response.end
        tokens = end.usage.completion_tokens if end else 0
        if first is not None and finished > first and tokens > 1:
            self.meter.tokens_per_second.add((tokens - 1) / (finished - first))

    async def _stream(self, task: Task, response: "_Response", deadline: asyncio.Timeout) -> Packed:
        """Let the LLM respond to a prompt that fits; whatever it says moves the deadline."""
        now = asyncio.get_running_loop().time
        first, moved = deadline.when() or 0.0, now()
        for attempt in range(FITTING_ATTEMPTS):
            window = self.llm.info.context_length
            packed = await self._fit(task, window)
            stream = self.llm.stream(packed.messages, task.sampling, task.constraints)
            try:
                async with aclosing(stream):
                    async for item in stream:
                        response.add(item)
                        if response.end:
                            break
                        if now() > moved + self.stall_seconds / 100:  # a timer costs more
                            moved = now()
                            until = moved + self.stall_seconds
                            begun = response.first_token is not None
                            deadline.reschedule(until if begun else max(first, until))
                break
            except ContextExceeded:
                # Token counts of some servers are estimates. The refusal, which came before any
                # token, has stated the window; without a word of it nothing has been learnt.
                learnt = self.llm.info.context_length < window
                if attempt + 1 == FITTING_ATTEMPTS or not learnt:
                    raise
        return packed

    async def _fit(self, task: Task, window: int) -> Packed:
        wanted = task.sampling.max_tokens or DEFAULT_ANSWER_TOKENS
        return await fit(
            task.messages,
            task.drafts,
            task.instruction,
            count_tokens=lambda messages: self.llm.count_tokens(messages, task.constraints),
            window=window,
            # A long wished answer must not push out what it answers.
            reserve=min(wanted, window // 4),
            pack=self.llm.pack,
        )


def estimated_tokens(task: Task) -> int:
    """About how many tokens a task's prompt has, from its length alone."""
    return task.size() // 3


class _Response:
    """What an LLM has said so far; each token is counted and passed on."""

    def __init__(self, meter: DeviceMeter, say: Say) -> None:
        self.first_token: float | None = None
        self.end: End | None = None
        self._meter = meter
        self._say = say
        self._pieces: list[Piece] = []
        self._characters = 0

    def add(self, item: Token | End) -> None:
        """The next item; one too many ends the response."""
        match item:
            case Alive():
                return
            case End():
                self._meter.token()  # an answer that ended properly is one, also without a token
                self.end = item
                return
        if self.first_token is None:
            self.first_token = self._meter.clock()
        self._meter.token()
        piece = Piece(item.text, item.tool_calls, item.reasoning, item.recants)
        if item.recants:
            self._pieces = [self.whole.then(piece)]
        else:
            self._pieces.append(piece)
        self._characters += piece.size()
        self._say(piece)
        if self._characters > LIMITS.answer_characters:
            self.end = End("length", Usage(0, self._characters // 4))

    @property
    def whole(self) -> Piece:
        """All of it."""
        calls = [call for piece in self._pieces for call in piece.tool_calls or []]
        return Piece(
            "".join(piece.text for piece in self._pieces),
            calls or None,
            "".join(piece.reasoning for piece in self._pieces),
        )
