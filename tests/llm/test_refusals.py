"""What refusals mean, what they teach, and what is never learnt."""

import itertools
from typing import Any

import pytest

from dmoa.errors import (
    ContextExceeded,
    LLMBroken,
    LLMError,
    LLMUnavailable,
    RequestRefused,
)
from dmoa.llm import upstream
from dmoa.protocol.conversation import (
    Message,
    Sampling,
    text_of_parts,
)
from tests.llm.fake import (
    Reply,
    openai_models,
    serving,
)
from tests.llm.picky import CHAT, PARIS, Picky, refusal
from tests.llm.talking import HI, connected, say

# --- refusals -------------------------------------------------------------------


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


# --- chat templates -------------------------------------------------------------------

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
