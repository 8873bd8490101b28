"""A device behind a real HTTP server on loopback: of a cluster, or with an LLM of one's own."""

import asyncio
import json
import random
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import openai

from dmoa.api.app import make_app
from dmoa.api.making import PromptDefaults
from dmoa.api.server import ApiServer, bind
from dmoa.api.unattended import Unattended
from dmoa.device.committee import Committees
from dmoa.device.device import Device
from dmoa.device.examinations import Examinations
from dmoa.llm.http import authorities
from dmoa.llm.interface import LLM
from dmoa.network.memory import MemoryHub
from dmoa.standings.examiner import Examiner
from dmoa.store.database import Database
from dmoa.store.prompts import KeptPrompts
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
class Api:
    """The API of a device: an official client, and a way to send any bytes."""

    port: int
    client: openai.AsyncOpenAI
    examiner: Examiner

    @property
    def url(self) -> str:
        """Without a path."""
        return f"http://127.0.0.1:{self.port}"

    async def raw(self, request: bytes, *, only_head: bool = False) -> Response:
        """Send bytes, and read the response to its end, or its head."""
        async with asyncio.timeout(30):
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            try:
                writer.write(request)
                await writer.drain()
                head = await reader.readuntil(b"\r\n\r\n")
                status, *lines = head.decode().split("\r\n")
                headers = dict(line.lower().split(": ", 1) for line in lines if line)
                if only_head:
                    body = b""
                elif headers.get("transfer-encoding") == "chunked":
                    body = await _chunked(reader)
                else:
                    body = await reader.readexactly(int(headers.get("content-length", "0")))
                return Response(int(status.split()[1]), headers, body)
            finally:
                writer.close()
                await writer.wait_closed()

    async def post(self, body: bytes, path: str = "/v1/chat/completions") -> Response:
        head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
        return await self.raw(head.encode() + body)

    async def get(self, path: str, headers: str = "") -> Response:
        return await self.raw(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n".encode())


async def _chunked(reader: asyncio.StreamReader) -> bytes:
    body = b""
    while length := int(await reader.readline(), 16):
        body += await reader.readexactly(length)
        await reader.readexactly(2)
    return body


@dataclass
class Served(Api):
    """The API of the first device of a cluster."""

    cluster: Cluster


@asynccontextmanager
async def api_of(
    device: Device,
    *,
    layers: int | None = 1,
    proposers: int = 3,
    keys: Sequence[str] = (),
    origins: Sequence[str] = (),
    hosts: Sequence[str] = (),
    defaults: PromptDefaults | None = None,
    store: Database | None = None,
) -> AsyncGenerator[Api, None]:
    """Serve a device's API; with a store, prompts in the background as well."""
    listener = bind("127.0.0.1", 0)
    port = listener.getsockname()[1]
    examiner = Examiner(device.own_id)
    examinations = Examinations(device, examiner)
    unattended = Unattended(KeptPrompts(store), device, settle_seconds=0) if store else None
    app = make_app(
        device,
        committees=Committees(
            device, layers=layers, proposers=proposers, examinations=examinations
        ),
        defaults=defaults or PromptDefaults(),
        keys=list(keys),
        origins=origins,
        hosts=hosts,
        unattended=unattended,
    )
    server = ApiServer(app, listener)
    server.start()
    if unattended:
        unattended.start()
    key = keys[0] if keys else "none"
    url = f"http://127.0.0.1:{port}/v1"
    try:
        http = openai.DefaultAsyncHttpxClient(verify=authorities())
        async with openai.AsyncOpenAI(
            base_url=url, api_key=key, max_retries=0, http_client=http
        ) as client:
            yield Api(port, client, examiner)
    finally:
        await server.close()
        if unattended:
            await unattended.close()


@asynccontextmanager
async def served(
    count: int = 4,
    *,
    seconds: float = 0.01,
    keys: Sequence[str] = (),
    origins: Sequence[str] = (),
    hosts: Sequence[str] = (),
    defaults: PromptDefaults | None = None,
    store: Database | None = None,
    **options: Any,
) -> AsyncGenerator[Served, None]:
    """Serve a cluster."""
    async with (
        Cluster(count, seconds=seconds, **options) as cluster,
        api_of(
            cluster.devices[0],
            keys=keys,
            origins=origins,
            hosts=hosts,
            defaults=defaults,
            store=store,
        ) as api,
    ):
        yield Served(api.port, api.client, api.examiner, cluster)


@asynccontextmanager
async def served_by(
    *llms: LLM,
    layers: int | None = 0,
    proposers: int = 3,
    keys: Sequence[str] = (),
    **options: Any,
) -> AsyncGenerator[tuple[Api, list[Device]], None]:
    """Serve a device with an LLM of one's own, beside devices with the others.

    Args:
        options: of each device.
    """
    hub = MemoryHub()
    async with AsyncExitStack() as stack:
        devices = []
        for i, llm in enumerate(llms):
            name = f"d{i}"
            random_generator = random.Random(name)
            device = Device(
                name, name, llm, hub.network(), random_generator=random_generator, **options
            )
            stack.push_async_callback(device.close)
            await device.start()
            devices.append(device)
        async with asyncio.timeout(10):
            while any(len(device.peers()) < len(llms) - 1 for device in devices):
                await asyncio.sleep(0)
        yield (
            await stack.enter_async_context(
                api_of(devices[0], layers=layers, proposers=proposers, keys=keys)
            ),
            devices,
        )
