"""Clients of other people; `make clients` installs them, and without them a test is skipped."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.clients.place import (
    CITY,
    DESCRIBED,
    MODEL,
    TOOLS,
    VENVS,
    in_thread,
    node,
    run,
    there,
)

pytestmark = pytest.mark.filterwarnings("default")  # what they warn of is theirs
ASK: list[Any] = [{"role": "user", "content": "What is the capital of France?"}]
ANSWER = "It is Paris, of course."
DONE = "results: 5, 20, reported 25"
WHY = "`make clients` installs it"


def client_of(name: str) -> Any:
    """A client's package, or the reason why it is skipped."""
    return pytest.importorskip(name, reason=f"{name} is not installed; {WHY}")


async def test_langchain_chats_streams_and_uses_tools() -> None:
    chat: Any = client_of("langchain_openai")
    from langchain_core.messages import (  # type: ignore[import-not-found,unused-ignore]
        HumanMessage,
        ToolMessage,
    )

    async with node() as b:
        llm = chat.ChatOpenAI(model=MODEL, base_url=f"{b.api.url}/v1", api_key="none")
        assert (await llm.ainvoke("Capital of France?")).content == ANSWER
        assert "".join([piece.content async for piece in llm.astream("Capital?")]) == ANSWER
        assert await in_thread(lambda: llm.invoke("Capital?").content) == ANSWER
        schema = {
            "title": "City",
            "type": "object",
            "properties": {"city": {"type": "string"}, "people": {"type": "integer"}},
            "required": ["city", "people"],
        }
        for method in ("json_schema", "json_mode"):
            formed = llm.with_structured_output(schema, method=method)
            assert await formed.ainvoke("Capital of France, as JSON?") == CITY
        messages: list[Any] = [HumanMessage("Add, multiply, report.")]
        armed = llm.bind_tools(DESCRIBED)
        for _ in range(5):
            reply = await armed.ainvoke(messages)
            messages.append(reply)
            if not reply.tool_calls:
                break
            for call in reply.tool_calls:
                result = str(TOOLS[call["name"]](**call["args"]))
                messages.append(ToolMessage(result, tool_call_id=call["id"]))
        assert messages[-1].content == DONE


LLAMAINDEX = """
import sys
from llama_index.core.llms import ChatMessage
from llama_index.core.tools import FunctionTool
from llama_index.llms.openai_like import OpenAILike

llm = OpenAILike(model=sys.argv[1], api_base=sys.argv[2], api_key="none", is_chat_model=True,
                 is_function_calling_model=True, context_window=8000)
asked = [ChatMessage(role="user", content="Capital of France?")]
print(llm.chat(asked).message.content)
print("".join(piece.delta or "" for piece in llm.stream_chat(asked)))
print(llm.complete("Capital of France?").text)
def add(a: int, b: int) -> int:
    "Add."
    return a + b
reply = llm.chat_with_tools([FunctionTool.from_defaults(add)], "Add 2 and 3.")
print([(c.tool_name, c.tool_kwargs) for c in llm.get_tool_calls_from_response(reply)])
"""


async def test_llamaindex_chats_streams_and_uses_tools() -> None:
    """It wants an older `openai` than dmoa does, so it has an environment of its own."""
    python = VENVS / "llamaindex" / "bin" / "python"
    if not python.exists():
        pytest.skip(f"LlamaIndex is not installed; {WHY}")
    async with node() as b:
        status, out, err = await run(python, "-c", LLAMAINDEX, MODEL, f"{b.api.url}/v1")
        assert status == 0, err
        whole, streamed, completed, calls = out.strip().split("\n")
        assert (whole, streamed, completed) == (ANSWER, ANSWER, ANSWER)
        assert "('add', {'a': 2, 'b': 3})" in calls


async def test_the_llm_command_prompts_streams_and_goes_on(tmp_path: Path) -> None:
    client_of("llm")
    async with node() as b:
        (tmp_path / "extra-openai-models.yaml").write_text(
            f"- model_id: network\n  model_name: {MODEL}\n  api_base: {b.api.url}/v1\n"
            "  supports_tools: true\n  supports_schema: true\n"
        )
        home = {"LLM_USER_PATH": str(tmp_path), "OPENAI_API_KEY": "none"}
        command = (sys.executable, "-m", "llm")
        for more in ((), ("--no-stream",), ("-c",), ("-s", "Be terse."), ("-o", "max_tokens", "9")):
            status, out, err = await run(*command, "Capital?", "-m", "network", *more, **home)
            assert (status, out.strip()) == (0, ANSWER), err
        schema = json.dumps({"type": "object", "properties": {"city": {"type": "string"}}})
        status, out, err = await run(
            *command, "Capital?", "-m", "network", "--schema", schema, **home
        )
        assert (status, json.loads(out)) == (0, CITY), err


async def test_litellm_as_a_library_chats_streams_and_uses_tools() -> None:
    litellm: Any = client_of("litellm")
    async with node() as b:
        options: dict[str, Any] = {
            "model": f"openai/{MODEL}",
            "api_base": f"{b.api.url}/v1",
            "api_key": "none",
        }
        whole = await litellm.acompletion(messages=ASK, **options)
        assert whole.choices[0].message.content == ANSWER
        stream = await litellm.acompletion(messages=ASK, stream=True, **options)
        assert "".join([c.choices[0].delta.content or "" async for c in stream]) == ANSWER
        messages: list[Any] = [{"role": "user", "content": "Add, multiply, report."}]
        for _ in range(5):
            reply = await litellm.acompletion(messages=messages, tools=DESCRIBED, **options)
            message = reply.choices[0].message
            messages.append(message.model_dump(exclude_none=True))
            for call in message.tool_calls or []:
                result = TOOLS[call.function.name](**json.loads(call.function.arguments))
                told = {"role": "tool", "tool_call_id": call.id, "content": str(result)}
                messages.append(told)
            if not message.tool_calls:
                break
        assert messages[-1]["content"] == DONE


async def test_ollamas_client_chats_streams_and_lists() -> None:
    ollama: Any = client_of("ollama")
    async with node() as b:
        if not await there(b, "/api/chat"):
            pytest.skip("this node has no /api/chat")
        client = ollama.AsyncClient(host=b.api.url)
        assert (await client.chat(model=MODEL, messages=ASK)).message.content == ANSWER
        pieces = await client.chat(model=MODEL, messages=ASK, stream=True)
        assert "".join([piece.message.content or "" async for piece in pieces]) == ANSWER
        reply = await client.chat(model=MODEL, messages=ASK, tools=DESCRIBED)
        called = [(c.function.name, dict(c.function.arguments)) for c in reply.message.tool_calls]
        assert called == [("add", {"a": 2, "b": 3}), ("multiply", {"a": 4, "b": 5})]
        assert (await client.generate(model=MODEL, prompt="Capital?")).response == ANSWER
        assert "dmoa" in {model.model.partition(":")[0] for model in (await client.list()).models}
        assert (await client.show("dmoa")).capabilities is not None


async def test_anthropics_client_chats_streams_and_uses_tools() -> None:
    anthropic: Any = client_of("anthropic")
    async with node() as b:
        if not await there(b, "/v1/messages"):
            pytest.skip("this node has no /v1/messages")
        client = anthropic.AsyncAnthropic(base_url=b.api.url, api_key="none", max_retries=0)
        options: dict[str, Any] = {"model": MODEL, "max_tokens": 100, "messages": ASK}
        reply = await client.messages.create(**options, system="Be terse.")
        texts = [block.text for block in reply.content if block.type == "text"]
        assert (texts, reply.stop_reason) == ([ANSWER], "end_turn")
        async with client.messages.stream(**options) as stream:
            assert "".join([text async for text in stream.text_stream]) == ANSWER
        tools = [
            {
                "name": tool["function"]["name"],  # type: ignore[index]
                "input_schema": tool["function"]["parameters"],  # type: ignore[index]
            }
            for tool in DESCRIBED
        ]
        reply = await client.messages.create(**options, tools=tools)
        called = [(b.name, b.input) for b in reply.content if b.type == "tool_use"]
        assert called == [("add", {"a": 2, "b": 3}), ("multiply", {"a": 4, "b": 5})]
        assert reply.stop_reason == "tool_use"
        with pytest.raises(anthropic.NotFoundError):
            await client.messages.create(**{**options, "model": "claude-none"})
