"""Our client against one server that does what servers do: refuse, stall, die, come back."""

import asyncio
import itertools
import socket
from typing import Any

import pytest

from dmoa.errors import (
    ContextExceeded,
    LLMBroken,
    LLMBusy,
    LLMError,
    LLMUnavailable,
    RequestRefused,
    UsageError,
)
from dmoa.llm import connecting, upstream
from dmoa.llm.choosing import Model, candidates, named
from dmoa.llm.http import is_loopback
from dmoa.llm.interface import Alive, Token
from dmoa.llm.reading import Reading
from dmoa.llm.scripted import Reply as Script
from dmoa.llm.scripted import ScriptedLLM
from dmoa.llm.specification import make_llm
from dmoa.llm.tokens import estimate_tokens
from dmoa.protocol.conversation import (
    EXTRA_BYTES,
    Constraints,
    Message,
    Sampling,
    split_extra,
    text_of_parts,
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
from tests.llm.talking import HI, connected, say

CHAT = "/v1/chat/completions"
PARIS = streamed(C({"role": "assistant", "content": "Paris"}), C({}, "stop"), DONE)


def refusal(message: str, status: int = 400, **more: Any) -> Reply:
    return as_json({"error": {"message": message, **more}}, status)


class Picky(Fake):
    """A server that looks at requests before it answers.

    Args:
        judge: the refusal of a body, or None.
    """

    def __init__(self, judge: Any) -> None:
        super().__init__()

        def chat(request: Request) -> Reply | None:
            if request.path != CHAT:
                return None
            return judge(request.body) or PARIS

        self.handlers = [openai_models("tiny"), chat]

    def roles(self) -> list[list[str]]:
        """The roles of each request."""
        return [[m["role"] for m in r.body["messages"]] for r in self.calls(CHAT)]


# --- what an empty answer is (case 2) -----------------------------------------------------------


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


# --- refusals (cases 3, 4, 9) -------------------------------------------------------------------


async def test_a_max_tokens_without_room_is_lowered_and_harms_nothing_later() -> None:
    def judge(body: dict[str, Any]) -> Reply | None:
        if body.get("max_tokens", 0) <= 4050:
            return None
        return refusal(
            "This model's maximum context length is 4096 tokens. However, you requested"
            f" {body['max_tokens']} output tokens. Please reduce the length."
        )

    async with Picky(judge) as fake, connected(fake) as llm:
        for _ in range(7):
            said = await say(llm, sampling=Sampling(max_tokens=8192))
            assert said.text == "Paris"
            assert llm.info.context_length == 4096
        assert len(fake.calls(CHAT)) == 8, "learnt by the first refusal"
        assert (await say(llm)).text == "Paris"
        assert "max_tokens" not in fake.calls(CHAT)[-1].body


async def test_a_max_tokens_that_no_lowering_mends_is_refused_with_the_words() -> None:
    words = "max_tokens is too large: it is my mood that counts, 8192 output tokens are"
    words += " requested 8192 output tokens, maximum context length is 4096 tokens"
    async with serving(refusal(words)) as fake, connected(fake) as llm:
        for _ in range(3):
            with pytest.raises(RequestRefused, match="max_tokens is too large"):
                await say(llm, sampling=Sampling(max_tokens=8192))
        assert llm.info.context_length == 4096
        assert len(fake.calls(CHAT)) == 9


async def test_a_long_prompt_is_no_large_max_tokens() -> None:
    words = (
        "This model's maximum context length is 512 tokens. However, you requested 64 output"
        " tokens and your prompt contains at least 449 input tokens, for a total of at least 513"
    )
    async with serving(refusal(words)) as fake, connected(fake) as llm:
        with pytest.raises(ContextExceeded):
            await say(llm, [Message("user", "word " * 900)], Sampling(max_tokens=64))
        assert len(fake.calls(CHAT)) == 1


async def test_an_output_limit_that_is_stated_is_kept_to() -> None:
    def judge(body: dict[str, Any]) -> Reply | None:
        if body["max_tokens"] <= 500:
            return None
        return refusal(
            "max_tokens is too large: 900. This model supports at most 500 completion"
            " tokens, whereas you provided 900."
        )

    async with Picky(judge) as fake, connected(fake) as llm:
        for _ in range(2):
            await say(llm, sampling=Sampling(max_tokens=900))
        assert [r.body["max_tokens"] for r in fake.calls(CHAT)] == [900, 500, 500]


@pytest.mark.parametrize(
    "words",
    [
        "Invalid schema for response_format 'x': In context=('properties', 'a'), 'type' is missing",
        "registry.ollama.ai/library/gemma:2b does not support tools",
        "unknown field `logit_bias` at line 1 column 900",
        "temperature must be at most 1 in this context",
    ],
)
async def test_a_wrong_request_is_passed_on_with_one_call(words: str) -> None:
    async with serving(refusal(words)) as fake, connected(fake) as llm:
        with pytest.raises(RequestRefused) as caught:
            await say(llm, [Message("system", "Be kind."), *HI])
        assert (caught.value.status, caught.value.words) == (400, words)
        assert len(fake.calls(CHAT)) == 1
        assert llm.info.context_length == 4096


async def test_an_overflow_without_numbers_teaches_nothing() -> None:
    words = "the prompt is too long for the context window"
    reply = refusal(words, code="context_length_exceeded")
    async with serving(reply) as fake, connected(fake) as llm:
        for _ in range(3):
            with pytest.raises(ContextExceeded, match=words):
                await say(llm)
            assert llm.info.context_length == 4096
        assert len(fake.calls(CHAT)) == 3


async def test_a_stated_window_is_believed_for_a_while_and_then_asked_for_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    words = "maximum context length is 512 tokens, your messages resulted in 900 tokens"
    async with serving(refusal(words)) as fake:
        fake.handlers.insert(0, openai_models("tiny", owner="x", max_model_len=9000))
        async with connected(fake) as llm:
            assert llm.info.context_length == 9000
            with pytest.raises(ContextExceeded):
                await say(llm)
            await llm.count_tokens(HI)
            assert llm.info.context_length == 512
            monkeypatch.setattr(upstream, "BELIEF_SECONDS", 0.0)
            await llm.count_tokens(HI)
            assert llm.info.context_length == 9000


@pytest.mark.parametrize(
    ("reply", "kind", "words"),
    [
        (refusal("bad key", 401), LLMUnavailable, "DMOA_LLM_KEY"),
        (refusal("The model 'tiny' does not exist", 404), LLMUnavailable, "any more"),
        (refusal("CUDA error", 500), LLMBroken, "CUDA error"),
        (Reply(500, [b"<html>Internal Server Error</html>"], "text/html"), LLMBroken, "Internal"),
        (
            refusal("You exceeded your current quota", 429, code="insufficient_quota"),
            RequestRefused,
            "quota",
        ),
    ],
)
async def test_other_errors_have_kinds(reply: Reply, kind: type[LLMError], words: str) -> None:
    async with serving(reply) as fake, connected(fake) as llm:
        with pytest.raises(kind, match=words):
            await say(llm)
        assert len(fake.calls(CHAT)) == 1


# --- chat templates (case 11) -------------------------------------------------------------------

FOUR = [Message("system", "Be kind."), *HI, Message("assistant", "Hello."), Message("user", "Why?")]


@pytest.mark.parametrize(
    "words",
    [
        "System role not supported",
        "Only user and assistant roles are supported!",
        "Jinja Exception: System role not supported",
        "unexpected role 'system'",
    ],
)
@pytest.mark.parametrize("status", [400, 422, 500])
async def test_an_instruction_moves_into_the_user_message_where_no_system_is_taken(
    words: str, status: int
) -> None:
    def judge(body: dict[str, Any]) -> Reply | None:
        return refusal(words, status) if body["messages"][0]["role"] == "system" else None

    async with Picky(judge) as fake, connected(fake) as llm:
        for _ in range(3):
            assert (await say(llm, FOUR)).text == "Paris"
        assert len(fake.calls(CHAT)) == 4, "one refusal, and it is remembered"
        assert fake.calls(CHAT)[-1].body["messages"][0] == {
            "role": "user",
            "content": "Be kind.\n\nhi",
        }


async def test_later_system_messages_are_merged_into_the_first() -> None:
    def judge(body: dict[str, Any]) -> Reply | None:
        later = any(m["role"] == "system" for m in body["messages"][1:])
        return refusal("System message must be at the beginning.") if later else None

    messages = [*FOUR, Message("system", "Be short.")]
    async with Picky(judge) as fake, connected(fake) as llm:
        for _ in range(2):
            assert (await say(llm, messages)).text == "Paris"
        assert fake.roles()[1:] == [["system", "user", "assistant", "user"]] * 2
        assert fake.calls(CHAT)[-1].body["messages"][0]["content"] == "Be kind.\n\nBe short."


async def test_turns_are_kept_where_they_must_alternate() -> None:
    def judge(body: dict[str, Any]) -> Reply | None:
        roles = [m["role"] for m in body["messages"]]
        if any(a == b for a, b in itertools.pairwise(roles)) or roles[0] != "user":
            return refusal("Conversation roles must alternate user/assistant/user/assistant/...")
        return None

    messages = [Message("system", "Be kind."), *HI, *HI, Message("assistant", "Hm."), *HI]
    async with Picky(judge) as fake, connected(fake) as llm:
        assert (await say(llm, messages)).text == "Paris"
        assert (await say(llm, messages)).text == "Paris"
        assert fake.roles()[-2:] == [["user", "assistant", "user"]] * 2
        assert fake.calls(CHAT)[-1].body["messages"][0]["content"] == "Be kind.\n\nhi\n\nhi"


async def test_a_system_message_stays_where_only_turns_are_wanted() -> None:
    def judge(body: dict[str, Any]) -> Reply | None:
        roles = [m["role"] for m in body["messages"]]
        if any(a == b for a, b in itertools.pairwise(roles)):
            return refusal(
                "After the optional system message, conversation roles must alternate"
                " user/assistant/user/assistant/..."
            )
        return None

    async with Picky(judge) as fake, connected(fake) as llm:
        assert (await say(llm, [Message("system", "Be kind."), *HI, *HI])).text == "Paris"
        assert fake.roles() == [["system", "user", "user"], ["system", "user"]]


async def test_developers_are_sent_as_system() -> None:
    async with serving(PARIS) as fake, connected(fake) as llm:
        await say(llm, [Message("developer", "Be kind."), *HI])
        [request] = fake.calls(CHAT)
        assert [m["role"] for m in request.body["messages"]] == ["system", "user"]


async def test_what_did_not_help_is_not_remembered() -> None:
    replies = [refusal("internal system error", 500), refusal("internal system error", 500), PARIS]
    async with serving(*replies) as fake, connected(fake) as llm:
        with pytest.raises(LLMBroken):
            await say(llm, FOUR)
        await say(llm, FOUR)
        assert fake.calls(CHAT)[-1].body["messages"][0]["role"] == "system"


async def test_other_names_of_parameters_are_learnt() -> None:
    def judge(body: dict[str, Any]) -> Reply | None:
        if "max_tokens" in body:
            return refusal(
                "Unsupported parameter: 'max_tokens' is not supported with this model."
                " Use 'max_completion_tokens' instead."
            )
        if "stream_options" in body:
            return refusal("Unrecognized request argument supplied: stream_options")
        return None

    async with Picky(judge) as fake, connected(fake) as llm:
        for _ in range(2):
            await say(llm, sampling=Sampling(max_tokens=5))
        assert len(fake.calls(CHAT)) == 4
        assert fake.calls(CHAT)[-1].body["max_completion_tokens"] == 5


async def test_images_are_named_to_a_model_that_turns_out_not_to_see() -> None:
    def judge(body: dict[str, Any]) -> Reply | None:
        if isinstance(body["messages"][0]["content"], str):
            return None
        return refusal("image input is not supported - hint: provide the mmproj", 500)

    parts: list[dict[str, Any]] = [
        {"type": "text", "text": "what?"},
        {"type": "image_url", "image_url": {"url": "http://x.org/a/cat.png?size=2"}},
    ]
    shown = [Message("user", text_of_parts(parts), parts=parts)]
    async with Picky(judge) as fake, connected(fake) as llm:
        assert llm.info.capabilities.vision is None
        for _ in range(2):
            said = await say(llm, shown)
            assert said.end is not None
            assert said.end.notes == ["image: cat.png not shown: this model reads text only"]
        assert llm.info.capabilities.vision is False
        assert len(fake.calls(CHAT)) == 3


# --- what goes out (cases 7, 16) ----------------------------------------------------------------


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


# --- life and waiting (cases 1, 20) -------------------------------------------------------------


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


# --- the connection (case 17) -------------------------------------------------------------------


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


# --- choosing (cases 18, 19) --------------------------------------------------------------------


def test_models_that_cannot_chat_are_known_by_their_names() -> None:
    cannot = [
        "bge-m3",
        "BAAI/bge-large-en",
        "all-minilm:latest",
        "nomic-embed-text:v1.5",
        "text-embedding-3-small",
        "Qwen/Qwen3-Embedding-0.6B",
        "Qwen3-Reranker-4B",
        "whisper-1",
        "openai/whisper-large-v3",
        "intfloat/e5-mistral-7b",
        "mxbai-embed-large",
        "tts-1",
        "sentence-transformers/paraphrase-mpnet",
        "jina-colbert-v2",
        "Alibaba-NLP/gte-large",
        "snowflake-arctic-embed2",
        "bert-base-uncased",
        "roberta-large",
        "ModernBERT-base",
        "stable-diffusion-xl",
        "omni-moderation-latest",
        "llama-guard3:1b",
        "kokoro-82m",
    ]
    can = [
        "qwen3:4b",
        "llama3.2:latest",
        "gpt-4o",
        "gpt-oss:20b",
        "mistral-small",
        "tinyllama",
        "deepseek-r1:8b",
        "smollm2",
        "phi4",
        "gemma3:1b",
        "codestral",
        "Mixtral-8x7B",
        "robert-7b",
    ]
    assert not [name for name in cannot if Model(name).can_chat()]
    assert not [name for name in can if not Model(name).can_chat()]


def test_loaded_models_come_first() -> None:
    models = [Model("a", loaded=False), Model("bge-m3", loaded=True), Model("c", loaded=True)]
    assert [model.name for model in candidates(models)] == ["c", "a"]


def test_several_models_of_a_short_name_are_a_question() -> None:
    models = [Model("qwen3:4b"), Model("qwen3:8b"), Model("llama3:latest"), Model("org/x.gguf")]
    with pytest.raises(UsageError, match="several models 'qwen3': qwen3:4b, qwen3:8b"):
        named(models, "qwen3", "http://x/v1")
    assert named(models, "llama3", "").name == "llama3:latest"
    assert named(models, "X", "").name == "org/x.gguf"


async def test_an_embedding_model_that_is_listed_first_is_passed_over() -> None:
    names = ("bge-m3", "all-minilm", "qwen3:4b")
    async with serving(PARIS, models=names) as fake, connected(fake) as llm:
        assert llm.info.name == "qwen3:4b"


# --- counting, scripts --------------------------------------------------------------------------


def test_estimates_count_tools_and_images_but_not_their_base64() -> None:
    tools = [
        {"type": "function", "function": {"name": f"f{i}", "parameters": {"type": "object"}}}
        for i in range(30)
    ]
    bare = estimate_tokens(HI)
    assert estimate_tokens(HI, Constraints(tools=tools)) > bare + 500
    parts = [{"type": "image_url", "image_url": {"url": "data:image/png;base64," + "x" * 10**6}}]
    image = [Message("user", text_of_parts(parts), parts=parts)]
    assert 500 < estimate_tokens(image) < 3000
    assert image[0].size() > 10**6


@pytest.mark.parametrize(
    ("part", "stands"),
    [
        ({"type": "image_url", "image_url": {"url": "http://x.org/a/cat.png"}}, "image: cat.png"),
        ({"type": "image_url", "image_url": "http://x.org/"}, "image: x.org"),
        ({"type": "input_image", "image_url": "data:image/png;base64,AAAA"}, "image: image/png"),
        ({"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}, "audio: wav"),
        ({"type": "file", "file": {"filename": "a.pdf", "file_data": "x"}}, "file: a.pdf"),
        ({"type": "video"}, "video"),
        ({}, "part"),
    ],
)
def test_what_cannot_be_shown_has_a_name(part: dict[str, Any], stands: str) -> None:
    assert text_of_parts([{"type": "text", "text": "see"}, part]) == (
        f"see\n[{stands} not shown: this model reads text only]"
    )


async def test_a_script_can_think_and_call() -> None:
    call = {"id": "c1", "function": {"name": "add", "arguments": '{"a":1}'}}
    script = Script("the answer is 7", "let me think about it", [call])
    llm = ScriptedLLM(lambda: 0.0, lambda _: script)
    said = await say(llm)
    assert (said.text, said.reasoning) == ("the answer is 7", "let me think about it")
    assert (said.named, said.finish) == ([("add", '{"a":1}')], "tool_calls")
    cut = await say(llm, sampling=Sampling(max_tokens=6))
    assert (cut.text, cut.finish, cut.calls) == ("the", "length", [])
    told = await make_llm("scripted:deterministic,mean=0,answer=<think>hm, so</think>Paris", "ada")
    said = await say(told)
    assert (said.text, said.reasoning) == ("Paris", "hm, so")
