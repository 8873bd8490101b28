"""The published script's figures, by hand."""

import json

import pytest

import dmoa
from dmoa.errors import BadTrace
from dmoa.simulation.published.replay import replay


def prompt(owner, arrival, *layers):
    record = {"arrival_time": arrival, "user_number": owner}
    for number, layer in enumerate(layers, 1):
        entries = {str(d): ["text", s] for d, s in layer.items()}
        record[f"layer{number}_proposers"] = {"proposer_list": list(layer), **entries}
    return record


WORKED = [
    prompt(1, 0, {1: 4, 2: 6}, {1: 3}),
    prompt(2, 1, {2: 5, 1: 2}, {2: 2}),
    prompt(1, 2, {1: 1, 2: 7}, {1: 4}),
]


def test_the_worked_example_gives_both_figures():
    found = replay(WORKED)
    assert found.published.latency == pytest.approx(49 / 3)
    assert found.true.latency == pytest.approx(49 / 3)
    assert found.published.queue == pytest.approx(37 / 44)
    assert found.true.queue == pytest.approx(29 / 44)


def test_the_worked_example_from_a_file(tmp_path):
    path = tmp_path / "trace.json"
    path.write_text(json.dumps(WORKED))
    assert dmoa.replay(path) == replay(WORKED)


def test_a_single_prompt_never_waits():
    found = replay([prompt(2, 5, {2: 1, 1: 3}, {2: 2})])
    assert found.true.latency == 5
    assert found.true.queue == found.published.queue == 0


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ([], "at least one prompt"),
        ({"a": 1}, "list of at least one prompt"),
        ([7], "prompt 1 is int"),
        ([{"user_number": 1}], "arrival_time of prompt 1 is None"),
        ([{"arrival_time": 0, "user_number": 0}], "user_number of prompt 1 is 0"),
        ([{"arrival_time": 0, "user_number": 1}], "no layer1_proposers"),
        ([prompt(1, 0, {1: -2})], "time of device 1 .* is -2"),
        ([prompt(1, 0, {1: 2, 2: 2})], "aggregates alone"),
        ([prompt(1, 3, {1: 2}), prompt(1, 2, {1: 2})], "prompt 2 arrives before"),
        ([{**prompt(1, 0, {1: 2}), "layer1_proposers": {"proposer_list": [1]}}], "no .response"),
    ],
)
def test_traces_of_another_form_are_named(content, words):
    with pytest.raises(BadTrace, match=words):
        replay(content)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(BadTrace, match=r"nowhere\.json cannot be read"):
        replay(tmp_path / "nowhere.json")
