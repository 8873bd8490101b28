"""Our client against one server: what goes out, waiting, life and connections."""

import asyncio
import gzip
import socket

import pytest

from dmoa.errors import (
    LLMBroken,
    LLMBusy,
    LLMUnavailable,
    UsageError,
)
from dmoa.llm import connecting, upstream
from dmoa.llm.http import is_loopback
from dmoa.llm.interface import Alive, Token
from dmoa.llm.reading import Reading
from dmoa.llm.specification import make_llm
from dmoa.protocol.conversation import (
    EXTRA_BYTES,
    Message,
    Sampling,
    split_extra,
)
from tests.llm.fake import (
    DONE,
    C,
    Fake,
    Reply,
    Request,
    as_json,
    data,
    openai_models,
    serving,
    streamed,
)
from tests.llm.picky import CHAT, PARIS, refusal
from tests.llm.talking import HI, connected, say

# --- what an empty answer is -----------------------------------------------------------


@pytest.mark.parametrize(
    ("deltas", "finish", "text", "reasoning"),
    [
        ([{"reasoning_content": "hm"}], "length", "", "hm"),
        ([{"content": ""}], "stop", "", ""),
        ([{"content": "\n"}], "stop", "\n", ""),
        ([{"content": "<think>hm"}], "length", "", "hm"),
    ],
)
async def test_an_empty_answer_that_ended_properly_is_one(
    deltas: list[dict[str, str]], finish: str, text: str, reasoning: str
) -> None:
    reply = streamed(*(C(delta) for delta in deltas), C({}, finish), DONE)
    async with serving(reply) as fake, connected(fake) as llm:
        said = await say(llm, sampling=Sampling(max_tokens=1))
        assert (said.text, said.reasoning, said.finish) == (text, reasoning, finish)


# --- what goes out ----------------------------------------------------------------


async def test_empty_and_null_contents_go_out_as_they_came() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    turn = [
        *HI,
        Message("assistant", tool_calls=[call], content_is_null=True),
        Message("tool", "", tool_call_id="c1"),
        Message("assistant", "", tool_calls=[call], reasoning_content="hm"),
    ]
    async with serving(PARIS) as fake, connected(fake) as llm:
        await say(llm, turn)
        assert fake.calls(CHAT)[0].body["messages"][1:] == [
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "content": "", "tool_call_id": "c1"},
            {"role": "assistant", "content": "", "tool_calls": [call], "reasoning_content": "hm"},
        ]


async def test_unknown_parameters_go_to_the_server_as_they_are() -> None:
    told = {
        "reasoning_effort": "low",
        "chat_template_kwargs": {"enable_thinking": False},
        "top_k": 5,
        "min_p": 0.1,
        "logit_bias": {"7": -100},
        "parallel_tool_calls": False,
        "whatever": [1],
        "nothing": None,
    }
    thinking, extra = split_extra(told)
    assert set(thinking) == {"reasoning_effort", "chat_template_kwargs"}
    sampling = Sampling(temperature=0.5, thinking=thinking, extra=extra)
    assert sampling.for_others() == Sampling(temperature=0.5, thinking=thinking)
    async with serving(PARIS) as fake, connected(fake) as llm:
        await say(llm, sampling=sampling)
        body = fake.calls(CHAT)[0].body
        del told["nothing"]
        assert {name: body.get(name) for name in told} == told
        assert "thinking" not in body
        assert "extra" not in body


def test_parameters_have_a_bound() -> None:
    long = {"logit_bias": "x" * EXTRA_BYTES, "top_k": 1}
    with pytest.raises(ValueError, match="'logit_bias' is the longest"):
        split_extra(long)
    with pytest.raises(ValueError, match="bytes of JSON"):
        Sampling(extra=long)


async def test_what_the_stream_is_for_cannot_be_overwritten() -> None:
    async with serving(PARIS) as fake, connected(fake) as llm:
        await say(llm, sampling=Sampling(extra={"stream": False, "model": "x", "messages": []}))
        body = fake.calls(CHAT)[0].body
        assert (body["stream"], body["model"], len(body["messages"])) == (True, "tiny", 1)


# --- life and waiting -------------------------------------------------------------


async def test_comments_and_progress_show_that_a_server_is_alive() -> None:
    progress = data({"choices": [], "prompt_progress": {"total": 400, "processed": 64}})
    gate = asyncio.Event()
    reply = streamed(": ping\n\n", progress, C({"content": "Hi"}, "stop"), gate=gate)
    async with serving(reply) as fake, connected(fake) as llm:
        stream = llm.stream(HI, Sampling())
        items = [await anext(stream), await anext(stream)]
        assert [type(item) for item in items] == [Alive, Alive]
        assert isinstance(items[1], Alive)
        assert items[1].note == "has read 64 of 400 tokens of the prompt"
        gate.set()
        token = await anext(stream)
        assert isinstance(token, Token)
        assert token.text == "Hi"
        await stream.aclose()


async def test_a_busy_server_is_waited_for_as_long_as_it_says_and_then_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(upstream, "_PAUSES", (0.01,))
    busy = as_json({"error": "too many requests"}, 429, **{"Retry-After": "0.05"})
    async with serving(busy, busy, PARIS) as fake, connected(fake) as llm:
        loop = asyncio.get_running_loop()
        started = loop.time()
        said = await say(llm)
        assert said.text == "Paris"
        assert loop.time() - started >= 0.1
        assert [a.note for a in said.alive if a.waiting] == ["tiny: too many requests"] * 2
    monkeypatch.setattr(upstream, "BUSY_SECONDS", 0.03)
    async with serving(refusal("Loading model", 503)) as fake, connected(fake) as llm:
        with pytest.raises(LLMBusy, match="Loading model"):
            await say(llm)


async def test_a_server_that_starts_late_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connecting, "_PAUSE_SECONDS", 0.01)
    fake, said = Fake(), asyncio.Event()
    fake.handlers = [openai_models("tiny")]
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        fake.port = taken.getsockname()[1]
    making = asyncio.create_task(
        make_llm(
            f"openai:{fake.url}",
            "ada",
            wait_seconds=30,
            say=lambda line: said.set() if "waiting for the LLM server" in line else None,
        )
    )
    await asyncio.wait_for(said.wait(), 20)
    async with fake:
        llm = await asyncio.wait_for(making, 30)
        assert llm.info.name == "tiny"
        await llm.close()


async def test_an_answer_that_is_closed_stops_the_server() -> None:
    gate = asyncio.Event()
    reply = streamed(C({"content": "a"}), C({"content": "b"}, "stop"), gate=gate)
    async with serving(reply) as fake, connected(fake) as llm:
        stream = llm.stream(HI, Sampling())
        assert isinstance(await anext(stream), Token)
        await stream.aclose()
        gate.set()
        assert (await say(llm)).text == "ab"


@pytest.mark.parametrize("last", [C({}, "stop"), C({}, "stop") + DONE, DONE])
async def test_a_whole_answer_is_one_however_its_connection_ends(
    last: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut = streamed(C({"content": "Paris"}), last, ends=False)
    async with serving(cut) as fake, connected(fake) as llm:
        assert (await say(llm)).text == "Paris"
    monkeypatch.setattr(
        Reading, "tail_seconds", property(lambda self: 0.01 if _whole(self) else None)
    )
    left_open = streamed(C({"content": "Paris"}), last, ": never", gate=asyncio.Event())
    async with serving(left_open) as fake, connected(fake) as llm:
        assert (await say(llm)).text == "Paris"


def _whole(reading: Reading) -> bool:
    return reading._events.done or reading._finish is not None


# --- the connection -------------------------------------------------------------------


async def test_loopback_never_goes_through_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    async with serving(PARIS) as fake, connected(fake) as llm:
        assert (await say(llm)).text == "Paris"


async def test_other_hosts_go_through_the_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    proxied: list[str] = []

    def proxy(request: Request) -> Reply | None:
        proxied.append(request.path)
        models = request.path == "http://llm.example/v1/models"
        return as_json({"data": [{"id": "tiny"}]}) if models else None

    async with Fake([proxy]) as fake:
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{fake.port}")
        llm = await upstream.Upstream.connect("http://llm.example/v1", None)
        await llm.close()
    assert "http://llm.example/v1/models" in proxied


def test_this_machine_is_known_by_all_its_names() -> None:
    for host in ("localhost", "127.0.0.1", "127.8.9.1", "::1", "[::1]", "a.localhost", "0.0.0.0"):
        assert is_loopback(host)
    for host in ("192.168.1.4", "llm.example", "localhost.example"):
        assert not is_loopback(host)


async def test_a_connection_that_was_closed_while_idle_costs_nothing() -> None:
    async with serving(PARIS) as fake, connected(fake) as llm:
        assert (await say(llm)).text == "Paris"
        for _ in range(3):
            fake.drop_idle()
            assert (await say(llm)).text == "Paris"
        assert len(fake.calls(CHAT)) == 4


async def test_a_server_that_dies_on_a_request_is_not_asked_twice() -> None:
    def die(request: Request) -> Reply | None:
        if request.path == CHAT:
            raise ConnectionResetError
        reply = openai_models("tiny")(request) or as_json({}, 404)
        reply.headers, reply.closes = {"Connection": "close"}, True  # nothing is left idle
        return reply

    async with Fake([die]) as fake, connected(fake) as llm:
        with pytest.raises(LLMBroken, match="broke off"):
            await say(llm)
        assert len(fake.calls(CHAT)) == 1


async def test_a_server_that_went_away_is_unavailable_at_once() -> None:
    async with serving(PARIS) as fake:
        llm = await upstream.Upstream.connect(fake.url, None)
    with pytest.raises(LLMUnavailable, match="start it again"):
        await say(llm)
    await llm.close()


async def test_keys_are_cleaned_or_named() -> None:
    async with serving(PARIS) as fake:
        async with connected(fake, key="secret\n") as llm:
            await say(llm)
            assert fake.calls(CHAT)[0].headers["authorization"] == "bearer secret"
        for key in ("two\nlines", "schlüssel"):
            with pytest.raises(UsageError, match="DMOA_LLM_KEY"):
                async with connected(fake, key=key):
                    pass


@pytest.mark.parametrize("suffix", ["", "/", "/v1", "/v1/"])
async def test_addresses_may_leave_the_version_out(suffix: str) -> None:
    async with serving(PARIS) as fake:
        url = f"http://127.0.0.1:{fake.port}{suffix}"
        llm = await upstream.Upstream.connect(url, None)
        assert (await say(llm)).text == "Paris"
        await llm.close()


async def test_a_model_that_begins_in_a_thought_is_remembered_unless_it_is_told_not_to_think() -> (
    None
):
    thought = streamed(C({"content": "hm"}), C({"content": "</think>Paris"}), C({}, "stop"), DONE)
    async with serving(thought, thought, PARIS) as fake, connected(fake) as llm:
        stream = llm.stream(HI, Sampling())
        texts = [item.text async for item in stream if isinstance(item, Token)]
        assert "hm" in texts, "the first time it can only be taken back"
        stream = llm.stream(HI, Sampling())
        texts = [item.text async for item in stream if isinstance(item, Token)]
        assert "".join(texts) == "Paris"
        stream = llm.stream(HI, Sampling(thinking={"reasoning_effort": "none"}))
        first = [item async for item in stream if isinstance(item, Token) and item.text]
        assert first[0].text == "Paris"
        assert not first[0].reasoning


@pytest.mark.parametrize("size", [1, 7, 10_000])
@pytest.mark.parametrize("kind", ["gzip", "x-gzip"])
async def test_an_answer_that_comes_packed_in_several_members_is_read_whole(
    kind: str, size: int
) -> None:
    """A proxy that packs piece by piece, though nobody asked it to."""
    said = [C({"content": "one "}), C({"content": "two"}), C({}, "stop"), DONE]
    raw = b"".join(gzip.compress(piece.encode()) for piece in said)
    pieces = [raw[at : at + size] for at in range(0, len(raw), size)]
    reply = Reply(200, pieces, headers={"Content-Encoding": kind})
    models = gzip.compress(b'{"data": [{"id"') + gzip.compress(b': "tiny"}]}')

    def listed(request: Request) -> Reply | None:
        return Reply(200, [models], headers={"Content-Encoding": kind})

    def chat(request: Request) -> Reply | None:
        return reply if request.path == CHAT else None

    async with Fake([chat, listed]) as fake, connected(fake) as llm:
        assert (await say(llm)).text == "one two"


async def test_an_answer_that_is_not_packed_as_it_says_is_broken() -> None:
    reply = Reply(200, [b"data: {}"], headers={"Content-Encoding": "gzip"})
    async with serving(reply) as fake, connected(fake) as llm:
        with pytest.raises(LLMBroken, match="not gzip"):
            await say(llm)
