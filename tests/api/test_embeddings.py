"""Embeddings: passed through to the server of the own LLM, or refused with what to do."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import ollama
import openai
import pytest

from dmoa.errors import ContextExceeded, LLMBroken, LLMUnavailable, RequestRefused
from dmoa.llm.interface import Embedded
from dmoa.llm.upstream import Upstream
from tests.api.asking import OWN, Described
from tests.llm.fake import Fake, Reply, Request, as_json, openai_models
from tests.served import Served, served

PATH = "/v1/embeddings"


def vectors(*found: Any, **more: Any) -> dict[str, Any]:
    data = [{"object": "embedding", "index": i, "embedding": v} for i, v in enumerate(found)]
    return {"object": "list", "data": data, "model": "tiny", **more}


@asynccontextmanager
async def embedding(reply: Reply) -> AsyncGenerator[tuple[Fake, Upstream]]:
    """A server with an endpoint for embeddings, and our client of it."""

    def handler(request: Request) -> Reply | None:
        return reply if request.path == PATH else None

    fake = Fake([openai_models("tiny"), handler])
    async with fake:
        llm = await Upstream.connect(fake.url, None)
        try:
            yield fake, llm
        finally:
            await llm.close()


async def test_the_request_goes_to_the_server_as_it_is_but_for_the_model() -> None:
    body = vectors([0.5, 1], "AACAPw==", usage={"prompt_tokens": "7"})
    async with embedding(as_json(body)) as (fake, llm):
        asked = {"model": "called otherwise here", "input": ["a", "b"], "dimensions": 2}
        made = await llm.embed(asked)
        assert made == Embedded([[0.5, 1], "AACAPw=="], 7)
        (request,) = fake.calls(PATH)
        assert request.body == {"model": "tiny", "input": ["a", "b"], "dimensions": 2}


@pytest.mark.parametrize(
    ("reply", "error", "words"),
    [
        (
            as_json({"error": {"message": "This server does not support embeddings."}}, 501),
            RequestRefused,
            "does not support embeddings.*--embeddings",
        ),
        (as_json({"detail": "Not Found"}, 404), RequestRefused, "run a model that does"),
        (as_json({"error": "input is too long"}, 400), RequestRefused, "^input is too long$"),
        (as_json({"error": "Invalid key"}, 401), LLMUnavailable, "DMOA_LLM_KEY"),
        (as_json({"error": "out of memory"}, 500), LLMBroken, "out of memory"),
        (as_json({"data": []}), LLMBroken, "holds no embeddings"),
        (as_json(vectors({"a": 1})), LLMBroken, "holds no embeddings"),
        (as_json([1, 2]), LLMBroken, "holds no embeddings"),
    ],
)
async def test_what_a_server_refuses_has_its_words(
    reply: Reply, error: type[Exception], words: str
) -> None:
    async with embedding(reply) as (_, llm):
        with pytest.raises(error, match=words):
            await llm.embed({"model": "tiny", "input": "a"})


def embeds(s: Served, made: Embedded) -> list[dict[str, Any]]:
    """Give the own LLM the ability; returns what it is asked."""
    asked: list[dict[str, Any]] = []

    async def embed(request: dict[str, Any]) -> Embedded:
        asked.append(request)
        await asyncio.sleep(s.cluster.seconds)
        return made

    s.cluster.llms[0].embed = embed  # type: ignore[attr-defined]
    return asked


async def test_the_official_client_gets_vectors_in_both_encodings() -> None:
    async with served(1) as s:
        asked = embeds(s, Embedded([[0.5, 1.0], "AAAAPwAAgD8="], 7))
        answer = await s.client.embeddings.create(model=OWN, input=["a", "b"])
        assert [list(entry.embedding) for entry in answer.data] == [[0.5, 1.0], [0.5, 1.0]]
        assert [entry.index for entry in answer.data] == [0, 1]
        assert (answer.model, answer.usage.prompt_tokens, answer.usage.total_tokens) == (OWN, 7, 7)
        assert asked[0]["input"] == ["a", "b"]
        described = await Described.of(s)
        body = {"model": OWN, "input": "a"}
        described.body(PATH, body)
        described.answer(PATH, (await s.post(json.dumps(body).encode(), PATH)).json())
        assert s.cluster.devices[0].meter.service_seconds.mean() is None, "it is not measured"


async def test_they_wait_their_turn_at_the_llm() -> None:
    async with served(1, seconds=0.2) as s:
        embeds(s, Embedded([[1.0]]))
        chat = asyncio.create_task(s.client.responses.create(model=OWN, input="Why?"))
        async with asyncio.timeout(20):
            while not s.cluster.llms[0].running:
                await asyncio.sleep(0.01)
            await s.client.embeddings.create(model=OWN, input="a")
            assert not s.cluster.llms[0].running, "the answer came first"
            await chat
        s.cluster.assert_idle()


async def test_an_llm_without_the_ability_says_what_to_do() -> None:
    async with served(1) as s:
        with pytest.raises(openai.BadRequestError, match="makes no embeddings.*--embeddings"):
            await s.client.embeddings.create(model=OWN, input="a")
        assert (await s.get("/healthz")).status == 200


@pytest.mark.parametrize("model", ["dmoa", "text-embedding-3-small"])
async def test_only_the_own_model_makes_them(model: str) -> None:
    async with served(1) as s:
        embeds(s, Embedded([[1.0]]))
        with pytest.raises(openai.NotFoundError, match=f"'{model}'.*{OWN}"):
            await s.client.embeddings.create(model=model, input="a")
        with pytest.raises(openai.BadRequestError, match="input is empty"):
            await s.client.embeddings.create(model=OWN, input=[])


async def test_a_client_that_goes_away_is_waited_for_no_longer() -> None:
    async with served(1, seconds=60.0) as s:
        asked = embeds(s, Embedded([[1.0]]))
        body = json.dumps({"model": OWN, "input": "a"}).encode()
        _, writer = await asyncio.open_connection("127.0.0.1", s.port)
        head = f"POST {PATH} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        async with asyncio.timeout(20):
            while not asked:
                await asyncio.sleep(0.01)
            assert s.cluster.busy()
            writer.close()
            while s.cluster.busy():
                await asyncio.sleep(0.01)


async def test_a_queue_that_is_too_long_takes_none() -> None:
    async with served(1, seconds=60.0) as s:
        embeds(s, Embedded([[1.0]]))
        working = [asyncio.create_task(s.cluster.ask(0, 0, 0)) for _ in range(26)]
        async with asyncio.timeout(20):
            while s.cluster.devices[0].queue.waiting < 25:
                await asyncio.sleep(0.01)
        with pytest.raises(openai.RateLimitError):
            await s.client.embeddings.create(model=OWN, input="a")
        for task in working:
            task.cancel()
        await asyncio.gather(*working, return_exceptions=True)


async def test_ollamas_client_gets_vectors_by_both_paths() -> None:
    async with served(1) as s:
        asked = embeds(s, Embedded([[0.5, 1.0], [1.0, 0.0]], 7))
        client = ollama.AsyncClient(host=s.url)
        try:
            made = await client.embed(f"{OWN}", ["a", "b"], dimensions=2, keep_alive=5)
            assert made.embeddings == [[0.5, 1.0], [1.0, 0.0]]
            assert (made.model, made.prompt_eval_count) == (OWN, 7)
            assert asked == [
                {"model": OWN, "input": ["a", "b"], "encoding_format": "float", "dimensions": 2}
            ]
            old = await client.embeddings(OWN, "a")
            assert old.embedding == [0.5, 1.0]
            assert (await client.embed(OWN, "")).embeddings == [], "that only loads a model"
            assert (await client.embeddings(OWN)).embedding == []
            assert len(asked) == 2
            with pytest.raises(ollama.ResponseError, match="no model 'dmoa' for embeddings"):
                await client.embed("dmoa:latest", "a")
        finally:
            await client.close()  # type: ignore[no-untyped-call]
        described = await Described.of(s)
        for path, body in (
            ("/api/embed", {"model": OWN, "input": "a"}),
            ("/api/embeddings", {"model": OWN, "prompt": "a"}),
        ):
            described.body(path, body)
            described.answer(path, (await s.post(json.dumps(body).encode(), path)).json())


async def test_a_text_that_is_too_long_is_the_clients_fault() -> None:
    async with served(1) as s:

        async def embed(request: dict[str, Any]) -> Embedded:
            raise ContextExceeded(3001, 2048, "too long")

        s.cluster.llms[0].embed = embed  # type: ignore[attr-defined]
        with pytest.raises(openai.BadRequestError, match="2048"):
            await s.client.embeddings.create(model=OWN, input="a")


async def test_an_llm_that_fails_is_a_503() -> None:
    async with served(1) as s:

        async def embed(request: dict[str, Any]) -> Embedded:
            raise LLMBroken("it fell over")

        s.cluster.llms[0].embed = embed  # type: ignore[attr-defined]
        with pytest.raises(openai.InternalServerError, match="it fell over") as refused:
            await s.client.embeddings.create(model=OWN, input="a")
        assert refused.value.status_code == 503
