"""What the outcomes of a study of committees say: accuracy with intervals, baselines, cost.

All percentages are means over questions with 95 % bootstrap intervals; every comparison is
paired question by question.
"""

import statistics
from collections.abc import Callable, Sequence
from typing import Any

from dmoa.evaluation import pocketqa
from dmoa.evaluation.committees import Study, plurality
from dmoa.evaluation.grid import Row, Way, alone
from dmoa.evaluation.intervals import Bootstrap
from dmoa.evaluation.outcomes import GradedAnswer, Inference, Outcomes
from dmoa.evaluation.timing import as_burst, as_run

Bits = list[float]
"""Of each question, whether it was answered rightly; a share where several samples count."""


def findings(study: Study, outcomes: Outcomes, best: str | None) -> dict[str, Any]:
    """All that is printed, as one object."""
    found = _Findings(study, outcomes, best)
    rows = [
        found.row(team, way)
        for team in study.teams
        for way in [*([alone()] if Row(0, 0) in study.rows else []), *study.committees]
    ]
    return {
        **study.settings(),
        "questions": study.questions,
        "temperature": "the LLMs' own",
        "best": best,
        "singles": found.singles() if study.baselines else {},
        "rows": rows,
        "steps": found.steps(),
    }


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

    def row(self, team: str, way: Way) -> dict[str, Any]:
        """Accuracy, cost and baselines of one way of asking a team."""
        chosen = self.study.of_row(self.outcomes, team, way)
        bits = self.bits(team, way)
        return {
            "team": team,
            "layers": way.row.layers,
            "proposers": way.row.proposers,
            "method": way.method,
            "tasks": way.tasks,
            "spent": statistics.fmean(o.tasks for o in chosen),
            "accuracy": self.bootstrap.percent(bits),
            "tokens": statistics.fmean(o.prompt_tokens + o.completion_tokens for o in chosen),
            **as_run(chosen, len(self.study.llms)),
            "burst": as_burst(chosen, self.study.seed),
            "drafts": self._drafts(chosen, way.row.layers, bits) if way.row.layers else None,
            "against": self._against(way, bits) if self.study.baselines and way.row.layers else {},
        }

    def _drafts(self, outcomes: Sequence[GradedAnswer], layers: int, bits: Bits) -> dict[str, Any]:
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
            found[name] = {
                "accuracy": self.bootstrap.percent(by_rule),
                "difference": self._difference(bits, by_rule),
            }
        return found

    def _against(self, way: Way, bits: Bits) -> dict[str, Any]:
        """The baselines of a row: inferences, accuracy, and what the row has more, paired."""
        return {
            name: {
                "tasks": tasks,
                "accuracy": self.bootstrap.percent(baseline),
                "difference": self._difference(bits, baseline),
            }
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

    def _difference(self, more: Bits, less: Bits) -> dict[str, float]:
        return self.bootstrap.percent([a - b for a, b in zip(more, less, strict=True)])

    # --- beside the rows -----------------------------------------------------------------

    def singles(self) -> dict[str, Any]:
        """Every LLM alone: sampled, and greedily."""
        ways = [alone(sample) for sample in range(self.study.samples)]
        return {
            llm: {
                "accuracy": self.bootstrap.percent(self.single(_always(llm), ways)),
                "greedy": self.bootstrap.percent(self.single(_always(llm), [alone(greedy=True)])),
            }
            for llm in self.study.llms
        }

    def steps(self) -> list[dict[str, Any]]:
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

    def _step(self, team: str, way: Way, to_team: str, to: Way) -> dict[str, Any]:
        before, after = (
            self.bits(t, alone() if w.row == Row(0, 0) else w)
            for t, w in ((team, way), (to_team, to))
        )
        return {
            "from": f"{team} {way.name}",
            "to": f"{to_team} {to.name}",
            "tasks": to.tasks - way.tasks,
            "difference": self._difference(after, before),
        }


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
