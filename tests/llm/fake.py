"""An LLM server on 127.0.0.1 that answers with exactly the bytes it is told to."""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Self

REASONS = {200: "OK", 400: "Bad Request", 401: "Unauthorized", 404: "Not Found"}


@dataclass
class Request:
    """A request as it came."""

    method: str
    path: str
    headers: dict[str, str]
    body: Any


@dataclass
class Reply:
    """A response.

    Attributes:
        pieces: written one by one, the loop running between them.
        ends: the body ends properly; otherwise the connection is cut after the last piece.
        closes: the connection is closed after the response, without a word of it before.
        gate: waited for before the last piece.
        pause: seconds between pieces.
    """

    status: int = 200
    pieces: list[bytes] = field(default_factory=list)
    kind: str = "application/json"
    ends: bool = True
    closes: bool = False
    headers: dict[str, str] = field(default_factory=dict)
    gate: asyncio.Event | None = None
    pause: float = 0.0


def as_json(value: Any, status: int = 200, **headers: str) -> Reply:
    """A JSON response."""
    return Reply(status, [json.dumps(value).encode()], headers=headers)


def streamed(*pieces: bytes | str, kind: str = "text/event-stream", **options: Any) -> Reply:
    """A streamed response."""
    return Reply(200, [p.encode() if isinstance(p, str) else p for p in pieces], kind, **options)


def data(value: Any) -> str:
    """A server-sent event."""
    return f"data: {value if isinstance(value, str) else json.dumps(value)}\n\n"


def chunk(delta: Any = None, finish: str | None = None, **more: Any) -> dict[str, Any]:
    """A chunk of a chat completion."""
    choice = {"index": 0, "delta": {} if delta is None else delta, "finish_reason": finish}
    return {
        "id": "x",
        "object": "chat.completion.chunk",
        "created": 0,
        "model": "tiny",
        "choices": [choice],
        **more,
    }


def C(delta: Any = None, finish: str | None = None, **more: Any) -> str:  # noqa: N802
    """A chunk as an event."""
    return data(chunk(delta, finish, **more))


DONE = "data: [DONE]\n\n"
Handler = Callable[[Request], Reply | None]


@dataclass
class Fake:
    """A server; what no handler answers is 404.

    Attributes:
        asked: all requests, in order of arrival.
        connections: how many were opened.
    """

    handlers: list[Handler] = field(default_factory=list)
    asked: list[Request] = field(default_factory=list)
    connections: int = 0
    port: int = 0
    idle_close: bool = False
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def url(self) -> str:
        """Of its OpenAI API."""
        return f"http://127.0.0.1:{self.port}/v1"

    def calls(self, path: str) -> list[Request]:
        """The requests to a path."""
        return [request for request in self.asked if request.path.partition("?")[0] == path]

    def answer(self, request: Request) -> Reply:
        """The first handler that knows what to say."""
        for handler in self.handlers:
            if (reply := handler(request)) is not None:
                return reply
        return as_json({"detail": "Not Found"}, 404)

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for writer in list(self._writers):
            writer.close()
        await self._server.wait_closed()

    def drop_idle(self) -> None:
        """Close all connections, as servers do with idle ones."""
        for writer in list(self._writers):
            writer.transport.abort()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.add(writer)
        self.connections += 1
        try:
            while await self._exchange(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the client went away, or the test is over
        finally:
            self._tasks.discard(task)
            self._writers.discard(writer)
            writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = await reader.readuntil(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines if line)
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        method, path, _ = first.split(" ")
        request = Request(method, path, headers, json.loads(body) if body else None)
        self.asked.append(request)
        reply = self.answer(request)
        reason = REASONS.get(reply.status, "Status")
        fields = {"Content-Type": reply.kind, "Transfer-Encoding": "chunked", **reply.headers}
        written = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        writer.write(f"HTTP/1.1 {reply.status} {reason}\r\n{written}\r\n".encode())
        for i, piece in enumerate(reply.pieces):
            if reply.gate is not None and i == len(reply.pieces) - 1:
                await reply.gate.wait()
            if piece:
                writer.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
                await writer.drain()
                await asyncio.sleep(reply.pause)
        if not reply.ends:
            writer.transport.abort()
            return False
        writer.write(b"0\r\n\r\n")
        await writer.drain()
        return not reply.closes


def openai_models(*names: str, owner: str = "somebody", **more: Any) -> Handler:
    """The list of models of an OpenAI-compatible server."""
    entries = [
        {"id": name, "object": "model", "created": 0, "owned_by": owner, **more} for name in names
    ]

    def handler(request: Request) -> Reply | None:
        if (request.method, request.path) == ("GET", "/v1/models"):
            return as_json({"object": "list", "data": entries})
        return None

    return handler


@asynccontextmanager
async def serving(*replies: Reply, models: tuple[str, ...] = ("tiny",)) -> AsyncGenerator[Fake]:
    """A generic server that gives these responses in turn, the last one again and again."""
    fake = Fake()
    left = list(replies)

    def chat(request: Request) -> Reply | None:
        if request.path != "/v1/chat/completions":
            return None
        return left.pop(0) if len(left) > 1 else left[0]

    fake.handlers = [openai_models(*models), chat]
    async with fake:
        yield fake
