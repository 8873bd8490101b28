"""One inference on this device: a place in the queue, a prompt that fits, a watched stream."""

import asyncio
from contextlib import aclosing

from dmoa.device.meter import DeviceMeter
from dmoa.device.queue import DeviceQueue
from dmoa.errors import ContextExceeded, LLMError, LLMStalled
from dmoa.llm.interface import LLM, End, Token
from dmoa.policies.limits import DEFAULTS, LIMITS
from dmoa.protocol.conversation import ToolCallPart, Usage
from dmoa.protocol.packing import Packed, fit
from dmoa.protocol.tasks import Answer, Piece, Say, Task, Waiting, Working

DEFAULT_ANSWER_TOKENS = 1024
FITTING_ATTEMPTS = 3


class InferenceService:
    """Runs the tasks of the owner and of guests through one queue and one LLM.

    Args:
        llm: the device's LLM.
        queue: its queue.
        meter: where arrivals, service times and tokens are counted.
        heartbeat_seconds: a task that waits says so this often.
        stall_seconds: an LLM that makes no token for so long has failed.
    """

    def __init__(
        self,
        llm: LLM,
        queue: DeviceQueue,
        meter: DeviceMeter,
        *,
        heartbeat_seconds: float = DEFAULTS.heartbeat_seconds,
        stall_seconds: float = DEFAULTS.stall_seconds,
    ) -> None:
        self.llm = llm
        self.queue = queue
        self.meter = meter
        self.heartbeat_seconds = heartbeat_seconds
        self.stall_seconds = stall_seconds
        self._probing: asyncio.Task[object] | None = None

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
            LLMError: the LLM failed, stalled or answered nothing.
        """
        if self._probing is not None:
            self._probing.cancel()
        return await self._run(task, origin, say, measured=True)

    async def probe(self, task: Task) -> Answer:
        """Make an inference of the device's own, which is no part of its load.

        It enters no measurement but that of health. When a task comes, the asyncio task that
        runs this is cancelled, so give it one of its own.

        Raises:
            QueueFull, ContextExceeded, LLMError: see `run`.
        """
        self._probing = asyncio.current_task()
        try:
            return await self._run(task, None, lambda step: None, measured=False)
        finally:
            self._probing = None

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
            except ContextExceeded:
                raise  # the prompt's fault
            except LLMError as error:
                self.meter.failure = str(error)
                raise

    async def _serve(self, task: Task, arrived: float, say: Say, *, measured: bool) -> Answer:
        started = self.meter.clock()
        response = _Response(self.meter, say)
        try:
            async with asyncio.timeout(self.stall_seconds) as deadline:
                packed = await self._stream(task, response, deadline)
        except TimeoutError:
            raise LLMStalled(
                f"{self.llm.info.name} has made no token for {self.stall_seconds:.0f} s"
            ) from None
        finished = self.meter.clock()
        end, text = response.end, response.text()
        if end is None or not (text.strip() or response.tool_calls):
            raise LLMError(f"{self.llm.info.name} answered nothing")
        if measured:
            self._measure(finished - started, finished, response)
        return Answer(
            text=text,
            finish_reason=end.finish_reason,
            usage=end.usage,
            queue_seconds=started - arrived,
            service_seconds=finished - started,
            tool_calls=response.tool_calls or None,
            characters_cut=packed.characters_cut,
        )

    def _measure(self, seconds: float, finished: float, response: "_Response") -> None:
        self.meter.service_seconds.add(seconds)
        first, end = response.first_token, response.end
        tokens = end.usage.completion_tokens if end else 0
        if first is not None and finished > first and tokens > 1:
            self.meter.tokens_per_second.add((tokens - 1) / (finished - first))

    async def _stream(self, task: Task, response: "_Response", deadline: asyncio.Timeout) -> Packed:
        """Let the LLM respond to a prompt that fits; its tokens move the deadline."""
        now = asyncio.get_running_loop().time
        moved = now()
        for attempt in range(FITTING_ATTEMPTS):
            packed = await self._fit(task)
            stream = self.llm.stream(packed.messages, task.sampling, task.constraints)
            try:
                async with aclosing(stream):
                    async for item in stream:
                        response.add(item)
                        if response.end:
                            break
                        if now() > moved + self.stall_seconds / 100:  # a timer costs more
                            moved = now()
                            deadline.reschedule(moved + self.stall_seconds)
                break
            except ContextExceeded:
                # Token counts of some servers are estimates. They have learnt a smaller
                # window from the refusal, which came before any token.
                if attempt + 1 == FITTING_ATTEMPTS:
                    raise
        return packed

    async def _fit(self, task: Task) -> Packed:
        window = self.llm.info.context_length
        wanted = task.sampling.max_tokens or DEFAULT_ANSWER_TOKENS
        return await fit(
            task.messages,
            task.drafts,
            task.instruction,
            count_tokens=self.llm.count_tokens,
            window=window,
            # A long wished answer must not push out what it answers.
            reserve=min(wanted, window // 4),
            pack=self.llm.pack,
        )


class _Response:
    """What an LLM has said so far; each token is counted and passed on."""

    def __init__(self, meter: DeviceMeter, say: Say) -> None:
        self.tool_calls: list[ToolCallPart] = []
        self.first_token: float | None = None
        self.end: End | None = None
        self._meter = meter
        self._say = say
        self._parts: list[str] = []
        self._characters = 0

    def add(self, item: Token | End) -> None:
        """The next item; one too many ends the response."""
        if isinstance(item, End):
            self.end = item
            return
        if self.first_token is None:
            self.first_token = self._meter.clock()
        self._meter.token()
        self._parts.append(item.text)
        self._characters += len(item.text)
        self.tool_calls.extend(item.tool_calls or [])
        self._say(Piece(item.text, item.tool_calls))
        if self._characters > LIMITS.answer_characters:
            self.end = End("length", Usage(0, self._characters // 4))

    def text(self) -> str:
        """The whole text."""
        return "".join(self._parts)
