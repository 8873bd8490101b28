"""The study of M and k on PocketQA: which jobs it takes, with all baselines.

The users of the devices ask in turn. The team `diverse` has one LLM on each
device; in `same`, every device has the LLM of the device that asks, so that both are compared
on the same questions to the same LLMs. Baselines come from the same questions: every LLM
alone, sampled often enough for a vote at any row's number of inferences, greedily once, and
the best one as a committee of itself (Self-MoA, arXiv 2502.00674).
"""

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import msgspec

from dmoa.evaluation import pocketqa
from dmoa.evaluation.arena import OpenArena
from dmoa.evaluation.experiment import Batch, Conditions, Experiment, Job
from dmoa.evaluation.grid import PAPER_ROWS, Row, Way, alone
from dmoa.evaluation.outcomes import GradedAnswer, Outcomes
from dmoa.protocol.aggregation import Method

TEAMS = ("same", "diverse")


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What a results file must agree with: not how many questions, rows or teams."""

    benchmark: str
    world: int
    seed: int
    llms: tuple[str, ...]
    hidden: bool
    live: bool
    rate: float | None


@dataclass(frozen=True)
class Study:
    """What is measured.

    Attributes:
        questions: how many.
        seed: of the questions, and of all that is drawn.
        llms: one a device.
        baselines: whether to measure them too.
        hidden: whether drafts hide how sure they are.
        live: whether the devices are processes.
        rate: prompts per second per user; None: one after another.
    """

    questions: int
    seed: int
    rows: tuple[Row, ...] = PAPER_ROWS
    teams: tuple[str, ...] = TEAMS
    methods: tuple[Method, ...] = ("synthesise",)
    llms: tuple[str, ...] = pocketqa.NAMES
    baselines: bool = True
    hidden: bool = False
    live: bool = False
    rate: float | None = None

    def settings(self) -> Settings:
        """What a results file must agree with."""
        return Settings(
            benchmark="pocketqa",
            world=pocketqa.SEED,
            seed=self.seed,
            llms=self.llms,
            hidden=self.hidden,
            live=self.live,
            rate=self.rate,
        )

    @cached_property
    def asked(self) -> list[pocketqa.Question]:
        """The questions, of the held-out forms."""
        return pocketqa.questions(self.questions, self.seed)

    @property
    def committees(self) -> list[Way]:
        """All ways of asking several devices."""
        return [Way(row, method) for row in self.rows if row.layers for method in self.methods]

    @property
    def most_samples(self) -> int:
        """Samples of the own LLM, and of the best, for a vote at any row's inferences."""
        return max(row.tasks for row in self.rows) if self.baselines else 1

    @property
    def samples(self) -> int:
        """Samples of every LLM: their votes together cost what the largest row costs."""
        return math.ceil(self.most_samples / len(self.llms)) if self.baselines else 0

    def owner_of(self, question: int) -> int:
        """Number of the device, and of the LLM, that a question is asked of.

        Kinds of questions come round every `pocketqa.PERIOD`; each device gets all of them.
        """
        return (question + question // pocketqa.PERIOD) % len(self.llms)

    # --- the batches ---------------------------------------------------------------------

    def singles(self) -> list[Batch]:
        """Each LLM alone. The own ones first: their latency is that of the row M = 0."""
        questions, devices = range(self.questions), range(len(self.llms))
        first = [Job(self.llms[self.owner_of(i)], alone(), i, self.owner_of(i)) for i in questions]
        ways = [alone(sample) for sample in range(self.most_samples)]
        rest = [
            Job(self.llms[device], way, i, device)
            for way in [*ways, *([alone(greedy=True)] if self.baselines else [])]
            for i in questions
            for device in devices
            if device == self.owner_of(i) or way.sample < self.samples
        ]
        known = set(first)
        return [
            Batch(self.llms, first),
            Batch(self.llms, [job for job in rest if job not in known]),
        ]

    def diverse(self) -> list[Batch]:
        """The committees of different LLMs."""
        return [
            Batch(
                self.llms, [Job("diverse", way, i, self.owner_of(i)) for i in range(self.questions)]
            )
            for way in self.committees
        ]

    def same(self) -> list[Batch]:
        """The committees of equal LLMs, for each LLM the questions of its own device."""
        n = len(self.llms)
        return [
            Batch(
                (llm,) * n,
                [
                    Job(llm, way, i, i // n % n)
                    for i in range(self.questions)
                    if self.owner_of(i) == device
                ],
            )
            for device, llm in enumerate(self.llms)
            for way in self.committees
        ]

    def with_best(self, best: str) -> list[Batch]:
        """What the best single LLM must do besides, on all questions."""
        n, device = len(self.llms), self.llms.index(best)
        more = [
            Job(best, alone(sample), i, device)
            for sample in range(self.samples, self.most_samples)
            for i in range(self.questions)
            if self.owner_of(i) != device
        ]
        committees = [
            Batch((best,) * n, [Job(best, Way(row), i, i // n % n) for i in range(self.questions)])
            for row in self.rows
            if row.layers
        ]
        return [Batch(self.llms, more), *committees]

    # --- what came out -------------------------------------------------------------------

    def of_row(self, outcomes: Outcomes, team: str, way: Way) -> list[GradedAnswer]:
        """The outcomes of one row, question by question."""
        return [
            outcomes[team if team == "diverse" and way.row.layers else self.llms[self.owner_of(i)],
                     way.name, i]
            for i in range(self.questions)
        ]  # fmt: skip

    def best(self, outcomes: Outcomes) -> str:
        """The LLM that was right most often by itself: chosen in hindsight, on these questions."""

        def rightness(llm: str) -> float:
            return statistics.fmean(
                bool(outcomes[llm, alone(sample).name, i].right)
                for sample in range(self.samples)
                for i in range(self.questions)
            )

        return max(self.llms, key=rightness)

    def answers(self) -> int:
        """How many answers it takes; which LLM is the best makes a difference of a few."""
        batches = self.singles()
        if "diverse" in self.teams:
            batches += self.diverse()
        if "same" in self.teams:
            batches += self.same()
        if self.baselines:
            batches += self.with_best(self.llms[0])
        return sum(len(batch.jobs) for batch in batches)


async def measure(
    study: Study,
    outcomes: Outcomes,
    open_arena: OpenArena,
    tell: Callable[[float], None] = lambda share: None,
) -> str | None:
    """Do all jobs that are not done.

    Args:
        tell: is told the share that is done.

    Returns:
        The best single LLM, if there are baselines.
    """
    questions, total, done = study.asked, study.answers(), 0

    def right(question: int, text: str) -> bool:
        return pocketqa.is_right(text, questions[question])

    def count() -> None:
        nonlocal done
        done += 1
        tell(min(1.0, done / total))

    conditions = Conditions([q.text for q in questions], right, study.seed, study.rate)
    experiment = Experiment(conditions, outcomes, open_arena, count)
    best = None
    try:
        await experiment.run(study.singles())
        if "diverse" in study.teams:
            await experiment.run(study.diverse())
        if study.baselines:
            best = study.best(outcomes)
            await experiment.run(study.with_best(best))
        if "same" in study.teams:
            await experiment.run(study.same())
    finally:
        await experiment.close()
    return best


def plurality(answers: Sequence[str]) -> str:
    """The most frequent answer; of equally frequent ones the first, which is the owner's.

    Without answers it is the empty one.
    """
    said = [pocketqa.answer_of(answer) for answer in answers]
    return max(said, key=said.count, default="")
