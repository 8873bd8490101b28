"""Serving the web application on a socket."""

import asyncio
import contextlib
import socket
from collections.abc import Generator
from typing import Any

import uvicorn

from dmoa.errors import UsageError
from dmoa.policies.limits import LIMITS

CLOSE_SECONDS = 3
LOOK_SECONDS = 0.01
BACKLOG = 128


class _Server(uvicorn.Server):
    """uvicorn without its own signals and clock: a node drains before it stops serving.

    uvicorn looks ten times a second whether it is to end, which wakes an idle device for nothing
    and makes each end take 0.2 s.
    """

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ending = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield

    async def main_loop(self) -> None:
        await self.on_tick(0)
        await self.ending.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for listener in (*self.servers, *(sockets or ())):
            listener.close()
        state = self.server_state
        for connection in list(state.connections):
            connection.shutdown()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                while state.connections or state.tasks:
                    await asyncio.sleep(LOOK_SECONDS)
        for task in state.tasks:
            task.cancel()


def bind(host: str, port: int) -> socket.socket:
    """Take the API's address, before anything slow is started.

    Raises:
        UsageError: it is taken or not of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio only switches Nagle's algorithm off for sockets that name their protocol; with
    # it on, small responses wait 40 ms for an acknowledgement.
    server = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        server.bind((host, port))
    except OSError as error:
        server.close()
        raise UsageError(
            f"cannot serve the API on {host}:{port}: {error.strerror or error};"
            f" give another address, as in --api 127.0.0.1:{port + 1 if port < 65535 else 8765}"
        ) from None
    return server


class ApiServer:
    """A web application that is being served.

    Args:
        app: an ASGI application.
        listener: the socket.
    """

    def __init__(self, app: Any, listener: socket.socket) -> None:
        config = uvicorn.Config(
            app,
            log_level="warning",
            access_log=False,
            lifespan="off",
            proxy_headers=False,
            date_header=False,
            limit_concurrency=LIMITS.connections,
        )
        self._server = _Server(config)
        self._listener = listener
        self._serving: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to serve; until now nobody could connect, and so nobody waits."""
        self._listener.listen(BACKLOG)
        self._serving = asyncio.create_task(self._server.serve(sockets=[self._listener]))

    async def close(self) -> None:
        """Stop serving; open requests have a few seconds to end."""
        self._server.ending.set()
        if self._serving is not None:
            await self._serving
        self._listener.close()
