"""What servers refuse, in their own words (cases 3, 4, 9, 11)."""

from typing import Any

import pytest

from tests.llm.fake import Fake, Reply, Request, as_json, openai_models
from tests.upstreams.behind import ASK, CHAT, Scripted, behind, said

HI = said("hi")


def refusal(message: str, status: int = 400, **more: Any) -> Reply:
    return as_json({"error": {"message": message, "type": "BadRequestError", **more}}, status)


class Picky(Fake):
    """A server that looks at a request before it answers.

    Args:
        judge: gives the refusal of a body, or None.
        answer: given otherwise.
    """

    def __init__(self, judge: Any, answer: Reply = HI) -> None:
        super().__init__()

        def chat(request: Request) -> Reply | None:
            if request.path != CHAT:
                return None
            return judge(request.body) or answer

        self.handlers = [openai_models("tiny"), chat]

    @property
    def bodies(self) -> list[Any]:
        return [request.body for request in self.calls(CHAT)]


# --- 3: max_tokens that is too large ------------------------------------------------------------

TOO_LARGE = [
    "This model's maximum context length is 4096 tokens. However, you requested 8192 output tokens"
    " and your prompt contains at least 1 input tokens",
    "This model's maximum context length is 4096 tokens. However, you requested 8205 tokens (13 in"
    " the messages, 8192 in the completion). Please reduce the length of the messages or"
    " completion.",
    "'max_tokens' or 'max_completion_tokens' is too large: 8192. This model's maximum context"
    " length is 4096 tokens and your request has 13 input tokens (8192 > 4096 - 13).",
    "max_tokens is too large: 8192. This model supports at most 4096 completion tokens, whereas"
    " you provided 8192.",
    "Requested token count exceeds the model's maximum context length of 4096 tokens. You requested"
    " a total of 8205 tokens: 13 tokens from the input messages and 8192 tokens for the"
    " completion.",
    "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096. Given: 13 `inputs`"
    " tokens and 8192 `max_new_tokens`",
    "`max_tokens` must be less than or equal to `4096`, the maximum value for `max_tokens` is less"
    " than the `context_window` for this model",
    "input length and `max_tokens` exceed context limit: 13 + 8192 > 4096, decrease input length or"
    " `max_tokens` and try again",
    "Invalid max_tokens value, the valid range of max_tokens is [1, 4096]",
]


@pytest.mark.parametrize("words", TOO_LARGE)
async def test_a_max_tokens_that_is_too_large_is_lowered_or_said_to_be(words: str) -> None:
    most = 4083 if "context" in words.replace("context_window", "") else 4096

    def judge(body: dict[str, Any]) -> Reply | None:
        return refusal(words) if (body.get("max_tokens") or 0) > most else None

    async with behind(Picky(judge)) as b:
        for _ in range(2):
            answer = await b.answer(max_tokens=8192)
            assert answer["choices"][0]["message"]["content"] == "hi"
            assert any("max_tokens" in note for note in answer["dmoa"]["notes"])
        assert await b.window() == 4096
        # Whatever was learnt, ordinary prompts are served.
        long = [{"role": "user", "content": "word " * 1500}]
        assert (await b.choice(messages=long))["message"]["content"] == "hi"


@pytest.mark.parametrize("words", TOO_LARGE)
async def test_refusals_without_end_take_nothing_from_later_prompts(words: str) -> None:
    server = Scripted(*[refusal(words)] * 8, HI)
    async with behind(server) as b:
        for _ in range(8):
            response = await b.post(max_tokens=8192)
            assert response.status in (200, 400), response.body
        assert await b.window() == 4096
        assert (await b.choice())["message"]["content"] == "hi"
        long = [{"role": "user", "content": "word " * 1500}]
        assert (await b.choice(messages=long))["message"]["content"] == "hi"
        assert await b.healthy()


@pytest.mark.parametrize(
    "words",
    [
        "This model's maximum context length is 4096 tokens. However, your messages resulted in"
        " 5000 tokens. Please reduce the length of the messages.",
        "the request exceeds the available context size. try increasing the context size or enable"
        " context shift",
        "The number of tokens to keep from the initial prompt is greater than the context length.",
    ],
)
async def test_a_prompt_that_does_not_fit_is_a_400_with_openais_code(words: str) -> None:
    long = [{"role": "user", "content": "word " * 2000}]

    def judge(body: dict[str, Any]) -> Reply | None:
        return refusal(words) if len(str(body["messages"])) > 5000 else None

    async with behind(Picky(judge)) as b:
        for _ in range(3):
            response = await b.post(messages=long)
            assert response.status == 400, response.body
            assert response.json()["error"]["code"] == "context_length_exceeded"
        assert await b.window() == 4096
        assert (await b.choice())["message"]["content"] == "hi"
        assert await b.healthy()


# --- 4: what is no overflow ---------------------------------------------------------------------

WRONG = [
    "Invalid schema for response_format 'x': In context=('properties','a'), 'type' is required.",
    "Invalid schema for function 'add': In context=(), 'additionalProperties' is required to be"
    " supplied and to be false.",
    "Invalid 'tools[0].function.name': string too long. Expected a string with maximum length 64,"
    " but got a string with length 80 instead.",
    "Invalid 'messages': array too long. Expected an array with maximum length 2048, but got an"
    " array with length 4096 instead.",
    "Invalid 'stop': array too long. Expected an array with maximum length 4",
    "logit_bias contains token id 999999 outside of the vocabulary of 32000 tokens",
    "temperature must be in [0, 2], context: body.temperature",
    "Failed to parse grammar",
    "Unrecognized request argument supplied: top_k",
    "Extra inputs are not permitted: context_length",
]


@pytest.mark.parametrize("words", WRONG)
@pytest.mark.parametrize("model", ["dmoa-m0-k0", "dmoa-m1-k1"])
async def test_a_wrong_request_is_refused_once_in_the_servers_words(words: str, model: str) -> None:
    def judge(body: dict[str, Any]) -> Reply | None:
        return refusal(words) if "response_format" in body else None

    own, peer = Picky(judge), Picky(judge)
    async with behind(own, peer) as b:
        before = await b.window()
        fields = {"model": model, "response_format": {"type": "json_object"}}
        status, said_words = await b.refused(**fields)
        assert status == 400
        assert words in said_words
        constrained = [body for body in own.bodies + peer.bodies if "response_format" in body]
        assert len(constrained) == 1, "one call, and no other device asked"
        assert await b.window() == before
        assert await b.healthy()


# --- 9: tools that a model does not take --------------------------------------------------------

TOOLS = [
    {"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}},
]
SCHEMA = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}}


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (400, "registry.ollama.ai/library/gemma3 does not support tools"),
        (
            400,
            '"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be'
            " set",
        ),
        (400, "tool_choice='required' is not supported for this model"),
        (500, "tools param requires --jinja flag"),
        (422, "Tool error: function calling is not supported"),
        (400, "This model does not support tool use. context: tools"),
        (404, 'No endpoints found that support tool use. Try disabling "add".'),
        (501, "Tools are not implemented for this backend"),
    ],
)
@pytest.mark.parametrize("model", ["dmoa-m0-k0", "dmoa-m1-k1"])
async def test_tools_that_the_own_model_does_not_take_are_refused_and_not_replaced_by_prose(
    status: int, words: str, model: str
) -> None:
    def judge(body: dict[str, Any]) -> Reply | None:
        return refusal(words, status) if body.get("tools") else None

    own, peer = Picky(judge), Picky(judge)
    async with behind(own, peer) as b:
        assert (await b.choice())["message"]["content"] == "hi"
        for fields in ({}, {"tool_choice": "required"}, {"stream": True}):
            code, said_words = await b.refused(model=model, tools=TOOLS, **fields)
            assert code in (400, 422), said_words
            assert words in said_words
        assert not [body for body in peer.bodies if body.get("tools")]
        assert await b.healthy()


@pytest.mark.parametrize(
    "words",
    [
        "response_format is not supported by this model",
        "json_schema is not supported",
        "The provided JSON schema contains features not supported by xgrammar.",
    ],
)
@pytest.mark.parametrize("model", ["dmoa-m0-k0", "dmoa-m1-k1"])
async def test_a_format_that_the_own_model_does_not_take_is_refused(words: str, model: str) -> None:
    def judge(body: dict[str, Any]) -> Reply | None:
        return refusal(words) if body.get("response_format") else None

    async with behind(Picky(judge), Picky(judge)) as b:
        code, said_words = await b.refused(model=model, response_format=SCHEMA)
        assert code == 400
        assert words in said_words
        assert await b.healthy()


# --- 11: roles that a template does not know ----------------------------------------------------


def roles(body: dict[str, Any]) -> list[str]:
    return [message["role"] for message in body["messages"]]


def no_system(body: dict[str, Any]) -> bool:
    return "system" in roles(body)


def late_system(body: dict[str, Any]) -> bool:
    return "system" in roles(body)[1:]


def developer(body: dict[str, Any]) -> bool:
    return "developer" in roles(body)


def in_turns(body: dict[str, Any]) -> bool:
    told = [role for role in roles(body) if role != "system"]
    return told[::2] != ["user"] * len(told[::2]) or "user" in told[1::2]


NO_SYSTEM = [
    (400, "System role not supported"),
    (500, "Jinja Exception: System role not supported"),
    (400, "Conversation roles must alternate user/assistant/user/assistant/... (system)"),
    (400, "Only user and assistant roles are supported!"),
]


@pytest.mark.parametrize(("status", "words"), NO_SYSTEM)
async def test_an_instruction_moves_into_the_users_words_where_no_system_is_taken(
    status: int, words: str
) -> None:
    def judge(body: dict[str, Any]) -> Reply | None:
        return refusal(words, status) if no_system(body) or in_turns(body) else None

    own = Picky(judge)
    async with behind(own, said("a draft"), said("another one")) as b:
        for _ in range(2):
            answer = await b.answer(
                model="dmoa-m1-k2",
                messages=[{"role": "system", "content": "Be terse."}, *ASK],
            )
            assert answer["choices"][0]["message"]["content"] == "hi"
            assert not answer["dmoa"].get("notes"), "the aggregator did it"
        taken = [body for body in own.bodies if judge(body) is None]
        refused = [body for body in own.bodies if judge(body) is not None]
        assert len(refused) <= 2, "learnt once"
        assert all("Be terse." in body["messages"][0]["content"] for body in taken)
        assert "a draft" in str(taken[-1]["messages"])
        assert await b.healthy()


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (400, "System message must be at the beginning."),
        (500, "Jinja Exception: Only one system message is supported"),
        (400, "After the optional system message, conversation roles must alternate"),
    ],
)
async def test_later_system_messages_join_the_first(status: int, words: str) -> None:
    def judge(body: dict[str, Any]) -> Reply | None:
        return refusal(words, status) if late_system(body) else None

    own = Picky(judge)
    messages = [
        {"role": "system", "content": "Be terse."},
        {"role": "user", "content": "Why?"},
        {"role": "assistant", "content": "So."},
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "Why?"},
    ]
    async with behind(own) as b:
        assert (await b.choice(messages=messages))["message"]["content"] == "hi"
        assert roles(own.bodies[-1]).count("system") <= 1
        assert "Be kind." in str(own.bodies[-1])


@pytest.mark.parametrize(
    "words",
    [
        "Unexpected message role: developer",
        "unknown variant `developer`, expected one of `system`, `user`, `assistant`, `tool`",
        "messages[0].role: Input should be 'system', 'user', 'assistant' or 'tool'",
    ],
)
async def test_developers_speak_as_the_system(words: str) -> None:
    def judge(body: dict[str, Any]) -> Reply | None:
        return refusal(words) if developer(body) else None

    own = Picky(judge)
    async with behind(own) as b:
        messages = [{"role": "developer", "content": "Be terse."}, *ASK]
        assert (await b.choice(messages=messages))["message"]["content"] == "hi"
        assert own.bodies[-1]["messages"][0] == {"role": "system", "content": "Be terse."}
