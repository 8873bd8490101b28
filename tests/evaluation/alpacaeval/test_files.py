"""Reading and writing AlpacaEval's files, and what a bad one is told."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmoa.errors import UsageError
from dmoa.formats.alpacaeval import (
    Annotation,
    complaints,
    read_annotations,
    with_baseline,
    write_annotations,
    write_outputs,
)

ROW = {"instruction": "Add 2 and 2.", "output": "4", "generator": "m", "preference": 1.25}
OFFICIAL = {
    "instruction": "Add 2 and 2.",
    "dataset": "koala",
    "output_1": "Four.",
    "generator_1": "base",
    "output_2": "4",
    "generator_2": "m",
    "annotator": "judge",
    "preference": 1.25,
}


def written(folder: Path, content: Any, name: str = "annotations.json") -> Path:
    path = folder / name
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_the_official_json_has_the_model_second(tmp_path: Path) -> None:
    (row,) = read_annotations(written(tmp_path, [OFFICIAL]))
    assert row == Annotation("Add 2 and 2.", "4", "m", 1.25, "koala", "Four.", "base")


def test_json_lines_gzipped_are_known_by_their_contents_not_their_name(tmp_path: Path) -> None:
    path = tmp_path / "anything"
    path.write_bytes(gzip.compress((json.dumps(ROW) + "\n\n" + json.dumps(ROW)).encode()))
    assert read_annotations(path) == [Annotation("Add 2 and 2.", "4", "m", 1.25)] * 2


@pytest.mark.parametrize(
    ("preference", "read"),
    [("0", 1.5), ("0.0", 1.5), ("1", 1.0), ("2", 2.0), ("null", None), ("NaN", None)],
)
def test_a_draw_counts_a_half_and_null_is_no_judgement(
    tmp_path: Path, preference: str, read: float | None
) -> None:
    line = json.dumps(ROW).replace("1.25", preference)
    assert read_annotations(written(tmp_path, line))[0].preference == read


def test_a_missing_preference_is_no_judgement(tmp_path: Path) -> None:
    row = {k: v for k, v in ROW.items() if k != "preference"}
    assert read_annotations(written(tmp_path, [row]))[0].preference is None


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "is empty"),
        ("[]", "is empty"),
        ("not json", "line 1"),
        ('{"instruction": "x", "output": "y"}\n{"instruc', "line 2"),
        ("[3]", "row 1"),
        ([{**ROW, "preference": 2.5}], "2.5"),
        ([{**ROW, "preference": -1}], "-1"),
        ([{**ROW, "preference": True}], "True"),
        ([{**ROW, "preference": "1"}], "'1'"),
        ([{**ROW, "output": None}], "output is 'None'"),
        ([{"output": "y"}], "instruction is 'None'"),
        ([ROW, {**ROW, "generator": "other"}], "mixes the outputs of 2 models"),
        ([{k: v for k, v in OFFICIAL.items() if k != "output_1"}], "output_1"),
    ],
)
def test_a_bad_file_is_refused_with_the_place_and_the_value(
    tmp_path: Path, content: Any, said: str
) -> None:
    with pytest.raises(UsageError, match=said.replace("[", r"\[")):
        read_annotations(written(tmp_path, content))


@pytest.mark.parametrize(
    "raw", [b"\x1f\x8b broken", gzip.compress(b"[]", mtime=0)[:-5], b"\xff\xfe"]
)
def test_bytes_that_are_no_text_are_refused(tmp_path: Path, raw: bytes) -> None:
    path = tmp_path / "file.jsonl.gz"
    path.write_bytes(raw)
    with pytest.raises(UsageError, match="cannot read"):
        read_annotations(path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot read"):
        read_annotations(tmp_path / "absent.json")


def test_the_baseline_is_joined_by_prompt_in_its_own_order() -> None:
    mine = [Annotation("p", "mine p", "m", 1.0), Annotation("q", "mine q", "m", 2.0)]
    base = [Annotation("q", "base q", "b", dataset="koala"), Annotation("p", "base p", "b")]
    joined = with_baseline(mine, base)
    assert [(a.instruction, a.output, a.baseline_output, a.preference) for a in joined] == [
        ("q", "mine q", "base q", 2.0),
        ("p", "mine p", "base p", 1.0),
    ]
    assert (joined[0].dataset, joined[0].baseline) == ("koala", "b")


@pytest.mark.parametrize(
    ("mine", "base", "said"),
    [
        ("pq", "p", "1 only in the model's file, for example 'q'"),
        ("p", "pq", "1 missing in the model's file, for example 'q'"),
        ("pp", "p", "the model's file answers a prompt more than once: 'p'"),
    ],
)
def test_other_prompts_than_the_baselines_are_refused(mine: str, base: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        with_baseline([Annotation(p, "x") for p in mine], [Annotation(p, "y") for p in base])


def test_complaints_count_what_was_left_out_empty_or_repeated() -> None:
    fine = Annotation("p", "x", preference=1.0)
    assert complaints([fine]) == []
    said = " ".join(complaints([fine, fine, Annotation("q", " ", preference=None)]))
    assert "1 of 3 prompts have no preference" in said
    assert "1 outputs are empty" in said
    assert "1 prompts stand more than once" in said


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


@given(st.lists(st.tuples(texts, texts, st.none() | st.floats(1, 2)), min_size=1, max_size=5))
def test_what_is_written_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str, float | None]]
) -> None:
    path = tmp_path_factory.mktemp("round") / "file.json"
    judged = [Annotation(p, out, "m", pref, "d", "base", "b") for p, out, pref in rows]
    write_annotations(path, judged, "judge")
    assert read_annotations(path) == judged
    write_outputs(path, judged)
    assert read_annotations(path) == [Annotation(p, out, "m", None, "d") for p, out, _ in rows]
