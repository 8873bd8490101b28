"""The Responses API, with the official client over a real socket."""

import asyncio
import json
from typing import Any

import openai
import pytest
from openai.types.responses import ResponseFunctionToolCall, ResponseReasoningItem
from pydantic import BaseModel

from dmoa.api.openai_responses.memory import Kept, ResponseMemory
from dmoa.api.openai_responses.objects import ResponseObject
from dmoa.api.openai_responses.output import Output
from dmoa.llm.scripted import ScriptedAnswer
from dmoa.policies.limits import LIMITS
from dmoa.protocol.conversation import FunctionPart, Message, ToolCallPart
from dmoa.protocol.events import Finished, Text
from dmoa.protocol.records import PromptRecord
from tests.api.asking import OWN, PARALLEL, SCHEMA, Described, go_away, says, stream_lines
from tests.served import Served, served

PATH = "/v1/responses"
TOOLS: list[Any] = [
    {"type": "function", "name": "weather", "parameters": SCHEMA, "description": "tells it"}
]


async def test_a_whole_response_has_text_usage_and_the_tree() -> None:
    async with served() as s:
        answer = await s.client.responses.create(
            model="dmoa-m1-k3",
            input="Why?",
            instructions="Be brief.",
            temperature=0.5,
            top_p=0.9,
            max_output_tokens=100,
            reasoning={"effort": "low"},
            metadata={"a": "b"},
        )
        assert answer.output_text == "answer of d0 with some more words"
        assert (answer.status, answer.model, answer.object) == (
            "completed",
            "dmoa-m1-k3",
            "response",
        )
        assert answer.instructions == "Be brief."
        assert answer.metadata == {"a": "b"}
        assert answer.usage is not None
        assert answer.usage.output_tokens == 5 * 7
        assert answer.usage.total_tokens == answer.usage.input_tokens + answer.usage.output_tokens
        assert answer.usage.output_tokens_details.reasoning_tokens == 0
        assert (answer.model_extra or {})["dmoa"]["tasks"] == 5
        llm = s.cluster.llms[0]
        assert [m.role for m in llm.asked[0]] == ["system", "user"]
        sampled = llm.sampled[0]
        assert (sampled.temperature, sampled.top_p, sampled.max_tokens) == (0.5, 0.9, 100)
        assert sampled.thinking == {"reasoning_effort": "low"}


async def test_the_synchronous_client_reads_it_whole_and_streamed() -> None:
    async with served(1) as s:

        def ask() -> tuple[str, str]:
            url = f"http://127.0.0.1:{s.port}/v1"
            with openai.OpenAI(base_url=url, api_key="none", max_retries=0) as client:
                whole = client.responses.create(model=OWN, input="Why?")
                with client.responses.stream(model=OWN, input="Why?") as stream:
                    for _ in stream:
                        pass
                    return whole.output_text, stream.get_final_response().output_text

        whole, streamed = await asyncio.to_thread(ask)
        assert whole == streamed == "answer of d0 with some more words"


async def test_a_stream_has_openais_events_in_order() -> None:
    async with served(1) as s:
        says(s, PARALLEL)
        stream = await s.client.responses.create(model=OWN, input="Why?", tools=TOOLS, stream=True)
        events = [event async for event in stream]
        assert [event.sequence_number for event in events] == list(range(len(events)))
        kinds = [event.type.removeprefix("response.") for event in events]
        shortened = [kind for i, kind in enumerate(kinds) if kinds[i - 1 : i] != [kind]]
        call = ["output_item.added", "function_call_arguments.delta"]
        done = ["function_call_arguments.done", "output_item.done"]
        assert shortened == [
            *("created", "in_progress", "output_item.added", "reasoning_summary_part.added"),
            *("reasoning_summary_text.delta", "reasoning_summary_text.done"),
            *("reasoning_summary_part.done", "output_item.done"),
            *("output_item.added", "content_part.added", "output_text.delta"),
            *("output_text.done", "content_part.done", "output_item.done"),
            *(*call, *call, *done, *done, "completed"),
        ]
        assert kinds.count("output_text.delta") > 1, "it streams"
        last = events[-1]
        assert last.type == "response.completed"
        thought, said, first, second = last.response.output
        assert isinstance(thought, ResponseReasoningItem)
        assert thought.summary[0].text == "two cities then"
        assert said.type == "message"
        assert last.response.output_text == "Let me look."
        assert isinstance(first, ResponseFunctionToolCall)
        assert isinstance(second, ResponseFunctionToolCall)
        assert [(c.call_id, c.name, json.loads(c.arguments)["city"]) for c in (first, second)] == [
            ("call_a", "weather", "Oslo"),
            ("call_b", "weather", "Rome"),
        ]


async def test_the_clients_own_accumulator_follows_the_stream() -> None:
    async with served(1) as s:
        says(s, PARALLEL)
        async with s.client.responses.stream(model=OWN, input="Why?", tools=TOOLS) as stream:
            async for _ in stream:
                pass
            final = await stream.get_final_response()
        assert final.output_text == "Let me look."
        assert len(final.output) == 4


async def test_results_of_tools_go_on_from_the_response_before() -> None:
    async with served(1) as s:
        says(s, PARALLEL)
        first = await s.client.responses.create(
            model=OWN, input="Weather?", tools=TOOLS, tool_choice="required", instructions="Old."
        )
        given = s.cluster.llms[0].constrained[-1]
        assert given is not None
        assert given.tool_choice == "required"
        assert given.tools == [
            {
                "type": "function",
                "function": {"name": "weather", "parameters": SCHEMA, "description": "tells it"},
            }
        ]
        says(s, "Cold and warm.")
        calls = [item for item in first.output if item.type == "function_call"]
        results: list[Any] = [
            {
                "type": "function_call_output",
                "call_id": call.call_id,
                "output": f"of {call.call_id}",
            }
            for call in calls
        ]
        second = await s.client.responses.create(
            model=OWN, input=results, previous_response_id=first.id, instructions="New."
        )
        assert second.output_text == "Cold and warm."
        assert second.previous_response_id == first.id
        system, user, assistant, a, b = s.cluster.llms[0].asked[-1]
        assert (system.role, system.content) == ("system", "New.")
        assert user.content == "Weather?"
        assert assistant.content == "Let me look."
        assert assistant.reasoning_content == "two cities then"
        assert [call["id"] for call in assistant.tool_calls or []] == ["call_a", "call_b"]
        assert (a.role, a.tool_call_id, a.content) == ("tool", "call_a", "of call_a")
        assert (b.role, b.tool_call_id, b.content) == ("tool", "call_b", "of call_b")


async def test_items_sent_back_are_the_same_conversation() -> None:
    async with served(1) as s:
        says(s, PARALLEL)
        first = await s.client.responses.create(model=OWN, input="Weather?", tools=TOOLS)
        says(s, "Fine.")
        items: list[Any] = [
            {"role": "developer", "content": "Be kind."},
            {"role": "user", "content": [{"type": "input_text", "text": "Weather?"}]},
            *(item.to_dict() for item in first.output),
            {"type": "function_call_output", "call_id": "call_a", "output": "cold"},
            {
                "type": "function_call_output",
                "call_id": "call_b",
                "output": [{"type": "input_text", "text": "warm"}],
            },
            {
                "type": "message",
                "role": "user",
                "content": [
                    {"type": "input_text", "text": "And this?"},
                    {"type": "input_image", "image_url": "data:image/png;base64,AAAA"},
                    {"type": "input_file", "filename": "a.pdf", "file_data": "data:x;base64,AA"},
                ],
            },
        ]
        await s.client.responses.create(model=OWN, input=items, store=False)
        asked = s.cluster.llms[0].asked[-1]
        assert [m.role for m in asked] == ["developer", "user", "assistant", "tool", "tool", "user"]
        assert asked[2].reasoning_content == "two cities then"
        assert len(asked[2].tool_calls or []) == 2
        assert asked[4].content == "warm"
        assert [part["type"] for part in asked[5].parts or []] == ["text", "image_url", "file"]


async def test_only_allowed_tools_are_offered() -> None:
    async with served(1) as s:
        says(s, PARALLEL)
        other: list[Any] = [*TOOLS, {"type": "function", "name": "time", "parameters": {}}]
        choice: Any = {
            "type": "allowed_tools",
            "mode": "required",
            "tools": [{"type": "function", "name": "weather"}],
        }
        await s.client.responses.create(
            model=OWN, input="Why?", tools=other, tool_choice=choice, parallel_tool_calls=False
        )
        given = s.cluster.llms[0].constrained[-1]
        assert given is not None
        assert [tool["function"]["name"] for tool in given.tools or []] == ["weather"]
        assert given.tool_choice == "required"
        assert s.cluster.llms[0].sampled[-1].extra == {"parallel_tool_calls": False}


class City(BaseModel):
    city: str


async def test_a_schema_reaches_the_aggregator_and_is_parsed() -> None:
    async with served(1) as s:
        says(s, '{"city": "Oslo"}')
        answer = await s.client.responses.parse(model=OWN, input="Where?", text_format=City)
        assert answer.output_parsed == City(city="Oslo")
        given = s.cluster.llms[0].constrained[-1]
        assert given is not None
        assert given.response_format is not None
        assert given.response_format["type"] == "json_schema"
        schema = given.response_format["json_schema"]
        assert schema["name"] == "City"
        assert schema["schema"]["properties"]["city"]["type"] == "string"
        await s.client.responses.create(
            model=OWN, input="Where?", text={"format": {"type": "json_object"}}
        )
        given = s.cluster.llms[0].constrained[-1]
        assert given is not None
        assert given.response_format == {"type": "json_object"}


async def test_an_answer_that_was_cut_is_incomplete() -> None:
    async with served(1) as s:
        answer = await s.client.responses.create(model=OWN, input="Why?", max_output_tokens=2)
        assert answer.status == "incomplete"
        assert answer.incomplete_details is not None
        assert answer.incomplete_details.reason == "max_output_tokens"
        stream = await s.client.responses.create(
            model=OWN, input="Why?", max_output_tokens=2, stream=True
        )
        events = [event async for event in stream]
        assert events[-1].type == "response.incomplete"
        says(s, "")
        empty = await s.client.responses.create(model=OWN, input="Why?")
        assert (empty.status, empty.output_text, len(empty.output)) == ("completed", "", 1)


async def test_responses_are_kept_fetched_and_deleted() -> None:
    async with served(1) as s:
        kept = await s.client.responses.create(model=OWN, input="Why?")
        fetched = await s.client.responses.retrieve(kept.id)
        assert fetched == kept
        stream = await s.client.responses.create(model=OWN, input="Why?", stream=True)
        events = [event async for event in stream]
        last = events[-1]
        assert last.type == "response.completed"
        assert await s.client.responses.retrieve(last.response.id) == last.response
        await s.client.responses.delete(kept.id)
        loose = await s.client.responses.create(model=OWN, input="Why?", store=False)
        for name in (kept.id, loose.id, "resp_none"):
            with pytest.raises(openai.NotFoundError, match=name):
                await s.client.responses.retrieve(name)
            with pytest.raises(openai.NotFoundError, match="whole conversation"):
                await s.client.responses.create(model=OWN, input="And?", previous_response_id=name)
            with pytest.raises(openai.NotFoundError):
                await s.client.responses.delete(name)


async def test_what_a_response_answers_can_be_listed_page_by_page() -> None:
    async with served(1) as s:
        says(s, PARALLEL)
        asked = await s.client.responses.create(model=OWN, input="Why?", tools=TOOLS)
        says(s, "So.")
        results: list[Any] = [
            {"type": "function_call_output", "call_id": call, "output": "cold"}
            for call in ("call_a", "call_b")
        ]
        last = await s.client.responses.create(
            model=OWN, input=results, previous_response_id=asked.id
        )
        oldest = s.client.responses.input_items.list(last.id, order="asc", limit=2)
        items = [item async for item in oldest]
        assert [item.type for item in items] == [
            "message",
            "reasoning",
            "message",
            *["function_call"] * 2,
            *["function_call_output"] * 2,
        ]
        assert items[0].content[0].text == "Why?"  # type: ignore[union-attr, index]
        assert len({item.id for item in items}) == 7
        newest = [item async for item in s.client.responses.input_items.list(last.id)]
        assert newest == items[::-1]
        path = f"/v1/responses/{last.id}/input_items"
        described = await Described.of(s)
        page = (await s.get(f"{path}?limit=3&after={items[5].id}")).json()
        assert [item["id"] for item in page["data"]] == [item.id for item in items[2:5][::-1]]
        assert (page["has_more"], page["last_id"]) == (True, items[2].id)
        described.answer("/v1/responses/{id}/input_items", page, method="get")
        for query, status in (("limit=0", 400), ("order=up", 400), ("after=x", 404)):
            assert (await s.get(f"{path}?{query}")).status == status
        assert (await s.get("/v1/responses/resp_none/input_items")).status == 404


@pytest.mark.parametrize("kind", [{"type": "item_reference"}, {}])
async def test_an_item_that_is_referred_to_stands_there_itself(kind: dict[str, str]) -> None:
    async with served(1) as s:
        says(s, PARALLEL)
        first = await s.client.responses.create(model=OWN, input="Why?", tools=TOOLS)
        says(s, "So.")
        given: list[Any] = [
            {"role": "user", "content": "Why?"},
            *({**kind, "id": item.id} for item in first.output),
            {"type": "function_call_output", "call_id": "call_a", "output": "cold"},
        ]
        second = await s.client.responses.create(model=OWN, input=given)
        user, said, result = s.cluster.llms[0].asked[-1]
        assert (user.content, said.content, result.content) == ("Why?", "Let me look.", "cold")
        assert said.reasoning_content == "two cities then"
        assert [call["id"] for call in said.tool_calls or []] == ["call_a", "call_b"]
        listed = [i async for i in s.client.responses.input_items.list(second.id, order="asc")]
        assert [item.id for item in listed[1:5]] == [item.id for item in first.output]
        with pytest.raises(openai.NotFoundError, match=r"input\[0\]: item 'msg_x'.*item itself"):
            await s.client.responses.create(model=OWN, input=[{**kind, "id": "msg_x"}])  # type: ignore[list-item]


def kept(name: str, text: str = "") -> Kept:
    response = ResponseObject(id=name, created_at=0, model="dmoa")
    return Kept(response, [], [Message("user", text)])


def test_the_memory_is_bounded_in_number_and_bytes() -> None:
    memory = ResponseMemory()
    for i in range(LIMITS.responses + 10):
        memory.keep(kept(str(i)))
    assert len(memory) == LIMITS.responses
    assert memory.get(str(LIMITS.responses + 9))
    memory.keep(kept("long", "x" * (LIMITS.responses_bytes // 2 - 100_000)))
    memory.keep(kept("last", "x" * 200_000))
    assert memory.size <= LIMITS.responses_bytes
    assert len(memory) == 1
    memory.keep(kept("last", ""))  # the same one again counts once
    assert memory.size < 10_000
    memory.keep(kept("too long", "x" * LIMITS.responses_bytes))
    assert len(memory) == 0
    assert memory.size == 0


def test_mixed_parts_of_calls_go_to_their_own_items() -> None:
    output = Output(ResponseObject(id="r", created_at=0, model="dmoa"))
    parts = [
        ToolCallPart(0, "a", "function", FunctionPart("f", '{"x"')),
        ToolCallPart(1, "b", "function", FunctionPart("g", '{"y"')),
        ToolCallPart(0, None, None, FunctionPart(None, ": 1}")),
        ToolCallPart(1, None, None, FunctionPart(None, ": 2}")),
    ]
    events = [event for part in parts for event in output.piece(Text("", [part]))]
    finished = Finished("", "tool_calls", PromptRecord("p", 0.0, 0, 0, 0), parts)
    events += output.end(finished)
    calls = output.message().tool_calls or []
    assert [(c["id"], c["function"]["arguments"]) for c in calls] == [
        ("a", '{"x": 1}'),
        ("b", '{"y": 2}'),
    ]
    assert output.response.status == "completed"
    assert not output.message().content


GOOD: dict[str, Any] = {"model": "dmoa", "input": "Why?"}


@pytest.mark.parametrize(
    ("body", "status", "named"),
    [
        ({"model": "dmoa"}, 400, "input is empty"),
        ({"input": "Why?"}, 400, "model"),
        ({**GOOD, "input": [{"type": "web_search_call"}]}, 400, "input[0] is of type 'web_search"),
        ({**GOOD, "input": [{"type": "function_call", "name": "x"}]}, 400, "call_id"),
        ({**GOOD, "input": [{"role": "king", "content": "x"}]}, 400, "$.input[...].role"),
        (
            {**GOOD, "input": [{"role": "user", "content": [{"type": "input_image"}]}]},
            400,
            "input_image",
        ),
        ({**GOOD, "tools": [{"type": "web_search"}]}, 400, "'web_search'"),
        ({**GOOD, "background": True}, 400, "background"),
        ({**GOOD, "conversation": "conv_1"}, 400, "previous_response_id"),
        ({**GOOD, "prompt": {"id": "pmpt_1"}}, 400, "kept at OpenAI's"),
        ({**GOOD, "top_logprobs": 3}, 400, "logprobs"),
        ({**GOOD, "text": {"format": {"type": "grammar"}}}, 400, "'grammar'"),
        ({**GOOD, "tools": TOOLS, "tool_choice": {"type": "mcp"}}, 400, "'mcp'"),
        ({**GOOD, "max_output_tokens": 0}, 400, "$.max_output_tokens"),
        ({**GOOD, "model": "gpt-5"}, 404, "dmoa-m1-k3"),
    ],
)
async def test_what_cannot_be_done_is_said_and_the_node_goes_on(
    body: dict[str, Any], status: int, named: str
) -> None:
    async with served(1) as s:
        refused = await s.post(json.dumps(body).encode(), PATH)
        assert refused.status == status, refused.body
        assert named in refused.json()["error"]["message"].replace("[0].role", "[...].role")
        assert (await s.post(json.dumps(GOOD).encode(), PATH)).status == 200


@pytest.mark.slow
async def test_a_failure_in_the_middle_ends_the_stream_with_its_words() -> None:
    async with served(1, seconds=60.0, device_options={"prompt_deadline": 0.6}) as s:
        stream = await s.client.responses.create(model=OWN, input="Why?", stream=True)
        events = [event async for event in stream]
        last = events[-1]
        assert last.type == "response.failed"
        assert last.response.error is not None
        assert "not answered in" in last.response.error.message
        with pytest.raises(openai.APIStatusError) as refused:
            await s.client.responses.create(model=OWN, input="Why?")
        assert refused.value.status_code == 408


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
        whole = (await s.post(json.dumps(body).encode(), PATH)).json()
        described.answer(PATH, whole)
        described.answer("/v1/responses/{id}", await fetched(s, whole["id"]), method="get")
        lines = await stream_lines(s, PATH, {**body, "stream": True})
        events = [json.loads(line[6:]) for line in lines if line.startswith("data: ")]
        assert len({event["type"] for event in events}) == 15
        for event in events:
            described.event(PATH, event)
        names = [line[7:] for line in lines if line.startswith("event: ")]
        assert names == [event["type"] for event in events]
        raw = f"DELETE {PATH}/{whole['id']} HTTP/1.1\r\nHost: localhost\r\n\r\n"
        deleted = await s.raw(raw.encode())
        described.answer("/v1/responses/{id}", deleted.json(), method="delete")


async def fetched(s: Served, name: str) -> Any:
    return (await s.get(f"{PATH}/{name}")).json()


async def test_thinking_alone_is_an_item_of_its_own() -> None:
    async with served(1) as s:
        says(s, ScriptedAnswer("", reasoning="hm hm hm"))
        answer = await s.client.responses.create(model=OWN, input="Why?", max_output_tokens=2)
        (item,) = answer.output
        assert isinstance(item, ResponseReasoningItem)
        assert item.summary[0].text == "hm hm"
        assert answer.usage is not None
        assert answer.usage.output_tokens_details.reasoning_tokens == 2
