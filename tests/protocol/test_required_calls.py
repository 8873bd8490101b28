"""`tool_choice: required`, and a function by its name: a call, or an error that says so."""

import json
from collections.abc import Sequence
from typing import Any

import pytest

from dmoa.errors import FormMissed, RequestRefused
from dmoa.llm.scripted import ScriptedAnswer
from dmoa.protocol.conversation import Constraints, Message, Sampling
from dmoa.protocol.events import Finished, Text
from dmoa.protocol.required import RequiredCall, demand_of
from tests.cluster import Cluster
from tests.virtual import run_virtual


def function(name: str, **properties: Any) -> dict[str, Any]:
    parameters = {"type": "object", "properties": properties, "required": list(properties)}
    return {"type": "function", "function": {"name": name, "parameters": parameters}}


TOOLS = [function("weather", city={"type": "string"}), function("add", a={"type": "integer"})]
REQUIRED = Constraints(TOOLS, "required")
WEATHER = Constraints(TOOLS, {"type": "function", "function": {"name": "weather"}})
PROSE = "It is warm in Oslo."


def call(name: str) -> ScriptedAnswer:
    said = {"id": "c1", "type": "function", "function": {"name": name, "arguments": "{}"}}
    return ScriptedAnswer("Let me look.", tool_calls=[said])


def answers(cluster: Cluster, *given: str | ScriptedAnswer) -> None:
    left = list(given)

    def respond(_: Sequence[Message]) -> str | ScriptedAnswer:
        return left.pop(0) if len(left) > 1 else left[0]

    cluster.llms[0]._respond = respond


def asked(
    *given: str | ScriptedAnswer, constraints: Constraints = REQUIRED, **options: Any
) -> tuple[list[Text], Finished, Cluster]:
    """What a device with these answers streams, and its last word."""

    async def work() -> tuple[list[Text], Finished, Cluster]:
        async with Cluster(1) as cluster:
            answers(cluster, *given)
            events = [e async for e in cluster.events(0, 0, 0, constraints=constraints, **options)]
            assert isinstance(events[-1], Finished)
            return [e for e in events if isinstance(e, Text)], events[-1], cluster

    return run_virtual(work())


def names(finished: Finished) -> list[str | None]:
    return [c.function.name for c in finished.tool_calls or [] if c.function]


def test_a_call_with_words_before_it_is_passed_on_whole() -> None:
    texts, last, cluster = asked(call("add"))
    assert (last.text, names(last), last.finish_reason) == ("Let me look.", ["add"], "tool_calls")
    assert "".join(text.text for text in texts) == "Let me look."
    assert len(cluster.llms[0].asked) == 1


@pytest.mark.parametrize("constraints", [REQUIRED, Constraints(TOOLS, "any"), WEATHER])
def test_prose_is_asked_for_once_more_as_json_and_becomes_the_call(
    constraints: Constraints,
) -> None:
    written = json.dumps({"name": "weather", "arguments": {"city": "Oslo"}})
    texts, last, cluster = asked(PROSE, f"```json\n{written}\n```", constraints=constraints)
    (part,) = last.tool_calls or []
    assert part.function is not None
    assert (part.function.name, part.function.arguments) == ("weather", '{"city":"Oslo"}')
    assert (part.index, part.type, last.text, last.finish_reason) == (
        0,
        "function",
        "",
        "tool_calls",
    )
    assert part.id
    assert not any(text.text for text in texts), "nobody saw the prose"
    assert [part for text in texts for part in text.tool_calls or []] == last.tool_calls
    repair = cluster.llms[0].asked[-1]
    assert repair[-2].content == PROSE
    assert "calls none of weather" in repair[-1].content
    assert '"city"' in repair[-1].content
    assert any("asked once more" in note for note in last.record.notes)


def test_a_call_that_is_written_out_as_text_is_one() -> None:
    _, last, cluster = asked('{"name": "add", "arguments": {"a": 2}}')
    assert names(last) == ["add"]
    assert len(cluster.llms[0].asked) == 1


@pytest.mark.parametrize(
    "second",
    [
        PROSE,
        '{"name": "other", "arguments": {}}',
        '{"name": "weather", "arguments": {}}',
        '{"name": "add", "arguments": {"a": 2}}',
    ],
)
def test_no_call_after_two_attempts_is_an_error_and_no_prose(second: str) -> None:
    with pytest.raises(FormMissed, match="misses the form asked for: it calls none of weather"):
        asked(PROSE, second, constraints=WEATHER)


def test_another_function_than_the_named_one_is_not_passed_on() -> None:
    written = '{"name": "weather", "arguments": {"city": "Oslo"}}'
    texts, last, cluster = asked(call("add"), written, constraints=WEATHER)
    assert names(last) == ["weather"]
    told = [p.function.name for t in texts for p in t.tool_calls or [] if p.function]
    assert told == ["weather"]
    assert "calls 'add' and not weather" in cluster.llms[0].asked[-1][-1].content


def test_prose_that_was_cut_at_its_length_is_asked_for_once_more() -> None:
    written = '{"name":"add","arguments":{"a":2}}'
    _, last, cluster = asked(PROSE, written, sampling=Sampling(max_tokens=2))
    assert names(last) == ["add"]
    assert "calls none of weather, add within 2 tokens" in cluster.llms[0].asked[-1][-1].content


def test_thoughts_alone_that_were_cut_at_their_length_say_so() -> None:
    thought = ScriptedAnswer(reasoning="hm what could it be")
    _, last, cluster = asked(thought, sampling=Sampling(max_tokens=2))
    assert (last.text, last.finish_reason) == ("", "length")
    assert len(cluster.llms[0].asked) == 1


@pytest.mark.parametrize("choice", [None, "auto", "none", {"type": "custom"}])
def test_what_demands_no_call_is_left_alone(choice: Any) -> None:
    _, last, cluster = asked(PROSE, constraints=Constraints(TOOLS, choice))
    assert last.text == PROSE
    assert len(cluster.llms[0].asked) == 1


def test_a_named_function_that_is_not_there_is_refused_before_anybody_works() -> None:
    choice = {"type": "function", "function": {"name": "wether"}}
    with pytest.raises(RequestRefused, match="no tool 'wether'; there are weather, add"):
        demand_of(Constraints(TOOLS, choice))


@pytest.mark.parametrize(
    "parameters",
    [
        None,
        {"type": "object", "properties": {"x": {"$ref": "#/$defs/x"}}, "$defs": {"x": {}}},
        {"type": "object", "properties": {"x": {"type": "thing"}}},
        {"properties": "nonsense"},
    ],
)
def test_parameters_that_cannot_stand_in_another_schema_are_any_object(parameters: Any) -> None:
    tool = {"type": "function", "function": {"name": "f", "parameters": parameters}}
    demand = demand_of(Constraints([tool], "required"))
    assert isinstance(demand, RequiredCall)
    _, last, _ = asked(
        '{"name": "f", "arguments": {"x": 1}}', constraints=Constraints([tool], "any")
    )
    assert names(last) == ["f"]
