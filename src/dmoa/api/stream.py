"""A streamed answer: server-sent events, from the first comment to `[DONE]`.

While a client waits for the first token it gets the progress of the layers as comments, which
keep the connection alive and which clients skip.
"""

import asyncio
from collections.abc import Awaitable, Callable

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from dmoa.api.errors import as_api_error
from dmoa.api.requests import ChatRequest
from dmoa.api.responses import ChunkWriter, as_json
from dmoa.errors import DmoaError
from dmoa.protocol.events import (
    Accepted,
    Aggregating,
    Draft,
    Event,
    Finished,
    LayerFinished,
    LayerStarted,
    ProposerFailed,
    Restarted,
    Text,
)

COMMENT_SECONDS = 5.0
# A prompt that fails at once gets its proper status; after this the stream has begun.
STATUS_SECONDS = 0.25

Work = Callable[[Callable[[Event], None]], Awaitable[Finished]]


class AnswerStream(Response):
    """The events of one prompt on their way to a client; when that goes away, the work ends.

    Args:
        chat: the request.
        prompt_id: id of the prompt.
    """

    media_type = "text/event-stream"

    def __init__(self, chat: ChatRequest, prompt_id: str) -> None:
        self.status_code = 200
        self.background = None
        self.init_headers({"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        self._progress = bool(chat.dmoa and chat.dmoa.progress)
        self._include_usage = bool(chat.stream_options and chat.stream_options.include_usage)
        self._chunks = ChunkWriter(prompt_id, chat.model)
        self._told: list[Event | str] = []  # what has yet to be sent
        self._news = asyncio.Event()
        self._answering = asyncio.Event()
        self._working: asyncio.Future[Finished]

    async def begin(self, work: Work) -> None:
        """Start the work, and wait until its answer begins, or a moment.

        Raises:
            DmoaError: it failed at once, so that the status can say so.
        """
        self._working = asyncio.ensure_future(work(self._tell))
        self._working.add_done_callback(lambda _: self._wake())
        self._working.add_done_callback(lambda _: self._answering.set())
        try:
            async with asyncio.timeout(STATUS_SECONDS):
                await self._answering.wait()
            if self._working.done():
                self._working.result()
        except TimeoutError:
            pass
        except BaseException:  # also the server's end: nothing may go on running
            self._working.cancel()
            await asyncio.gather(self._working, return_exceptions=True)
            raise

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the stream."""
        gone = asyncio.create_task(until_disconnected(receive))
        gone.add_done_callback(lambda _: self._wake())
        try:
            headers = {"status": self.status_code, "headers": self.raw_headers}
            await send({"type": "http.response.start", **headers})
            while not (gone.done() or (self._working.done() and not self._told)):
                await _send(send, await self._next())
            if not gone.done():
                if error := self._working.exception():
                    await _send(send, self._broken(error))
                await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            gone.cancel()
            self._working.cancel()
            await asyncio.gather(gone, self._working, return_exceptions=True)

    def _wake(self) -> None:
        self._news.set()

    def _tell(self, event: Event) -> None:
        what: Event | str = event
        if isinstance(event, Text | Finished | Restarted):
            self._answering.set()
        elif self._progress:  # written at once, because the records that events carry change
            what = _data(self._chunks.progress(event))
        elif isinstance(event, Draft):
            return  # a comment for each would cost the owner's device more than it says
        self._told.append(what)
        self._wake()

    async def _next(self) -> str:
        """All lines that are there, together; a comment when there are none for long."""
        try:
            async with asyncio.timeout(COMMENT_SECONDS):
                await self._news.wait()
        except TimeoutError:
            return _comment("waiting")
        self._news.clear()
        told, self._told = self._told, []
        return "".join(what if isinstance(what, str) else self._line(what) for what in told)

    def _line(self, event: Event) -> str:
        """What a client reads of an event."""
        match event:
            case Text():
                return _data(self._chunks.piece(event.text, event.tool_calls, event.reasoning))
            case Finished():
                last = [_data(self._chunks.end(event)), _data("[DONE]")]
                if self._include_usage:
                    last.insert(1, _data(self._chunks.usage(event)))
                return "".join(last)
            case Restarted():
                note = f"\n\n[{event.cause}. Another device answers anew.]\n\n"
                return _data(self._chunks.piece(note))
            case Accepted():
                return _comment(f"prompt {event.record.id} accepted")
            case LayerStarted():
                names = ", ".join(proposer.name for proposer in event.proposers)
                return _comment(f"layer {event.layer} of {event.layers}: {names}")
            case ProposerFailed(proposer=proposer, instead=instead):
                now = f"; {instead.name} is asked instead" if instead else ""
                return _comment(f"layer {event.layer}: {proposer.name} {proposer.outcome}{now}")
            case LayerFinished():
                return _comment(f"layer {event.record.layer}: {event.drafts} drafts")
            case Aggregating():
                return _comment(f"{event.aggregator.name} aggregates")
            case _:
                return ""

    def _broken(self, error: BaseException) -> str:
        """The status has been sent; clients read the error from the stream."""
        if not isinstance(error, DmoaError):
            raise error  # a fault of ours, for the server's log
        return _data(as_json(as_api_error(error).body()))


async def until_disconnected(receive: Receive) -> None:
    """Wait until the client has gone away."""
    while (await receive())["type"] != "http.disconnect":
        pass


def _data(payload: str) -> str:
    return f"data: {payload}\n\n"


def _comment(text: str) -> str:
    return f": {' '.join(text.split())}\n\n"


async def _send(send: Send, text: str) -> None:
    await send({"type": "http.response.body", "body": text.encode(), "more_body": True})
