"""What errors of real servers mean: their words, and the numbers in them."""

from typing import Any

import pytest

from dmoa.llm.faults import read_fault

ERRORS: list[tuple[int, Any, tuple[str, int | None, int | None, int | None]]] = [
    # status, body; kind, window, prompt, output limit
    (
        400,
        {
            "error": {
                "message": "This model's maximum context length is 128000 tokens. However, you"
                " requested 65535 output tokens and your prompt contains at least 62466 input"
                " tokens, for a total of at least 128001 tokens."
            }
        },
        ("output", 128000, None, None),
    ),
    (
        400,
        {
            "message": "This model's maximum context length is 8192 tokens. However, you requested"
            " 8203 tokens (7691 in the messages, 512 in the completion)."
        },
        ("output", 8192, 7691, None),
    ),
    (
        400,
        {
            "message": "This model's maximum context length is 8192 tokens. However, you requested"
            " 9203 tokens (8691 in the messages, 512 in the completion)."
        },
        ("context", 8192, 8691, None),
    ),
    (
        400,
        {
            "message": "The input (61709 tokens) is longer than the model's context length (40960"
            " tokens)."
        },
        ("context", 40960, 61709, None),
    ),
    (
        400,
        {
            "message": "Requested token count exceeds the model's maximum context length of 64000"
            " tokens. You requested a total of 71897 tokens: 7897 tokens from the input messages"
            " and 64000 tokens for the completion."
        },
        ("output", 64000, 7897, None),
    ),
    (
        400,
        {
            "error": {
                "message": "the request exceeds the available context size, try increasing it",
                "type": "exceed_context_size_error",
                "n_prompt_tokens": 13392,
                "n_ctx": 8192,
            }
        },
        ("context", 8192, 13392, None),
    ),
    (
        422,
        {
            "error": "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 1512."
            " Given: 1000 `inputs` tokens and 1024 `max_new_tokens`"
        },
        ("output", 1512, 1000, None),
    ),
    (
        422,
        {"error": "Input validation error: `inputs` must have less than 1024 tokens. Given: 1600"},
        ("context", 1024, None, None),
    ),
    (
        400,
        {
            "error": "The number of tokens to keep from the initial prompt is greater than the"
            " context length (n_keep: 4103 >= n_ctx: 4096). Try to load the model with a"
            " larger context length"
        },
        ("context", 4096, None, None),
    ),
    (
        400,
        {
            "message": "Prompt contains 40000 tokens and 0 draft tokens, too large for model with"
            " 32768 maximum context length"
        },
        ("context", 32768, 40000, None),
    ),
    (
        400,
        {
            "error": {
                "message": "litellm.ContextWindowExceededError: maximum context length is"
                " 4,096 tokens. However, your messages resulted in 5,000 tokens."
            }
        },
        ("context", 4096, 5000, None),
    ),
    (
        400,
        {
            "error": {
                "message": "input length and `max_tokens` exceed context limit: 143653 + 64000"
                " > 200000"
            }
        },
        ("output", 200000, 143653, None),
    ),
    (
        400,
        {
            "error": {
                "message": "max_tokens is too large: 8192. This model supports at most 4096"
                " completion tokens"
            }
        },
        ("output", None, None, 4096),
    ),
    (
        400,
        {"error": {"code": "context_length_exceeded", "message": "too much"}},
        ("context", None, None, None),
    ),
    (
        400,
        {
            "error": {
                "message": "Invalid schema for response_format 'x': In context=('properties',"
                " 'a'), 'type' is required"
            }
        },
        ("refused", None, None, None),
    ),
    (
        400,
        {"error": "registry.ollama.ai/library/gemma:2b does not support tools"},
        ("refused", None, None, None),
    ),
    (
        500,
        {"error": {"message": "tools param requires --jinja flag"}},
        ("refused", None, None, None),
    ),
    (
        400,
        {"error": {"message": 'Failed to load model "x". Error: not enough memory'}},
        ("refused", None, None, None),
    ),
    (503, {"error": {"code": 503, "message": "Loading model"}}, ("busy", None, None, None)),
    (400, {"error": "Model is loading. Try again later."}, ("busy", None, None, None)),
    (429, {"message": "Requests rate limit exceeded"}, ("busy", None, None, None)),
    (
        429,
        {"error": {"message": "You exceeded your current quota", "code": "insufficient_quota"}},
        ("refused", None, None, None),
    ),
    (404, {"error": "model 'x' not found"}, ("missing", None, None, None)),
    (401, {"error": {"message": "Invalid API Key"}}, ("key", None, None, None)),
    (500, "<html>oops</html>", ("broken", None, None, None)),
    (
        500,
        {"error": "model failed to load, this may be due to resource limitations"},
        ("broken", None, None, None),
    ),
]


@pytest.mark.parametrize("which", range(len(ERRORS)))
def test_errors_are_what_their_words_state(which: int) -> None:
    status, body, wanted = ERRORS[which]
    fault = read_fault(status, body)
    assert (fault.kind, fault.window, fault.prompt, fault.limit) == wanted, fault.words


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (
            {"detail": [{"type": "missing", "loc": ["body", "messages"], "msg": "Field required"}]},
            "body.messages: Field required",
        ),
        (
            {"object": "error", "message": {"detail": [{"loc": ["body", "n"], "msg": "Extra"}]}},
            "body.n: Extra",
        ),
        ({"error": {"message": "a\nb\x1b[31m"}}, "a b[31m"),
        ({"error": {"code": 7}}, "status 400"),
        ("  plain  text ", "plain text"),
        ({"error": "half \ud83d"}, "half \ufffd"),
    ],
)
def test_words_are_found_wherever_they_stand(body: Any, words: str) -> None:
    assert read_fault(400, body).words == words


def test_a_pause_that_is_asked_for_is_kept_in_bounds() -> None:
    assert read_fault(429, "", "7").retry_after == 7.0
    assert read_fault(429, "", "1e9").retry_after == 3600.0
    assert read_fault(429, "", "Wed, 21 Oct 2026 07:28:00 GMT").retry_after is None
