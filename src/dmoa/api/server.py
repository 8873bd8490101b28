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
BACKLOG = 128


class _Server(uvicorn.Server):
    """uvicorn without its own signals: a node drains before it stops serving."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


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
            timeout_graceful_shutdown=CLOSE_SECONDS,
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
        self._server.should_exit = True
        if self._serving is not None:
            await self._serving
        self._listener.close()
