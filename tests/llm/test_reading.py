"""What servers really stream, read liberally: each odd stream and what it means."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmoa.errors import LLMBroken
from dmoa.llm.calls import CallReader
from dmoa.llm.dialects.generic import DIALECT
from dmoa.llm.faults import ServerRefused
from dmoa.llm.interface import Alive
from dmoa.llm.reading import Reading
from tests.llm.fake import DONE, C, chunk, data
from tests.llm.talking import Said


def read(stream: str | bytes, sizes: list[int] | None = None, **options: Any) -> Said:
    """A stream, cut into pieces of these sizes and the rest."""
    raw = stream.encode("utf-8", "surrogatepass") if isinstance(stream, str) else stream
    reading, said = Reading(DIALECT, **options), Said()
    for size in sizes or []:
        for token in reading.feed(raw[:size]):
            said.add(token)
        raw = raw[size:]
    for item in [*reading.feed(raw), *reading.end(7)]:
        said.add(item)
    return said


def tool(name: str | None = None, arguments: Any = None, **more: Any) -> dict[str, Any]:
    function = {"name": name, "arguments": arguments}
    return {**more, "function": {k: v for k, v in function.items() if v is not None}}


def calls(*parts: dict[str, Any]) -> str:
    return C({"tool_calls": list(parts)})


STOP = C({}, "stop") + DONE
TEXTS: dict[str, tuple[str, str, str]] = {  # stream, text, reasoning
    "plain": (C({"role": "assistant", "content": ""}) + C({"content": "Hi"}) + STOP, "Hi", ""),
    "reasoning_content": (C({"reasoning_content": "hm"}) + C({"content": "Hi"}) + STOP, "Hi", "hm"),
    "reasoning": (C({"reasoning": "hm", "content": ""}) + C({"content": "Hi"}) + STOP, "Hi", "hm"),
    "thinking": (C({"thinking": "hm"}) + C({"content": "Hi"}) + STOP, "Hi", "hm"),
    "one thought under two names": (
        C({"reasoning": "hm", "reasoning_content": "hm"}) + C({"content": "Hi"}) + STOP,
        "Hi",
        "hm",
    ),
    "reasoning_details": (
        C({"reasoning_details": [{"type": "reasoning.text", "text": "hm"}]})
        + C({"content": "Hi"})
        + STOP,
        "Hi",
        "hm",
    ),
    "inline": (C({"content": "<thi"}) + C({"content": "nk>\nhm</think>\n\nHi"}) + STOP, "Hi", "hm"),
    "only closed": (
        C({"content": "I think hard.</think>"}) + C({"content": "Paris"}) + STOP,
        "Paris",
        "I think hard.",
    ),
    "thought parts": (
        C({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}]})
        + C({"content": [{"type": "text", "text": "Hi"}]})
        + STOP,
        "Hi",
        "hm",
    ),
    "null delta at the end": (
        C({"content": "Hi"})
        + data({"choices": [{"index": 0, "delta": None, "finish_reason": "stop"}]}),
        "Hi",
        "",
    ),
    "absent delta": (
        C({"content": "Hi"}) + data({"choices": [{"finish_reason": "stop"}]}),
        "Hi",
        "",
    ),
    "null content": (
        C({"content": None}) + C({"content": "Hi", "tool_calls": None}) + STOP,
        "Hi",
        "",
    ),
    "pings without choices": (data({"choices": []}) + C({"content": "Hi"}) + STOP, "Hi", ""),
    "null choices": (data({"choices": None}) + C({"content": "Hi"}) + STOP, "Hi", ""),
    "no index": (
        data({"choices": [{"delta": {"content": "Hi"}, "finish_reason": "stop"}]}),
        "Hi",
        "",
    ),
    "other choices": (
        data({"choices": [{"index": 1, "delta": {"content": "no"}}]}) + C({"content": "Hi"}) + STOP,
        "Hi",
        "",
    ),
    "no space": (C({"content": "Hi"}).replace("data: ", "data:") + STOP, "Hi", ""),
    "CRLF": ((C({"content": "Hi"}) + STOP).replace("\n", "\r\n"), "Hi", ""),
    "CR": ((C({"content": "Hi"}) + STOP).replace("\n", "\r"), "Hi", ""),
    "no empty lines": (
        (C({"content": "H"}) + C({"content": "i"}) + STOP).replace("\n\n", "\n"),
        "Hi",
        "",
    ),
    "empty data lines": ("data:\n\ndata: \n\n" + C({"content": "Hi"}) + STOP, "Hi", ""),
    "comments and fields": (
        ": ping\n\nevent: message\nid: 3\nretry: 5\n"
        + C({"content": "Hi"})
        + ": OPENROUTER PROCESSING\n\n"
        + STOP,
        "Hi",
        "",
    ),
    "byte order mark": ("\ufeff" + C({"content": "Hi"}) + STOP, "Hi", ""),
    "one object over lines": (
        "".join(
            f"data: {line}\n"
            for line in json.dumps(chunk({"content": "Hi"}, "stop"), indent=1).splitlines()
        )
        + "\n",
        "Hi",
        "",
    ),
    "no end of the last line": (C({"content": "Hi"}) + C({}, "stop").rstrip(), "Hi", ""),
    "done without a reason": (C({"content": "Hi"}) + DONE, "Hi", ""),
    "reason without done": (C({"content": "Hi"}, "stop"), "Hi", ""),
    "no stream at all": (
        json.dumps(
            {
                "choices": [
                    {
                        "index": 0,
                        "finish_reason": "stop",
                        "message": {
                            "role": "assistant",
                            "content": "Hi",
                            "reasoning_content": "hm",
                        },
                    }
                ]
            }
        ),
        "Hi",
        "hm",
    ),
    "surrogate halves": (
        r'data: {"choices":[{"delta":{"content":"hi \ud83d"}}]}'
        + "\n\n"
        + r'data: {"choices":[{"delta":{"content":"\ude00"}}]}'
        + "\n\n"
        + STOP,
        "hi 😀",
        "",
    ),
    "a half alone": (
        r'data: {"choices":[{"delta":{"content":"a\ud83d"}}]}'
        + "\n\n"
        + C({"content": "b"})
        + STOP,
        "a\ufffdb",
        "",
    ),
    "a half at the end": (
        r'data: {"choices":[{"delta":{"content":"a\ud83d"}}]}' + "\n\n" + STOP,
        "a\ufffd",
        "",
    ),
    "a thought's halves": (
        r'data: {"choices":[{"delta":{"reasoning":"\ud83d"}}]}'
        + "\n\n"
        + r'data: {"choices":[{"delta":{"reasoning":"\ude00"}}]}'
        + "\n\n"
        + STOP,
        "",
        "😀",
    ),
    "bad UTF-8": ("", "", ""),  # replaced below
    "NaN": ('data: {"choices":[{"delta":{"content":"Hi"},"logprobs":NaN}]}\n\n' + STOP, "Hi", ""),
    "a new line only": (C({"content": "\n"}) + STOP, "\n", ""),
    "nothing": (STOP, "", ""),
    "thought only": (C({"reasoning_content": "hm"}) + C({}, "stop"), "", "hm"),
}
BAD = b'data: {"choices":[{"delta":{"content":"caf\xe9"}}]}\n\n' + STOP.encode()


@pytest.mark.parametrize("what", TEXTS)
def test_odd_streams_are_read_as_they_are_meant(what: str) -> None:
    stream, text, reasoning = TEXTS[what]
    raw: str | bytes = stream
    if what == "bad UTF-8":
        raw, text = BAD, "caf\ufffd"
    whole = read(raw)
    assert (whole.text, whole.reasoning, whole.finish) == (text, reasoning, "stop")
    size = len(raw if isinstance(raw, bytes) else raw.encode())
    for step in (1, 2, 3, 7):
        cut = read(raw, [step] * (size // step))
        assert (cut.text, cut.reasoning, cut.end) == (text, reasoning, whole.end)


@given(st.sampled_from(sorted(TEXTS)), st.lists(st.integers(1, 40), max_size=60))
def test_where_the_bytes_are_cut_makes_no_difference(what: str, sizes: list[int]) -> None:
    raw: str | bytes = BAD if what == "bad UTF-8" else TEXTS[what][0]
    whole, cut = read(raw), read(raw, sizes)
    assert (cut.text, cut.reasoning, cut.end) == (whole.text, whole.reasoning, whole.end)


@given(st.permutations(["id", "object", "created", "model", "choices", "usage"]), st.data())
def test_the_order_of_fields_makes_no_difference(order: list[str], draws: st.DataObject) -> None:
    delta = {"role": "assistant", "content": "Hi", "reasoning_content": "hm"}
    keys = draws.draw(st.permutations(sorted(delta)))
    message = chunk({key: delta[key] for key in keys}, "length")
    message["usage"] = {"prompt_tokens": 3, "completion_tokens": 2}
    said = read(data({key: message[key] for key in order}))
    assert (said.text, said.reasoning, said.finish) == ("Hi", "hm", "length")
    assert said.end is not None
    assert said.end.usage.prompt_tokens == 3


CALLS: dict[str, tuple[str, list[tuple[str, str]]]] = {
    "OpenAI's": (
        calls(tool("add", "", index=0, id="c1"))
        + calls(tool(None, '{"a"', index=0))
        + calls(tool(None, ":1}", index=0)),
        [("add", '{"a":1}')],
    ),
    "parallel, both at 0": (
        calls(tool("add", '{"a":1}', index=0, id="c1"))
        + calls(tool("mul", '{"b":2}', index=0, id="c2")),
        [("add", '{"a":1}'), ("mul", '{"b":2}')],
    ),
    "parallel, both at 0, streamed": (
        calls(tool("add", "", index=0, id="c1"))
        + calls(tool(None, '{"a":1}', index=0))
        + calls(tool("mul", "", index=0, id="c2"))
        + calls(tool(None, '{"b":2}', index=0)),
        [("add", '{"a":1}'), ("mul", '{"b":2}')],
    ),
    "interleaved": (
        calls(tool("add", '{"a"', index=0, id="1"), tool("mul", '{"b"', index=1, id="2"))
        + calls(tool(None, ":2}", index=1))
        + calls(tool(None, ":1}", index=0)),
        [("add", '{"a":1}'), ("mul", '{"b":2}')],
    ),
    "names in each part": (
        calls(tool("add", '{"a"', index=0, id="c1")) + calls(tool("add", ":1}", index=0, id="c1")),
        [("add", '{"a":1}')],
    ),
    "names in each part, no ids": (
        calls(tool("add", "", index=0))
        + calls(tool("add", '{"a"'))
        + calls(tool("add", ":1}", index=0)),
        [("add", '{"a":1}')],
    ),
    "names in pieces": (
        calls(tool("get_", "", index=0, id="c1")) + calls(tool("time", "{}", index=0)),
        [("get_time", "{}")],
    ),
    "whole, no ids, no index": (
        calls(tool("add", '{"a":1}'), tool("mul", '{"b":2}')),
        [("add", '{"a":1}'), ("mul", '{"b":2}')],
    ),
    "the same twice": (
        calls(tool("add", '{"a":1}', index=None)) + calls(tool("add", '{"a":2}', index=None)),
        [("add", '{"a":1}'), ("add", '{"a":2}')],
    ),
    "arguments as objects": (calls(tool("add", {"a": 1}, index=0, id="c1")), [("add", '{"a":1}')]),
    "arguments null": (calls(tool("now", None, index=0, id="c1")), [("now", "{}")]),
    "arguments empty": (calls(tool("now", "", index=0, id="c1")), [("now", "{}")]),
    "one id for all": (
        calls(tool("add", "{}", index=0, id="x"), tool("mul", "{}", index=1, id="x")),
        [("add", "{}"), ("mul", "{}")],
    ),
    "empty ids": (
        calls(tool("add", "{}", index=0, id=""), tool("mul", "{}", index=1, id="")),
        [("add", "{}"), ("mul", "{}")],
    ),
    "index as text": (
        calls(tool("add", '{"a"', index="0", id="c1")) + calls(tool(None, ":1}", index="0")),
        [("add", '{"a":1}')],
    ),
    "id before the name": (
        calls({"index": 0, "id": "c1", "type": "function"}) + calls(tool("add", "{}", index=0)),
        [("add", "{}")],
    ),
    "no function around": (calls({"id": "c1", "name": "add", "arguments": "{}"}), [("add", "{}")]),
    "an object instead of a list": (C({"tool_calls": tool("add", "{}", id="c1")}), [("add", "{}")]),
    "function_call": (
        C({"function_call": {"name": "add", "arguments": '{"a"'}})
        + C({"function_call": {"arguments": ":1}"}}),
        [("add", '{"a":1}')],
    ),
    "halves in arguments": (
        r'data: {"choices":[{"delta":{"tool_calls":[{"index":0,"id":"1","function":{"name":"add",'
        r'"arguments":"{\"a\":\"\ud83d"}}]}}]}' + "\n\n"
        r'data: {"choices":[{"delta":{"tool_calls":[{"index":0,"function":'
        r'{"arguments":"\ude00\"}"}}]}}]}' + "\n\n",
        [("add", '{"a":"😀"}')],
    ),
}


@pytest.mark.parametrize("finish", ["stop", "tool_calls", "function_call"])
@pytest.mark.parametrize("what", CALLS)
def test_tool_calls_come_out_as_openai_has_them(what: str, finish: str) -> None:
    stream, wanted = CALLS[what]
    said = read(stream + C({}, finish) + DONE)
    assert (said.named, said.finish, said.text) == (wanted, "tool_calls", "")
    assert len({call["id"] for call in said.calls}) == len(wanted), "each has an id of its own"


@given(st.integers(1, 4), st.data())
def test_arguments_come_whole_however_they_are_cut_and_mixed(
    count: int, draws: st.DataObject
) -> None:
    wanted = [json.dumps({"x": i, "text": draws.draw(st.text(max_size=12))}) for i in range(count)]
    parts = [[tool(f"f{i}", "", index=i, id=f"c{i}")] for i in range(count)]
    for i, arguments in enumerate(wanted):
        left = arguments
        while left:
            size = draws.draw(st.integers(1, len(left)))
            parts[i].append(tool(None, left[:size], index=i))
            left = left[size:]
    reader, said = CallReader(), Said()
    while any(parts):
        i = draws.draw(st.sampled_from([i for i in range(count) if parts[i]]))
        if i and len(parts[i - 1]) > 0 and said_name(parts[i - 1]):
            i -= 1
        said.add(_token(reader.read([parts[i].pop(0)])))
    said.add(_token(reader.end()))
    assert sorted(said.named) == sorted((f"f{i}", wanted[i]) for i in range(count))


def said_name(parts: list[dict[str, Any]]) -> bool:
    """Whether the call's first part is still to come."""
    return "name" in parts[0]["function"]


def _token(parts: Any) -> Any:
    from dmoa.llm.interface import Token

    return Token("", parts)


@pytest.mark.parametrize(
    ("usage", "counts"),
    [
        ({"prompt_tokens": 5, "completion_tokens": 4}, (5, 4, 0)),
        ({"prompt_tokens": "5", "completion_tokens": 4.0}, (5, 4, 0)),
        (
            {
                "prompt_tokens": 5,
                "completion_tokens": 4,
                "completion_tokens_details": {"reasoning_tokens": 3},
            },
            (5, 4, 3),
        ),
        ({"prompt_tokens": -1, "completion_tokens": None}, (7, 1, 0)),
        ("lots", (7, 1, 0)),
        (None, (7, 1, 0)),
    ],
)
def test_usage_is_read_as_numbers_and_estimated_where_there_are_none(
    usage: Any, counts: tuple[int, int, int]
) -> None:
    said = read(C({"content": "Hi"}, "stop", usage=usage) + DONE)
    assert said.end is not None
    told = said.end.usage
    assert (told.prompt_tokens, told.completion_tokens, told.reasoning_tokens) == counts


def test_thoughts_are_counted_where_the_server_does_not() -> None:
    usage = {"prompt_tokens": 5, "completion_tokens": 100}
    said = read(C({"reasoning": "x" * 90}) + C({"content": "y" * 10}, "stop", usage=usage))
    assert said.end is not None
    assert said.end.usage.reasoning_tokens == 90


@pytest.mark.parametrize(
    ("finish", "reason"),
    [
        ("length", "length"),
        ("max_tokens", "length"),
        ("model_length", "length"),
        ("eos", "stop"),
        ("MAX_TOKENS", "length"),
        ("content_filter", "content_filter"),
        ("tool_calls", "tool_calls"),
    ],
)
def test_finish_reasons_of_all_servers_are_openais(finish: str, reason: str) -> None:
    assert read(C({"content": "Hi"}, finish)).finish == reason


BROKEN = {
    "broken JSON": 'data: {"choices": [\n\n',
    "a list": "data: [1]\n\n",
    "nothing": "",
    "only pings": ": ping\n\n: ping\n\n",
    "a page": "<html>hello</html>",
    "cut in the middle": C({"content": "Paris is"}),
    "cut inside a line": C({"content": "Paris is"}) + 'data: {"choices": [{"del',
    "an error later": C({"content": "Paris"}) + data({"error": {"message": "out of memory"}}),
    "an error event later": C({"content": "a"}) + 'event: error\ndata: "out of memory"\n\n',
    "an error field later": C({"content": "a"}) + 'error: {"message": "out of memory"}\n\n',
    "aborted": C({"content": "Paris"}, "abort"),
    "an error for a reason": C({"content": "Paris"}, "error"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_what_ends_in_the_middle_or_makes_no_sense_is_a_failure(what: str) -> None:
    with pytest.raises(LLMBroken):
        read(BROKEN[what])


@pytest.mark.parametrize(
    ("stream", "kind", "words"),
    [
        (data({"error": {"message": "bad schema", "code": 400}}), "refused", "bad schema"),
        (data({"error": "bad schema", "code": "422"}), "refused", "bad schema"),
        ('event: error\ndata: {"message": "bad", "code": 422}\n\n', "refused", "bad"),
        ('error: {"message": "bad", "code": 400}\n\n', "refused", "bad"),
        ('{"error": "does not support tools"}\n', "refused", "does not support tools"),
        (data({"object": "error", "message": "bad", "code": 400}), "refused", "bad"),
        (data({"error": {"message": "Loading model", "code": 503}}), "busy", "Loading model"),
        (data({"error": {"message": "out of memory"}}), "broken", "out of memory"),
    ],
)
def test_an_error_before_the_answer_is_what_its_code_says(
    stream: str, kind: str, words: str
) -> None:
    with pytest.raises(ServerRefused) as caught:
        read(stream)
    assert (caught.value.fault.kind, caught.value.fault.words) == (kind, words)


def test_every_byte_is_life_and_progress_is_told() -> None:
    reading = Reading(DIALECT)
    progress = data({"choices": [], "prompt_progress": {"total": 400, "processed": 64}})
    [ping] = reading.feed(b": ping\n\n")
    [more] = reading.feed(progress.encode())
    [half] = reading.feed(b'data: {"cho')
    assert [type(item) for item in (ping, more, half)] == [Alive, Alive, Alive]
    assert isinstance(more, Alive)
    assert more.note == "has read 64 of 400 tokens of the prompt"


def test_a_line_without_end_is_given_up() -> None:
    reading = Reading(DIALECT)
    megabyte = b"x" * 2**20

    def flood() -> None:
        for _ in range(40):
            list(reading.feed(megabyte))

    with pytest.raises(LLMBroken, match="longer than"):
        flood()


def test_a_model_known_to_begin_in_a_thought_is_read_so_from_the_first_character() -> None:
    first = read(C({"content": "hm"}) + C({"content": "</think>Paris"}) + STOP)
    assert (first.text, first.reasoning) == ("Paris", "hm")
    reading, said = Reading(DIALECT, thinking=True), Said()
    for token in reading.feed(C({"content": "hm"}).encode()):
        said.add(token)
    assert (said.text, said.reasoning) == ("", "hm"), "nothing to take back later"
    for item in [*reading.feed((C({"content": "</think>Paris"}) + STOP).encode()), *reading.end(1)]:
        said.add(item)
    assert (said.text, said.reasoning) == ("Paris", "hm")
    plain = read(C({"content": "Paris"}) + STOP, thinking=True)
    assert plain.text == "Paris", "one that did not think after all has answered"
    cut = read(C({"content": "hm"}) + C({}, "length"), thinking=True)
    assert (cut.text, cut.reasoning) == ("", "hm")
    told = read(C({"reasoning": "hm"}) + C({"content": "Paris"}) + STOP, thinking=True)
    assert (told.text, told.reasoning) == ("Paris", "hm")
