"""Results files, intervals, and times computed by hand."""

from pathlib import Path

import msgspec
import numpy as np
import pytest

from dmoa.errors import UsageError
from dmoa.evaluation.committees import plurality
from dmoa.evaluation.findings import last_drafts
from dmoa.evaluation.intervals import Bootstrap, Interval
from dmoa.evaluation.outcomes import GradedAnswer, Inference, opened
from dmoa.evaluation.timing import as_burst, as_run


class Settings(msgspec.Struct):
    """Of some experiment."""

    seed: int = 0


def outcome(number: int = 0, **changes: object) -> GradedAnswer:
    values: dict[str, object] = {
        "team": "diverse", "way": "m1-k1", "question": number, "owner": 0, "answer": "x",
        "right": True, "tasks": 3, "prompt_tokens": 1, "completion_tokens": 1, "session": 1,
        "started": 0.0, "seconds": 2.0, "layers": [[Inference(0, 0.0, 1.0)]],
    }  # fmt: skip
    return GradedAnswer(**{**values, **changes})  # type: ignore[arg-type]


def test_outcomes_survive(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "o.jsonl"
    with opened(path, Settings(1)) as outcomes:
        outcomes.add(outcome(4))
    with opened(path, Settings(1)) as outcomes:
        assert outcomes.session == 2
        assert outcomes["diverse", "m1-k1", 4] == outcome(4)
        assert len(outcomes) == 1


def test_another_experiments_file_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "o.jsonl"
    with opened(path, Settings(1)):
        pass
    before = path.read_bytes()
    with pytest.raises(UsageError, match="its seed is 1, not 2"), opened(path, Settings(2)):
        pass
    assert path.read_bytes() == before


@pytest.mark.parametrize("line", ["{", "[]", '{"team": "x"}', "\xff"])
def test_a_broken_line_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "o.jsonl"
    with opened(path, Settings()) as outcomes:
        outcomes.add(outcome(1))
    with path.open("a", encoding="latin-1") as file:
        file.write(f"{line}\n")
    with pytest.raises(UsageError, match=r"line 3 is no outcome"), opened(path, Settings()):
        pass


def test_a_foreign_file_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "o.jsonl"
    for text in ("hello\n", '{"a": 1}\n', "no end of line"):
        path.write_text(text, encoding="utf-8")
        with pytest.raises(UsageError, match="use another --out"), opened(path, Settings()):
            pass
        assert path.read_text(encoding="utf-8") == text


def test_two_runs_do_not_write_one_file(tmp_path: Path) -> None:
    path = tmp_path / "o.jsonl"
    with (
        opened(path, Settings()),
        pytest.raises(UsageError, match="another run writes"),
        opened(path, Settings()),
    ):
        pass


def test_times_as_run() -> None:
    # Two answers in the first session (0 to 4 s), one in the second (1 to 3 s): 6 s observed.
    outcomes = [
        outcome(0, seconds=3.0, layers=[[Inference(0, 1.0, 1.0), Inference(1, 0.0, 2.0)]]),
        outcome(1, started=1.0, seconds=3.0, layers=[[Inference(0, 2.0, 1.0)]]),
        outcome(2, started=1.0, session=2, layers=[[Inference(1, 0.0, 2.0)]]),
    ]
    times = as_run(outcomes, devices=2)
    assert times.latency == pytest.approx(8 / 3)
    assert times.queue == pytest.approx(3 / 6 / 2)
    assert times.service == pytest.approx(6 / 4)


def test_a_burst_on_one_device_is_a_line() -> None:
    # Ten tasks of 46 s on one device, arriving about 1 s apart: the paper's load.
    burst = as_burst([outcome(layers=[[Inference(0, 0.0, 46.0)]])], seed=1, draws=400)
    # Each waits for those before it: 46 (1 + ... + 10) / 10 minus its arrival, 5.5 on average.
    assert burst.latency.mean == pytest.approx(46 * 5.5 - 5.5, rel=0.01)
    assert burst == as_burst([outcome(layers=[[Inference(0, 0.0, 46.0)]])], seed=1, draws=400)


@pytest.mark.slow
def test_intervals_cover_the_truth_as_often_as_they_say() -> None:
    random = np.random.default_rng(5)
    covered = 0
    for seed in range(300):
        interval = Bootstrap(150, seed, resamples=400).percent(random.random(150) < 0.6)
        covered += interval.low <= 60 <= interval.high
    # 95 % of 300, three standard deviations of the count, and the percentile method's own lack.
    assert 270 <= covered <= 297


def test_equal_rows_differ_by_nothing() -> None:
    bits = np.arange(40) % 2
    assert Bootstrap(40, 1).percent(bits - bits) == Interval(0.0, 0.0, 0.0)


def test_the_last_drafts_of_layers_in_which_devices_failed() -> None:
    def texts(layers: list[list[str]], M: int) -> list[str]:
        made = [[Inference(d, 0.0, 1.0, t) for d, t in enumerate(layer)] for layer in layers]
        return [draft.text for draft in last_drafts(outcome(layers=made), M)]

    assert texts([["a", "b"], ["c", "d"], ["answer"]], 2) == ["c", "d"]
    assert texts([["a"], ["answer"]], 1) == ["a"]  # only the owner's own LLM proposed
    assert texts([["a", "b"], [], ["answer"]], 2) == ["a", "b"]
    assert texts([[], ["answer"]], 1) == []
    assert plurality([]) == ""
