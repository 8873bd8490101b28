"""Anthropic's Messages API, with the official client over a real socket."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import anthropic
import pytest
from anthropic.types import TextBlock, ThinkingBlock, ToolUseBlock

from dmoa.api.anthropic.writer import MessageWriter
from dmoa.llm.scripted import ScriptedAnswer
from dmoa.llm.upstream import Upstream
from dmoa.protocol.conversation import FunctionPart, ToolCallPart
from dmoa.protocol.events import Finished, Text
from dmoa.protocol.records import PromptRecord
from tests.api.asking import OWN, PARALLEL, SCHEMA, Described, go_away, says, stream_lines
from tests.llm.fake import C, Fake, Reply, Request, data, openai_models, streamed
from tests.served import Served, served, served_by

PATH = "/v1/messages"
ASK: list[Any] = [{"role": "user", "content": "Why?"}]
TOOLS: list[Any] = [{"name": "weather", "description": "tells it", "input_schema": SCHEMA}]
GOOD: dict[str, Any] = {"model": "dmoa", "max_tokens": 100, "messages": ASK}


@asynccontextmanager
async def client_of(s: Served, key: str = "none") -> AsyncGenerator[anthropic.AsyncAnthropic]:
    url = f"http://127.0.0.1:{s.port}"
    async with anthropic.AsyncAnthropic(base_url=url, api_key=key, max_retries=0) as client:
        yield client


async def test_a_whole_message_has_text_usage_and_the_tree() -> None:
    async with served() as s, client_of(s) as client:
        answer = await client.messages.create(
            model="dmoa-m1-k3",
            max_tokens=100,
            system=[{"type": "text", "text": "Be brief."}, {"type": "text", "text": "Be kind."}],
            messages=ASK,
            stop_sequences=["x"],
            thinking={"type": "enabled", "budget_tokens": 1024},
            extra_body={
                "temperature": 0.5,
                "top_p": 0.9,
                "top_k": 7,
                "mcp_servers": [],
                "metadata": {},
            },
        )
        assert answer.content == [TextBlock(type="text", text="answer of d0 with some more words")]
        assert (answer.stop_reason, answer.role, answer.type) == (
            "end_turn",
            "assistant",
            "message",
        )
        assert answer.usage.output_tokens == 5 * 7
        assert answer.usage.input_tokens > 0
        tree = (answer.model_extra or {})["dmoa"]
        assert tree["tasks"] == 5
        assert tree["notes"] == ["mcp_servers: not known here, and left out"]
        llm = s.cluster.llms[0]
        assert [(m.role, m.content) for m in llm.asked[0]] == [
            ("system", "Be brief.\nBe kind."),
            ("user", "Why?"),
        ]
        sampled = llm.sampled[0]
        assert (sampled.temperature, sampled.top_p, sampled.max_tokens) == (0.5, 0.9, 100)
        assert (sampled.stop, sampled.extra) == (["x"], {"top_k": 7})
        assert sampled.thinking == {"thinking": {"type": "enabled", "budget_tokens": 1024}}


async def test_the_synchronous_client_reads_it_whole_and_streamed() -> None:
    async with served(1) as s:

        def ask() -> tuple[Any, str]:
            url = f"http://127.0.0.1:{s.port}"
            with anthropic.Anthropic(base_url=url, api_key="none", max_retries=0) as client:
                whole = client.messages.create(model=OWN, max_tokens=100, messages=ASK)
                with client.messages.stream(model=OWN, max_tokens=100, messages=ASK) as stream:
                    return whole.content[0], stream.get_final_text()

        whole, streamed = await asyncio.to_thread(ask)
        assert whole.text == streamed == "answer of d0 with some more words"


async def test_a_stream_is_put_together_by_the_clients_accumulator() -> None:
    async with served(1) as s, client_of(s) as client:
        says(s, PARALLEL)
        async with client.messages.stream(
            model=OWN, max_tokens=100, messages=ASK, tools=TOOLS
        ) as stream:
            events = [event async for event in stream]
            final = await stream.get_final_message()
        thought, said, first, second = final.content
        assert isinstance(thought, ThinkingBlock)
        assert thought.thinking == "two cities then"
        assert isinstance(said, TextBlock)
        assert said.text == "Let me look."
        assert isinstance(first, ToolUseBlock)
        assert isinstance(second, ToolUseBlock)
        assert (first.id, first.name, first.input) == ("call_a", "weather", {"city": "Oslo"})
        assert (second.id, second.name, second.input) == ("call_b", "weather", {"city": "Rome"})
        assert final.stop_reason == "tool_use"
        assert final.usage.output_tokens > 0
        assert final.usage.input_tokens > 0
        assert final.usage.output_tokens_details is not None
        assert final.usage.output_tokens_details.thinking_tokens == 3
        assert len([event for event in events if event.type == "thinking"]) > 1, "it streams"
        whole = await client.messages.create(model=OWN, max_tokens=100, messages=ASK, tools=TOOLS)
        for block, streamed in zip(whole.content, final.content, strict=True):
            assert block.to_dict().items() <= {**streamed.to_dict(), "citations": None}.items()


async def test_results_of_tools_go_on_with_the_conversation() -> None:
    async with served(1) as s, client_of(s) as client:
        says(s, PARALLEL)
        first = await client.messages.create(
            model=OWN,
            max_tokens=100,
            messages=ASK,
            tools=TOOLS,
            tool_choice={"type": "any", "disable_parallel_tool_use": True},
        )
        given = s.cluster.llms[0].constrained[-1]
        assert given is not None
        assert given.tool_choice == "required"
        assert given.tools == [
            {
                "type": "function",
                "function": {"name": "weather", "description": "tells it", "parameters": SCHEMA},
            }
        ]
        assert s.cluster.llms[0].sampled[-1].extra == {"parallel_tool_calls": False}
        says(s, ScriptedAnswer("Cold and warm.", tool_calls=PARALLEL.tool_calls[:1]))
        image = {"type": "base64", "media_type": "image/png", "data": "AAAA"}
        messages: list[Any] = [
            *ASK,
            {"role": "assistant", "content": [block.to_dict() for block in first.content]},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "There they are."},
                    {"type": "image", "source": image},
                    {"type": "tool_result", "tool_use_id": "call_a", "content": "cold"},
                    {
                        "type": "tool_result",
                        "tool_use_id": "call_b",
                        "content": [{"type": "text", "text": "no such city"}],
                        "is_error": True,
                    },
                ],
            },
        ]
        second = await client.messages.create(
            model=OWN,
            max_tokens=100,
            messages=messages,
            tools=TOOLS,
            tool_choice={"type": "tool", "name": "weather"},
        )
        assert second.content[0].to_dict()["text"] == "Cold and warm."
        _, assistant, a, b, user = s.cluster.llms[0].asked[-1]
        assert assistant.content == "Let me look."
        assert assistant.reasoning_content == "two cities then"
        assert [call["id"] for call in assistant.tool_calls or []] == ["call_a", "call_b"]
        assert (a.role, a.tool_call_id, a.content) == ("tool", "call_a", "cold")
        assert (b.role, b.tool_call_id, b.content) == ("tool", "call_b", "Error:\nno such city")
        assert [part["type"] for part in user.parts or []] == ["text", "image_url"]
        given = s.cluster.llms[0].constrained[-1]
        assert given is not None
        assert given.tool_choice == {"type": "function", "function": {"name": "weather"}}


async def test_a_schema_reaches_the_aggregator() -> None:
    async with served(1) as s, client_of(s) as client:
        says(s, '{"city": "Oslo"}')
        await client.messages.create(
            model=OWN,
            max_tokens=100,
            messages=ASK,
            output_config={
                "format": {"type": "json_schema", "schema": dict(SCHEMA)},
                "effort": "low",
            },
        )
        given = s.cluster.llms[0].constrained[-1]
        assert given is not None
        assert given.response_format is not None
        assert given.response_format["json_schema"]["schema"] == SCHEMA
        assert s.cluster.llms[0].sampled[-1].thinking == {"reasoning_effort": "low"}


async def test_tokens_are_counted_for_the_own_llm() -> None:
    async with served(1) as s, client_of(s) as client:
        short = await client.messages.count_tokens(model="dmoa", messages=ASK)
        longer = await client.messages.count_tokens(
            model="dmoa", messages=ASK, system="Be brief.", tools=TOOLS
        )
        assert 0 < short.input_tokens < longer.input_tokens
        assert not s.cluster.llms[0].asked
        with pytest.raises(anthropic.NotFoundError):
            await client.messages.count_tokens(model="claude-sonnet-5", messages=ASK)
        described = await Described.of(s)
        count = f"{PATH}/count_tokens"
        body = {"model": "dmoa", "messages": ASK}
        described.answer(count, (await s.post(json.dumps(body).encode(), count)).json())


async def test_an_answer_that_was_cut_says_so() -> None:
    async with served(1) as s, client_of(s) as client:
        answer = await client.messages.create(model=OWN, max_tokens=2, messages=ASK)
        assert answer.stop_reason == "max_tokens"
        says(s, "")
        empty = await client.messages.create(model=OWN, max_tokens=2, messages=ASK)
        assert empty.content in ([], [TextBlock(type="text", text="")])
        async with client.messages.stream(model=OWN, max_tokens=2, messages=ASK) as stream:
            assert (await stream.get_final_message()).stop_reason == "end_turn"


def test_blocks_follow_one_another_however_the_parts_are_mixed() -> None:
    writer = MessageWriter("dmoa", "prompt-1")
    parts = [
        ToolCallPart(0, "a", "function", FunctionPart("f", '{"x"')),
        ToolCallPart(1, "b", "function", FunctionPart("g", '{"y"')),
        ToolCallPart(0, None, None, FunctionPart(None, ": 1}")),
        ToolCallPart(1, None, None, FunctionPart(None, ": 2}")),
    ]
    record = PromptRecord("prompt-1", 0.0, 0, 0, 0)
    told = [Text("one "), *(Text("", [part]) for part in parts), Text("two")]
    written = writer.begin(record) + "".join(map(writer.piece, told))
    written += writer.end(Finished("one two", "tool_calls", record, parts))
    events = [json.loads(line[6:]) for line in written.splitlines() if line.startswith("data: ")]
    blocks: list[str] = []
    for event in events:
        match event["type"]:
            case "content_block_start":
                assert event["index"] == len(blocks)
                blocks.append(event["content_block"].get("name", ""))
            case "content_block_delta":
                assert event["index"] == len(blocks) - 1, "only the last block is open"
                delta = event["delta"]
                blocks[-1] += delta.get("text", "") + delta.get("partial_json", "")
            case "content_block_stop":
                assert event["index"] == len(blocks) - 1
    assert blocks == ["one ", 'f{"x": 1}', 'g{"y": 2}', "two"]


@pytest.mark.parametrize(
    ("more", "status", "kind", "named"),
    [
        ({"max_tokens": None}, 400, "invalid_request_error", "$.max_tokens"),
        ({"messages": []}, 400, "invalid_request_error", "messages is empty"),
        ({"messages": [{"role": "tool", "content": "x"}]}, 400, "invalid_request_error", "role"),
        (
            {"messages": [{"role": "user", "content": [{"type": "server_tool_use"}]}]},
            400,
            "invalid_request_error",
            "messages.0.content.0: a block of type 'server_tool_use'",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "tool_result"}]}]},
            400,
            "invalid_request_error",
            "tool_use_id",
        ),
        (
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [{"type": "image", "source": {"type": "file", "file_id": "f"}}],
                    }
                ]
            },
            400,
            "invalid_request_error",
            "base64",
        ),
        (
            {"tools": [{"type": "web_search_20250305", "name": "web_search"}]},
            400,
            "invalid_request_error",
            "web_search_20250305",
        ),
        (
            {"tools": TOOLS, "tool_choice": {"type": "some"}},
            400,
            "invalid_request_error",
            "'some'",
        ),
        ({"output_config": {"format": {"type": "xml"}}}, 400, "invalid_request_error", "schema"),
        ({"model": "claude-sonnet-5"}, 404, "not_found_error", "dmoa-m1-k3"),
        ({"stream": True, "model": "claude-sonnet-5"}, 404, "not_found_error", "dmoa-m1-k3"),
    ],
)
async def test_errors_have_anthropics_form(
    more: dict[str, Any], status: int, kind: str, named: str
) -> None:
    async with served(1) as s:
        described = await Described.of(s)
        refused = await s.post(json.dumps({**GOOD, **more}).encode(), PATH)
        assert refused.status == status, refused.body
        body = refused.json()
        described.answer(PATH, body, status)
        assert (body["type"], body["error"]["type"]) == ("error", kind)
        assert named in body["error"]["message"]
        assert (await s.post(json.dumps(GOOD).encode(), PATH)).status == 200


async def test_errors_before_the_endpoint_have_anthropics_form_too() -> None:
    async with served(1, keys=["secret"]) as s:
        refused = await s.post(json.dumps(GOOD).encode(), "//v1/messages/")
        assert (refused.status, refused.json()["error"]["type"]) == (401, "authentication_error")
        async with client_of(s, "wrong") as client:
            with pytest.raises(anthropic.AuthenticationError, match="wants a key"):
                await client.messages.create(**GOOD)
        async with client_of(s, "secret") as client:  # by x-api-key
            assert (await client.messages.create(**GOOD)).content
        wrong_method = await s.get(PATH)
        assert (wrong_method.status, wrong_method.json()["type"]) == (405, "error")
        nothing = await s.get(f"{PATH}/batches")
        assert (nothing.status, nothing.json()["error"]["type"]) == (404, "not_found_error")
    async with served(1) as s:
        foreign = await s.raw(
            b"POST //messages/ HTTP/1.1\r\nHost: evil.example\r\nContent-Length: 0\r\n\r\n"
        )
        assert (foreign.status, foreign.json()["error"]["type"]) == (403, "permission_error")


async def test_a_failure_in_the_middle_ends_the_stream_with_its_words() -> None:
    async with (
        served(1, seconds=60.0, device_options={"prompt_deadline": 0.6}) as s,
        client_of(s) as client,
    ):
        stream = await client.messages.create(model=OWN, max_tokens=100, messages=ASK, stream=True)
        with pytest.raises(anthropic.APIStatusError, match="not answered in"):
            async for _ in stream:
                pass


@pytest.mark.parametrize("stream", [False, True])
async def test_a_client_that_goes_away_cancels_its_work(stream: bool) -> None:
    async with served(4, seconds=60.0) as s:
        await go_away(s, PATH, {**GOOD, "model": "dmoa-m2-k3", "stream": stream}, running=4)


async def test_all_that_is_sent_is_as_described() -> None:
    async with served(2) as s:
        described = await Described.of(s)
        says(s, PARALLEL)
        body = {**GOOD, "model": OWN, "tools": TOOLS}
        described.body(PATH, body)
        described.answer(PATH, (await s.post(json.dumps(body).encode(), PATH)).json())
        lines = await stream_lines(s, PATH, {**body, "stream": True})
        events = [json.loads(line[6:]) for line in lines if line.startswith("data: ")]
        kinds = [event["type"] for event in events]
        assert kinds[:2] == ["message_start", "ping"]
        assert kinds[-2:] == ["message_delta", "message_stop"]
        assert len(set(kinds)) == 7
        for event in events:
            described.event(PATH, event)
        assert [line[7:] for line in lines if line.startswith("event: ")] == kinds


async def test_the_models_are_listed_as_anthropic_does_to_its_clients() -> None:
    async with served(1) as s, client_of(s) as client:
        names = [model.id for model in (await s.client.models.list()).data]
        assert [model.id async for model in client.models.list(limit=3)] == names
        first = await client.models.list(limit=2)
        assert (first.has_more, first.first_id, first.last_id) == (True, names[0], names[1])
        before = await client.models.list(before_id=names[3], limit=2)
        assert ([m.id for m in before.data], before.has_more) == (names[1:3], True)
        one = await client.models.retrieve("dmoa-m1-k1")
        assert (one.id, one.type, one.display_name) == ("dmoa-m1-k1", "model", "dmoa-m1-k1")
        assert one.created_at.year >= 2025
        for wrong in ({"limit": 0}, {"after_id": "gpt-4"}):
            with pytest.raises(anthropic.BadRequestError) as refused:
                await client.models.list(**wrong)
            assert refused.value.body["type"] == "error"  # type: ignore[index]
        with pytest.raises(anthropic.NotFoundError, match="no model 'gpt-4'") as missing:
            await client.models.retrieve("gpt-4")
        assert missing.value.body["error"]["type"] == "not_found_error"  # type: ignore[index]
        described = await Described.of(s)
        version = "anthropic-version: 2023-06-01\r\n"
        for path, asked in (("/v1/models", ""), ("/v1/models/{name}", "/dmoa")):
            answer = (await s.get(f"/v1/models{asked}", version)).json()
            described.answer(path, answer, method="get")


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("field", ["stop_reason", "matched_stop"])
async def test_the_stop_that_ended_an_answer_is_named_where_the_server_names_it(
    field: str, stream: bool
) -> None:
    ended: list[Any] = ["END"]

    def chat(request: Request) -> Reply | None:
        if request.path != "/v1/chat/completions":
            return None
        choice = {"index": 0, "delta": {}, "finish_reason": "stop", field: ended[0]}
        return streamed(C({"content": "one "}), data({"choices": [choice]}))

    async with Fake([openai_models("tiny"), chat]) as fake:
        llm = await Upstream.connect(fake.url, None)
        async with served_by(llm) as (api, _):
            url = api.url
            async with anthropic.AsyncAnthropic(base_url=url, api_key="none") as client:
                for told, reason in (("END", "stop_sequence"), ("other", "end_turn"), (7, None)):
                    ended[0] = told
                    asked = {**GOOD, "model": "tiny", "stop_sequences": ["END"]}
                    if stream:
                        async with client.messages.stream(**asked) as parts:
                            message = await parts.get_final_message()
                    else:
                        message = await client.messages.create(**asked)
                    found = (message.stop_reason, message.stop_sequence)
                    named = reason == "stop_sequence"
                    assert found == (reason or "end_turn", "END" if named else None)
        await llm.close()
