"""Ollama's own API, with the official client over a real socket."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import ollama
import pytest

from dmoa.errors import UsageError
from dmoa.llm.detect import find_servers
from dmoa.llm.upstream import Upstream
from tests.api.asking import OWN, PARALLEL, SCHEMA, Described, go_away, says, stream_lines
from tests.llm.fake import Fake, Reply, Request, as_json, openai_models
from tests.served import Served, served

CHAT, GENERATE = "/api/chat", "/api/generate"
ASK: list[Any] = [{"role": "user", "content": "Why?"}]
GOOD: dict[str, Any] = {"model": "dmoa", "messages": ASK}
FUNCTION = {"name": "weather", "description": "tells it", "parameters": SCHEMA}
TOOLS: list[Any] = [{"type": "function", "function": FUNCTION}]
ANSWER = "answer of d0 with some more words"


@asynccontextmanager
async def client_of(s: Served) -> AsyncGenerator[ollama.AsyncClient]:
    client = ollama.AsyncClient(host=f"http://127.0.0.1:{s.port}")
    try:
        yield client
    finally:
        await client.close()  # type: ignore[no-untyped-call]


async def test_a_whole_answer_has_counts_durations_and_the_tree() -> None:
    async with served() as s, client_of(s) as client:
        options = {
            "temperature": 0.5,
            "num_predict": 100,
            "stop": ["x"],
            "seed": 3,
            "top_k": 7,
            "num_ctx": 128,
        }
        answer = await client.chat("dmoa-m1-k3", ASK, options=options, think=False)
        assert answer.message.content == ANSWER
        assert (answer.done, answer.done_reason, answer.model) == (True, "stop", "dmoa-m1-k3")
        assert answer.eval_count == 5 * 7
        assert answer.total_duration is not None
        assert answer.eval_duration is not None
        assert answer.prompt_eval_duration is not None
        assert 10_000_000 <= answer.eval_duration < answer.total_duration < 10_000_000_000
        assert answer.prompt_eval_duration + answer.eval_duration <= answer.total_duration
        sampled = s.cluster.llms[0].sampled[0]
        assert (sampled.temperature, sampled.max_tokens, sampled.stop) == (0.5, 100, ["x"])
        assert (sampled.extra, sampled.thinking) == ({"top_k": 7}, {"think": False})
        raw = await s.post(
            json.dumps({**GOOD, "stream": False, "options": {"num_ctx": 9}, "shift": 1}).encode(),
            CHAT,
        )
        tree = raw.json()["dmoa"]
        assert tree["tasks"] == 5
        assert tree["notes"] == [
            "num_ctx: how models are run is set at each device; left out",
            "shift: not known here, and left out",
        ]


async def test_it_streams_unless_it_is_told_not_to() -> None:
    async with served(1) as s, client_of(s) as client:
        lines = [json.loads(line) for line in await stream_lines(s, CHAT, {**GOOD, "model": OWN})]
        assert [line["done"] for line in lines] == [False] * (len(lines) - 1) + [True]
        assert "".join(line["message"]["content"] for line in lines) == ANSWER
        assert len(lines) > 3
        parts = [part async for part in await client.chat(OWN, ASK, stream=True)]
        assert "".join(part.message.content or "" for part in parts) == ANSWER
        assert parts[-1].eval_count == 7


async def test_the_synchronous_client_reads_it_whole_and_streamed() -> None:
    async with served(1) as s:

        def ask() -> tuple[str | None, str]:
            client = ollama.Client(host=f"http://127.0.0.1:{s.port}")
            try:
                whole = client.generate(OWN, "Why?")
                parts = client.generate(OWN, "Why?", stream=True)
                return whole.response, "".join(part.response or "" for part in parts)
            finally:
                client.close()  # type: ignore[no-untyped-call]

        assert await asyncio.to_thread(ask) == (ANSWER, ANSWER)


@pytest.mark.parametrize("stream", [False, True])
async def test_thoughts_and_parallel_calls_reach_the_client(stream: bool) -> None:
    async with served(1) as s, client_of(s) as client:
        says(s, PARALLEL)
        if stream:
            parts = [
                part
                async for part in await client.chat(OWN, ASK, tools=TOOLS, think=True, stream=True)
            ]
        else:
            parts = [await client.chat(OWN, ASK, tools=TOOLS, think=True)]
        assert "".join(part.message.thinking or "" for part in parts) == "two cities then"
        assert "".join(part.message.content or "" for part in parts) == "Let me look."
        calls = [call.function for part in parts for call in part.message.tool_calls or []]
        assert [(call.name, call.arguments) for call in calls] == [
            ("weather", {"city": "Oslo"}),
            ("weather", {"city": "Rome"}),
        ]
        assert parts[-1].done
        given = s.cluster.llms[0].constrained[-1]
        assert given is not None
        assert given.tools == TOOLS


async def test_results_find_their_calls_by_id_name_or_order() -> None:
    async with served(1) as s:
        calls = [
            {"function": {"name": "weather", "arguments": {"city": "Oslo"}}},
            {"function": {"name": "time", "arguments": {}}},
            {"id": "mine", "function": {"name": "time", "arguments": {"zone": "CET"}}},
        ]
        messages = [
            *ASK,
            {"role": "assistant", "content": "", "thinking": "hm", "tool_calls": calls},
            {"role": "tool", "content": "noon", "tool_name": "time"},
            {"role": "tool", "content": "one", "tool_call_id": "mine"},
            {"role": "tool", "content": "cold"},
        ]
        body = {"model": OWN, "messages": messages, "stream": False}
        assert (await s.post(json.dumps(body).encode(), CHAT)).status == 200
        _, assistant, noon, one, cold = s.cluster.llms[0].asked[-1]
        assert assistant.reasoning_content == "hm"
        ids = [call["id"] for call in assistant.tool_calls or []]
        assert len(set(ids)) == 3
        assert [noon.tool_call_id, one.tool_call_id, cold.tool_call_id] == [ids[1], "mine", ids[0]]
        arguments = [call["function"]["arguments"] for call in assistant.tool_calls or []]
        assert arguments == ['{"city":"Oslo"}', "{}", '{"zone":"CET"}']


async def test_images_are_parts_of_their_message() -> None:
    async with served(1) as s, client_of(s) as client:
        jpeg = b"\xff\xd8\xff\xe0 and so on"
        await client.chat(OWN, [{"role": "user", "content": "What?", "images": [jpeg]}])
        await client.generate(OWN, "What?", images=[jpeg], system="Be brief.")
        for asked in s.cluster.llms[0].asked:
            text, image = asked[-1].parts or []
            assert text == {"type": "text", "text": "What?"}
            assert image["image_url"]["url"].startswith("data:image/jpeg;base64,/9j/")
        assert s.cluster.llms[0].asked[-1][0].content == "Be brief."


async def test_formats_reach_the_aggregator() -> None:
    async with served(1) as s, client_of(s) as client:
        says(s, '{"city": "Oslo"}')
        await client.chat(OWN, ASK, format="json")
        await client.generate(OWN, "Where?", format=SCHEMA)
        first, second = s.cluster.llms[0].constrained
        assert first is not None
        assert first.response_format == {"type": "json_object"}
        assert second is not None
        assert second.response_format is not None
        assert second.response_format["json_schema"]["schema"] == SCHEMA


async def test_an_answer_that_was_cut_says_so_and_nothing_asked_loads() -> None:
    async with served(1) as s, client_of(s) as client:
        cut = await client.chat(OWN, ASK, options={"num_predict": 2})
        assert cut.done_reason == "length"
        whole = await client.chat(OWN, ASK, options={"num_predict": -1})
        assert whole.done_reason == "stop"
        asked = len(s.cluster.llms[0].asked)
        assert (await client.generate(OWN)).done_reason == "load"
        assert (await client.chat(OWN)).done_reason == "load"
        assert len(s.cluster.llms[0].asked) == asked


async def test_models_are_listed_and_shown_as_ollama_does() -> None:
    async with served(1) as s, client_of(s) as client:
        names = [model.model for model in (await client.list()).models]
        assert names[0] == "dmoa"
        assert names[-1] == OWN
        shown = await client.show("dmoa-m7-k9:latest")
        assert shown.capabilities == ["completion", "tools"]
        assert (shown.modelinfo or {})["dmoa.context_length"] == 8192
        (running,) = (await client.ps()).models
        assert (running.model, running.context_length) == (OWN, 8192)
        version = (await s.get("/api/version")).json()
        assert tuple(map(int, version["version"].split("."))) > (0, 12)
        answer = await client.chat("dmoa-m0-k0:latest", ASK)
        assert answer.message.content == ANSWER
        for asking in (client.show("llama3"), client.chat("llama3", ASK)):
            with pytest.raises(ollama.ResponseError, match=f"'llama3'.*{OWN}") as refused:
                await asking
            assert refused.value.status_code == 404


@pytest.mark.parametrize(
    ("path", "more", "status", "named"),
    [
        (CHAT, {"messages": [{"role": "king"}]}, 400, "$.messages[0].role"),
        (CHAT, {"options": {"temperature": 9}}, 400, "$.temperature"),
        (CHAT, {"format": "xml"}, 400, "'xml'"),
        (CHAT, {"model": "llama3"}, 404, "dmoa-m1-k3"),
        (CHAT, {"model": "dmoa-m9-k1"}, 400, "at most 8"),
        (GENERATE, {"prompt": "a", "suffix": "b"}, 400, "suffix"),
        (GENERATE, {"prompt": "a", "raw": True}, 400, "raw"),
        (GENERATE, {"prompt": 3}, 400, "$.prompt"),
        ("/api/show", {"model": None}, 400, "model is missing"),
        ("/api/pull", {}, 404, "Not Found"),
    ],
)
async def test_errors_have_ollamas_form(
    path: str, more: dict[str, Any], status: int, named: str
) -> None:
    async with served(1) as s:
        refused = await s.post(json.dumps({**GOOD, **more}).encode(), path)
        assert refused.status == status, refused.body
        assert list(refused.json()) == ["error"]
        assert named in refused.json()["error"]
        assert (await s.post(json.dumps({**GOOD, "stream": False}).encode(), CHAT)).status == 200


async def test_errors_before_the_endpoint_have_ollamas_form_too() -> None:
    async with served(1, keys=["secret"]) as s:
        for path in ("/api/tags", "//api/tags/", "/v1/api/tags"):
            refused = await s.get(path)
            assert refused.status == 401
            assert "wants a key" in refused.json()["error"]
            assert (await s.get(path, "Authorization: Bearer secret\r\n")).status == 200


async def test_a_failure_in_the_middle_ends_the_stream_with_its_words() -> None:
    async with (
        served(1, seconds=60.0, device_options={"prompt_deadline": 0.6}) as s,
        client_of(s) as client,
    ):
        with pytest.raises(ollama.ResponseError, match="not answered in"):
            async for _ in await client.chat(OWN, ASK, stream=True):
                pass


async def test_calls_that_are_no_objects_are_a_fault_of_the_model() -> None:
    async with served(1) as s:
        function = {"name": "weather", "arguments": '{"city": '}
        says(s, type(PARALLEL)("", tool_calls=[{"id": "a", "function": function}]))
        for stream in (False, True):
            body = {**GOOD, "model": OWN, "tools": TOOLS, "stream": stream}
            if stream:
                line = json.loads((await stream_lines(s, CHAT, body))[-1])
            else:
                refused = await s.post(json.dumps(body).encode(), CHAT)
                assert refused.status == 500
                line = refused.json()
            assert "'weather' with arguments that are no JSON object" in line["error"]


@pytest.mark.parametrize("stream", [False, True])
async def test_a_client_that_goes_away_cancels_its_work(stream: bool) -> None:
    async with served(4, seconds=60.0) as s:
        await go_away(s, CHAT, {**GOOD, "model": "dmoa-m2-k3", "stream": stream}, running=4)


async def test_a_node_is_never_taken_for_ollama() -> None:
    async with served(1) as s:
        assert await find_servers({"somebody": s.port}) == []
        with pytest.raises(UsageError, match="is a dmoa node"):
            await Upstream.connect(f"http://127.0.0.1:{s.port}/v1", None)
        tags = (await s.get("/api/tags")).json()
        version = (await s.get("/api/version")).json()

    # Also where something in between answers for OpenAI's list of models.
    def handler(request: Request) -> Reply | None:
        known = {"/api/tags": tags, "/api/version": version}
        return as_json(known[request.path]) if request.path in known else None

    fake = Fake([openai_models("dmoa"), handler])
    async with fake:
        assert await find_servers({"somebody": fake.port}) == []
        with pytest.raises(UsageError, match="is a dmoa node"):
            await Upstream.connect(fake.url, None)


async def test_all_that_is_sent_is_as_described() -> None:
    async with served(2) as s:
        described = await Described.of(s)
        says(s, PARALLEL)
        for path, body in (
            (CHAT, {**GOOD, "model": OWN, "tools": TOOLS}),
            (GENERATE, {"model": OWN, "prompt": "Why?"}),
        ):
            described.body(path, body)
            whole = await s.post(json.dumps({**body, "stream": False}).encode(), path)
            described.answer(path, whole.json())
            for line in await stream_lines(s, path, body):
                described.event(path, json.loads(line))
        for path in ("/api/tags", "/api/ps", "/api/version"):
            described.answer(path, (await s.get(path)).json(), method="get")
        shown = await s.post(b'{"model": "dmoa"}', "/api/show")
        described.answer("/api/show", shown.json())
        refused = await s.post(b"{", "/api/show")
        described.answer("/api/show", refused.json(), 400)


async def test_a_word_of_life_is_at_the_root_but_not_for_browsers() -> None:
    async with served(1, keys=["secret"]) as s:
        alive = await s.get("/", "Accept: */*\r\n")
        assert (alive.status, alive.body) == (200, b"Ollama is running")
        head = await s.raw(b"HEAD / HTTP/1.0\r\nHost: localhost\r\n\r\n", only_head=True)
        assert (head.status, head.headers["content-length"]) == (200, "17")
        assert (await s.get("/", "Accept: text/html,*/*;q=0.8\r\n")).status == 404
