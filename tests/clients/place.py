"""A node for real clients: three devices, the first of which has an LLM that can use tools."""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

from tests.llm.fake import DONE, C, Fake, Reply, Request, data, openai_models, streamed
from tests.upstreams.behind import CHAT, Behind, behind, said

T = TypeVar("T")
ROOT = Path(__file__).parents[2]
VENVS = ROOT / ".venv-clients"
"""Where `make clients` puts clients that do not fit in one environment."""

MODEL = "dmoa-m1-k2"
CITY: dict[str, Any] = {"city": "Paris", "people": 2_100_000}
TOOLS: dict[str, Callable[..., Any]] = {
    "add": lambda a, b: a + b,
    "multiply": lambda a, b: a * b,
    "report": lambda result: f"reported {result}",
}
DESCRIBED = [
    {
        "type": "function",
        "function": {
            "name": name,
            "description": name,
            "parameters": {
                "type": "object",
                "properties": {
                    key: {"type": "integer"}
                    for key in (["a", "b"] if name != "report" else ["result"])
                },
                "required": ["a", "b"] if name != "report" else ["result"],
            },
        },
    }
    for name in TOOLS
]
TURNS: list[list[tuple[str, dict[str, int]]]] = [
    [("add", {"a": 2, "b": 3}), ("multiply", {"a": 4, "b": 5})],  # in parallel
    [("report", {"result": 25})],
]


class Clever(Fake):
    """An LLM that uses three tools in two turns, keeps to formats, thinks, and else says Paris."""

    def __init__(self) -> None:
        super().__init__()
        self.handlers = [openai_models("clever"), self._chat]

    @property
    def bodies(self) -> list[Any]:
        """What it was asked for."""
        return [request.body for request in self.calls(CHAT)]

    def _chat(self, request: Request) -> Reply | None:
        if request.path != CHAT:
            return None
        body = request.body
        offered = {tool["function"]["name"] for tool in body.get("tools") or []}
        turn = sum(m["role"] == "assistant" and "tool_calls" in m for m in body["messages"])
        if offered and turn < len(TURNS):
            return self._calls(TURNS[turn], turn)
        if offered:
            results = [m["content"] for m in body["messages"] if m["role"] == "tool"]
            return said(f"results: {', '.join(results)}")
        form = (body.get("response_format") or {}).get("type")
        if form in ("json_schema", "json_object"):
            return said(json.dumps(CITY))
        usage = {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12}
        return streamed(
            C({"role": "assistant", "content": ""}),
            C({"reasoning_content": "A capital. "}),
            *[C({"content": word}) for word in ("It is ", "Paris, ", "of course.")],
            C({}, "stop"),
            data({"choices": [], "usage": usage}),
            DONE,
        )

    @staticmethod
    def _calls(calls: list[tuple[str, dict[str, int]]], turn: int) -> Reply:
        parts: list[dict[str, Any]] = []
        for i, (name, arguments) in enumerate(calls):
            text = json.dumps(arguments)
            first = {"name": name, "arguments": ""}
            parts.append(
                {"index": i, "id": f"call_{turn}_{i}", "type": "function", "function": first}
            )
            parts += [
                {"index": i, "function": {"arguments": half}} for half in (text[:5], text[5:])
            ]
        return streamed(*[C({"tool_calls": [part]}) for part in parts], C({}, "tool_calls"), DONE)


@asynccontextmanager
async def node() -> AsyncGenerator[Behind]:
    """Three devices; drafts come from two others."""
    async with behind(Clever(), said("Lyon?"), said("Paris?"), layers=1, proposers=2) as b:
        yield b


async def there(b: Behind, path: str) -> bool:
    """Whether the node has an operation at a path."""
    return (await b.api.post(b"{}", path)).status != 404


async def in_thread(work: Callable[[], T]) -> T:
    """Run what a client without asyncio does, while the node goes on here."""
    return await asyncio.wait_for(asyncio.to_thread(work), 60)


async def run(*command: str | Path, **environment: str) -> tuple[int, str, str]:
    """A program beside the node; its exit status, stdout and stderr."""
    import os

    process = await asyncio.create_subprocess_exec(
        *map(str, command),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, **environment},
    )
    try:
        out, err = await asyncio.wait_for(process.communicate(), 110)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()
