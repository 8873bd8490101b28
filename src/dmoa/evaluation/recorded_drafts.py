"""Recorded drafts of real LLMs through the real decision code: what `dmoa` would have answered.

Rows of the role `exam` are what examinations may see: some of them give each device's and each
plan's outcomes. Rows of the role `user` are then answered by the plan that is decided on from
their question alone, by looking up what was recorded; their answers serve for grading only.
"""

import gzip
import json
import math
import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dmoa.errors import UsageError
from dmoa.policies.plans import Plan, choosing, committee
from dmoa.selection import consensus
from dmoa.standings.decision import Card, View, decide_idle, plan_subject, view
from dmoa.standings.grading import final_statements, is_right
from dmoa.standings.outcomes import Outcome, Standings
from dmoa.standings.topics import Topics

EXAMS = 60
"""Questions that each device is examined by, unless more are asked for."""
VOTERS = 3
"""Devices whose drafts are chosen from, at most."""
LINE_BYTES = 4 * 2**20
_NORMAL = 1.96
_RECORDED_COMMITTEE = "synthesise"


@dataclass(frozen=True)
class Row:
    """One question with what was recorded.

    Attributes:
        exam: whether examinations may see its answers; otherwise a user's.
        kind: what it is about; used as the topic of examinations only.
        drafts: each model's greedy answer.
        committees: by the aggregating model, the answer from one draft of every model.
        samples: each model's first sampled answer, where there is one.
    """

    exam: bool
    kind: str
    question: str
    answers: tuple[str, ...]
    drafts: Mapping[str, str]
    committees: Mapping[str, str]
    samples: Mapping[str, str] = field(default_factory=dict)


def read_rows(paths: Sequence[Path]) -> list[Row]:
    """Rows of one or more files (JSON lines, plain or `.gz`), in order.

    Raises:
        UsageError: a file cannot be read, a line is not a row, its models are not those of the
            first row, or there are no rows of one of the roles; names file and line.
    """
    rows: list[Row] = []
    for path in paths:
        for place, line in _lines(path):
            row = _row(line, f"{path}, line {place}")
            if rows and row.drafts.keys() != rows[0].drafts.keys():
                raise UsageError(
                    f"{path}, line {place}: drafts of {', '.join(row.drafts)}; the rows before"
                    f" have drafts of {', '.join(rows[0].drafts)}"
                )
            rows.append(row)
    for exam, role in ((True, "exam"), (False, "user")):
        if not any(row.exam is exam for row in rows):
            raise UsageError(f"no row of the role {role!r} in {', '.join(map(str, paths))}")
    return rows


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    opened = gzip.open if path.suffix == ".gz" else open
    try:
        with opened(path, "rb") as file:
            place = 0
            while line := file.readline(LINE_BYTES + 1):
                place += 1
                if len(line) > LINE_BYTES:
                    raise UsageError(
                        f"{path}, line {place}: longer than {LINE_BYTES} bytes; is it JSON lines?"
                    )
                if line.strip():
                    yield place, line
    except (OSError, EOFError) as error:
        raise UsageError(f"{path} cannot be read: {error}") from error


def _row(line: bytes, where: str) -> Row:
    try:
        found = json.loads(line)
        drafts = {str(model): str(d["greedy"]["text"]) for model, d in found["drafts"].items()}
        committees = {
            str(model): str(texts[_RECORDED_COMMITTEE])
            for model, texts in (found.get("aggregated") or {}).items()
            if _RECORDED_COMMITTEE in texts
        }
        samples = {
            str(model): str(d["samples"][0]["text"])
            for model, d in found["drafts"].items()
            if d.get("samples")
        }
        role, answers = found["role"], tuple(str(answer) for answer in found["answers"])
        row = Row(
            role == "exam",
            str(found.get("kind", "")),
            str(found["question"]),
            answers,
            drafts,
            committees,
            samples,
        )
    except (ValueError, TypeError, AttributeError, LookupError) as error:
        raise UsageError(
            f"{where}: no row of recorded drafts ({type(error).__name__}: {error}); it needs role,"
            " question, answers, and for each model drafts with a greedy text"
        ) from error
    if role not in ("exam", "user"):
        raise UsageError(f"{where}: role {role!r} is neither exam nor user")
    if not answers or not drafts:
        raise UsageError(f"{where}: a row needs at least one answer and one model")
    return row


def recorded(row: Row, plan: Plan) -> str | None:
    """What a plan would have answered; None if that was not recorded."""
    if plan.method == "alone":
        return row.drafts[plan.aggregator]
    if plan.method == "synthesise":
        return row.committees.get(plan.aggregator)
    drafts = [row.drafts[device] for device in plan.devices]
    if plan.method == "vote":
        bare = [(final_statements(draft) or [""])[0] for draft in drafts]
        return drafts[consensus.vote(bare)]
    return drafts[consensus.select(drafts)]


@dataclass
class Replay:
    """One owner's side of a network whose devices have the recorded models.

    Args:
        rows: of `read_rows`.
        owner: model of the own device.
        exams: questions a device, at most.
        seed: of which questions are asked.
    """

    rows: Sequence[Row]
    owner: str
    exams: int = EXAMS
    seed: int = 0

    def __post_init__(self) -> None:
        self.cards = {m: Card(m, m, m) for m in self.rows[0].drafts}
        self.standings = Standings()
        self.examined = self._draw()
        self.topics = Topics((row.question, row.kind) for row in self.examined)
        for at, row in enumerate(self.examined):
            for model, draft in row.drafts.items():
                self._note(self.cards[model].subject, at, row, draft)
        self.plans = self._plans()
        for at, row in enumerate(self.examined):
            for plan in self.plans:
                if (text := recorded(row, plan)) is not None:
                    self._note(plan_subject(plan, self.cards), at, row, text)
        self.view: View = view(
            self.standings, self.owner, self.cards.values(), float(len(self.examined)), self.plans
        )

    def _draw(self) -> list[Row]:
        exam = [row for row in self.rows if row.exam]
        return random.Random(self.seed).sample(exam, min(self.exams, len(exam)))

    def _note(self, subject: str, at: int, row: Row, text: str) -> None:
        right = is_right(text, row.answers)
        self.standings.note(subject, Outcome(at, row.kind, right, float(at)))

    def _plans(self) -> list[Plan]:
        """Plans of several devices that were recorded: committees of all, choices of the best."""
        rights = {m: self.standings.record(card.subject).right() for m, card in self.cards.items()}
        ranked = sorted(rights, key=lambda model: -rights[model])
        everyone = [self.owner, *(model for model in self.cards if model != self.owner)]
        # A committee is a candidate only where every user's question has its answer.
        aggregators = [
            model
            for model in dict.fromkeys((self.owner, ranked[0]))
            if all(model in row.committees for row in self.rows)
        ]
        plans = [committee(1, everyone, model) for model in aggregators if len(everyone) > 1]
        if len(ranked) >= VOTERS:
            plans += [choosing(ranked[:VOTERS], "vote"), choosing(ranked[:VOTERS], "select")]
        return plans

    def decisions(self) -> list[tuple[Row, Plan, str]]:
        """Each user's question, its plan, and why. Answers of the rows are not looked at."""
        found = []
        for row in self.rows:
            if not row.exam:
                decision = decide_idle(self.view, topic=self.topics.guess(row.question))
                found.append((row, decision.plan, decision.why))
        return found

    def exam_inferences(self) -> int:
        """Inferences that the examinations took."""
        each = len(self.cards) + sum(plan.inferences for plan in self.plans)
        return len(self.examined) * each


def replay(rows: Sequence[Row], exams: int = EXAMS, seed: int = 0) -> dict[str, Any]:
    """Every owner's side: the object that `dmoa eval recorded --json` prints.

    Args:
        rows: of `read_rows`.
        exams: questions that each device is examined by, at most.
        seed: of which questions are asked.
    """
    users = [row for row in rows if not row.exam]
    models = list(rows[0].drafts)
    rights = {m: [is_right(row.drafts[m], row.answers) for row in users] for m in models}
    best = max(models, key=lambda model: sum(rights[model]))
    owners = {}
    for owner in models:
        side = Replay(rows, owner, exams, seed)
        owners[owner] = _side(side, rights[owner], rights[best])
    return {
        "questions": len(users),
        "exam_questions": len(side.examined),
        "best_single": {"model": best, "accuracy": _percent(rights[best])},
        "some_right": _percent([any(row) for row in zip(*rights.values(), strict=True)]),
        "owners": owners,
        "seed": seed,
    }


def _side(side: Replay, own: Sequence[bool], best: Sequence[bool]) -> dict[str, Any]:
    decided = side.decisions()
    right = [is_right(recorded(row, plan) or "", row.answers) for row, plan, _ in decided]
    shares = Counter(plan_name(plan) for _, plan, _ in decided)
    why = Counter(why for _, _, why in decided).most_common(1)[0][0]
    return {
        "own": _percent(own),
        "dmoa": _percent(right),
        "dmoa_half_width": _half_width([float(r) for r in right]),
        "inferences": round(sum(plan.inferences for _, plan, _ in decided) / len(decided), 4),
        "plans": {name: round(n / len(decided), 4) for name, n in shares.most_common()},
        "against_best": _difference(right, best),
        "against_own": _difference(right, own),
        "exam_inferences": side.exam_inferences(),
        "why": why,
    }


def plan_name(plan: Plan) -> str:
    """A plan in a word or three."""
    if plan.method == "alone":
        return plan.aggregator
    if plan.method == "synthesise":
        return f"m{plan.layers}-k{plan.proposers} by {plan.aggregator}"
    return f"{plan.method} of {len(plan.devices)}"


def _percent(values: Sequence[bool]) -> float:
    return round(100 * sum(values) / len(values), 4)


def _half_width(values: Sequence[float]) -> float:
    """Of the 95 % interval of a mean over questions, in percent, by the normal law."""
    n = len(values)
    mean = sum(values) / n
    spread = math.sqrt(sum((v - mean) ** 2 for v in values) / max(1, n - 1) / n)
    return round(100 * _NORMAL * spread, 4)


def _difference(one: Sequence[bool], two: Sequence[bool]) -> dict[str, float]:
    """In points, paired by question."""
    differences = [float(a) - float(b) for a, b in zip(one, two, strict=True)]
    mean = 100 * sum(differences) / len(differences)
    return {"mean": round(mean, 4), "half_width": _half_width(differences)}
