"""One suite for all dialects: found, listed, chosen, read, counted, refused, loading, swapped."""

import asyncio
import base64
import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dmoa.errors import ContextExceeded, LLMBroken, LLMUnavailable, RequestRefused, UsageError
from dmoa.llm import connecting, upstream
from dmoa.llm.dialects import dialects
from dmoa.llm.tokens import estimate_tokens
from dmoa.protocol.conversation import Constraints, Message, Sampling
from tests.llm.dialects.litellm import LiteLLM
from tests.llm.dialects.llamacpp import LlamaCpp
from tests.llm.dialects.lmstudio import LMStudio, OldLMStudio
from tests.llm.dialects.mistral import Mistral
from tests.llm.dialects.ollama import Ollama
from tests.llm.dialects.playing import Played
from tests.llm.dialects.router import Router
from tests.llm.dialects.sglang import SGLang
from tests.llm.dialects.tgi import TGI
from tests.llm.dialects.vllm import VLLM
from tests.llm.fake import Fake, Reply, Request, as_json, openai_models
from tests.llm.talking import HI, connected, say

PLAYED = [Ollama, LlamaCpp, Router, LMStudio, OldLMStudio, VLLM, SGLang, TGI, LiteLLM, Mistral]
TOOLS = [{"type": "function", "function": {"name": n, "parameters": {}}} for n in ("add", "mul")]
every = pytest.mark.parametrize("kind", PLAYED, ids=lambda kind: kind.__name__)


def test_each_dialect_that_is_there_is_played() -> None:
    programs = {dialect.program for dialect in dialects()} - {"an OpenAI-compatible server"}
    assert programs == {kind.program for kind in PLAYED}


async def test_a_dialect_is_added_by_its_file_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "martian.py").write_text(
        "from dmoa.llm.dialect import Dialect\n"
        "class Martian(Dialect):\n"
        "    program = 'Martian'\n"
        "    order = 1\n"
        "    async def recognises(self, server):\n"
        "        return 'mars' in await server.facts('props')\n"
        "DIALECT = Martian()\n"
    )
    package = importlib.import_module("dmoa.llm.dialects")
    monkeypatch.setattr(package, "__path__", [*package.__path__, str(tmp_path)])
    dialects.cache_clear()
    try:

        def mars(request: Request) -> Reply | None:
            return as_json({"mars": 1}) if request.path == "/props" else None

        async with Fake([openai_models("tiny"), mars]) as fake, connected(fake) as llm:
            assert llm.dialect.program == "Martian"
    finally:
        dialects.cache_clear()


@every
async def test_it_is_recognised_and_the_model_that_can_chat_is_taken(kind: type[Played]) -> None:
    async with kind() as fake, connected(fake) as llm:
        assert llm.dialect.program == kind.program
        assert llm.info.name == kind.chat
        assert llm.info.context_length == kind.window
        counted = await llm.count_tokens(HI)
        assert counted == (kind.counts or estimate_tokens(HI))


@every
async def test_a_model_is_known_by_its_short_names(kind: type[Played]) -> None:
    async with kind() as fake:
        for name in (kind.chat, *kind.nicknames):
            async with connected(fake, name) as llm:
                assert llm.info.name == kind.chat
        with pytest.raises(UsageError, match="has no model 'gpt-9'; it has"):
            async with connected(fake, "gpt-9"):
                pass


@every
async def test_thoughts_text_and_usage_are_read(kind: type[Played]) -> None:
    async with kind() as fake, connected(fake) as llm:
        said = await say(llm)
        assert (said.reasoning, said.text, said.finish) == ("hm", "Hi 😀", "stop")
        assert said.end is not None
        assert (said.end.usage.prompt_tokens, said.end.usage.completion_tokens) == (5, 4)
        [request] = fake.calls(kind.chat_path)
        assert request.body["model"] == kind.chat
        assert request.body["messages"] == [{"role": "user", "content": "hi"}]
        assert request.body["stream"] is True


@every
async def test_parallel_tool_calls_are_told_apart_and_their_results_go_back(
    kind: type[Played],
) -> None:
    fake = kind(text="", calls_made=[("add", {"a": 1}), ("mul", {"b": {"c": 2}})])
    async with fake, connected(fake) as llm:
        said = await say(llm, constraints=Constraints(tools=TOOLS))
        assert [name for name, _ in said.named] == ["add", "mul"]
        assert [json_of(arguments) for _, arguments in said.named] == [{"a": 1}, {"b": {"c": 2}}]
        assert said.finish == "tool_calls"
        assert fake.calls(kind.chat_path)[0].body["tools"] == TOOLS
        fake.text, fake.calls_made = "3", []
        calls = [
            {
                "id": call["id"],
                "type": "function",
                "function": {"name": call["name"], "arguments": call["arguments"]},
            }
            for call in said.calls
        ]
        results = [Message("tool", str(i), tool_call_id=c["id"]) for i, c in enumerate(said.calls)]
        turn = [*HI, Message("assistant", tool_calls=calls, content_is_null=True), *results]
        assert (await say(llm, turn, constraints=Constraints(tools=TOOLS))).text == "3"


@every
async def test_a_stream_that_dies_is_a_failure_and_the_next_one_works(kind: type[Played]) -> None:
    async with kind(cut=True) as fake, connected(fake) as llm:
        with pytest.raises(LLMBroken):
            await say(llm)
        fake.cut = False
        assert (await say(llm)).text == "Hi 😀"


@every
async def test_an_overflow_teaches_the_window_that_it_states_and_no_other(
    kind: type[Played],
) -> None:
    async with kind(refusal="overflow") as fake, connected(fake) as llm:
        with pytest.raises(ContextExceeded, match="2048 tokens"):
            await say(llm)
        assert len(fake.calls(kind.chat_path)) == 1
        assert llm.info.context_length == 2048
        assert (await say(llm)).text == "Hi 😀"


@every
@pytest.mark.parametrize("fault", ["tools", "schema"])
async def test_a_wrong_request_is_refused_in_the_servers_words_by_one_call(
    kind: type[Played], fault: str
) -> None:
    async with kind(refusal=fault) as fake, connected(fake) as llm:
        window = llm.info.context_length
        words = json_of(fake.refuse(fault).pieces[0].decode())
        with pytest.raises(RequestRefused) as caught:
            await say(llm, constraints=Constraints(tools=TOOLS))
        assert caught.value.words in str(words)
        assert 400 <= caught.value.status < 500
        assert len(fake.calls(kind.chat_path)) == 1
        assert llm.info.context_length == window
        assert (await say(llm)).text == "Hi 😀"


@every
async def test_a_server_that_is_loading_is_waited_for_and_said_to_be(
    kind: type[Played], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upstream, "_PAUSES", (0.01,))
    monkeypatch.setattr(connecting, "_PAUSE_SECONDS", 0.01)
    lines: list[str] = []
    fake = kind(loading=3)
    async with fake, connected(fake, wait_seconds=30.0, say=lines.append) as llm:
        assert llm.info.name == kind.chat
        assert len([line for line in lines if line.startswith("waiting for")]) == 1
        fake.loading = 1
        said = await say(llm)
        assert said.text == "Hi 😀"
        [wait] = [alive for alive in said.alive if alive.waiting]
        assert wait.note
        assert len(fake.calls(kind.chat_path)) == 2


# --- what only one of them does -----------------------------------------------------------------


async def test_ollama_is_asked_for_the_window_that_the_user_wants() -> None:
    lines: list[str] = []
    async with Ollama() as fake:
        async with connected(fake, "qwen3", context_length=32768) as llm:
            assert llm.info.context_length == 32768
            await say(
                llm,
                sampling=Sampling(
                    max_tokens=9,
                    stop=["x"],
                    extra={"top_k": 5, "keep_alive": "1h", "logit_bias": {"5": 1}},
                ),
            )
            body = fake.calls("/api/chat")[-1].body
            assert body["options"] == {
                "num_ctx": 32768,
                "num_predict": 9,
                "stop": ["x"],
                "top_k": 5,
            }
            assert body["keep_alive"] == "1h"
        async with connected(fake, context_length=10**6, say=lines.append) as llm:
            assert llm.info.context_length == 40960
            assert "holds 40960 tokens at most" in lines[-1]
        async with connected(fake) as llm:
            said = await say(llm, sampling=Sampling(extra={"logit_bias": {"5": 1}}))
            assert "options" not in fake.calls("/api/chat")[-1].body
            assert said.end is not None
            assert said.end.notes == ["Ollama does not know logit_bias; left out"]


async def test_a_window_that_cannot_be_set_is_said_to_be() -> None:
    lines: list[str] = []
    async with VLLM() as fake:
        async with connected(fake, context_length=32768, say=lines.append) as llm:
            assert llm.info.context_length == 4096
            assert "--context 32768 is cut" in lines[-1]
            assert "--max-model-len" in lines[-1]
        async with connected(fake, context_length=1000) as llm:
            assert llm.info.context_length == 1000


@pytest.mark.parametrize(
    ("thinking", "sent"),
    [
        ({}, None),
        ({"think": False}, False),
        ({"reasoning_effort": "none"}, False),
        ({"reasoning_effort": "high"}, "high"),
        ({"reasoning": {"effort": "low"}}, "low"),
        ({"chat_template_kwargs": {"enable_thinking": False}}, False),
        ({"enable_thinking": True}, True),
        ({"thinking": {"type": "disabled"}}, False),
    ],
)
async def test_switches_for_thinking_become_ollamas(thinking: dict[str, Any], sent: Any) -> None:
    async with Ollama() as fake, connected(fake) as llm:
        await say(llm, sampling=Sampling(thinking=thinking))
        assert fake.calls("/api/chat")[-1].body.get("think") == sent


async def test_ollama_gets_calls_as_objects_with_names_of_results_and_formats() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "add", "arguments": '{"a":1}'}}
    turn = [
        *HI,
        Message("assistant", tool_calls=[call], reasoning_content="hm"),
        Message("tool", "", tool_call_id="c1"),
    ]
    schema = {"type": "object"}
    wanted = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    one = {"type": "function", "function": {"name": "mul"}}
    async with Ollama() as fake, connected(fake) as llm:
        said = await say(llm, turn, constraints=Constraints(TOOLS, one, wanted))
        body = fake.calls("/api/chat")[-1].body
        assert body["messages"][1:] == [
            {
                "role": "assistant",
                "content": "",
                "thinking": "hm",
                "tool_calls": [{"id": "c1", "function": {"name": "add", "arguments": {"a": 1}}}],
            },
            {"role": "tool", "content": "", "tool_call_id": "c1", "tool_name": "add"},
        ]
        assert body["format"] == schema
        assert body["tools"] == TOOLS[1:], "it knows no tool_choice, so it is offered only that"
        assert said.end is not None
        assert "tool_choice" in said.end.notes[0]


async def test_what_only_looks_like_ollama_is_spoken_to_in_openais_api() -> None:
    class Half(Ollama):
        chat_path = "/v1/chat/completions"

        def play(self, request: Any) -> Any:
            return Played.play(self, request)

    async with Half() as fake, connected(fake) as llm:
        assert (await say(llm)).text == "Hi 😀"
        assert (await say(llm)).text == "Hi 😀"
        assert len(fake.calls("/api/chat")) == 1, "remembered"


async def test_images_go_to_models_that_see_and_a_word_to_others() -> None:
    data = base64.b64encode(b"png").decode()
    parts: list[dict[str, Any]] = [
        {"type": "text", "text": "what is it?"},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}},
    ]
    shown = [Message("user", "what is it?", parts=parts)]
    stands = "[image: image/png not shown: this model reads text only]"
    async with Mistral() as fake, connected(fake) as llm:
        assert llm.info.capabilities.vision is True
        await say(llm, shown)
        assert fake.calls("/v1/chat/completions")[-1].body["messages"][0]["content"] == parts
    blind: list[Callable[[], Played]] = [LlamaCpp, Ollama, SGLang]
    for kind in blind:
        async with kind() as blind_one, connected(blind_one) as llm:
            assert llm.info.capabilities.vision is False
            said = await say(llm, shown)
            content = blind_one.calls(blind_one.chat_path)[-1].body["messages"][0]["content"]
            assert content == f"what is it?\n{stands}"
            assert said.end is not None
            assert said.end.notes == [stands.strip("[]")]


async def test_a_router_loads_what_was_swapped_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upstream, "_PAUSES", (0.01,))
    async with Router() as fake, connected(fake, "qwen3-4b:Q4_K_M") as llm:
        fake.swapped_out = 2
        llm.server.forget()
        said = await say(llm)
        assert said.text == "Hi 😀"
        assert [alive.note for alive in said.alive if alive.waiting] == [
            f"{fake.chat}: model is loading, please retry"
        ] * 2
        assert fake.loaded_by_us


async def test_lm_studio_is_asked_again_when_its_timer_unloaded_the_model(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(upstream, "_PAUSES", (0.01,))
    async with LMStudio(refusal="unloaded") as fake, connected(fake) as llm:
        assert (await say(llm)).text == "Hi 😀"
        assert len(fake.calls(fake.chat_path)) == 2


async def test_vllm_gets_a_max_tokens_that_fits() -> None:
    async with VLLM() as fake, connected(fake) as llm:
        for _ in range(3):
            said = await say(llm, sampling=Sampling(max_tokens=8192))
            assert said.text == "Hi 😀"
            assert said.end is not None
            assert said.end.notes == [
                "max_tokens is 4084 instead of 8192: the model has no room for more"
            ]
        assert [r.body["max_tokens"] for r in fake.calls(fake.chat_path)] == [4084] * 3
        assert await llm.count_tokens(HI, Constraints(tools=TOOLS)) == 211, "tools are counted"


async def test_tgi_gets_what_its_checks_accept() -> None:
    async with TGI() as fake, connected(fake) as llm:
        many = Sampling(top_p=1.0, seed=-3, stop=list("abcdef"))
        said = await say(llm, sampling=many)
        assert said.text == "Hi 😀"
        body = fake.calls(fake.chat_path)[-1].body
        assert (body["stop"], body["seed"] >= 0) == (list("abcd"), True)


async def test_mistral_gets_ids_of_calls_that_it_takes() -> None:
    call = {"id": "call_12345-67", "type": "function", "function": {"name": "f", "arguments": ""}}
    turn = [
        *HI,
        Message("assistant", tool_calls=[call]),
        Message("tool", "7", tool_call_id="call_12345-67"),
    ]
    async with Mistral() as fake, connected(fake) as llm:
        assert (await say(llm, turn)).text == "Hi 😀"
        _, made, result = fake.calls(fake.chat_path)[0].body["messages"]
        assert made["tool_calls"][0]["id"] == result["tool_call_id"]


async def test_mistral_gets_its_own_names() -> None:
    async with Mistral() as fake, connected(fake) as llm:
        said = await say(llm, sampling=Sampling(seed=7), constraints=Constraints(TOOLS, "required"))
        assert said.text == "Hi 😀"
        body = fake.calls(fake.chat_path)[-1].body
        assert (body["random_seed"], body["tool_choice"]) == (7, "any")


async def test_a_server_with_embedding_models_alone_is_no_llm() -> None:
    class Vectors(Ollama):
        chat = "none"
        window = 1

        def _show(self, name: str) -> Any:
            return super()._show("bge-m3:latest")

    async with Vectors() as fake:
        with pytest.raises(UsageError, match="no model that can chat, only bge-m3"):
            async with connected(fake):
                pass
        with pytest.raises(UsageError, match="bge-m3:latest at .* cannot chat"):
            async with connected(fake, "bge-m3"):
                pass


async def test_nobody_is_waited_for_no_longer_than_told() -> None:
    async with Ollama() as fake:
        pass
    async with asyncio.timeout(20):
        with pytest.raises(LLMUnavailable, match="no OpenAI-compatible server answers"):
            async with connected(fake, wait_seconds=0.2):
                pass


def json_of(text: str) -> Any:
    import json

    return json.loads(text)
