"""Answers that must have a form: looked at, asked for once more, never replaced by prose."""

import json
from collections.abc import Sequence
from typing import Any

import pytest

from dmoa.errors import DmoaError, FormMissed, NobodyAnswered, RequestRefused
from dmoa.protocol.conversation import Constraints, Message
from dmoa.protocol.events import Event, Finished, Text
from dmoa.protocol.forms import Form, form_of
from tests.cluster import Cluster
from tests.virtual import run_virtual

NAMED: dict[str, Any] = {
    "$ref": "#/$defs/person",
    "$defs": {
        "person": {
            "type": "object",
            "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
            "required": ["name"],
            "additionalProperties": False,
        }
    },
}
WANTED = Constraints(
    response_format={"type": "json_schema", "json_schema": {"name": "p", "schema": NAMED}}
)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('{"name": "Ada", "age": 36}', None),
        ('```json\n{"name": "Ada"}\n```', None),
        ('```\n{"name": "Ada"}\n```\n', None),
        ('{"name": "Ada"', "no JSON"),
        ("Ada is 36.", "no JSON"),
        ('{"age": 36}', "'name' is a required property"),
        ('{"name": "Ada", "age": "old"}', "is not of type 'integer' at $.age"),
        ('{"name": "Ada", "x": 1}', "Additional properties"),
        ("[" * 100_000, "no JSON"),
    ],
)
def test_what_is_wrong_with_an_answer_is_said(text: str, fault: str | None) -> None:
    form = form_of(WANTED)
    assert form is not None
    inside, found = form.read(text)
    if fault is None:
        assert found is None
        assert json.loads(inside)["name"] == "Ada"
    else:
        assert found is not None
        assert fault in found


def test_any_object_is_one_and_a_list_is_none() -> None:
    form = Form(None)
    assert form.read("{}") == ("{}", None)
    assert form.read("[1]")[1] == "it is no JSON object"


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ({"type": "json_schema"}, "needs its schema"),
        ({"type": "json_schema", "json_schema": {"schema": {"type": "thing"}}}, "in the schema"),
        ({"type": "json_schema", "json_schema": {"schema": [1]}}, "is a list"),
        (
            {"type": "json_schema", "json_schema": {"schema": {"$ref": "http://127.0.0.1:9/x"}}},
            "refers to what it does not hold",
        ),
        ({"type": "json_schema", "json_schema": {"schema": {"$ref": "#/$defs/no"}}}, "refers to"),
    ],
)
def test_a_schema_that_makes_no_sense_is_refused_before_anybody_works(
    wanted: dict[str, Any], said: str
) -> None:
    with pytest.raises(RequestRefused, match=said.replace("$", r"\$")):
        form_of(Constraints(response_format=wanted))


@pytest.mark.parametrize("wanted", [{"type": "text"}, {"type": "grammar"}, {}])
def test_what_is_no_form_of_ours_is_left_to_the_server(wanted: dict[str, Any]) -> None:
    assert form_of(Constraints(response_format=wanted)) is None


def answers(cluster: Cluster, device: int, *texts: str) -> None:
    """Let a device's LLM give these answers, the last one for ever."""
    left = list(texts)

    def respond(_: Sequence[Message]) -> str:
        return left.pop(0) if len(left) > 1 else left[0]

    cluster.llms[device]._respond = respond


async def told(cluster: Cluster, layers: int, **options: Any) -> tuple[list[Event], Finished]:
    events = [e async for e in cluster.events(0, layers, 1, constraints=WANTED, **options)]
    last = events[-1]
    assert isinstance(last, Finished)
    return events, last


@pytest.mark.parametrize("held", [True, False])
def test_a_wrong_answer_is_asked_for_once_more_and_nothing_wrong_is_seen(held: bool) -> None:
    async def work() -> None:
        async with Cluster(2) as cluster:
            answers(cluster, 0, "Ada, 36.", '{"name": "Ada"}')
            events, last = await told(cluster, 0, held=held, streamed=held)
            assert last.text == '{"name": "Ada"}'
            if held:
                seen = "".join(e.text for e in events if isinstance(e, Text))
                assert seen == '{"name": "Ada"}'
            assert [a.outcome for a in last.record.aggregator] == ["answered", "answered"]
            assert last.record.tasks == 2
            assert last.record.replacements == 0
            assert any("asked once more" in note for note in last.record.notes)
            repair = cluster.llms[0].asked[-1]
            assert repair[-2].content == "Ada, 36."
            assert "no JSON" in repair[-1].content

    run_virtual(work())


def test_twice_wrong_is_an_error_and_no_prose() -> None:
    async def work() -> None:
        async with Cluster(2) as cluster:
            answers(cluster, 0, "Ada, 36.")
            with pytest.raises(FormMissed, match="misses the form asked for: it is no JSON"):
                await told(cluster, 1, held=True)
            assert len(cluster.llms[0].asked) == 3, "a draft, an answer, and one more"

    run_virtual(work())


def test_an_answer_that_was_cut_at_its_length_is_passed_on_as_such() -> None:
    async def work() -> None:
        async with Cluster(1) as cluster:
            from dmoa.protocol.conversation import Sampling

            answers(cluster, 0, '{"name": "Ada Lovelace of London"}')
            _, last = await told(cluster, 0, held=True, sampling=Sampling(max_tokens=2))
            assert (last.text, last.finish_reason) == ('{"name": "Ada', "length")

    run_virtual(work())


def test_half_an_answer_that_was_seen_is_never_followed_by_anothers() -> None:
    async def work() -> None:
        async with Cluster(2) as cluster:
            answers(cluster, 0, '{"name": "Ada and so on and on"}')
            answers(cluster, 1, '{"name": "Bob"}')
            cluster.llms[0].fails_before_token = 2
            seen: list[str] = []

            async def listen() -> None:
                async for event in cluster.events(0, 0, 1, constraints=WANTED):
                    if isinstance(event, Text):
                        seen.append(event.text)

            with pytest.raises(NobodyAnswered, match="broke off in the middle"):
                await listen()
            assert seen
            assert "Bob" not in "".join(seen)
            assert not cluster.llms[1].asked

    run_virtual(work())


def test_whoever_reads_the_whole_gets_anothers_answer_in_the_form() -> None:
    async def work() -> None:
        async with Cluster(2) as cluster:
            answers(cluster, 0, '{"name": "Ada and so on and on"}')
            answers(cluster, 1, '{"name": "Bob"}')
            cluster.llms[0].fails_before_token = 2
            _, last = await told(cluster, 0, held=True, streamed=False)
            assert last.text == '{"name": "Bob"}'

    run_virtual(work())


def test_what_the_own_server_refuses_nobody_else_is_asked_for() -> None:
    async def work() -> None:
        async with Cluster(3) as cluster:

            def refuse(_: Sequence[Message]) -> str:
                raise RequestRefused(400, "this model does not support tools")

            cluster.llms[0]._respond = refuse
            tools = Constraints(tools=[{"type": "function", "function": {"name": "f"}}])
            for layers in (0, 1):
                for llm in cluster.llms:
                    llm.asked.clear()
                with pytest.raises(DmoaError, match="this model does not support tools") as caught:
                    await cluster.ask(0, layers, 1, constraints=tools)
                assert isinstance(caught.value, RequestRefused)
                assert sum(len(llm.asked) for llm in cluster.llms[1:]) == layers
            assert cluster.devices[0].meter.failure is None, "health is untouched"

    run_virtual(work())


def test_a_peers_refusal_of_a_request_comes_back_as_one() -> None:
    async def work() -> None:
        async with Cluster(2) as cluster:

            def refuse(_: Sequence[Message]) -> str:
                raise RequestRefused(422, "no pictures, please")

            cluster.llms[1]._respond = refuse
            record = (await cluster.ask(0, 1, 1)).record
            peer = record.layers[0].proposers[1]
            assert (peer.outcome, peer.detail) == ("refused", "no pictures, please")
            assert record.replacements == 0
            assert cluster.devices[1].meter.failure is None

    run_virtual(work())
