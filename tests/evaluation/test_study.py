"""The study of committees with scripted LLMs, on virtual time."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from dmoa.errors import UsageError
from dmoa.evaluation import pocketqa
from dmoa.evaluation.arena import Arena, MemoryArena
from dmoa.evaluation.committees import Study, measure, plurality
from dmoa.evaluation.findings import Findings, findings
from dmoa.evaluation.grid import PAPER_ROWS, Row, Way, alone, methods_of, rows_of
from dmoa.evaluation.intervals import Interval
from dmoa.evaluation.outcomes import opened
from dmoa.llm.scripted import ScriptedLLM
from dmoa.protocol.conversation import Message
from tests.virtual import run_virtual


class School:
    """LLMs of which number m knows every fourth question, and all know a right draft."""

    def __init__(self, study: Study) -> None:
        self.asked = 0
        self.answers = {q.text: (i, q.answer) for i, q in enumerate(study.asked)}
        self.llms = study.llms

    def llm(self, name: str) -> ScriptedLLM:
        def respond(messages: Sequence[Message]) -> str:
            self.asked += 1
            number, right = self.answers[messages[-1].content]
            told = any(f">\n{right}." in m.content for m in messages[:-1])
            knows = number % len(self.llms) == self.llms.index(name)
            return f"{right}." if told or knows else f"wrong of {name}."

        return ScriptedLLM(lambda: 1.0, respond, name=name)

    async def open(self, names: Sequence[str]) -> Arena:
        return await MemoryArena.open([self.llm(name) for name in names])


def run(study: Study, path: Path, tell: Any = lambda share: None) -> tuple[Findings, int]:
    school = School(study)
    with opened(path, study.settings()) as outcomes:
        best = run_virtual(measure(study, outcomes, school.open, tell))
        return findings(study, outcomes, best), school.asked


@pytest.mark.slow
def test_a_study_measures_rows_and_baselines(tmp_path: Path) -> None:
    study = Study(64, 3, rows=(Row(0, 0), Row(1, 1), Row(1, 3)))
    found, _ = run(study, tmp_path / "o.jsonl")
    rows = {(r.team, r.layers, r.proposers): r for r in found.rows}
    assert set(rows) == {(t, *r) for t in ("same", "diverse") for r in ((0, 0), (1, 1), (1, 3))}
    whole = rows["diverse", 1, 3]
    assert whole.accuracy == Interval(100.0, 100.0, 100.0)
    assert whole.tasks == whole.spent == 5
    assert whole.drafts is not None
    assert whole.drafts.some_right.accuracy.mean == 100.0
    # Equal LLMs know no more together than one of them.
    assert rows["same", 1, 3].accuracy == rows["same", 0, 0].accuracy
    assert rows["same", 0, 0].accuracy.mean == 25.0
    assert set(whole.against) == {
        "own", "own, greedy", "best", "best, greedy", "own, voted", "best, voted", "all, voted",
        "self-moa",
    }  # fmt: skip
    assert {b.tasks for b in whole.against.values()} == {1, 5}
    assert whole.against["self-moa"].accuracy.mean == 25.0
    assert whole.against["own"].difference.mean == 75.0


def test_latency_and_queue_are_those_of_the_devices(tmp_path: Path) -> None:
    study = Study(16, 3, rows=(Row(0, 0), Row(1, 1)), teams=("diverse",), baselines=False)
    found, _ = run(study, tmp_path / "o.jsonl")
    alone_row, committee = found.rows
    # Service takes 1 s; users who ask only themselves never wait.
    assert alone_row.service == pytest.approx(1.0)
    assert alone_row.latency == pytest.approx(1.0, abs=1e-3)
    assert alone_row.queue == pytest.approx(0.0, abs=1e-3)
    assert committee.latency > 2.0
    assert committee.queue > 0
    assert committee.burst.latency.mean > alone_row.burst.latency.mean


@pytest.mark.slow
def test_a_poisson_stream_waits_more_the_faster_it_comes(tmp_path: Path) -> None:
    latency = []
    for rate in (0.01, 0.3):
        study = Study(80, 3, rows=(Row(1, 1),), teams=("diverse",), baselines=False, rate=rate)
        found, _ = run(study, tmp_path / f"{rate}.jsonl")
        latency.append(found.rows[0].latency)
    assert 2.0 <= latency[0] < 2.3 < latency[1]


def test_an_interrupted_run_pays_for_nothing_twice(tmp_path: Path) -> None:
    study = Study(16, 3, rows=(Row(1, 2),))
    whole, asked = run(study, tmp_path / "whole.jsonl")

    class Interrupted(Exception):
        pass

    told: list[float] = []

    def stop(share: float) -> None:
        told.append(share)
        if len(told) == 90:
            raise Interrupted

    path = tmp_path / "o.jsonl"
    with pytest.raises(Interrupted):
        run(study, path, stop)
    path.write_bytes(path.read_bytes() + b'{"team":"half a li')
    kept = len(path.read_text(encoding="utf-8").splitlines()) - 2
    assert kept >= 90
    again, asked_again = run(study, path)
    assert asked_again < asked
    for mine, other in zip(whole.rows, again.rows, strict=True):
        assert mine.accuracy == other.accuracy
        assert mine.against == other.against
    assert run(study, path)[1] == 0


def test_more_questions_continue_the_same_file(tmp_path: Path) -> None:
    path = tmp_path / "o.jsonl"
    _, first = run(Study(8, 3, rows=(Row(1, 1),), teams=("diverse",), baselines=False), path)
    _, more = run(Study(12, 3, rows=(Row(1, 1),), teams=("diverse",), baselines=False), path)
    assert (first, more) == (8 * 4, 4 * 4)


def test_every_device_gets_every_kind_of_question() -> None:
    study = Study(320, 1)
    kinds = {(study.owner_of(i), q.group) for i, q in enumerate(study.asked)}
    assert len(kinds) == 4 * 5


def test_votes_count_answers_not_words() -> None:
    assert plurality(["a, I am sure.", "b.", "b, but I am not sure."]) == "b"
    assert plurality(["a.", "b."]) == "a"


def test_ways_have_names_and_costs() -> None:
    assert [row.tasks for row in PAPER_ROWS] == [1, 3, 4, 5, 7, 5, 9]
    assert Way(Row(1, 3), "select").name == "m1-k3-select"
    assert Way(Row(1, 3), "select").tasks == 4
    assert alone(greedy=True).name == "m0-k0-greedy"
    assert alone(2).name == "m0-k0#2"
    assert rows_of("m1-k3, 2-1", 4) == [Row(1, 3), Row(2, 1)]


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ("m1-k4", "there are 3"),
        ("m1-k", "m1-k3,m2-k3"),
        ("", "is no row"),
        ("m0-k2", "nobody else is asked"),
        ("m1-k0", "no committee"),
        ("m9-k1", "at most 8"),
    ],
)
def test_rows_that_cannot_be_are_refused(rows: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        rows_of(rows, 4)


def test_unknown_methods_are_refused() -> None:
    with pytest.raises(UsageError, match="'guess' is none of synthesise, select, vote"):
        methods_of("vote,guess")


def test_questions_are_of_the_held_out_forms() -> None:
    study = Study(10, 5)
    assert study.asked == pocketqa.questions(10, 5)
