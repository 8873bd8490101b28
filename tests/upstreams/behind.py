"""Devices of one network whose LLMs are servers that answer with the bytes they are told to."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import msgspec

from dmoa.device.device import Device
from dmoa.llm.upstream import Upstream
from tests.llm.fake import DONE, C, Fake, Reply, Request, openai_models, streamed
from tests.served import Api, Response, served_by

CHAT = "/v1/chat/completions"
ASK: list[dict[str, Any]] = [{"role": "user", "content": "Why?"}]


def said(text: str, finish: str = "stop") -> Reply:
    """An answer as OpenAI's own server streams it."""
    return streamed(
        C({"role": "assistant", "content": ""}), C({"content": text}), C({}, finish), DONE
    )


class Scripted(Fake):
    """A server that gives responses in turn, the last one again and again.

    Args:
        replies: the responses; a function is given the request's body, and None passes to the
            next one.
    """

    def __init__(self, *replies: Reply, models: Sequence[str] = ("tiny",)) -> None:
        super().__init__()
        left = list(replies)

        def chat(request: Request) -> Reply | None:
            if request.path != CHAT:
                return None
            return left.pop(0) if len(left) > 1 else left[0]

        self.handlers = [openai_models(*models), chat]

    @property
    def bodies(self) -> list[Any]:
        """What it was asked for, in order."""
        return [request.body for request in self.calls(CHAT)]


@dataclass
class Streamed:
    """What a client reads of a stream."""

    text: str = ""
    reasoning: str = ""
    calls: list[dict[str, str]] = field(default_factory=list)
    finish: str | None = None
    error: dict[str, Any] | None = None
    done: bool = False


@dataclass
class Behind:
    """The API of the first device, and all devices and servers."""

    api: Api
    devices: list[Device]
    fakes: list[Fake]

    async def post(self, body: dict[str, Any] | None = None, **fields: Any) -> Response:
        """Ask, with the bytes of a client that checks nothing."""
        whole = {"model": "dmoa-m0-k0", "messages": ASK, **(body or {}), **fields}
        return await self.api.post(msgspec.json.encode(whole))

    async def answer(self, **fields: Any) -> dict[str, Any]:
        """The whole answer to a request that must be served."""
        response = await self.post(**fields)
        assert response.status == 200, response.body
        whole: dict[str, Any] = response.json()
        return whole

    async def choice(self, **fields: Any) -> dict[str, Any]:
        """Its only choice."""
        choice: dict[str, Any] = (await self.answer(**fields))["choices"][0]
        return choice

    async def refused(self, **fields: Any) -> tuple[int, str]:
        """Status and words of a refusal."""
        response = await self.post(**fields)
        assert response.status != 200, response.body
        return response.status, response.json()["error"]["message"]

    async def stream(self, **fields: Any) -> Streamed:
        """A streamed answer, read as far as it goes."""
        read = Streamed()
        response = await self.post(stream=True, **fields)
        if response.status != 200:  # it failed before the first byte had gone out
            read.error = response.json()["error"]
        for line in response.body.decode().split("\n"):
            if not line.startswith("data: "):
                continue
            if line == "data: [DONE]":
                read.done = True
                continue
            _take(msgspec.json.decode(line[6:]), read)
        return read

    async def healthy(self) -> bool:
        """Whether the node says that it is."""
        return (await self.api.get("/healthz")).status == 200

    async def window(self) -> int:
        """Tokens that the node believes its LLM to hold."""
        status = (await self.api.get("/status")).json()
        (own,) = [device for device in status["devices"] if device["own"]]
        window: int = own["context_length"]
        return window


def _take(chunk: dict[str, Any], read: Streamed) -> None:
    read.error = chunk.get("error") or read.error
    for choice in chunk.get("choices") or []:
        delta = choice["delta"]
        read.text += delta.get("content") or ""
        read.reasoning += delta.get("reasoning_content") or ""
        read.finish = choice.get("finish_reason") or read.finish
        for part in delta.get("tool_calls") or []:
            if part["index"] == len(read.calls):
                read.calls.append({"id": part["id"], "name": "", "arguments": ""})
            call, function = read.calls[part["index"]], part["function"]
            call["name"] += function.get("name") or ""
            call["arguments"] += function.get("arguments") or ""


@asynccontextmanager
async def behind(*servers: Reply | Fake, **options: Any) -> AsyncGenerator[Behind]:
    """Devices with these servers, the first one served; a response alone is a server of it.

    Args:
        options: `layers`, `proposers`, `keys`, and those of devices.
    """
    async with AsyncExitStack() as stack:
        fakes, llms = [], []
        for server in servers:
            fake = Scripted(server) if isinstance(server, Reply) else server
            await stack.enter_async_context(fake)
            llm = await Upstream.connect(fake.url, None)
            stack.push_async_callback(llm.close)
            fakes.append(fake)
            llms.append(llm)
        api, devices = await stack.enter_async_context(served_by(*llms, **options))
        yield Behind(api, devices, fakes)
