"""Answers as servers stream them, and what a client gets (cases 1, 2, 10, 13, 14, 15, 24)."""

import json

import pytest

from tests.llm.fake import DONE, C, Reply, data, streamed
from tests.upstreams.behind import Scripted, behind, said

THOUGHT = C({"reasoning_content": "hm "})
READ = data({"choices": [], "prompt_progress": {"total": 9, "processed": 3, "time_ms": 5}})
END = C({}, "stop") + DONE


# --- 1: any byte is life ------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    "sign",
    [
        THOUGHT,
        C({"reasoning": "hm "}),
        C({"reasoning_details": [{"type": "reasoning.text", "text": "hm "}]}),
        C({"content": None, "thinking": "hm "}),
        READ,
        ": OPENROUTER PROCESSING\n\n",
        "event: ping\ndata: {}\n\n",
        "data:\n\n",
        "\n",
        data({"choices": []}),
        C({"role": "assistant", "content": ""}),
        C(None),
    ],
)
async def test_whatever_a_server_sends_is_a_sign_of_life(sign: str) -> None:
    slow = streamed(*[sign] * 7, C({"content": "Paris"}), END, pause=0.25)
    async with behind(slow, first_token_seconds=1.0, stall_seconds=1.0) as b:
        assert (await b.choice())["message"]["content"] == "Paris"
        assert await b.healthy()


@pytest.mark.slow
@pytest.mark.parametrize("before", [[], [C({"role": "assistant", "content": ""})]])
async def test_the_first_token_may_take_longer_than_any_later_one(before: list[str]) -> None:
    late = streamed("", *before, "", C({"content": "Paris"}), END, pause=0.6)
    async with behind(late, first_token_seconds=30.0, stall_seconds=0.5) as b:
        slow_later = await b.post()  # the last events are as slow, but nothing is lost by then
        assert slow_later.status in (200, 503)
    late.pause = 0.0
    async with behind(late, first_token_seconds=30.0, stall_seconds=0.5) as b:
        assert (await b.choice())["message"]["content"] == "Paris"


# --- 2: an answer without a word is one ---------------------------------------------------------


@pytest.mark.parametrize(
    ("pieces", "finish", "text", "thought"),
    [
        ([THOUGHT, C({}, "length")], "length", "", "hm "),
        ([THOUGHT, C({}, "stop")], "stop", "", "hm "),
        ([C({"content": "<think>\nhm"}), C({}, "length")], "length", "", "hm"),
        ([C({"role": "assistant", "content": ""}), C({}, "stop")], "stop", "", ""),
        ([C({"content": None}), C({}, "stop")], "stop", "", ""),
        ([C({}, "stop")], "stop", "", ""),
        ([C({"content": "\n"}), C({}, "stop")], "stop", "\n", ""),
        ([C({"content": "   "}), C({}, "length")], "length", "   ", ""),
        ([C({}, "content_filter")], "content_filter", "", ""),
    ],
)
async def test_an_answer_without_a_word_is_an_answer_and_no_illness(
    pieces: list[str], finish: str, text: str, thought: str
) -> None:
    async with behind(streamed(*pieces, DONE)) as b:
        choice = await b.choice(max_tokens=1)
        assert (choice["message"]["content"], choice["finish_reason"]) == (text, finish)
        assert (choice["message"].get("reasoning_content") or "").strip() == thought.strip()
        read = await b.stream(max_tokens=1)
        assert (read.text, read.finish, read.done) == (text, finish, True)
        assert read.reasoning.strip() == thought.strip()
        assert await b.healthy()


async def test_proposers_that_say_nothing_leave_the_answer_to_the_own_llm() -> None:
    silent = streamed(THOUGHT, C({}, "length"), DONE)
    async with behind(said("Paris"), silent, silent) as b:
        answer = await b.answer(model="dmoa-m1-k2")
        assert answer["choices"][0]["message"]["content"] == "Paris"
        outcomes = [p["outcome"] for p in answer["dmoa"]["layers"][0]["proposers"]]
        assert outcomes.count("answered") == 1, outcomes
        assert await b.healthy()


# --- 10: what must have a form is never glued ---------------------------------------------------

HALF_JSON = streamed(C({"content": '{"n": 4'}), data({"error": {"message": "CUDA error"}}))
HALF_CALL = streamed(
    C(
        {
            "tool_calls": [
                {
                    "index": 0,
                    "id": "c1",
                    "type": "function",
                    "function": {"name": "add", "arguments": '{"a": 4'},
                }
            ]
        }
    ),
    data({"error": {"message": "CUDA error"}}),
)
CUT_JSON = streamed(C({"content": '{"n": 4'}), ends=False)
ENDED_JSON = streamed(C({"content": '{"n": 4'}))
SCHEMA = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}}
TOOLS = [
    {"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}},
]


@pytest.mark.parametrize(
    ("broken", "wanted"),
    [
        (HALF_JSON, {"response_format": {"type": "json_object"}}),
        (HALF_JSON, {"response_format": SCHEMA}),
        (CUT_JSON, {"response_format": {"type": "json_object"}}),
        (ENDED_JSON, {"response_format": SCHEMA}),
        (HALF_CALL, {"tools": TOOLS}),
        (HALF_CALL, {"tools": TOOLS, "tool_choice": "required"}),
    ],
)
async def test_half_a_constrained_answer_ends_with_an_error(
    broken: Reply, wanted: dict[str, object]
) -> None:
    peer = said('{"n": 42}')
    async with behind(broken, peer) as b:
        for model in ("dmoa-m0-k0", "dmoa-m1-k1"):
            read = await b.stream(model=model, **wanted)
            assert read.error is not None
            assert "broke off" in read.error["message"]
            assert (read.text, read.finish) in (('{"n": 4', None), ("", None))
            assert "42" not in read.text
            assert not read.done, "no client takes it for whole"


async def test_a_constrained_answer_that_nobody_has_seen_is_begun_anew() -> None:
    async with behind(HALF_JSON, said('{"n": 42}')) as b:
        choice = await b.choice(model="dmoa-m1-k1", response_format={"type": "json_object"})
        assert choice["message"]["content"] == '{"n": 42}'


async def test_prose_that_breaks_off_is_begun_anew_and_says_so() -> None:
    async with behind(streamed(C({"content": "It is Ly"}), ends=False), said("Paris")) as b:
        read = await b.stream(model="dmoa-m0-k0")
        assert read.text.startswith("It is Ly")
        assert read.text.endswith("Paris")
        assert "answers anew" in read.text
        assert (read.finish, read.done) == ("stop", True)


# --- 13: the end --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "broken",
    [
        streamed(C({"content": "It is Ly"})),
        streamed(C({"content": "It is Ly"}), ends=False),
        streamed(C({"content": "It is Ly"}), C({}, None)),
        streamed(C({"content": "It is Ly"}), 'data: {"choices": [{"ind'),
        streamed(C({"content": "It is Ly"}), ": keep-alive\n\n", closes=True),
        streamed(C({"content": "It is Ly"}), C({}, "error"), DONE),
    ],
)
async def test_a_stream_that_ends_without_a_reason_has_failed_and_another_device_answers(
    broken: Reply,
) -> None:
    async with behind(broken, said("Paris")) as b:
        assert (await b.choice())["message"]["content"] == "Paris"
    async with behind(broken) as b:
        status, words = await b.refused()
        assert status == 503
        assert any(word in words for word in ("middle", "broke off", "no chunk"))


@pytest.mark.parametrize(
    "whole",
    [
        streamed(C({"content": "Paris"}), DONE),
        streamed(C({"content": "Paris"}), C({}, None), DONE),
        streamed(C({"content": "Paris"}), C({}, "") + DONE),
        streamed(C({"content": "Paris"}, "stop")),
        streamed(C({"content": "Paris"}, "eos_token")),
        streamed(C({"content": "Paris"}, "stop_sequence"), "data: [DONE]"),
        streamed(C({"content": "Paris"}), END, ends=False),
    ],
)
async def test_a_reason_or_done_is_an_end(whole: Reply) -> None:
    async with behind(whole) as b:
        choice = await b.choice()
        assert (choice["message"]["content"], choice["finish_reason"]) == ("Paris", "stop")


# --- 14: deltas that hold nothing ---------------------------------------------------------------


@pytest.mark.parametrize(
    "last",
    [
        {"index": 0, "delta": None, "finish_reason": "stop"},
        {"index": 0, "finish_reason": "stop"},
        {"index": 0, "delta": {}, "message": None, "finish_reason": "stop"},
        {"delta": {"content": None, "tool_calls": None}, "finish_reason": "stop"},
        {"index": None, "delta": {"content": "", "tool_calls": []}, "finish_reason": "stop"},
        {"index": 0, "delta": [], "finish_reason": "stop", "logprobs": None},
        {"index": 0, "delta": "", "finish_reason": "stop"},
    ],
)
async def test_a_delta_that_holds_nothing_is_skipped(last: dict[str, object]) -> None:
    async with behind(streamed(C({"content": "Paris"}), data({"choices": [last]}), DONE)) as b:
        choice = await b.choice()
        assert (choice["message"]["content"], choice["finish_reason"]) == ("Paris", "stop")


@pytest.mark.parametrize(
    "chunk",
    [{}, {"choices": None}, {"choices": {}}, {"choices": [None]}, {"choices": [{}]}, {"usage": {}}],
)
async def test_a_chunk_that_holds_nothing_is_skipped(chunk: dict[str, object]) -> None:
    async with behind(streamed(data(chunk), C({"content": "Paris"}), data(chunk), END)) as b:
        assert (await b.choice())["message"]["content"] == "Paris"


# --- 15: halves of characters -------------------------------------------------------------------


@pytest.mark.parametrize("field", ["content", "reasoning_content"])
@pytest.mark.parametrize(
    ("pieces", "whole"),
    [
        (["hi \\ud83d", "\\ude00"], "hi 😀"),
        (["hi \\ud83d", "\\ude00!", "\\ud83d", "\\ude00"], "hi 😀!😀"),
        (["hi \\ud83d"], "hi \ufffd"),
        (["hi \\ud83d", "x"], "hi \ufffdx"),
        (["\\ude00 hi"], "\ufffd hi"),
        (["\\ud83d\\ud83d\\ude00"], "\ufffd😀"),
    ],
)
async def test_halves_of_a_character_are_joined(pieces: list[str], whole: str, field: str) -> None:
    parts = [
        f'data: {{"choices": [{{"index": 0, "delta": {{"{field}": "{piece}"}}}}]}}\n\n'
        for piece in pieces
    ]
    async with behind(streamed(*parts, END)) as b:
        message = (await b.choice())["message"]
        assert message[field] == whole
        read = await b.stream()
        assert (read.text if field == "content" else read.reasoning) == whole
        assert read.done


async def test_halves_of_a_character_in_arguments_are_joined() -> None:
    def part(arguments: str, head: str = "") -> str:
        function = f'{{{head}"arguments": "{arguments}"}}'
        call = f'{{"index": 0, "id": "c1", "function": {function}}}'
        return f'data: {{"choices": [{{"index": 0, "delta": {{"tool_calls": [{call}]}}}}]}}\n\n'

    named = part('{\\"a\\": \\"\\ud83d', '"name": "say", ')
    async with behind(streamed(named, part('\\ude00\\"}'), END)) as b:
        (call,) = (await b.choice(tools=TOOLS))["message"]["tool_calls"]
        assert call["function"]["arguments"] == '{"a": "😀"}'


@pytest.mark.parametrize("size", [1, 2, 3, 5])
async def test_characters_may_be_cut_anywhere_on_the_wire(size: int) -> None:
    said_raw = data({"choices": [{"index": 0, "delta": {"content": "café 😀 "}}]})
    plain = json.dumps(json.loads(said_raw[6:]), ensure_ascii=False)
    raw = f"data: {plain}\n\n{C({'content': '中文'})}{END}".encode()
    pieces = [raw[i : i + size] for i in range(0, len(raw), size)]
    async with behind(streamed(*pieces)) as b:
        assert (await b.choice())["message"]["content"] == "café 😀 中文"


# --- 24: thoughts are no part of a draft --------------------------------------------------------


@pytest.mark.parametrize(
    "draft",
    [
        "I think hard.</think>Paris",
        "<think>I think hard.</think>\n\nParis",
        "<thinking>I think hard.</thinking>Paris",
        "<|channel|>analysis<|message|>I think hard.<|end|><|start|>assistant<|channel|>final"
        "<|message|>Paris",
        "[THINK]I think hard.[/THINK]Paris",
        "◁think▷I think hard.◁/think▷Paris",
    ],
)
async def test_a_thought_is_no_part_of_a_draft(draft: str) -> None:
    own = Scripted(said("a draft"), said("Paris it is"))
    async with behind(own, said(draft)) as b:
        answer = await b.answer(model="dmoa-m1-k1")
        assert answer["choices"][0]["message"]["content"] == "Paris it is"
        prompt = str(own.bodies[-1]["messages"])
        assert "Paris" in prompt
        assert "think hard" not in prompt
        assert "think" not in prompt.lower().replace("think hard", "")


async def test_a_thought_in_a_field_of_its_own_is_no_part_of_a_draft() -> None:
    own = Scripted(said("a draft"), said("Paris it is"))
    thinker = streamed(C({"reasoning_content": "I think hard."}), C({"content": "Paris"}), END)
    async with behind(own, thinker) as b:
        await b.answer(model="dmoa-m1-k1")
        assert "think hard" not in str(own.bodies[-1])
