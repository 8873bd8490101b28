"""The OpenAI API, with the official client over a real socket."""

import asyncio
import json
from typing import Any

import openai
import pytest
from openai.types.chat import ChatCompletionChunk

from dmoa.llm.interface import Token
from dmoa.protocol.conversation import FunctionPart, ToolCallPart
from tests.served import Served, served

ASK: list[Any] = [{"role": "user", "content": "Why?"}]


def extra(model: Any) -> dict[str, Any]:
    """The `dmoa` object of a response."""
    found = (model.model_extra or {}).get("dmoa")
    assert isinstance(found, dict)
    return found


async def test_a_whole_answer_has_the_tree_and_all_that_was_spent() -> None:
    async with served() as s:
        answer = await s.client.chat.completions.create(model="dmoa-m2-k3", messages=ASK)
        assert answer.choices[0].message.content == "answer of d0 with some more words"
        assert answer.choices[0].finish_reason == "stop"
        tree = extra(answer)
        assert (tree["M"], tree["k"], tree["k_requested"], tree["tasks"]) == (2, 3, 3, 9)
        assert [len(layer["proposers"]) for layer in tree["layers"]] == [4, 4]
        assert all(p["outcome"] == "answered" for p in tree["layers"][1]["proposers"])
        assert answer.usage is not None
        assert answer.usage.completion_tokens == 9 * 7
        assert answer.usage.total_tokens == (
            answer.usage.prompt_tokens + answer.usage.completion_tokens
        )
        assert tree["usage"]["prompt_tokens"] == answer.usage.prompt_tokens
        fetched = await s.get(f"/v1/dmoa/prompts/{answer.id}")
        assert fetched.json() == tree


async def test_a_streamed_answer_comes_in_pieces_with_the_tree_in_the_last() -> None:
    async with served() as s:
        stream = await s.client.chat.completions.create(
            model="dmoa", messages=ASK, stream=True, stream_options={"include_usage": True}
        )
        chunks = [chunk async for chunk in stream]
        pieces = [c.choices[0].delta.content for c in chunks if c.choices]
        assert "".join(p or "" for p in pieces) == "answer of d0 with some more words"
        assert len([p for p in pieces if p]) > 3, "it streams"
        assert chunks[0].choices[0].delta.role == "assistant"
        last, usage = chunks[-2], chunks[-1]
        assert last.choices[0].finish_reason == "stop"
        assert extra(last)["tasks"] == 5
        assert usage.choices == []
        assert usage.usage is not None
        assert usage.usage.completion_tokens == 5 * 7
        assert len({c.id for c in chunks}) == 1


async def test_progress_goes_out_as_comments_and_on_request_as_chunks() -> None:
    async with served() as s:
        stream = await s.client.chat.completions.create(
            model="dmoa-m1-k2", messages=ASK, stream=True, extra_body={"dmoa": {"progress": True}}
        )
        told: list[ChatCompletionChunk] = [c async for c in stream if not c.choices]
        types = [extra(c)["type"] for c in told]
        assert types[:2] == ["accepted", "layer_started"]
        assert types[-2:] == ["layer_finished", "aggregating"]
        body = json.dumps({"model": "dmoa-m1-k2", "messages": ASK, "stream": True}).encode()
        lines = await read_stream(s, body)
        comments = [line for line in lines if line.startswith(":")]
        assert any("layer 1 of 1" in comment for comment in comments)
        assert lines[-1] == "data: [DONE]"


async def read_stream(s: Served, body: bytes) -> list[str]:
    reader, writer = await asyncio.open_connection("127.0.0.1", s.port)
    writer.write(
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        b"Content-Length: %d\r\n\r\n" % len(body) + body
    )
    async with asyncio.timeout(30):
        text = (await reader.read()).decode()
    writer.close()
    await writer.wait_closed()
    return [line for line in text.split("\r\n\r\n", 1)[1].splitlines() if line[:1] in (":", "d")]


async def test_the_models_are_listed_and_the_own_model_answers_alone() -> None:
    async with served() as s:
        names = [model.id async for model in s.client.models.list()]
        assert names[0] == "dmoa"
        assert "dmoa-m2-k3" in names
        assert names[-1] == "model-d0"
        assert (await s.client.models.retrieve("dmoa-m7-k9")).id == "dmoa-m7-k9"
        answer = await s.client.chat.completions.create(model="model-d0", messages=ASK)
        assert (extra(answer)["M"], extra(answer)["tasks"]) == (0, 1)


async def test_fewer_peers_than_asked_for_is_said() -> None:
    async with served(2) as s:
        answer = await s.client.chat.completions.create(model="dmoa-m1-k3", messages=ASK)
        assert (extra(answer)["k"], extra(answer)["k_requested"]) == (1, 3)
        assert extra(answer)["notes"] == ["layer 1: 1 of 3 other devices were there"]


@pytest.mark.parametrize(
    ("model", "status", "named"),
    [
        ("gpt-4", 404, "gpt-4"),
        ("dmoa-autos", 404, "dmoa-autos"),
        ("dmoa-m1-k3-dance", 404, "dmoa-m1-k3-dance"),
        ("dmoa-m9-k3", 400, "M = 9 layers; at most 8"),
        ("dmoa-m1-k65", 400, "k = 65; at most 64"),
    ],
)
async def test_models_that_are_not_there_or_out_of_range(
    model: str, status: int, named: str
) -> None:
    async with served(1) as s:
        with pytest.raises(openai.APIStatusError) as refused:
            await s.client.chat.completions.create(model=model, messages=ASK)
        assert refused.value.status_code == status
        assert named in refused.value.message
        with pytest.raises(openai.APIStatusError) as refused:
            await s.client.chat.completions.create(model=model, messages=ASK, stream=True)
        assert refused.value.status_code == status


GOOD = {"model": "dmoa", "messages": ASK}


@pytest.mark.parametrize(
    ("body", "status", "named"),
    [
        (b"", 400, "no JSON"),
        (b"{", 400, "no JSON"),
        (b"[]", 400, "no object"),
        (b'\xff\xfe{"model"', 400, "no JSON"),
        (b'{"model": "dmoa", "messages": [{"role": "user", "content": "\xff"}]}', 400, "UTF-8"),
        (json.dumps({"model": "dmoa"}).encode(), 400, "messages"),
        (json.dumps({**GOOD, "messages": []}).encode(), 400, "messages"),
        (json.dumps({**GOOD, "messages": [{"role": "king"}]}).encode(), 400, "$.messages[0].role"),
        (json.dumps({**GOOD, "messages": "hi"}).encode(), 400, "$.messages"),
        (json.dumps({**GOOD, "temperature": 3}).encode(), 400, "$.temperature"),
        (json.dumps({**GOOD, "max_tokens": "many"}).encode(), 400, "$.max_tokens"),
        (json.dumps({**GOOD, "max_tokens": 0}).encode(), 400, "$.max_tokens"),
        (json.dumps({**GOOD, "stop": "x" * 1500}).encode(), 400, "$.stop"),
        (json.dumps({**GOOD, "stop": ["x" * 1500]}).encode(), 400, "$.stop"),
        (json.dumps({**GOOD, "n": 2}).encode(), 400, "n = 2"),
        (json.dumps({**GOOD, "stream": "yes"}).encode(), 400, "$.stream"),
        (json.dumps({**GOOD, "dmoa": {"dance": 1}}).encode(), 400, "dance"),
        (b" " * (10 * 2**20), 413, "8 MiB"),
    ],
)
async def test_bad_bodies_get_a_clear_error_and_the_node_goes_on(
    body: bytes, status: int, named: str
) -> None:
    async with served(1) as s:
        refused = await s.post(body)
        assert refused.status == status
        error = refused.json()["error"]
        assert named in error["message"]
        assert error["type"] == "invalid_request_error"
        assert (await s.post(json.dumps(GOOD).encode())).status == 200


async def test_unknown_paths_and_methods_get_openais_error_format() -> None:
    async with served(1) as s:
        assert (await s.get("/v1/nothing")).json()["error"]["message"] == (
            "Not Found: GET /v1/nothing"
        )
        refused = await s.get("/v1/chat/completions")
        assert refused.status == 405
        assert (await s.get("/v1/dmoa/prompts/none")).status == 404


async def test_a_prompt_longer_than_every_window_is_a_400_streamed_or_not() -> None:
    async with served(2, context_lengths={0: 300, 1: 300}) as s:
        long: list[Any] = [{"role": "user", "content": "word " * 1000}]
        for stream in (False, True):
            with pytest.raises(openai.BadRequestError) as refused:
                await s.client.chat.completions.create(model="dmoa", messages=long, stream=stream)
            assert refused.value.code == "context_length_exceeded"
            assert "300 tokens" in refused.value.message


async def test_a_full_device_says_429_with_retry_after() -> None:
    async with served(1, seconds=60.0) as s:
        working = [asyncio.create_task(s.cluster.ask(0, 0, 0)) for _ in range(25)]
        async with asyncio.timeout(20):
            while s.cluster.devices[0].queue.waiting < 24:
                await asyncio.sleep(0.01)
        for stream in (False, True):
            with pytest.raises(openai.RateLimitError) as refused:
                await s.client.chat.completions.create(model="dmoa", messages=ASK, stream=stream)
            assert int(refused.value.response.headers["retry-after"]) >= 1
            assert refused.value.code == "queue_full"
        patient = {"dmoa-patience": "600"}
        served_too = await s.client.chat.completions.create(
            model="dmoa", messages=ASK, stream=True, extra_headers=patient
        )
        await served_too.close()
        for task in working:
            task.cancel()
        await asyncio.gather(*working, return_exceptions=True)


@pytest.mark.parametrize("patience", ["0", "-1", "nan", "1e9", "much"])
async def test_patience_that_is_none_is_refused(patience: str) -> None:
    async with served(1) as s:
        with pytest.raises(openai.BadRequestError, match="dmoa-patience"):
            await s.client.chat.completions.create(
                model="dmoa", messages=ASK, extra_headers={"dmoa-patience": patience}
            )


async def test_headers_keep_a_prompt_on_its_device() -> None:
    async with served(3) as s:
        answer = await s.client.chat.completions.create(
            model="dmoa-m1-k2", messages=ASK, extra_headers={"dmoa-local-only": "true"}
        )
        assert extra(answer)["tasks"] == 1
        with pytest.raises(openai.BadRequestError, match="dmoa-local-only"):
            await s.client.chat.completions.create(
                model="dmoa", messages=ASK, extra_headers={"dmoa-local-only": "perhaps"}
            )


async def test_when_nobody_can_answer_it_is_a_503() -> None:
    async with served(2) as s:
        for llm in s.cluster.llms:
            llm.fails_before_token = 0
        with pytest.raises(openai.InternalServerError) as refused:
            await s.client.chat.completions.create(model="dmoa", messages=ASK)
        assert refused.value.status_code == 503
        assert "the script says that it fails" in refused.value.message


@pytest.mark.slow
async def test_a_deadline_is_a_408_and_an_error_in_a_stream_that_has_begun() -> None:
    async with served(1, seconds=60.0, device_options={"prompt_deadline": 0.6}) as s:
        with pytest.raises(openai.APIStatusError) as refused:
            await s.client.chat.completions.create(model="dmoa", messages=ASK)
        assert refused.value.status_code == 408
        stream = await s.client.chat.completions.create(model="dmoa", messages=ASK, stream=True)
        with pytest.raises(openai.APIError, match="not answered"):
            async for _ in stream:
                pass


async def test_keys_are_asked_for_everywhere_but_for_health() -> None:
    async with served(1, keys=["right", "second"]) as s:
        for path in ("/v1/models", "/status", "/v1/dmoa/prompts/x"):
            assert (await s.get(path)).status == 401
            assert (await s.get(path, "Authorization: Bearer wrong\r\n")).status == 401
            assert (await s.get(path, "Authorization: Bearer second\r\n")).status in (200, 404)
        assert (await s.get("/healthz")).status == 200
        wrong = s.client.with_options(api_key="wrong")
        with pytest.raises(openai.AuthenticationError, match="wants a key"):
            await wrong.chat.completions.create(model="dmoa", messages=ASK)
        answer = await s.client.chat.completions.create(model="dmoa", messages=ASK)
        assert answer.choices[0].message.content


@pytest.mark.parametrize("stream", [False, True])
async def test_a_client_that_goes_away_cancels_its_work_everywhere(stream: bool) -> None:
    async with served(4, seconds=60.0) as s:
        body = json.dumps({"model": "dmoa-m2-k3", "messages": ASK, "stream": stream}).encode()
        _, writer = await asyncio.open_connection("127.0.0.1", s.port)
        writer.write(
            b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n"
            % len(body)
            + body
        )
        async with asyncio.timeout(20):
            while sum(llm.running for llm in s.cluster.llms) < 4:
                await asyncio.sleep(0.01)
            writer.close()
            while s.cluster.busy():
                await asyncio.sleep(0.01)


async def test_health_is_a_token_made_and_not_a_process_alive() -> None:
    async with served(1) as s:
        assert (await s.get("/healthz")).status == 200
        assert s.cluster.llms[0].asked, "it made a token to find out"
        asked = len(s.cluster.llms[0].asked)
        assert (await s.get("/healthz")).status == 200
        assert len(s.cluster.llms[0].asked) == asked, "a token made lately is enough"
        s.cluster.llms[0].fails_before_token = 0
        with pytest.raises(openai.APIStatusError):
            await s.client.chat.completions.create(model="dmoa", messages=ASK)
        refused = await s.get("/healthz")
        assert refused.status == 503
        assert "the script says that it fails" in refused.json()["error"]["message"]
        s.cluster.llms[0].fails_before_token = None
        assert (await s.get("/healthz")).status == 200


async def test_status_shows_every_device_with_what_it_measured() -> None:
    async with served(3) as s:
        for _ in range(3):
            await s.client.chat.completions.create(model="dmoa-m1-k2", messages=ASK)
        status = (await s.get("/status")).json()
        assert [d["name"] for d in status["devices"]] == ["d0", "d1", "d2"]
        own, *others = status["devices"]
        assert own["own"]
        assert own["lambda"] > 0
        for device in status["devices"]:
            assert device["alive"]
            assert device["queue"] == 0
            assert device["healthy"]
            assert device["alpha"] == pytest.approx(0.01, rel=2)
            assert device["load"] > 0
        assert [d["lambda"] for d in others] == [None, None]


async def test_tool_calls_of_the_aggregator_reach_the_client(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    call = ToolCallPart(0, "c1", "function", FunctionPart("now", "{}"))
    async with served(2) as s:
        llm = s.cluster.llms[0]
        stream_text = type(llm).stream

        async def stream(messages: Any, sampling: Any, constraints: Any = None) -> Any:
            async for item in stream_text(llm, messages, sampling, constraints):
                if constraints is not None and isinstance(item, Token):
                    continue
                if constraints is not None:
                    yield Token("", [call])
                yield item

        monkeypatch.setattr(llm, "stream", stream)
        tools: list[Any] = [{"type": "function", "function": {"name": "now"}}]
        answer = await s.client.chat.completions.create(
            model="dmoa-m1-k1", messages=ASK, tools=tools
        )
        calls = answer.choices[0].message.tool_calls
        assert calls is not None
        assert calls[0].to_dict()["function"] == {"name": "now", "arguments": "{}"}
        streamed = await s.client.chat.completions.create(
            model="dmoa-m1-k1", messages=ASK, tools=tools, stream=True
        )
        deltas = [c.choices[0].delta.tool_calls async for c in streamed if c.choices]
        first = next(calls for calls in deltas if calls)[0]
        assert (first.index, first.id) == (0, "c1")


async def test_a_stream_tells_of_a_failed_proposer_and_its_replacement() -> None:
    async with served(4) as s:
        for llm in s.cluster.llms[1:]:
            llm.fails_before_token = 0
        body = json.dumps({"model": "dmoa-m1-k2", "messages": ASK, "stream": True}).encode()
        comments = [line for line in await read_stream(s, body) if line.startswith(": layer 1:")]
        failed = [comment for comment in comments if " failed" in comment]
        assert len(failed) == 3
        assert sum(comment.endswith("is asked instead") for comment in failed) == 1


async def test_the_dmoa_object_says_why_it_was_this_committee() -> None:
    async with served(2) as s:
        for model, why in (
            ("dmoa", "this device is set to M = 1, k = 3"),
            ("dmoa-m0-k0", "the prompt asks for the own LLM alone"),
        ):
            answer = await s.client.chat.completions.create(model=model, messages=ASK)
            assert extra(answer)["why"] == why
