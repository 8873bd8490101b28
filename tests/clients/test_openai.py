"""OpenAI's own client: sync, async, streamed, tools, structured outputs, Responses."""

import json
from typing import Any

import openai
import pytest
from pydantic import BaseModel

from tests.clients.place import CITY, DESCRIBED, MODEL, TOOLS, in_thread, node, there

ASK: list[Any] = [{"role": "user", "content": "What is the capital of France?"}]
ANSWER = "It is Paris, of course."


class City(BaseModel):
    city: str
    people: int


async def test_it_answers_whole_and_streamed() -> None:
    async with node() as b:
        client = b.api.client
        whole = await client.chat.completions.create(model=MODEL, messages=ASK)
        assert whole.choices[0].message.content == ANSWER
        assert whole.usage
        assert whole.usage.total_tokens > 12
        assert [m.id async for m in client.models.list()]
        assert (await client.models.retrieve("dmoa")).id == "dmoa"
        stream = await client.chat.completions.create(
            model=MODEL, messages=ASK, stream=True, stream_options={"include_usage": True}
        )
        text, thought, usage = "", "", None
        async for chunk in stream:
            usage = chunk.usage or usage
            for choice in chunk.choices:
                text += choice.delta.content or ""
                thought += (choice.delta.model_extra or {}).get("reasoning_content") or ""
        assert (text, thought) == (ANSWER, "A capital. ")
        assert usage


async def test_it_works_without_asyncio() -> None:
    async with node() as b:

        def work() -> tuple[str | None, str]:
            with openai.OpenAI(base_url=f"{b.api.url}/v1", api_key="none") as client:
                whole = client.chat.completions.create(model=MODEL, messages=ASK)
                pieces = client.chat.completions.create(model=MODEL, messages=ASK, stream=True)
                text = "".join(c.choices[0].delta.content or "" for c in pieces if c.choices)
                return whole.choices[0].message.content, text

        assert await in_thread(work) == (ANSWER, ANSWER)


@pytest.mark.parametrize("streamed", [False, True])
async def test_structured_outputs_are_parsed(streamed: bool) -> None:
    async with node() as b:
        completions = b.api.client.chat.completions
        options: dict[str, Any] = {"model": MODEL, "messages": ASK, "response_format": City}
        if streamed:
            async with completions.stream(**options) as stream:
                parsed = (await stream.get_final_completion()).choices[0].message.parsed
        else:
            parsed = (await completions.parse(**options)).choices[0].message.parsed
        assert parsed == City(**CITY)


@pytest.mark.parametrize("streamed", [False, True])
async def test_an_agent_uses_three_tools_in_several_turns(streamed: bool) -> None:
    async with node() as b:
        completions = b.api.client.chat.completions
        messages: list[Any] = [{"role": "user", "content": "Add, multiply, report."}]
        used: list[str] = []
        for _ in range(5):
            options: dict[str, Any] = {"model": MODEL, "messages": messages, "tools": DESCRIBED}
            if streamed:
                async with completions.stream(**options) as stream:
                    choice: Any = (await stream.get_final_completion()).choices[0]
            else:
                choice = (await completions.create(**options)).choices[0]
            messages.append(choice.message.to_dict())
            if not choice.message.tool_calls:
                break
            assert choice.finish_reason == "tool_calls"
            for call in choice.message.tool_calls:
                used.append(call.function.name)
                result = TOOLS[call.function.name](**json.loads(call.function.arguments))
                told = {"role": "tool", "tool_call_id": call.id, "content": str(result)}
                messages.append(told)
        assert used == ["add", "multiply", "report"]
        assert messages[-1]["content"] == "results: 5, 20, reported 25"


async def test_errors_are_the_clients_own() -> None:
    async with node() as b:
        completions = b.api.client.chat.completions
        with pytest.raises(openai.NotFoundError):
            await completions.create(model="gpt-none", messages=ASK)
        with pytest.raises(openai.BadRequestError):
            await completions.create(model=MODEL, messages=[])
        with pytest.raises(openai.BadRequestError):
            await completions.create(model=MODEL, messages=ASK, temperature=9)


async def test_responses_are_answered_whole_and_streamed() -> None:
    async with node() as b:
        if not await there(b, "/v1/responses"):
            pytest.skip("this node has no /v1/responses")
        responses = b.api.client.responses
        whole = await responses.create(model=MODEL, input="What is the capital of France?")
        assert whole.output_text == ANSWER
        text = ""
        async with responses.stream(model=MODEL, input="And of Italy?") as stream:
            async for event in stream:
                text += event.delta if event.type == "response.output_text.delta" else ""
            assert (await stream.get_final_response()).output_text == text == ANSWER
        again = await responses.create(model=MODEL, input="Sure?", previous_response_id=whole.id)
        assert again.output_text == ANSWER
