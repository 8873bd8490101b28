"""Device 0 of a cluster behind a real HTTP server on loopback."""

import asyncio
import json
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import openai

from dmoa.api.app import make_app
from dmoa.api.prompts import Habits
from dmoa.api.server import ApiServer, bind
from dmoa.device.committee import Committees
from dmoa.device.examinations import Examinations
from dmoa.standings.examiner import Examiner
from tests.cluster import Cluster


@dataclass
class Response:
    """A response as it came over the wire."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Served:
    """A cluster, an official client, and a way to send any bytes."""

    cluster: Cluster
    port: int
    client: openai.AsyncOpenAI
    examiner: Examiner

    async def raw(self, request: bytes) -> Response:
        """Send bytes, and read the response to its end."""
        async with asyncio.timeout(30):
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            try:
                writer.write(request)
                await writer.drain()
                head = await reader.readuntil(b"\r\n\r\n")
                status, *lines = head.decode().split("\r\n")
                headers = dict(line.lower().split(": ", 1) for line in lines if line)
                length = int(headers.get("content-length", "0"))
                body = await reader.readexactly(length)
                return Response(int(status.split()[1]), headers, body)
            finally:
                writer.close()
                await writer.wait_closed()

    async def post(self, body: bytes, path: str = "/v1/chat/completions") -> Response:
        head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
        return await self.raw(head.encode() + body)

    async def get(self, path: str, headers: str = "") -> Response:
        return await self.raw(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n".encode())


@asynccontextmanager
async def served(
    count: int = 4,
    *,
    seconds: float = 0.01,
    keys: Sequence[str] = (),
    origins: Sequence[str] = (),
    hosts: Sequence[str] = (),
    habits: Habits | None = None,
    **options: Any,
) -> AsyncGenerator[Served, None]:
    """Serve a cluster."""
    listener = bind("127.0.0.1", 0)
    port = listener.getsockname()[1]
    async with Cluster(count, seconds=seconds, **options) as cluster:
        device = cluster.devices[0]
        examiner = Examiner(device.own_id)
        examinations = Examinations(device, examiner)
        app = make_app(
            device,
            committees=Committees(device, layers=1, proposers=3, examinations=examinations),
            habits=habits or Habits(),
            keys=list(keys),
            origins=origins,
            hosts=hosts,
        )
        server = ApiServer(app, listener)
        server.start()
        key = keys[0] if keys else "none"
        url = f"http://127.0.0.1:{port}/v1"
        try:
            async with openai.AsyncOpenAI(base_url=url, api_key=key, max_retries=0) as client:
                yield Served(cluster, port, client, examiner)
        finally:
            await server.close()
