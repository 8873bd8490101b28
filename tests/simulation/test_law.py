"""Networks with a choice of plans: against the bound, against rivals, compiled against plain."""

import json
import math
import random
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from dmoa.cli.main import app
from dmoa.errors import BadScenario
from dmoa.policies import law
from dmoa.simulation import study
from dmoa.simulation.events import choice as kernel
from dmoa.simulation.scenario import scenario_of

# The first test compiles the kernel, which takes long on a loaded machine.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

EVEN = [
    {"layers": M, "proposers": k, "quality": q}
    for M, k, q in [(2, 3, 0.873), (1, 3, 0.843), (1, 2, 0.772), (1, 1, 0.671), (0, 0, 0.532)]
]
SKILLS = [0.783] * 2 + [0.362] * 3 + [0.171] * 3
ALONE = [{"device": d, "quality": q} for d, q in enumerate(SKILLS)]
UNEVEN = [3.0] * 2 + [1.0] * 3 + [0.3] * 3


def simulate(scenario: Any, **others: Any) -> Any:
    """The result of a scenario with a law."""
    return study.simulate(scenario, **others)


def tables(rate, plans=EVEN, alpha=1.0, **others):
    run = {"prompts": 12_000, "replications": 3, "seed": 5, **others.pop("run", {})}
    return {
        "network": {"devices": 8, "alpha": alpha, "rate": rate},
        "law": others.pop("law", {}),
        "plans": plans,
        "run": run,
        **others,
    }


@pytest.mark.parametrize("rate", [0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 0.8])
def test_equal_devices_below_the_limit(rate):
    found = simulate(tables(rate))
    half = found.outcomes["quality"].half_width
    assert 0.95 * found.fluid_quality <= found.quality <= found.fluid_quality + half + 0.01
    assert found.latency.p95 <= 20
    assert found.queue.max <= 35


@pytest.mark.parametrize("rate", [1.2, 2.0])
def test_equal_devices_at_overload(rate):
    found = simulate(tables(rate))
    assert found.quality >= 0.97 * found.fluid_quality
    assert found.latency.p95 <= 40
    assert found.queue.max <= law.largest_backlog(0.873, 1.0, 60.0) + 9


@pytest.mark.parametrize("rate", [0.02, 0.05, 0.1, 0.2, 0.4, 0.8])
def test_unequal_devices(rate):
    found = simulate(tables(rate, ALONE, UNEVEN))
    assert found.quality >= 0.97 * found.fluid_quality
    assert found.latency.p95 <= 20 * np.mean(UNEVEN)


@pytest.mark.parametrize("rate", [0.1, 0.2, 0.5])
def test_old_news_cost_little(rate):
    run = {"prompts": 40_000}
    fresh = simulate(tables(rate, run=run)).quality
    assert simulate(tables(rate, law={"age": 10.0}, run=run)).quality >= 0.98 * fresh


@pytest.mark.parametrize("rate", [0.1, 0.4])
def test_a_user_with_half_of_the_load_does_not_starve_the_others(rate):
    """What an even split of the strong devices would give the others, they get nearly."""
    rates = [4 * rate] + [4 * rate / 7] * 7

    def least(fair):
        found = simulate(tables(rates, ALONE, UNEVEN, law={"fair": fair}, run={"prompts": 30_000}))
        return min(found.users[1:])

    # An eighth of each device for one user: the best first.
    left, even_split = 1.0, 0.0
    for skill, alpha in zip(SKILLS, UNEVEN, strict=True):
        share = min(left, 1 / 8 / alpha / rates[1])
        left, even_split = left - share, even_split + share * skill
    assert least(fair=True) >= 0.9 * even_split
    assert least(fair=True) > 1.03 * least(fair=False)


def test_owner_first_serves_the_owner_sooner_and_keeps_the_quality():
    found = simulate(tables(0.3, protocol={"discipline": "owner-first"}))
    assert found.quality >= 0.95 * found.fluid_quality


def test_rivals_are_named_kinds_of_the_same_scenario():
    run = {"prompts": 4000, "replications": 2}
    found = {
        kind: simulate(tables(0.5, law={"kind": kind}, run=run))
        for kind in ("price", "ladder", "fixed", "tail-drop")
    }
    assert not found["fixed"].stable
    assert found["tail-drop"].queue.max == 20
    assert found["price"].quality > max(found[k].quality for k in ("ladder", "fixed", "tail-drop"))
    assert found["price"].latency.p95 < found["ladder"].latency.p95


def test_one_plan_that_is_affordable_is_always_taken():
    found = simulate(tables(0.02, [EVEN[1]]))
    assert found.answered == 1.0
    assert found.plans == [{**EVEN[1], "share": 1.0}]
    assert found.quality == pytest.approx(EVEN[1]["quality"])


def test_the_bound_on_queues_holds_with_slow_devices_and_many_slots():
    found = simulate(tables(3.0, law={"patience": 20.0}, network={
        "alpha": UNEVEN, "rate": 3.0, "slots": [1, 2, 1, 1, 2, 1, 1, 4],
    }))  # fmt: skip
    # In service times of the network, at the fastest device, with its slots, and one prompt.
    bound = law.largest_backlog(0.873, 0.3 / 1.2375, 20.0) * 4 * 1.2375 / 0.3 + 9
    assert found.queue.max <= bound


def test_results_repeat_and_do_not_depend_on_threads():
    one, two = (simulate(tables(0.3), threads=t).to_dict() for t in (1, 2))
    assert one.pop("tasks_per_second") != two.pop("tasks_per_second")
    assert one == two


def test_devices_that_fail_lose_their_owners_prompts_and_get_no_others():
    failing = {"failures": {"mean_up": 950.0, "mean_down": 50.0}}
    found = simulate(tables(0.1, **failing))
    assert 0.03 < found.outcomes["lost"].mean < 0.1
    assert found.outcomes["failed"].mean == 0
    assert found.outcomes["answered"].mean + found.outcomes["lost"].mean == pytest.approx(1.0)
    # Where all want one device, others answer for it while it is away.
    plans = [{"device": 0, "quality": 0.9}, {"layers": 0, "proposers": 0, "quality": 0.5}]
    found = simulate(tables(0.05, plans, **failing))
    assert found.outcomes["failed"].mean == 0
    assert 0.03 < found.plans[1]["share"] < 0.06


def test_a_full_queue_fails_what_comes_although_the_law_would_take_it():
    found = simulate(tables(2.0, queue={"bound": 3}))
    assert found.queue.max == 3
    assert found.outcomes["failed"].mean > 0


def test_ten_thousand_devices_decide_by_a_sample():
    network = {"devices": 10_000, "alpha": 1.0, "rate": 0.2}
    run = {"prompts": 20_000, "warmup": 60_000, "replications": 1}  # 30 service times of it
    found = simulate(tables(0.2, network=network, run=run))
    assert found.quality >= 0.9 * found.fluid_quality
    assert found.tasks_per_second > 50_000  # a hundredth of that, were each decision O(n)


def test_compiled_equals_plain():
    draw = random.Random(4)
    choose_plan: Any = kernel.choose_plan
    for _ in range(300):
        n, plans = draw.randint(1, 6), draw.randint(1, 5)
        patience = 10 ** draw.uniform(-1, 3)
        backlog = [draw.choice([0.0, math.nan, -1.0, 10 ** draw.uniform(-3, 4)]) for _ in range(n)]
        mean, age, mine = draw.uniform(0, 9), draw.choice([0.0, draw.uniform(0, 30)]), 2.0
        seen = [law.seen_backlog(b, mean, age, mine) for b in backlog]
        np.testing.assert_array_equal(
            [kernel.seen_backlog(b, mean, age, mine) for b in backlog], seen
        )
        prices = [law.price(b, patience) for b in seen]
        np.testing.assert_allclose([kernel.price(b, patience) for b in seen], prices, rtol=1e-14)
        sizes = [draw.randint(1, n) for _ in range(plans)]
        first = [0, *np.cumsum(sizes).tolist()]
        places = [p for size in sizes for p in draw.sample(range(n), size)]
        seconds = [draw.uniform(0.1, 5) for _ in places]
        qualities = [draw.random() for _ in range(plans)]
        assert kernel.looked_at(16, 3, age) == law.looked_at(16, 3, age)
        lists: Any = (qualities, first, places, seconds, prices)
        plain = law.choose_plan(qualities, first, places, seconds, prices, patience)
        assert choose_plan(*map(np.array, lists), patience) == plain
        assert kernel.fair_patience(patience, mean, 1.0) == law.fair_patience(patience, mean, 1.0)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"law": {"patience": 0}}, "law.patience"),
        ({"law": {"kind": "cheap"}}, "law.kind"),
        ({"plans": [{"layers": 1, "proposers": 1, "quality": 1.2}]}, "plans.0.quality"),
        ({"plans": [{"layers": 1, "quality": 0.5}]}, "layers and proposers, or a device"),
        ({"plans": [{"device": 1, "layers": 1, "proposers": 1, "quality": 0.5}]}, "not both"),
        ({"plans": [{"device": 8, "quality": 0.5}]}, "plans.0.device is 8"),
        ({"plans": [{"layers": 1, "proposers": 8, "quality": 0.5}]}, "proposers"),
        ({"plans": []}, "needs plans"),
        ({"protocol": {"quorum": 1}}, "protocol.quorum"),
    ],
)
def test_bad_input_is_named(change, words):
    with pytest.raises(BadScenario, match=words):
        scenario_of({**tables(0.1), **change})


def test_recorded_arrivals_say_when_and_whose_and_nothing_else(tmp_path):
    path = tmp_path / "arrivals.json"
    path.write_text(json.dumps([{"time": 0.1 * i, "owner": i % 8} for i in range(200)]))
    arrivals = {"arrivals": {"law": "recorded", "file": str(path)}}
    assert simulate({**tables(0.1), **arrivals}).prompts == 200
    prompt = {"time": 0.0, "owner": 0, "proposers": [[1, 2, 3], [4, 5, 6]]}
    path.write_text(json.dumps([prompt]))
    with pytest.raises(BadScenario, match="leave only time and owner"):
        simulate({**tables(0.1), **arrivals})


def test_plans_without_a_law_are_an_error():
    with pytest.raises(BadScenario, match="without a law"):
        scenario_of({k: v for k, v in tables(0.1).items() if k != "law"})


SCENARIO = """
[network]
devices = 4
alpha = 1.0
rate = 0.3

[law]
kind = "price"
patience = 60.0
age = 0.0

[[plans]]
layers = 1
proposers = 2
quality = 0.8

[[plans]]
device = 0
quality = 0.6

[run]
prompts = 1000
replications = 2
"""


def test_the_command_reads_a_law_and_sweeps_it(tmp_path):
    path = tmp_path / "law.toml"
    path.write_text(SCENARIO)
    once = CliRunner().invoke(app, ["simulate", str(path), "--json"])
    assert once.exit_code == 0, once.output
    found = json.loads(once.stdout)
    assert 0 < found["quality"] <= found["fluid_quality"] + 0.05
    assert sum(plan["share"] for plan in found["plans"]) == pytest.approx(1.0)
    swept = CliRunner().invoke(
        app, ["simulate", str(path), "--vary", 'law.kind="price","ladder"', "--json"]
    )
    assert swept.exit_code == 0, swept.output
    assert [row["point"]["law.kind"] for row in json.loads(swept.stdout)["points"]] == [
        "price", "ladder",
    ]  # fmt: skip


def test_a_fault_of_a_plan_is_told_on_stderr(tmp_path):
    path = tmp_path / "law.toml"
    path.write_text(SCENARIO.replace("quality = 0.8", "quality = 8"))
    done = CliRunner().invoke(app, ["simulate", str(path), "--json"])
    assert done.exit_code != 0
    assert isinstance(done.exception, BadScenario | SystemExit)
