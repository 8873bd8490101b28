"""Scenario files: what they say, and what is said of impossible ones."""

import pytest

import dmoa
from dmoa.errors import BadScenario
from dmoa.simulation.scenario import load_scenario

GOOD = """
[network]
alpha = [1.0, 1.0, 2.0]
rate = 0.05

[protocol]
layers = 2
proposers = 1
policy = "backlog"

[service]
law = "lognormal"
cv = 0.5

[run]
prompts = 400
replications = 2
seed = 3
"""


def write(tmp_path, text):
    path = tmp_path / "scenario.toml"
    path.write_text(text)
    return path


def test_a_file_is_simulated_as_it_says(tmp_path):
    scenario = load_scenario(write(tmp_path, GOOD))
    assert scenario.to_network().alphas == (1.0, 1.0, 2.0)
    outcome = dmoa.simulate(tmp_path / "scenario.toml")
    assert outcome.seed == 3
    assert outcome.replications == 2


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("layers = 2", "layers = 9", r"line 7, protocol.layers.*less than or equal to 8.*it is 9"),
        ("proposers = 1", "proposers = 3", r"line 8, proposers is 3, but 3 devices"),
        ("rate = 0.05", "rate = -1", r"line 4, network.rate"),
        ("rate = 0.05", "rate = nan", r"line 4, network.rate"),
        ("rate = 0.05", "rate = 0", r"line 4, rate is 0 for all users"),
        ("rate = 0.05", "rate = [1, 2]", r"line 4, rate has 2 values for 3 devices"),
        ("cv = 0.5", "", r"line 11, service: a lognormal law needs cv"),
        ("cv = 0.5", "cv = 1\nshape = 2", r"service: shape says nothing about a lognormal law"),
        ('policy = "backlog"', 'policy = "best"', r"line 9, protocol.policy"),
        ("seed = 3", "sed = 3", r"line 18, run.sed"),
        ("[run]", "[runs]", r"line 15, runs"),
        ("layers = 2", "layers = ", r"is not TOML.*line 7"),
        ("alpha = [1.0, 1.0, 2.0]", "alpha = [1.0, 0, 2.0]", r"line 3, network.alpha"),
        ("[network]", "sweep = 3\n[network]", r"line \d, sweep is 3, not a table; write \[sweep\]"),
        ("[network]", "network = 3\n[tail]", r"line \d, network is 3, not a table"),
    ],
)
def test_impossible_files_are_named_by_line_and_key(tmp_path, old, new, words):
    assert old in GOOD
    with pytest.raises(BadScenario, match=words):
        load_scenario(write(tmp_path, GOOD.replace(old, new)))


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(BadScenario, match=r"nowhere\.toml cannot be read"):
        load_scenario(tmp_path / "nowhere.toml")


def test_recorded_prompts_are_replayed(tmp_path):
    (tmp_path / "prompts.json").write_text(
        '[{"time": 10, "owner": 0, "proposers": [[1]], "seconds": [[2, 3], [1]]},'
        ' {"time": 11, "owner": 1, "proposers": [[0]], "seconds": [[1, 1], [2]]}]'
    )
    text = """
    [network]
    devices = 2
    alpha = 1
    rate = 1
    [protocol]
    layers = 1
    proposers = 1
    [arrivals]
    law = "recorded"
    file = "prompts.json"
    [run]
    replications = 1
    """
    outcome = dmoa.simulate(write(tmp_path, text))
    # Prompt 1: 2 and 3 seconds, then its device is busy from 2 to 3 with the guest's task: 4.
    # Prompt 2: waits for both devices until 4, then 2 more.
    assert outcome.latency.mean == pytest.approx((4 + 5) / 2)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{}", "Expected `array`"),
        ("[]", "holds no prompts"),
        ('[{"time": 1}]', "missing required field `owner`"),
        ('[{"time": 1, "owner": 0.5}]', "Expected `int`, got `float`"),
        ('[{"time": 1, "owner": 2}]', "prompt 0: owner is 2, which is not a device; use 0 to 1"),
        (
            '[{"time": 1, "owner": 0, "seconds": [[1, 1]]}]',
            r"lists of \[2\] values, but layers = 1",
        ),
        ('[{"time": 1, "owner": 0, "seconds": [[1], [1]]}]', r"need \[2, 1\]; use the M and k"),
        ('[{"time": 1, "owner": 0, "seconds": [[1, 1], []]}]', r"lists of \[2, 0\] values"),
        ('[{"time": 1, "owner": 0, "seconds": [[1, -1], [1]]}]', "negative"),
        ('[{"time": 1, "owner": 0, "proposers": [[1], [1]]}]', r"proposers are lists of \[1, 1\]"),
        ('[{"time": 1, "owner": 0, "proposers": [[0]]}]', "other devices than the owner"),
        ('[{"time": 1, "owner": 0, "proposers": [[2]]}]', "is not a device; use 0 to 1"),
        (
            '[{"time": 1, "owner": 0, "proposers": [[1]]}, {"time": 2, "owner": 0}]',
            "prompt 1: it has proposers or has none, unlike prompt 0",
        ),
    ],
)
def test_recorded_prompts_of_another_form_are_named(tmp_path, content, words):
    (tmp_path / "prompts.json").write_text(content)
    tables = {
        "network": {"devices": 2, "alpha": 1.0, "rate": 1.0},
        "protocol": {"layers": 1, "proposers": 1},
        "arrivals": {"law": "recorded", "file": str(tmp_path / "prompts.json")},
    }
    with pytest.raises(BadScenario, match=words):
        dmoa.simulate(tables)
