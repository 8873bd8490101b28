"""Which model of a server answers, and with how much of a window (cases 18, 19)."""

from typing import Any

import pytest

from dmoa.errors import UsageError
from dmoa.llm.upstream import Upstream
from tests.llm.dialects.ollama import Ollama
from tests.served import served_by
from tests.upstreams.behind import ASK, Scripted, behind, said

HI = said("hi")

# --- 18: a model that can chat ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "taken"),
    [
        (("bge-m3", "all-minilm", "qwen3:4b"), "qwen3:4b"),
        (("nomic-embed-text", "llama3.2"), "llama3.2"),
        (("whisper-1", "tts-1", "dall-e-3", "gpt-4o-mini"), "gpt-4o-mini"),
        (("Qwen3-Embedding-0.6B", "Qwen3-Reranker-0.6B", "Qwen3-0.6B"), "Qwen3-0.6B"),
        (("llama-guard3:1b", "gemma3:1b"), "gemma3:1b"),
        (("jina-embeddings-v3", "mistral-small"), "mistral-small"),
        (("text-embedding-nomic-embed-text-v1.5", "qwen/qwen3-4b"), "qwen/qwen3-4b"),
        (("clip-vit-large", "stable-diffusion-xl", "phi4"), "phi4"),
    ],
)
async def test_an_embedding_model_is_never_asked_to_chat(names: Any, taken: str) -> None:
    server = Scripted(HI, models=names)
    async with behind(server) as b:
        await b.choice()
        assert server.bodies[-1]["model"] == taken
        listed = (await b.api.get("/v1/models")).json()["data"]
        assert taken in {model["id"] for model in listed}
        assert (await b.choice(model=taken))["message"]["content"] == "hi"


async def test_a_server_of_embedding_models_alone_is_named() -> None:
    async with Scripted(HI, models=("bge-m3", "all-minilm")) as server:
        with pytest.raises(UsageError, match="bge-m3"):
            await Upstream.connect(server.url, None)


# --- 19: Ollama ---------------------------------------------------------------------------------

TOOLS: list[dict[str, Any]] = [
    {
        "type": "function",
        "function": {
            "name": f"tool_{i}",
            "description": "Does something that takes a while to describe in words.",
            "parameters": {"type": "object", "properties": {"a": {"type": "string"}}},
        },
    }
    for i in range(30)
]


@pytest.mark.parametrize("name", ["qwen3", "qwen3:latest", "Qwen3"])
async def test_ollama_gets_the_window_that_the_user_wants(name: str) -> None:
    async with Ollama() as server:
        llm = await Upstream.connect(server.url, name, context_length=32768)
        try:
            assert llm.info.context_length == 32768
            async with served_by(llm) as (api, _):
                long = [{"role": "user", "content": "word " * 9600}]  # 48 KB
                reply = await api.client.chat.completions.create(
                    model="dmoa",
                    messages=long,  # type: ignore[arg-type]
                )
                assert reply.choices[0].message.content
            body = server.calls("/api/chat")[-1].body
            assert body["options"]["num_ctx"] == 32768
            assert len(body["messages"][0]["content"]) == 48_000
        finally:
            await llm.close()


async def test_what_ollama_would_cut_in_silence_is_refused() -> None:
    async with Ollama() as server:
        llm = await Upstream.connect(server.url, None)
        try:
            async with served_by(llm) as (api, _):
                words = "word " * (2 * llm.info.context_length)
                body = (
                    f'{{"model": "dmoa", "messages": [{{"role": "user", "content": "{words}"}}]}}'
                )
                response = await api.post(body.encode())
                assert response.status == 400
                assert response.json()["error"]["code"] == "context_length_exceeded"
                assert not server.calls("/api/chat")
        finally:
            await llm.close()


async def test_tools_count_as_part_of_the_prompt() -> None:
    async with Ollama() as server:
        llm = await Upstream.connect(server.url, None, context_length=1024)
        try:
            async with served_by(llm) as (api, _):
                response = await api.post(_with_tools(TOOLS))
                assert response.status == 400, response.body
                assert "context" in response.json()["error"]["code"]
                assert (await api.post(_with_tools(TOOLS[:2]))).status == 200
        finally:
            await llm.close()


def _with_tools(tools: list[dict[str, Any]]) -> bytes:
    import msgspec

    return msgspec.json.encode({"model": "dmoa", "messages": ASK, "tools": tools})
