"""One inference on this device: a place in the queue, a prompt that fits, a watched stream."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from dmoa.chat import ToolCallPart, Usage
from dmoa.errors import ContextExceeded, LLMError, LLMStalled
from dmoa.llm.interface import LLM, End, Token
from dmoa.measurement import DeviceMeter
from dmoa.prompts import Packed, fit
from dmoa.queue import DeviceQueue
from dmoa.tasks import Answer, Piece, Step, Task, Waiting, Working

MAX_ANSWER_CHARACTERS = 2**20
DEFAULT_ANSWER_TOKENS = 1024
FITTING_ATTEMPTS = 3


class InferenceService:
    """Runs the tasks of the owner and of guests through one queue and one LLM.

    Args:
        llm: the device's LLM.
        queue: its queue.
        meter: where arrivals, service times and tokens are counted.
        heartbeat_seconds: a task that waits yields a step at least this often.
        stall_seconds: an LLM that makes no token for so long has failed.
    """

    def __init__(
        self,
        llm: LLM,
        queue: DeviceQueue,
        meter: DeviceMeter,
        *,
        heartbeat_seconds: float = 1.0,
        stall_seconds: float = 120.0,
    ) -> None:
        self.llm = llm
        self.queue = queue
        self.meter = meter
        self.heartbeat_seconds = heartbeat_seconds
        self.stall_seconds = stall_seconds

    @property
    def mean_service_seconds(self) -> float:
        """Measured alpha; 1 s until there is a measurement."""
        return self.meter.service_seconds.mean() or 1.0

    async def run(self, task: Task, origin: str | None) -> AsyncGenerator[Step, None]:
        """The steps of a task; closing this cancels it wherever it is.

        Args:
            task: what to infer.
            origin: id of the device that asks, None for the owner of this one.

        Raises:
            QueueFull: there is no room.
            ContextExceeded: the conversation alone is longer than the window.
            LLMError: the LLM failed, stalled or answered nothing.
        """
        clock = self.meter.clock
        arrived = clock()
        with self.queue.enter(
            task.size(), origin, seconds_each=self.mean_service_seconds
        ) as ticket:
            self.meter.tasks.count()
            if ticket.position:
                yield Waiting(ticket.position)
                while not await ticket.turn(self.heartbeat_seconds):
                    yield Waiting(ticket.position)
                yield Working()
            started = clock()
            try:
                async with aclosing(self._serve(task, arrived, started)) as steps:
                    async for step in steps:
                        yield step
            except ContextExceeded:
                raise  # the prompt's fault
            except LLMError as error:
                self.meter.failure = str(error)
                raise

    async def _serve(
        self, task: Task, arrived: float, started: float
    ) -> AsyncGenerator[Step, None]:
        clock = self.meter.clock
        packed: Packed | None = None
        end: End | None = None
        parts: list[str] = []
        characters = 0
        tool_calls: list[ToolCallPart] = []
        first_token: float | None = None
        stream = self._tokens(task)
        async with aclosing(stream):
            while (item := await self._next(stream)) is not None:
                match item:
                    case Packed():
                        packed = item
                    case Token(text=text, tool_calls=calls):
                        first_token = clock() if first_token is None else first_token
                        self.meter.token()
                        parts.append(text)
                        characters += len(text)
                        tool_calls.extend(calls or [])
                        yield Piece(text, calls)
                        if characters > MAX_ANSWER_CHARACTERS:
                            end = End("length", Usage(0, characters // 4))
                            break
                    case End():
                        end = item
        text = "".join(parts)
        if packed is None or end is None or not (text.strip() or tool_calls):
            raise LLMError(f"{self.llm.info.name} answered nothing")
        finished = clock()
        self.meter.service_seconds.add(finished - started)
        if first_token is not None and finished > first_token and end.usage.completion_tokens > 1:
            self.meter.tokens_per_second.add(
                (end.usage.completion_tokens - 1) / (finished - first_token)
            )
        yield Answer(
            text=text,
            finish_reason=end.finish_reason,
            usage=end.usage,
            queue_seconds=started - arrived,
            service_seconds=finished - started,
            tool_calls=tool_calls or None,
            characters_cut=packed.characters_cut,
        )

    async def _next(
        self, stream: AsyncGenerator[Packed | Token | End, None]
    ) -> Packed | Token | End | None:
        """The next item, or None after the last."""
        try:
            async with asyncio.timeout(self.stall_seconds):
                return await anext(stream, None)
        except TimeoutError:
            raise LLMStalled(
                f"{self.llm.info.name} has made no token for {self.stall_seconds:.0f} s"
            ) from None

    async def _tokens(self, task: Task) -> AsyncGenerator[Packed | Token | End, None]:
        """The prompt that fits, then the stream of its tokens."""
        for attempt in range(FITTING_ATTEMPTS):
            packed = await self._fit(task)
            yield packed
            stream = self.llm.stream(packed.messages, task.sampling, task.constraints)
            try:
                async with aclosing(stream):
                    async for item in stream:
                        yield item
            except ContextExceeded:
                # Token counts of some servers are estimates. They have learnt a smaller
                # window from the refusal, which came before any token.
                if attempt + 1 == FITTING_ATTEMPTS:
                    raise
            else:
                return

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
