"""What the outcomes of a study of committees say: accuracy with intervals, baselines, cost.

All percentages are means over questions with 95 % bootstrap intervals; every comparison is
paired question by question.
"""

import statistics
from collections.abc import Callable, Sequence

import msgspec
from msgspec import UNSET, UnsetType

from dmoa.evaluation import pocketqa
from dmoa.evaluation.committees import Settings, Study, plurality
from dmoa.evaluation.decided import DecidedTeam
from dmoa.evaluation.grid import Row, Way, alone
from dmoa.evaluation.intervals import Bootstrap, Interval
from dmoa.evaluation.outcomes import GradedAnswer, Inference, Outcomes
from dmoa.evaluation.timing import Bursts, as_burst, as_run


class Compared(msgspec.Struct, frozen=True):
    """Percent right by another rule, and what the row has more, in points."""

    accuracy: Interval
    difference: Interval


class Drafts(msgspec.Struct, frozen=True):
    """What the last drafts would have given by other rules."""

    plurality: Compared
    sure_plurality: Compared
    some_right: Compared


class Baseline(msgspec.Struct, frozen=True):
    """Another way to spend inferences, and what the row has more, in points."""

    tasks: int
    accuracy: Interval
    difference: Interval


class RowFindings(msgspec.Struct, frozen=True):
    """One way of asking a team: percent right, cost, times, and what it is compared with.

    Attributes:
        tasks: inferences of a question as planned.
        spent: as they were, on average.
        tokens: of a question on average.
        drafts: None without layers.
        against: baselines by name; empty if they were not measured.
    """

    team: str
    layers: int
    proposers: int
    method: str
    tasks: int
    spent: float
    accuracy: Interval
    tokens: float
    latency: float
    latency_p95: float
    queue: float
    service: float
    burst: Bursts
    drafts: Drafts | None
    against: dict[str, Baseline]


class Single(msgspec.Struct, frozen=True):
    """An LLM alone, percent right: sampled, and greedily."""

    accuracy: Interval
    greedy: Interval


class Step(msgspec.Struct, frozen=True):
    """Two rows compared: inferences and points that the second has more."""

    before: str = msgspec.field(name="from")
    after: str = msgspec.field(name="to")
    tasks: int
    difference: Interval


class Findings(Settings, frozen=True, kw_only=True):
    """All that a study says.

    Attributes:
        temperature: of the LLMs.
        best: the best single LLM, in hindsight; None without baselines.
        singles: every LLM alone, by name; empty without baselines.
        dmoa: what devices decide that examined each other, by team; absent without examinations.
    """

    questions: int
    temperature: str
    best: str | None
    singles: dict[str, Single]
    rows: list[RowFindings]
    steps: list[Step]
    dmoa: dict[str, DecidedTeam] | UnsetType = UNSET


Bits = list[float]
"""Of each question, whether it was answered rightly; a share where several samples count."""


def findings(study: Study, outcomes: Outcomes, best: str | None) -> Findings:
    """All that the outcomes of a study say."""
    found = _Findings(study, outcomes, best)
    rows = [
        found.row(team, way)
        for team in study.teams
        for way in [*([alone()] if Row(0, 0) in study.rows else []), *study.committees]
    ]
    return Findings(
        **msgspec.structs.asdict(study.settings()),
        questions=study.questions,
        temperature="the LLMs' own",
        best=best,
        singles=found.singles() if study.baselines else {},
        rows=rows,
        steps=found.steps(),
    )


class _Findings:
    def __init__(self, study: Study, outcomes: Outcomes, best: str | None) -> None:
        self.study = study
        self.outcomes = outcomes
        self.best = best
        self.questions = study.asked
        self.bootstrap = Bootstrap(study.questions, study.seed)

    # --- one bit a question --------------------------------------------------------------

    def bits(self, team: str, way: Way) -> Bits:
        return [float(bool(o.right)) for o in self.study.of_row(self.outcomes, team, way)]

    def single(self, llm: Callable[[int], str], ways: Sequence[Way]) -> Bits:
        """How often an LLM, which may depend on the question, is right in some ways alone."""
        return [
            statistics.fmean(bool(self.outcomes[llm(i), way.name, i].right) for way in ways)
            for i in range(self.study.questions)
        ]

    def voted(self, answers: Callable[[int], list[str]]) -> Bits:
        """The plurality of some answers."""
        return [
            float(plurality(answers(i)) == question.answer)
            for i, question in enumerate(self.questions)
        ]

    # --- rows ----------------------------------------------------------------------------

    def row(self, team: str, way: Way) -> RowFindings:
        """Accuracy, cost and baselines of one way of asking a team."""
        chosen = self.study.of_row(self.outcomes, team, way)
        bits = self.bits(team, way)
        return RowFindings(
            team=team,
            layers=way.row.layers,
            proposers=way.row.proposers,
            method=way.method,
            tasks=way.tasks,
            spent=statistics.fmean(o.tasks for o in chosen),
            accuracy=self.bootstrap.percent(bits),
            tokens=statistics.fmean(o.prompt_tokens + o.completion_tokens for o in chosen),
            **msgspec.structs.asdict(as_run(chosen, len(self.study.llms))),
            burst=as_burst(chosen, self.study.seed),
            drafts=self._drafts(chosen, way.row.layers, bits) if way.row.layers else None,
            against=self._against(way, bits) if self.study.baselines and way.row.layers else {},
        )

    def _drafts(self, outcomes: Sequence[GradedAnswer], layers: int, bits: Bits) -> Drafts:
        """What the last drafts would have given by other rules, and what the row has more."""
        texts = [[inference.text for inference in last_drafts(o, layers)] for o in outcomes]
        rules: dict[str, Callable[[list[str], pocketqa.Question], bool]] = {
            "plurality": lambda drafts, q: plurality(drafts) == q.answer,
            "sure_plurality": lambda drafts, q: plurality(sure_of(drafts)) == q.answer,
            "some_right": lambda drafts, q: any(pocketqa.is_right(d, q) for d in drafts),
        }
        found = {}
        for name, rule in rules.items():
            by_rule = [float(rule(d, q)) for d, q in zip(texts, self.questions, strict=True)]
            found[name] = Compared(self.bootstrap.percent(by_rule), self._difference(bits, by_rule))
        return Drafts(**found)

    def _against(self, way: Way, bits: Bits) -> dict[str, Baseline]:
        """The baselines of a row: inferences, accuracy, and what the row has more, paired."""
        return {
            name: Baseline(
                tasks, self.bootstrap.percent(baseline), self._difference(bits, baseline)
            )
            for name, (tasks, baseline) in self._baselines(way).items()
        }

    def _baselines(self, way: Way) -> dict[str, tuple[int, Bits]]:
        study, best, tasks = self.study, self.best, way.row.tasks
        assert best is not None
        ways = [alone(sample) for sample in range(study.samples)]
        greedy = [alone(greedy=True)]

        def owner(i: int) -> str:
            return study.llms[study.owner_of(i)]

        def samples(llm: str, i: int, count: int) -> list[str]:
            return [self.outcomes[llm, alone(s).name, i].answer for s in range(count)]

        def everybody(i: int) -> list[str]:
            """Answers of all LLMs in turn, the own one first."""
            n = len(study.llms)
            return [
                self.outcomes[study.llms[(study.owner_of(i) + t) % n], alone(t // n).name, i].answer
                for t in range(tasks)
            ]

        return {
            "own": (1, self.single(owner, ways)),
            "own, greedy": (1, self.single(owner, greedy)),
            "best": (1, self.single(_always(best), ways)),
            "best, greedy": (1, self.single(_always(best), greedy)),
            "own, voted": (tasks, self.voted(lambda i: samples(owner(i), i, tasks))),
            "best, voted": (tasks, self.voted(lambda i: samples(best, i, tasks))),
            "all, voted": (tasks, self.voted(everybody)),
            "self-moa": (
                tasks,
                [
                    float(bool(self.outcomes[best, Way(way.row).name, i].right))
                    for i in range(study.questions)
                ],
            ),
        }

    def _difference(self, more: Bits, less: Bits) -> Interval:
        return self.bootstrap.percent([a - b for a, b in zip(more, less, strict=True)])

    # --- beside the rows -----------------------------------------------------------------

    def singles(self) -> dict[str, Single]:
        """Every LLM alone: sampled, and greedily."""
        ways = [alone(sample) for sample in range(self.study.samples)]
        return {
            llm: Single(
                self.bootstrap.percent(self.single(_always(llm), ways)),
                self.bootstrap.percent(self.single(_always(llm), [alone(greedy=True)])),
            )
            for llm in self.study.llms
        }

    def steps(self) -> list[Step]:
        """Neighbouring rows compared: one more proposer, one more layer, different LLMs."""
        study, ways = self.study, [*self.study.committees]
        if Row(0, 0) in study.rows:
            ways = [Way(Row(0, 0), method) for method in study.methods] + ways
        found = []
        for team in study.teams:
            found += [
                self._step(team, way, team, other)
                for way in ways
                for other in ways
                if way.method == other.method and _is_step(way.row, other.row)
            ]
        if set(study.teams) == {"same", "diverse"}:
            found += [self._step("same", way, "diverse", way) for way in study.committees]
        for team in study.teams:
            for way in study.committees:
                if way.method != "synthesise" and "synthesise" in study.methods:
                    found.append(self._step(team, Way(way.row), team, way))
        return found

    def _step(self, team: str, way: Way, to_team: str, to: Way) -> Step:
        before, after = (
            self.bits(t, alone() if w.row == Row(0, 0) else w)
            for t, w in ((team, way), (to_team, to))
        )
        return Step(
            before=f"{team} {way.name}",
            after=f"{to_team} {to.name}",
            tasks=to.tasks - way.tasks,
            difference=self._difference(after, before),
        )


def last_drafts(outcome: GradedAnswer, layers: int) -> list[Inference]:
    """The drafts of the last layer of proposers that has any; none if all of them failed.

    Args:
        layers: M, so many layers of proposers; an aggregator comes after them.
    """
    return next((layer for layer in reversed(outcome.layers[:layers]) if layer), [])


def sure_of(drafts: Sequence[str]) -> Sequence[str]:
    """The drafts that say that they are sure, or all if none does."""
    return [draft for draft in drafts if pocketqa.is_sure(draft)] or drafts


def _always(llm: str) -> Callable[[int], str]:
    return lambda question: llm


def _is_step(row: Row, to: Row) -> bool:
    if row.layers == 0:
        return to.layers > 0
    more_proposers = to.layers == row.layers and to.proposers == row.proposers + 1
    more_layers = to.proposers == row.proposers and to.layers == row.layers + 1
    return more_proposers or more_layers
