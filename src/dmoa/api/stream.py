"""A streamed answer on its way to a client, whatever the writer makes of it."""

import asyncio
from collections.abc import Awaitable, Callable

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from dmoa.api.errors import as_api_error
from dmoa.api.writing import Writer
from dmoa.errors import DmoaError
from dmoa.protocol.events import Event, Finished, Restarted, Text

WAITING_SECONDS = 5.0
"""A client that gets nothing for so long gets a sign of life."""
# A prompt that fails at once gets its proper status; after this the stream has begun.
STATUS_SECONDS = 0.25

Work = Callable[[Callable[[Event], None]], Awaitable[Finished]]


class AnswerStream(Response):
    """The events of one prompt on their way to a client; when that goes away, the work ends.

    Args:
        writer: writes them.
    """

    def __init__(self, writer: Writer) -> None:
        self.status_code = 200
        self.background = None
        self.media_type = writer.media_type
        self.init_headers({"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        self._writer = writer
        self._written: list[str] = []  # what has yet to be sent
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
            while not (gone.done() or (self._working.done() and not self._written)):
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
        if isinstance(event, Text | Finished | Restarted):
            self._answering.set()
        # Written at once, because the records that events carry change.
        if line := self._writer.line(event):
            self._written.append(line)
            self._wake()

    async def _next(self) -> str:
        """All that is written, together; a sign of life when there is nothing for long."""
        try:
            async with asyncio.timeout(WAITING_SECONDS):
                await self._news.wait()
        except TimeoutError:
            return self._writer.waiting()
        self._news.clear()
        written, self._written = self._written, []
        return "".join(written)

    def _broken(self, error: BaseException) -> str:
        """The status has been sent; clients read the error from the stream."""
        if not isinstance(error, DmoaError):
            raise error  # a fault of ours, for the server's log
        return self._writer.broken(as_api_error(error))


async def until_disconnected(receive: Receive) -> None:
    """Wait until the client has gone away."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def _send(send: Send, text: str) -> None:
    await send({"type": "http.response.body", "body": text.encode(), "more_body": True})
