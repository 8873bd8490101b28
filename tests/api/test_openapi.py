"""The description of the API is of the whole API, and what comes over the wire is as described."""

import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from starlette.applications import Starlette
from starlette.routing import Route

from dmoa.api.app import all_operations, make_routed
from dmoa.api.making import PromptDefaults
from dmoa.api.metrics import Metrics
from dmoa.api.responses import ChunkWriter, completion
from dmoa.api.writing import as_json
from dmoa.device.committee import Committees
from dmoa.device.examinations import Examinations
from dmoa.protocol.conversation import FunctionPart, ToolCallPart, Usage
from dmoa.protocol.events import Finished
from dmoa.protocol.records import PromptRecord
from dmoa.standings.examiner import Examiner
from tests.api.asking import check
from tests.cluster import Cluster
from tests.served import Served, served

ASK: list[Any] = [{"role": "user", "content": "Why?"}]
CHAT = "/v1/chat/completions"


async def application() -> Starlette:
    async with Cluster(1) as cluster:
        device = cluster.devices[0]
        examinations = Examinations(device, Examiner(device.own_id))
        committees = Committees(device, layers=1, proposers=3, examinations=examinations)
        return make_routed(
            all_operations(device, committees, PromptDefaults(), list, Metrics(device)), []
        )


async def described(s: Served) -> dict[str, Any]:
    document = (await s.get("/openapi.json")).json()
    assert isinstance(document, dict)
    return document


def answer_schema(
    document: dict[str, Any], path: str, status: int = 200, method: str = "get"
) -> Any:
    answers = document["paths"][path][method]["responses"]
    return answers[str(status)]["content"]["application/json"]["schema"]


async def test_every_route_is_described_with_its_method() -> None:
    app = await application()
    routes = {
        (route.path.replace(":path", ""), method.lower())
        for route in app.routes
        if isinstance(route, Route)
        for method in (route.methods or set()) - {"HEAD"}
    }
    assert len(routes) == len(app.routes) >= 7
    async with served(1) as s:
        document = await described(s)
    found = {(path, method) for path, item in document["paths"].items() for method in item}
    assert found == routes
    assert document["openapi"].startswith("3.1.")
    for schema in document["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)


def references(value: Any) -> set[str]:
    if isinstance(value, dict):
        here = {value["$ref"]} if isinstance(value.get("$ref"), str) else set()
        return here.union(*(references(v) for v in value.values()))
    if isinstance(value, list):
        return set().union(*(references(v) for v in value))
    return set()


async def test_whatever_is_referred_to_is_there() -> None:
    async with served(1) as s:
        document = await described(s)
    for reference in references(document):
        name = reference.removeprefix("#/components/schemas/")
        assert name in document["components"]["schemas"], reference


async def test_real_answers_are_as_described() -> None:
    async with served(3) as s:
        document = await described(s)
        s.cluster.llms[1].fails_before_token = 0
        for model in ("dmoa", "dmoa-m2-k2-select", "model-d0"):
            body = {"model": model, "messages": ASK, "temperature": 0.5, "stop": ["x"]}
            check(document, body_schema(document), body)
            answered = await s.post(json.dumps(body).encode())
            assert answered.status == 200
            check(document, answer_schema(document, CHAT, method="post"), answered.json())
        prompt = answered.json()["id"]
        for path, asked in (
            ("/v1/models", "/v1/models"),
            ("/v1/models/{name}", "/v1/models/dmoa-m1-k1"),
            ("/v1/dmoa/prompts/{id}", f"/v1/dmoa/prompts/{prompt}"),
            ("/status", "/status"),
            ("/healthz", "/healthz"),
            ("/openapi.json", "/openapi.json"),
        ):
            found = await s.get(asked)
            assert found.status == 200
            check(document, answer_schema(document, path), found.json())


def body_schema(document: dict[str, Any]) -> Any:
    body = document["paths"][CHAT]["post"]["requestBody"]
    return body["content"]["application/json"]["schema"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 400),
        (json.dumps({"model": "gpt-4", "messages": ASK}).encode(), 404),
        (json.dumps({"model": "dmoa-m9-k1", "messages": ASK}).encode(), 400),
        (b" " * (9 * 2**20), 413),
    ],
)
async def test_real_errors_are_as_described(body: bytes, status: int) -> None:
    async with served(1) as s:
        document = await described(s)
        refused = await s.post(body)
        assert refused.status == status
        check(document, answer_schema(document, CHAT, status, "post"), refused.json())


async def test_a_missing_key_is_as_described() -> None:
    async with served(1, keys=["secret"]) as s:
        shown = await s.get("/openapi.json", "Authorization: Bearer secret\r\n")
        document = shown.json()
        for path, item in document["paths"].items():
            for method, operation in item.items():
                if "security" in operation:
                    refused = await s.raw(
                        f"{method.upper()} {path} HTTP/1.1\r\nHost: localhost\r\n"
                        "Content-Length: 0\r\n\r\n".encode()
                    )
                    assert refused.status == 401, path
                    check(document, answer_schema(document, path, 401, method), refused.json())
                else:
                    assert path in ("/healthz", "/")


async def test_streamed_chunks_are_as_described() -> None:
    async with served(4) as s:
        document = await described(s)
        s.cluster.llms[1].fails_before_token = 0
        answers = document["paths"][CHAT]["post"]["responses"]["200"]["content"]
        kinds = answers["text/event-stream"]["schema"]["x-events"]
        stream = await s.client.chat.completions.with_raw_response.create(
            model="dmoa-m2-k3",
            messages=ASK,
            stream=True,
            stream_options={"include_usage": True},
            extra_body={"dmoa": {"progress": True}},
        )
        events = [
            json.loads(line.removeprefix("data: "))
            for line in [line async for line in stream.http_response.aiter_lines()]
            if line.startswith("data: {")
        ]
        told = {event["dmoa"]["type"] for event in events if "type" in event.get("dmoa", {})}
        assert {"accepted", "layer_started", "draft", "proposer_failed", "aggregating"} <= told
        for event in events:
            check(document, {"anyOf": kinds}, event)
            # Not only as an event of any type, but as one of its own.
            name = "ProgressChunk" if "type" in event.get("dmoa", {}) else "ChatCompletionChunk"
            check(document, {"$ref": f"#/components/schemas/{name}"}, event)


async def test_tool_calls_are_as_described() -> None:
    parts = [
        ToolCallPart(0, "c1", "function", FunctionPart("now", '{"a"')),
        ToolCallPart(0, None, None, FunctionPart(None, ": 1}")),
    ]
    record = PromptRecord("prompt-1", 0.0, 0, 0, 0, usage=Usage(1, 2))
    finished = Finished("", "tool_calls", record, parts)
    async with served(1) as s:
        document = await described(s)
    whole = json.loads(as_json(completion("dmoa", finished)))
    check(document, answer_schema(document, CHAT, method="post"), whole)
    (call,) = whole["choices"][0]["message"]["tool_calls"]
    assert call["function"] == {"name": "now", "arguments": '{"a": 1}'}
    assert whole["choices"][0]["message"]["content"] is None
    writer = ChunkWriter("prompt-1", "dmoa")
    for chunk in (writer.piece("x"), writer.piece("", parts), writer.end(finished)):
        check(document, {"$ref": "#/components/schemas/ChatCompletionChunk"}, json.loads(chunk))
