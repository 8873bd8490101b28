"""`dmoa eval` as a script uses it; one small run with the pocket LLMs."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from dmoa.cli import main as cli
from dmoa.llm.annotations import read_annotations

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def dmoa(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """Run a command line; returns exit status, stdout, stderr."""

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["dmoa", *map(str, arguments)])
        status = 0
        try:
            cli.main()
        except SystemExit as stop:
            status = int(stop.code or 0)
        out, err = capfd.readouterr()
        return status, out, err

    return run


def test_pocket_llms_answer_together(dmoa: Run, tmp_path: Path) -> None:
    command = [
        *("eval", "pocketqa", "--questions", 16, "--seed", 11, "--rows", "m0-k0,m1-k3"),
        *("--teams", "diverse", "--no-baselines", "--out", tmp_path, "--json"),
    ]
    status, out, err = dmoa(*command)
    assert status == 0, err
    found = json.loads(out)
    assert out.count("\n") == 1
    own, committee = found["rows"]
    assert (own["spent"], committee["spent"]) == (1, 5)
    assert committee["accuracy"]["mean"] > own["accuracy"]["mean"]
    assert committee["latency"] > own["latency"] > 0
    assert json.loads((tmp_path / "result.json").read_text(encoding="utf-8")) == found
    assert (tmp_path / "pareto.svg").stat().st_size > 1000
    status, again, err = dmoa(*command)
    assert json.loads(again) == found
    assert "has 32 answers" in " ".join(err.split())


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--rows", "m1-k4"], "k = 4 other devices"),
        (["--rows", "big"], "'big' is no row"),
        (["--teams", "mixed"], "'mixed' is none of same, diverse"),
        (["--method", "guess"], "'guess' is none of"),
        (["--live", "--hide-confidence"], "leave out --live"),
    ],
)
def test_bad_flags_end_with_2(dmoa: Run, flags: list[str], says: str) -> None:
    status, out, err = dmoa("eval", "pocketqa", *flags)
    assert (status, out) == (2, "")
    assert says in err


def test_a_broken_results_file_ends_with_2(dmoa: Run, tmp_path: Path) -> None:
    (tmp_path / "outcomes.jsonl").write_text("something else\n", encoding="utf-8")
    status, _, err = dmoa("eval", "pocketqa", "--questions", 4, "--out", tmp_path)
    assert status == 2
    assert "outcomes.jsonl, line 1 is no outcome" in err


def test_the_papers_tables_stand_beside_ours(dmoa: Run) -> None:
    status, out, err = dmoa("reproduce", "tables", "--draws", 2, "--json")
    assert status == 0, err
    found = json.loads(out)["pocketqa"]
    first, second = found["I"], found["II"]
    assert len(first) == len(second) == 7
    assert first[0]["published"]["accuracy"] == 21.91
    assert second[-1]["published"]["accuracy"] == 55.55
    assert first[0]["accuracy"] == second[0]["accuracy"]  # nobody else is asked
    for row in first:
        latency = row["burst"]["latency"]
        # The paper's ten prompts are one of our bursts, in units of a service.
        assert (
            latency["p5"] / row["service"] * 0.9
            < row["published"]["latency_in_services"]
            < latency["p95"] / row["service"] * 1.1
        )
    status, out, _ = dmoa("reproduce", "tables", "--draws", 2)
    assert "ANOTHER task" in out


# --- recorded models -------------------------------------------------------------------------

PROMPTS = [f"Why is number {i} what it is?" for i in range(6)]


def record(folder: Path, model: str, preference: float | None, prompts: list[str]) -> None:
    rows = [
        {
            "instruction": prompt,
            "output": f"{model} says that {prompt} is a good question, and so on.",
            "generator": model,
            "dataset": "made up",
            "preference": preference,
        }
        for prompt in prompts
    ]
    (folder / f"{model}.json").write_text(json.dumps(rows), encoding="utf-8")


def test_recorded_models_are_chosen_from(dmoa: Run, tmp_path: Path) -> None:
    folder, out = tmp_path / "recorded", tmp_path / "out"
    folder.mkdir()
    record(folder, "good", 1.9, PROMPTS)
    record(folder, "fair", 1.5, PROMPTS[::-1])
    record(folder, "poor", 1.2, PROMPTS)
    record(folder, "unjudged", None, PROMPTS)
    (folder / "README.md").write_text("no outputs", encoding="utf-8")
    status, text, err = dmoa("eval", "alpacaeval", "--recorded", folder, "--out", out, "--json")
    assert status == 0, err
    assert "unjudged is left out" in err
    found = json.loads(text)
    assert found["best"] == "good"
    rows = {row["name"]: row for row in found["rows"]}
    assert rows["good"]["win_rate"] == pytest.approx(90)
    assert rows["random draft"]["win_rate"] == pytest.approx((90 + 50 + 20) / 3)
    assert rows["oracle"]["difference"] == {"mean": 0.0, "low": 0.0, "high": 0.0}
    assert rows["dmoa-m1-k2-select"]["tasks"] == 3
    assert 20 <= rows["dmoa-m1-k1-select"]["win_rate"] <= 90
    written = read_annotations(out / "m1-k2-select-fair.json")
    assert [row.instruction for row in written] == PROMPTS[::-1]
    assert {row.generator for row in written} == {"dmoa-m1-k2-select"}
    _, again, err = dmoa("eval", "alpacaeval", "--recorded", folder, "--out", out, "--json")
    assert json.loads(again) == found


def test_bad_recorded_folders_end_with_2(dmoa: Run, tmp_path: Path) -> None:
    def fails(*flags: object) -> str:
        status, out, err = dmoa("eval", "alpacaeval", "--recorded", *flags, "--out", tmp_path / "o")
        assert (status, out) == (2, "")
        return " ".join(err.split())

    empty = tmp_path / "empty"
    assert "is no folder" in fails(empty)
    empty.mkdir()
    assert "has 0 models" in fails(empty)
    record(empty, "good", 1.9, PROMPTS)
    assert "has 1 models" in fails(empty)
    record(empty, "half", 1.9, PROMPTS[:3])
    assert "does not answer the same prompts" in fails(empty)
    record(empty, "half", 1.9, PROMPTS)
    assert "has 2 layers" in fails(empty, "--rows", "m2-k1")
    assert "there are 1" in fails(empty, "--rows", "m1-k2")
    assert "has no other" in fails(empty, "--models", "good,other")
    record(empty, "half", None, PROMPTS)
    assert "6 outputs of half are not judged" in fails(empty, "--models", "good,half")
