"""Recorded drafts through the real decision code; the drafts here are invented."""

import gzip
import json
import random
import sys
from pathlib import Path
from typing import Any

import pytest

from dmoa.cli import main as cli
from dmoa.errors import UsageError
from dmoa.evaluation.recorded_drafts import Replay, read_rows, replay

pytestmark = pytest.mark.slow

SKILLS = {"big": 0.8, "middle": 0.4, "small": 0.1}


def row(number: int, role: str, rng: random.Random, committee: float | None) -> dict[str, Any]:
    def draft(skill: float) -> str:
        said = number if rng.random() < skill else number + 1 + rng.randrange(5)
        return f"I count them.\n\nAnswer: {said}"

    made: dict[str, Any] = {
        "id": f"x{number}",
        "role": role,
        "kind": "count",
        "question": f"How many stones are in a heap of {number}?",
        "answers": [str(number)],
        "drafts": {m: {"greedy": {"text": draft(s)}, "samples": []} for m, s in SKILLS.items()},
    }
    if committee is not None:
        made["aggregated"] = {m: {"synthesise": draft(committee)} for m in SKILLS}
    return made


def written(path: Path, committee: float | None = None, seed: int = 1) -> Path:
    rng = random.Random(seed)
    rows = [row(10 + i, "exam" if i % 2 else "user", rng, committee) for i in range(300)]
    with gzip.open(path, "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(r) + "\n" for r in rows)
    return path


def test_every_owner_gets_the_best_llm_after_sixty_questions(tmp_path: Path) -> None:
    found = replay(read_rows([written(tmp_path / "drafts.jsonl.gz", committee=0.5)]))
    assert (found["questions"], found["exam_questions"]) == (150, 60)
    assert found["best_single"]["model"] == "big"
    for owner in found["owners"].values():
        assert owner["dmoa"] == found["best_single"]["accuracy"]
        assert owner["inferences"] == 1.0
        assert owner["plans"] == {"big": 1.0}
    assert found["owners"]["small"]["own"] < 30


def test_a_committee_that_is_better_is_taken(tmp_path: Path) -> None:
    found = replay(read_rows([written(tmp_path / "drafts.jsonl.gz", committee=1.0)]))
    for owner in found["owners"].values():
        assert owner["dmoa"] == 100.0
        assert owner["inferences"] == 4.0


def test_answers_of_users_reach_no_decision(tmp_path: Path) -> None:
    rows = read_rows([written(tmp_path / "drafts.jsonl.gz", committee=0.9)])
    users = [place for place, r in enumerate(rows) if not r.exam]
    shuffled = users[:]
    random.Random(2).shuffle(shuffled)
    other = list(rows)
    for place, source in zip(users, shuffled, strict=True):
        r = rows[place]
        other[place] = type(r)(
            r.exam, r.kind, r.question, rows[source].answers, r.drafts, r.committees
        )
    assert [r.answers for r in other] != [r.answers for r in rows]
    for owner in SKILLS:
        before, after = Replay(rows, owner, exams=1000), Replay(other, owner, exams=1000)
        assert after.standings == before.standings
        plans = [(plan, why) for _, plan, why in before.decisions()]
        assert [(plan, why) for _, plan, why in after.decisions()] == plans
    assert replay(other)["owners"]["big"]["dmoa"] < replay(rows)["owners"]["big"]["dmoa"]


def test_drafts_and_kinds_of_users_reach_no_decision(tmp_path: Path) -> None:
    rows = read_rows([written(tmp_path / "drafts.jsonl.gz", committee=0.9)])
    blind = [
        r if r.exam else type(r)(False, "?", r.question, r.answers, dict.fromkeys(r.drafts, ""),
                                 dict.fromkeys(r.committees, ""))
        for r in rows
    ]  # fmt: skip
    for owner in SKILLS:
        before, after = Replay(rows, owner, exams=1000), Replay(blind, owner, exams=1000)
        assert after.standings == before.standings
        assert [plan for _, plan, _ in after.decisions()] == [p for _, p, _ in before.decisions()]


def test_few_examinations_are_no_ground_to_leave_the_own_llm(tmp_path: Path) -> None:
    found = replay(read_rows([written(tmp_path / "drafts.jsonl.gz")]), exams=8)
    for name, owner in found["owners"].items():
        assert owner["plans"] == {name: 1.0}


def test_the_command_prints_one_object(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    one, two = written(tmp_path / "a.jsonl.gz"), written(tmp_path / "b.jsonl.gz", seed=4)
    command = ["dmoa", "eval", "recorded", str(one), str(two), "--json", "--seed", "3"]
    monkeypatch.setattr(sys, "argv", command)
    with pytest.raises(SystemExit, match="0"):
        cli.main()
    out = capfd.readouterr().out
    found = json.loads(out)
    assert out.count("\n") == 1
    assert found["questions"] == 300
    assert {"best_single", "some_right", "owners"} <= found.keys()
    wanted = {"own", "dmoa", "dmoa_half_width", "inferences", "plans"}
    assert all(wanted <= owner.keys() for owner in found["owners"].values())


GOOD = json.dumps(row(5, "exam", random.Random(0), None))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no row of the role 'exam'"),
        (GOOD, "no row of the role 'user'"),
        (f"{GOOD}\nnot json", "line 2: no row of recorded drafts"),
        (f"{GOOD}\n[1]", "line 2: no row of recorded drafts"),
        (GOOD.replace('"role": "exam"', '"role": "test"'), "role 'test' is neither"),
        (f"{GOOD}\n{GOOD.replace('middle', 'medium')}", "line 2: drafts of big, medium, small"),
        (GOOD.replace('"answers": ["5"]', '"answers": []'), "at least one answer"),
        (GOOD.replace('"greedy"', '"first"'), "KeyError"),
    ],
)
def test_bad_files_are_named_by_line(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "drafts.jsonl"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match=says):
        read_rows([path])


def test_a_file_that_is_no_gzip_is_named(tmp_path: Path) -> None:
    path = tmp_path / "drafts.jsonl.gz"
    path.write_text("plain", encoding="utf-8")
    with pytest.raises(UsageError, match="cannot be read"):
        read_rows([path])
