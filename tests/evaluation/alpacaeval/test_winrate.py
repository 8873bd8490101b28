"""Win rates, the length-controlled one, and `dmoa score`."""

import csv
import json
import math
import random
import statistics
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from dmoa.cli.main import app, main
from dmoa.errors import UsageError
from dmoa.evaluation.alpacaeval import write_annotations, write_outputs
from dmoa.evaluation.winrate import (
    TABLE_COLUMNS,
    NoLengthControl,
    length_controlled_win_rate,
    win_rate,
)
from dmoa.llm.annotations import Annotation


def test_a_worked_example() -> None:
    # wins 0, 1, 1/2: mean 1/2, sd 1/2, over sqrt(3)
    score = win_rate([1.0, 2.0, 0.0, None])
    assert (score.win_rate, score.n) == (50.0, 3)
    assert score.standard_error == pytest.approx(50 / math.sqrt(3))


def test_numbers_that_do_not_exist_are_none() -> None:
    assert win_rate([None]).win_rate is None
    assert win_rate([2.0]).standard_error is None


@given(st.lists(st.floats(1, 2) | st.just(0.0), min_size=2, max_size=30))
def test_win_rate_and_its_mirror_image_add_to_100(preferences: list[float]) -> None:
    score, mirror = win_rate(preferences), win_rate([0 if p == 0 else 3 - p for p in preferences])
    assert score.win_rate is not None
    assert mirror.win_rate is not None
    assert score.win_rate + mirror.win_rate == pytest.approx(100)
    assert score.standard_error == pytest.approx(mirror.standard_error, abs=1e-9)


def benchmark(n: int = 60, seed: int = 1) -> list[Annotation]:
    """A model that wins half of the prompts, by writing more."""
    rng = random.Random(seed)
    rows = []
    for i in range(n):
        extra = rng.randint(-400, 400)
        preference = 1 + 1 / (1 + math.exp(-extra / 100))
        rows.append(Annotation(f"p{i}", "x" * (500 + extra), "m", preference, "", "y" * 500, "b"))
    return rows


def gamed_table(path: Path, n: int = 60, seed: int = 2) -> Path:
    """A made-up table of the shape of `df_gamed.csv`."""
    rng = random.Random(seed)
    with path.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(TABLE_COLUMNS)
        for model, sign in (("concise", -1), ("verbose", 1)):
            for i in range(n):
                delta = sign * abs(rng.gauss(0, 1))
                table.writerow([i, model, 1 / (1 + math.exp(delta)), delta, (i % 7) - 3, False])
    return path


def test_length_control_takes_out_what_length_alone_won(tmp_path: Path) -> None:
    pytest.importorskip("alpaca_eval", reason="the extra `eval` is not installed")
    rows = [a for a in benchmark() if len(a.output) > 500] * 2
    rows = [replace(a, instruction=f"p{i}") for i, a in enumerate(rows)]
    plain = win_rate(a.preference for a in rows).win_rate
    controlled = length_controlled_win_rate(rows, gamed_table(tmp_path / "g.csv", len(rows)))
    assert plain is not None
    assert 0 <= controlled < plain


@pytest.fixture
def package(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A stand-in for alpaca-eval and pandas, to see what ours asks of them."""
    glm = ModuleType("alpaca_eval.metrics.glm_winrate")

    def fetch(**_: str) -> str:
        raise ConnectionError("no such host")

    def score(frame: dict[str, list[Any]], save_weights_dir: None) -> dict[str, float]:
        table = glm.hf_hub_download(filename="df_gamed.csv")
        print("chatter of the package")
        lines = Path(table).read_text().splitlines()
        return {"length_controlled_winrate": float(len(lines) + len(frame["output_1"]))}

    glm.hf_hub_download = fetch  # type: ignore[attr-defined]
    glm.get_length_controlled_winrate = score  # type: ignore[attr-defined]
    pandas = ModuleType("pandas")
    pandas.DataFrame = dict  # type: ignore[attr-defined]
    pandas.read_csv = _Table  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pandas", pandas)
    monkeypatch.setitem(sys.modules, "alpaca_eval", ModuleType("alpaca_eval"))
    monkeypatch.setitem(sys.modules, "alpaca_eval.metrics", ModuleType("alpaca_eval.metrics"))
    monkeypatch.setitem(sys.modules, "alpaca_eval.metrics.glm_winrate", glm)
    return glm


class _Table:
    """As much of a data frame as the check of a table looks at."""

    def __init__(self, path: Path) -> None:
        with path.open() as file:
            self._rows = list(csv.DictReader(file))
        self.columns = list(self._rows[0]) if self._rows else []
        self._column = ""

    def __getitem__(self, column: str) -> "_Table":
        self._column = column
        return self

    def nunique(self) -> int:
        return len({row[self._column] for row in self._rows})


def test_a_local_table_is_handed_to_the_package_and_the_hub_left_alone(
    package: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fetch = package.hf_hub_download
    table = gamed_table(tmp_path / "g.csv")
    assert length_controlled_win_rate(benchmark(), table) == 121 + 60
    assert package.hf_hub_download is fetch
    assert capsys.readouterr().out == ""


def test_without_the_hub_the_reason_says_how_to_give_the_table(package: ModuleType) -> None:
    assert package
    with pytest.raises(NoLengthControl, match="--gamed FILE"):
        length_controlled_win_rate(benchmark())


@pytest.mark.usefixtures("package")
def test_a_wrong_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="table of 7 prompts, the annotations have 60"):
        length_controlled_win_rate(benchmark(), gamed_table(tmp_path / "g.csv", 7))
    bad = tmp_path / "bad.csv"
    bad.write_text("index,model\n1,m\n")
    with pytest.raises(UsageError, match="lacks the columns"):
        length_controlled_win_rate(benchmark(), bad)


def test_without_the_package_the_reason_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "alpaca_eval", None)
    with pytest.raises(NoLengthControl, match="eval"):
        length_controlled_win_rate(benchmark())


def test_score_prints_one_json_object_and_reports_on_stderr(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "alpaca_eval", None)
    rows = [*benchmark(5), Annotation("unjudged", "x", "m", None, "", "y", "b")]
    write_annotations(tmp_path / "a.json", rows, "judge")
    result = CliRunner().invoke(app, ["score", str(tmp_path / "a.json"), "--json"])
    assert result.exit_code == 0
    said = json.loads(result.stdout)
    wins = [(a.preference or 0) - 1 for a in rows[:5]]
    assert said == {
        "win_rate": pytest.approx(100 * statistics.fmean(wins)),
        "standard_error": pytest.approx(100 * statistics.stdev(wins) / math.sqrt(5)),
        "n": 5,
        "length_controlled_win_rate": None,
    }
    assert "1 of 6 prompts have no preference" in result.stderr
    assert "length-controlled" in result.stderr


def test_score_says_the_win_rate_in_words(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "alpaca_eval", None)
    write_annotations(tmp_path / "a.json", benchmark(5), "judge")
    result = CliRunner().invoke(app, ["score", str(tmp_path / "a.json")])
    assert "(standard error) over 5 prompts" in result.stdout
    write_outputs(tmp_path / "outputs.json", benchmark(5))
    result = CliRunner().invoke(app, ["score", str(tmp_path / "outputs.json")])
    assert "no prompt is judged" in result.stdout


def test_score_of_a_bad_file_exits_2(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.json").write_text("nonsense")
    monkeypatch.setattr(sys, "argv", ["dmoa", "score", str(tmp_path / "a.json"), "--json"])
    with pytest.raises(SystemExit) as exit_:
        main()
    assert exit_.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "a.json, line 1" in err
