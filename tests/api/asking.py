"""What the tests of all APIs do: give an LLM its lines, go away in the middle, check a schema."""

import asyncio
import json
from typing import Any

from jsonschema import Draft202012Validator

from dmoa.llm.scripted import ScriptedAnswer
from tests.served import Served

OWN = "model-d0"
_LINES = (":", "{", "data: ", "event: ")  # and no lengths of chunks

PARALLEL = ScriptedAnswer(
    "Let me look.",
    reasoning="two cities then",
    tool_calls=[
        {"id": "call_a", "function": {"name": "weather", "arguments": '{"city": "Oslo"}'}},
        {"id": "call_b", "function": {"name": "weather", "arguments": '{"city": "Rome"}'}},
    ],
)
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
}


def says(s: Served, reply: ScriptedAnswer | str) -> None:
    """From now on the own LLM answers so."""
    s.cluster.llms[0]._respond = lambda messages: reply


async def go_away(s: Served, path: str, body: dict[str, Any], running: int) -> None:
    """Ask, leave when so many LLMs work on it, and wait until nothing is left of it.

    The LLMs must be slow enough that they cannot just have finished.
    """
    payload = json.dumps(body).encode()
    _, writer = await asyncio.open_connection("127.0.0.1", s.port)
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(payload)}\r\n\r\n"
    writer.write(head.encode() + payload)
    async with asyncio.timeout(20):
        while sum(llm.running for llm in s.cluster.llms) < running:
            await asyncio.sleep(0.01)
        writer.close()
        while s.cluster.busy():
            await asyncio.sleep(0.01)


async def stream_lines(s: Served, path: str, body: dict[str, Any]) -> list[str]:
    """All lines of a stream, as they came over the wire."""
    payload = json.dumps(body).encode()
    reader, writer = await asyncio.open_connection("127.0.0.1", s.port)
    head = (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        f"Content-Length: {len(payload)}\r\n\r\n"
    )
    writer.write(head.encode() + payload)
    async with asyncio.timeout(30):
        text = (await reader.read()).decode()
    writer.close()
    await writer.wait_closed()
    return [line for line in text.split("\r\n\r\n", 1)[1].splitlines() if line.startswith(_LINES)]


class Described:
    """The API's description, and checks of what comes against it."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.document = document

    @classmethod
    async def of(cls, s: Served) -> "Described":
        return cls((await s.get("/openapi.json")).json())

    def answer(self, path: str, value: Any, status: int = 200, method: str = "post") -> None:
        answers = self.document["paths"][path][method]["responses"][str(status)]["content"]
        self.check(answers["application/json"]["schema"], value)

    def event(self, path: str, value: Any) -> None:
        content = self.document["paths"][path]["post"]["responses"]["200"]["content"]
        kinds = next(c["schema"]["x-events"] for c in content.values() if "x-events" in c["schema"])
        self.check({"anyOf": kinds}, value)

    def body(self, path: str, value: Any) -> None:
        content = self.document["paths"][path]["post"]["requestBody"]["content"]
        self.check(content["application/json"]["schema"], value, strict=False)

    def check(self, schema: dict[str, Any], value: Any, *, strict: bool = True) -> None:
        check(self.document, schema, value, strict=strict)


def check(
    document: dict[str, Any], schema: dict[str, Any], value: Any, *, strict: bool = True
) -> None:
    """Raise unless a value is as described; schemas allow unknown fields, `strict` does not."""
    Draft202012Validator.check_schema(schema)
    components = json.loads(json.dumps(document["components"]))
    for component in components["schemas"].values() if strict else ():
        if "properties" in component:
            component["additionalProperties"] = False
    Draft202012Validator({**schema, "components": components}).validate(value)
