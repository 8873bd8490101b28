"""What an LLM said, all of it, for tests."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from dmoa.llm.interface import LLM, Alive, End, Token
from dmoa.llm.upstream import Upstream
from dmoa.protocol.conversation import Constraints, Message, Sampling, ToolCallPart
from tests.llm.fake import Fake

HI = [Message(role="user", content="hi")]


@dataclass
class Said:
    """One answer."""

    text: str = ""
    reasoning: str = ""
    calls: list[dict[str, str]] = field(default_factory=list)
    parts: list[ToolCallPart] = field(default_factory=list)
    alive: list[Alive] = field(default_factory=list)
    end: End | None = None

    def add(self, item: Token | End) -> None:
        """The next item, taken as a caller has to."""
        if isinstance(item, End):
            self.end = item
            return
        if isinstance(item, Alive):
            self.alive.append(item)
            return
        if item.recants:
            self.reasoning += self.text
            self.text = ""
        self.text += item.text
        self.reasoning += item.reasoning
        for part in item.tool_calls or []:
            self.parts.append(part)
            if part.index == len(self.calls):
                assert part.id
                assert part.type == "function"
                self.calls.append({"id": part.id, "name": "", "arguments": ""})
            call = self.calls[part.index]
            assert part.function is not None
            call["name"] += part.function.name or ""
            call["arguments"] += part.function.arguments or ""

    @property
    def named(self) -> list[tuple[str, str]]:
        """Names and arguments of the calls."""
        return [(call["name"], call["arguments"]) for call in self.calls]

    @property
    def finish(self) -> str:
        """Why it ended."""
        assert self.end is not None
        return self.end.finish_reason


async def say(
    llm: LLM,
    messages: Sequence[Message] = HI,
    sampling: Sampling | None = None,
    constraints: Constraints | None = None,
) -> Said:
    """An answer to its end."""
    said = Said()
    stream = llm.stream(messages, sampling or Sampling(), constraints)
    async with aclosing(stream), asyncio.timeout(60):
        async for item in stream:
            said.add(item)
    assert said.end is not None
    return said


@asynccontextmanager
async def connected(
    fake: Fake, model: str | None = None, **options: Any
) -> AsyncGenerator[Upstream]:
    """Our client of a fake server."""
    llm = await Upstream.connect(fake.url, model, **options)
    try:
        yield llm
    finally:
        await llm.close()
