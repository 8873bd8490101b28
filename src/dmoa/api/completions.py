"""`POST /v1/chat/completions`, whole or streamed.

While a client waits for the first token it gets the progress of the layers as SSE comments,
which keep the connection alive and which clients skip. A client that goes away cancels its
work on all devices.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import NamedTuple

import msgspec
from fastapi import Request
from fastapi.responses import Response
from starlette.types import Receive, Scope, Send

from dmoa.api import models
from dmoa.api.automatic import Automatic
from dmoa.api.errors import as_api_error
from dmoa.api.requests import ChatRequest, read_chat_request
from dmoa.api.responses import ChunkWriter, completion
from dmoa.device import Device
from dmoa.errors import DmoaError
from dmoa.events import (
    Accepted,
    Aggregating,
    Event,
    Finished,
    LayerFinished,
    LayerStarted,
    Restarted,
    Text,
)
from dmoa.prompts import INSTRUCTION
from dmoa.protocol import LayerPolicy, Prompt
from dmoa.streams import with_heartbeat

COMMENT_SECONDS = 5.0
# A prompt that fails at once gets its proper status; after this the stream has begun.
STATUS_SECONDS = 0.25


class ChatCompletions:
    """The endpoint of one device.

    Args:
        device: the device.
        default: gives what the model `dmoa` means now.
        policy: how long layers wait.
    """

    def __init__(
        self, device: Device, default: Callable[[], models.CommitteeSize], policy: LayerPolicy
    ) -> None:
        self._device = device
        self._default = default
        self._automatic = Automatic(device, default)
        self._policy = policy

    async def __call__(self, request: Request) -> Response:
        """Answer a request."""
        chat = await read_chat_request(request)
        automatic = models.is_automatic(chat.model)
        default = await self._automatic.size() if automatic else self._default()
        committee = models.resolve(chat.model, self._device.llm.info.name, default)
        prompt = Prompt(
            messages=chat.conversation(),
            layers=committee.layers,
            proposers=committee.proposers,
            sampling=chat.sampling(),
            constraints=chat.constraints(),
            instruction=(chat.dmoa and chat.dmoa.instruction) or INSTRUCTION,
            aggregation=committee.aggregation,
            notes=[committee.note] if committee.note else [],
            policy=self._policy,
        )
        events = self._device.ask(prompt)
        if chat.stream:
            return await self._streamed(chat, prompt, events)
        finished = await _until_gone(request.receive, _last(events))
        if finished is None:
            return Response(status_code=499)  # nobody is there to read it
        return Response(completion(chat.model, finished), media_type="application/json")

    async def _streamed(
        self, chat: ChatRequest, prompt: Prompt, events: AsyncGenerator[Event, None]
    ) -> Response:
        lines = _Lines(_lines(chat, ChunkWriter(prompt.id, chat.model), events))
        await lines.begin()
        return EventStream(lines)


async def _last(events: AsyncGenerator[Event, None]) -> Finished:
    async with aclosing(events):
        async for event in events:
            if isinstance(event, Finished):
                return event
    raise AssertionError("a prompt ends with an answer or an error")


async def _until_gone(receive: Receive, work: Awaitable[Finished]) -> Finished | None:
    """The result of `work`, or None when the client has gone; the work is cancelled then."""
    working = asyncio.ensure_future(work)
    gone = asyncio.create_task(_disconnected(receive))
    try:
        await asyncio.wait({working, gone}, return_when=asyncio.FIRST_COMPLETED)
        return working.result() if working.done() else None
    finally:
        gone.cancel()
        working.cancel()
        await asyncio.gather(gone, working, return_exceptions=True)


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


class Line(NamedTuple):
    """A server-sent event, and whether it is a part of the answer."""

    text: str
    answer: bool = False


async def _lines(
    chat: ChatRequest, chunks: ChunkWriter, events: AsyncGenerator[Event, None]
) -> AsyncGenerator[Line, None]:
    """Server-sent events of an answer; the first is there as soon as the prompt is accepted."""
    beats = with_heartbeat(events, COMMENT_SECONDS)
    async with aclosing(beats):
        async for event in beats:
            match event:
                case None:
                    yield Line(_comment("waiting"))
                case Text():
                    yield Line(_data(chunks.piece(event.text, event.tool_calls)), answer=True)
                case Finished():
                    last = [_data(chunks.end(event)), _data("[DONE]")]
                    if chat.stream_options and chat.stream_options.include_usage:
                        last.insert(1, _data(chunks.usage(event)))
                    yield Line("".join(last), answer=True)
                case Restarted():
                    note = f"\n\n[{event.cause}. Another device answers anew.]\n\n"
                    yield Line(_data(chunks.piece(note)), answer=True)
                case _ if chat.dmoa and chat.dmoa.progress:
                    yield Line(_data(chunks.progress(event)))
                case _ if comment := _describe(event):
                    yield Line(_comment(comment))


def _describe(event: Event) -> str | None:
    """A comment for the events that are worth one; every line costs the owner's device."""
    match event:
        case Accepted():
            return f"prompt {event.record.id} accepted"
        case LayerStarted():
            names = ", ".join(proposer.name for proposer in event.proposers)
            return f"layer {event.layer} of {event.layers}: {names}"
        case LayerFinished():
            return f"layer {event.record.layer}: {event.drafts} drafts"
        case Aggregating():
            return f"{event.aggregator.name} aggregates"
        case _:
            return None


def _data(payload: str) -> str:
    return f"data: {payload}\n\n"


def _comment(text: str) -> str:
    return f": {' '.join(text.split())}\n\n"


class _Lines:
    """The lines of a stream, looked at for a moment before the status is sent."""

    def __init__(self, source: AsyncGenerator[Line, None]) -> None:
        self._source = source
        self._held: list[Line] = []
        self._following: asyncio.Future[Line] | None = None

    async def begin(self) -> None:
        """Wait until the answer begins, or a moment.

        Raises:
            DmoaError: the prompt failed at once, so that its status can say so.
        """
        until = asyncio.get_running_loop().time() + STATUS_SECONDS
        try:
            while not (self._held and self._held[-1].answer):
                self._following = asyncio.ensure_future(anext(self._source))
                left = until - asyncio.get_running_loop().time()
                await asyncio.wait({self._following}, timeout=max(left, 0))
                if not self._following.done():
                    return
                self._held.append(self._following.result())
                self._following = None
        except BaseException:  # also a client that goes away: nothing may go on running
            await self.aclose()
            raise

    async def text(self) -> AsyncGenerator[str, None]:
        """All lines, those that were held first and together."""
        if self._held:
            yield "".join(line.text for line in self._held)
        if self._following is not None:
            following, self._following = self._following, None
            yield (await following).text
        async for line in self._source:
            yield line.text

    async def aclose(self) -> None:
        """Cancel what makes the lines."""
        if self._following is not None:
            self._following.cancel()
            await asyncio.gather(self._following, return_exceptions=True)
        await self._source.aclose()


class EventStream(Response):
    """A stream of server-sent events that ends when its client goes away."""

    media_type = "text/event-stream"

    def __init__(self, lines: _Lines) -> None:
        self.status_code = 200
        self.background = None
        self._lines = lines
        self.init_headers({"Cache-Control": "no-store", "X-Accel-Buffering": "no"})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the stream."""
        sending = asyncio.create_task(self._send_all(send))
        gone = asyncio.create_task(_disconnected(receive))
        try:
            await asyncio.wait({sending, gone}, return_when=asyncio.FIRST_COMPLETED)
            if sending.done():
                sending.result()
        finally:
            gone.cancel()
            sending.cancel()
            await asyncio.gather(gone, sending, return_exceptions=True)
            await self._lines.aclose()

    async def _send_all(self, send: Send) -> None:
        headers = {"status": self.status_code, "headers": self.raw_headers}
        await send({"type": "http.response.start", **headers})
        lines = self._lines.text()
        async with aclosing(lines):
            try:
                async for line in lines:
                    await _send(send, line)
            except DmoaError as error:
                # The status has been sent; clients read the error from the stream.
                await _send(send, _data(msgspec.json.encode(as_api_error(error).body()).decode()))
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _send(send: Send, text: str) -> None:
    await send({"type": "http.response.body", "body": text.encode(), "more_body": True})
