"""The commands as a script uses them: one JSON object on stdout, exit statuses, files."""

import asyncio
import csv
import json
import subprocess
import sys

import pytest

from dmoa.cli import main as cli
from dmoa.errors import DmoaError
from dmoa.simulation.planner import MeasuredDevices, measured_devices
from tests.served import served


@pytest.fixture
def dmoa(monkeypatch, capfd):
    """Run a command line; returns exit status, stdout, stderr."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["dmoa", *map(str, arguments)])
        status = 0
        try:
            cli.main()
        except SystemExit as stop:
            status = int(stop.code or 0)
        out, err = capfd.readouterr()
        return status, out, err

    return run


def only_json(out):
    assert out.count("\n") == 1
    return json.loads(out)


def words(line):
    return line.split()


PLAN = words("plan --alpha 1.0 --devices 4 --layers 2 --proposers 3 --rate")
SIMULATE = words(
    "simulate --devices 4 --alpha 1.0 --layers 2 --proposers 3 --prompts 500 --replications 3"
    " --seed 7 --json --rate"
)


def test_plan_gives_the_contracts_fields(dmoa):
    status, out, err = dmoa(*PLAN, "0.05", "--json")
    found = only_json(out)
    assert status == 0
    assert not err
    assert found["stable"]
    assert found["load"] == pytest.approx(0.45)
    assert found["rate_limit"] == pytest.approx(1 / 9)
    assert found["rate_limit_selected"] == pytest.approx(1 / 9)
    assert found["growth_per_second"] == 0.0
    assert found["tasks_per_prompt"] == 9
    assert found["method"] == "formulas"
    assert found["latency_mean"] < found["latency_p95"]
    assert found["queue_mean"] > 0


def test_an_unstable_plan_says_so_and_exits_0(dmoa):
    status, out, _ = dmoa(*PLAN, "0.2", "--json")
    found = only_json(out)
    assert status == 0
    assert found["stable"] is False
    assert found["latency_mean"] is found["queue_mean"] is None
    assert found["growth_per_second"] == pytest.approx(0.4479, abs=1e-3)


def test_unequal_devices_are_planned_by_simulation(dmoa):
    arguments = words("plan --alpha 1,1,1,4 --layers 2 --proposers 1 --rate 0.02 --json")
    found = only_json(dmoa(*arguments)[1])
    assert found["method"] == "simulation"
    assert found["rate_limit_selected"] / found["rate_limit"] == pytest.approx(5 / 3)
    assert found == only_json(dmoa(*arguments)[1])


@pytest.mark.slow
def test_a_table_names_the_largest_that_keeps_a_latency(dmoa, tmp_path):
    picture = tmp_path / "plan.png"
    grid = words("plan --alpha 1 --devices 8 --rate 0.05 --latency 10 --max-layers 2")
    status, out, _ = dmoa(*grid)
    assert status == 0
    assert "M = 2, k = 3" in out
    assert dmoa(*grid, "--layers", "2", "--proposers", "3", "--picture", picture)[0] == 0
    assert picture.read_bytes().startswith(b"\x89PNG")
    found = only_json(dmoa(*grid, "--json")[1])
    assert (found["largest"]["layers"], found["largest"]["proposers"]) == (2, 3)
    assert len(found["plans"]) == 1 + 2 * 5


async def test_a_node_with_a_key_is_asked_for_its_measurements(dmoa):
    async with served(3, keys=["secret"]) as node:
        await node.client.chat.completions.create(
            model="dmoa-m1-k2", messages=[{"role": "user", "content": "why?"}]
        )
        url = f"http://127.0.0.1:{node.port}/v1"
        line = words(f"plan --node {url} --layers 1 --proposers 1 --json")
        refused = await asyncio.to_thread(lambda: dmoa(*line))
        asked = await asyncio.to_thread(lambda: dmoa(*line, "--key", "secret"))
    assert refused[:2] == (1, "")
    assert "the node refuses (401)" in " ".join(refused[2].split())
    status, out, err = asked
    assert status == 0, err
    found = only_json(out)
    assert found["stable"]
    assert 1 < found["rate_limit_selected"] < 1000  # services of a hundredth of a second


def test_only_devices_that_are_there_and_have_measured_are_planned_for():
    devices = [
        {"name": "ada", "alive": True, "alpha": 1.0, "lambda": 0.05},
        {"name": "bob", "alive": True, "alpha": 2.0, "lambda": None},
        {"name": "new", "alive": True, "alpha": None, "lambda": None},
        {"name": "off", "alive": False, "alpha": 9.0, "lambda": 1.0},
    ]
    found = measured_devices({"devices": devices})
    assert found == MeasuredDevices((1.0, 2.0), (0.05, 0.0))
    with pytest.raises(DmoaError, match="send it some prompts"):
        measured_devices({"devices": devices[2:]})


def test_a_node_that_is_not_there_fails_with_1(dmoa):
    status, _, err = dmoa(*["plan", "--node", "http://127.0.0.1:9"])
    assert status == 1
    assert "no dmoa node answers at http://127.0.0.1:9" in " ".join(err.split())


def test_simulate_gives_the_contracts_fields(dmoa):
    status, out, _ = dmoa(*SIMULATE, "0.08")
    found = only_json(out)
    assert status == 0
    assert set(found["latency"]) == {"mean", "half_width", "p50", "p95", "p99"}
    assert set(found["queue"]) == {"mean", "half_width", "max"}
    assert found["seed"] == 7
    assert found["stable"]
    assert found["tasks"] >= 3 * 500 * 9
    assert found["tasks_per_second"] > 0


def test_an_unstable_simulation_says_so_and_exits_0(dmoa):
    status, out, err = dmoa(*SIMULATE, "0.2")
    found = only_json(out)
    assert status == 0
    assert found["stable"] is False
    assert found["latency"]["mean"] is None
    assert found["growth_per_second"] > 0.1
    assert "no steady state" in err.replace("\n", " ")


@pytest.mark.slow
def test_a_sweep_is_written_and_drawn(dmoa, tmp_path):
    table, picture = tmp_path / "points.csv", tmp_path / "points.png"
    status, out, _ = dmoa(
        *SIMULATE[:-2], "--rate", "0.02", "--vary", "network.rate=0.02,0.04",
        "--vary", "protocol.policy=uniform,backlog", "--output", table, "--picture", picture,
    )  # fmt: skip
    assert status == 0
    assert "backlog" in out
    rows = list(csv.DictReader(table.read_text().splitlines()))
    assert len(rows) == 4
    assert float(rows[0]["latency_mean"]) > 0
    assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("ending", ["parquet", "json", "csv"])
def test_results_go_to_files(dmoa, tmp_path, ending):
    path = tmp_path / f"result.{ending}"
    assert dmoa(*SIMULATE, "0.08", "--output", path)[0] == 0
    if ending == "parquet":
        from pyarrow import parquet

        assert parquet.read_table(path).to_pylist()[0]["seed"] == 7
    else:
        assert "7" in path.read_text()


def test_replay_gives_the_worked_example(dmoa, tmp_path):
    from tests.simulation.test_replay import WORKED

    path = tmp_path / "trace.json"
    path.write_text(json.dumps(WORKED))
    status, out, _ = dmoa("replay", path, "--json")
    found = only_json(out)
    assert status == 0
    assert found["published"]["queue"] == pytest.approx(0.840909, abs=1e-6)
    assert found["true"]["queue"] == pytest.approx(0.659091, abs=1e-6)
    assert found["true"]["latency"] == found["published"]["latency"] == pytest.approx(16.3333, 1e-5)


@pytest.mark.slow
def test_the_tables_are_reproduced(dmoa):
    status, out, _ = dmoa("reproduce", "tables", "--draws", "40", "--json")
    found = only_json(out)
    assert status == 0
    assert found["I"]["rms_latency_error"] < 0.08
    assert found["II"]["rms_latency_error"] < 0.15
    assert len(found["I"]["rows"]) == 7


@pytest.mark.slow
def test_the_theorem_is_reproduced(dmoa, tmp_path):
    picture = tmp_path / "theorem.png"
    status, out, _ = dmoa("reproduce", "theorem", "--picture", picture, "--json")
    found = only_json(out)
    assert status == 0
    assert found["confirmed"]
    assert len(found["configurations"]) >= 6
    assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("plan --alpha 1 --devices 4 --layers 2 --proposers 4 --rate 0.1", "only 3 others"),
        ("plan --alpha 1 --rate 0.1", "devices is missing"),
        ("plan --alpha 1 --devices 4", "--alpha and --rate are needed"),
        ("plan --alpha -1 --devices 4 --rate 0.1", "alpha of device 0 is -1"),
        ("plan --alpha nan --devices 4 --rate 0.1", "nan"),
        ("plan --alpha x --devices 4 --rate 0.1", "--alpha is 'x'"),
        ("plan --alpha 1 --devices 0 --rate 0.1", "devices is 0"),
        ("plan --alpha 1 --devices 4 --rate 0.1 --layers 2", "go together"),
        ("plan --alpha 1 --devices 4 --rate 0.1 --picture /x/y.png", "no folder"),
        ("plan --node ftp://x", "'ftp://x' is no URL"),
        ("simulate --devices 4", "--alpha is missing"),
        ("simulate nowhere.toml", "nowhere.toml cannot be read"),
        ("simulate --devices 4 --alpha 1 --rate -1 --layers 1 --proposers 1", "network.rate"),
        ("simulate --devices 4 --alpha 1 --rate 1 --layers 1 --proposers 4", "only 3 others"),
        ("simulate --devices 4 --alpha 1 --rate 1 --layers 9 --proposers 1", "protocol.layers"),
        ("simulate --devices 4 --alpha 1 --rate 1 --layers 1 --proposers 1 --cv 2", "cv says"),
        ("simulate --devices 4 --alpha 1 --rate 1 --layers 1 --proposers 1 --output x.doc", "ends"),
        ("simulate --devices 4 --alpha 1 --rate 1 --layers 1 --proposers 1 --cluster x", "sweeps"),
        ("simulate --devices 4 --alpha 1 --rate 1 --layers 1 --proposers 1 --vary x", "--vary is"),
        ("replay nowhere.json", "nowhere.json cannot be read"),
    ],
)
def test_bad_input_exits_2_and_is_named(dmoa, line, words):
    status, out, err = dmoa(*line.split())
    assert status == 2
    assert not out
    assert words in " ".join(err.split())


def test_help_loads_nothing_heavy():
    code = (
        "import sys, dmoa.cli.main, dmoa\n"
        "heavy = {'numba', 'numpy', 'scipy', 'matplotlib', 'distributed'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_theory_and_simulation_load_nothing_of_the_live_side():
    code = (
        "import sys, dmoa.simulation.planner, dmoa.simulation.study\n"
        "import dmoa.simulation.sweep, dmoa.simulation.published.paper\n"
        "import dmoa.simulation.events.engine\n"
        "live = {'zenoh', 'starlette', 'openai', 'uvicorn', 'xllamacpp', 'dmoa.protocol.prompt'}\n"
        "print(sorted(live & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_plan_says_what_the_law_will_do(dmoa):
    line = "plan --alpha 1 --devices 4 --rate 0.1 --skills 0.8,0.5,0.5,0.5 --committee 1,3=0.9"
    status, out, _ = dmoa(*line.split(), "--json")
    assert status == 0
    found = json.loads(out)
    # By hand: 0.4 prompts/s, 4 services/s; a committee of four is 1.6, which fits.
    assert found["fluid_quality"] == pytest.approx(0.9)
    assert 0.85 < found["quality"] <= 0.9
    assert sum(plan["share"] for plan in found["plans"]) == pytest.approx(1.0)
    inferences = sum(p["share"] * (5 if p.get("layers") else 1) for p in found["plans"])
    assert sum(found["loads"]) == pytest.approx(0.4 * inferences, rel=0.05)
    assert found["one_more"]["quality"] >= found["quality"]
    assert found["one_more"]["skill"] == 0.8


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ("--skills 0.8,1.5", "skill of device 1 is 1.5"),
        ("--skills 0.8,0.5,0.5", "there are 2 devices"),
        ("--committee 1,1=0.9", "give --skills too"),
        ("--skills 0.5 --committee 1x3", "M,K=QUALITY"),
    ],
)
def test_faults_of_skills_are_named(dmoa, flags, words):
    line = f"plan --alpha 1 --devices 2 --rate 0.1 {flags}"
    status, out, error = dmoa(*line.split())
    assert (status, out) == (2, "")
    assert words in error
