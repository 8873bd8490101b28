"""`POST /v1/chat/completions`, whole or streamed.

While a client waits for the first token it gets the progress of the layers as SSE comments,
which keep the connection alive and which clients skip. A client that goes away cancels its
work on all devices.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing

import msgspec
from fastapi import Request
from fastapi.responses import Response
from starlette.types import Receive, Scope, Send

from dmoa.api import models
from dmoa.api.errors import as_api_error
from dmoa.api.requests import ChatRequest, read_chat_request
from dmoa.api.responses import ChunkWriter, completion
from dmoa.device import Device
from dmoa.errors import DmoaError
from dmoa.events import (
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
        default: M and k of the model `dmoa`.
        policy: how long layers wait.
    """

    def __init__(self, device: Device, default: models.CommitteeSize, policy: LayerPolicy) -> None:
        self._device = device
        self._default = default
        self._policy = policy

    async def __call__(self, request: Request) -> Response:
        """Answer a request."""
        chat = await read_chat_request(request)
        committee = models.resolve(chat.model, self._device.llm.info.name, self._default)
        prompt = Prompt(
            messages=chat.conversation(),
            layers=committee.layers,
            proposers=committee.proposers,
            sampling=chat.sampling(),
            constraints=chat.constraints(),
            instruction=chat.dmoa.instruction or INSTRUCTION,
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
        lines = _lines(chat, ChunkWriter(prompt.id, chat.model), events)
        first = await anext(lines)  # raises what the door says
        following = asyncio.ensure_future(anext(lines))
        await asyncio.wait({following}, timeout=STATUS_SECONDS)
        if following.done():
            try:
                following.result()
            except DmoaError:
                await lines.aclose()
                raise
        return EventStream(first, following, lines)


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


async def _lines(
    chat: ChatRequest, chunks: ChunkWriter, events: AsyncGenerator[Event, None]
) -> AsyncGenerator[str, None]:
    """Server-sent events of an answer; the first is there as soon as the prompt is accepted."""
    beats = with_heartbeat(events, COMMENT_SECONDS)
    async with aclosing(beats):
        async for event in beats:
            match event:
                case None:
                    yield _comment("waiting")
                case Text():
                    yield _data(chunks.piece(event.text, event.tool_calls))
                case Finished():
                    yield _data(chunks.end(event))
                    if chat.stream_options and chat.stream_options.include_usage:
                        yield _data(chunks.usage(event))
                    yield _data("[DONE]")
                case Restarted():
                    yield _data(
                        chunks.piece(
                            f"\n\n[The answer broke off ({event.cause}). Another device answers"
                            " anew.]\n\n"
                        )
                    )
                case _:
                    yield _comment(_describe(event))
                    if chat.dmoa.progress:
                        yield _data(chunks.progress(event))


def _describe(event: Event) -> str:
    match event:
        case Accepted():
            return f"prompt {event.record.id} accepted"
        case LayerStarted():
            names = ", ".join(proposer.name for proposer in event.proposers)
            return f"layer {event.layer} of {event.layers}: {names}"
        case Draft():
            return f"layer {event.layer}: {event.proposer.name} {event.proposer.outcome}"
        case LayerFinished():
            return f"layer {event.record.layer}: {event.drafts} drafts"
        case Aggregating():
            return f"{event.aggregator.name} aggregates"
        case _:
            return "working"


def _data(payload: str) -> str:
    return f"data: {payload}\n\n"


def _comment(text: str) -> str:
    return f": {' '.join(text.split())}\n\n"


class EventStream(Response):
    """A stream of server-sent events that ends when its client goes away."""

    media_type = "text/event-stream"

    def __init__(
        self, first: str, following: "asyncio.Future[str]", lines: AsyncGenerator[str, None]
    ) -> None:
        self.status_code = 200
        self.background = None
        self._first, self._following, self._lines = first, following, lines
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
            self._following.cancel()
            await asyncio.gather(gone, sending, self._following, return_exceptions=True)
            await self._lines.aclose()

    async def _send_all(self, send: Send) -> None:
        await send(
            {
                "type": "http.response.start",
                "status": self.status_code,
                "headers": self.raw_headers,
            }
        )
        await _send(send, self._first)
        try:
            await _send(send, await self._following)
            async for line in self._lines:
                await _send(send, line)
        except StopAsyncIteration:
            pass
        except DmoaError as error:
            # The status has been sent; clients read the error from the stream.
            body = as_api_error(error).body()
            await _send(send, _data(_json(body)))
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _send(send: Callable[..., Awaitable[None]], text: str) -> None:
    await send({"type": "http.response.body", "body": text.encode(), "more_body": True})


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
