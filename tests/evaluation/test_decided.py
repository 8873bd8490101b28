"""PocketQA as `dmoa` decides, with LLMs that are scripts, on virtual time."""

from pathlib import Path

import pytest

from dmoa.evaluation import pocketqa
from dmoa.evaluation.committees import Study
from dmoa.evaluation.decided import EXAM_SEED, Decided, DecidedTeam
from dmoa.evaluation.grid import Row
from dmoa.evaluation.outcomes import opened
from tests.evaluation.test_study import School
from tests.virtual import run_virtual

EXAMS = 80


def run(folder: Path, school: School, study: Study) -> dict[str, DecidedTeam]:
    exam = pocketqa.questions(EXAMS, study.seed + EXAM_SEED)
    school.answers |= {q.text: (i, q.answer) for i, q in enumerate(exam)}
    with (
        opened(folder / "examinations.jsonl", study.settings()) as examined,
        opened(folder / "outcomes.jsonl", study.settings()) as outcomes,
    ):
        decided = Decided(study, EXAMS, examined, outcomes, school.open)
        run_virtual(decided.run())
        return decided.findings()


@pytest.mark.slow
def test_both_regimes_are_found_out(tmp_path: Path) -> None:
    study = Study(32, 3, rows=(Row(0, 0),), baselines=False)
    found = run(tmp_path, School(study), study)
    assert found["diverse"].plans == {"m1-k3": 1.0}
    assert found["diverse"].accuracy.mean == 100.0
    assert found["diverse"].inferences == 5.0
    # Equal LLMs know no more together, and are not asked.
    assert found["same"].plans == {"m0-k0": 1.0}
    assert found["same"].inferences == 1.0
    assert found["same"].why.endswith("committees have not been better")


@pytest.mark.slow
def test_nothing_is_asked_twice(tmp_path: Path) -> None:
    study = Study(16, 3, rows=(Row(0, 0),), teams=("diverse",), baselines=False)
    first = run(tmp_path, School(study), study)
    again = School(study)
    assert run(tmp_path, again, study) == first
    assert again.asked == 0


@pytest.mark.slow
def test_what_examinations_cost_is_told(tmp_path: Path) -> None:
    study = Study(16, 3, rows=(Row(0, 0),), teams=("diverse",), baselines=False)
    school = School(study)
    found = run(tmp_path, school, study)["diverse"]
    # The four owners' committees are measured once here; each device would have two measured.
    assert school.asked == EXAMS * (4 + 4 * 5) + 16 * 5
    assert found.exam_inferences == EXAMS * 4 * (4 + 2 * 5)
