"""PocketQA answered as `dmoa` decides: devices examine each other, then each prompt has its plan.

Examination questions are other questions of the same world. Every device's LLM answers them
alone, greedily, and so does the committee of all devices with each of them as the aggregator.
What that costs is counted, and shared out over the questions that follow.
"""

import statistics
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec

from dmoa.evaluation import pocketqa
from dmoa.evaluation.arena import OpenArena
from dmoa.evaluation.committees import Settings, Study
from dmoa.evaluation.experiment import Batch, Conditions, Experiment, Job
from dmoa.evaluation.grid import Row, Way, alone
from dmoa.evaluation.intervals import Bootstrap, Interval
from dmoa.evaluation.outcomes import Outcomes
from dmoa.policies import plans as policy
from dmoa.policies.plans import Plan
from dmoa.standings.decision import Card, View, decide_idle, plan_subject, view
from dmoa.standings.outcomes import Outcome, Standings
from dmoa.standings.topics import Topics

EXAM_SEED = 1_000_003
"""Added to the seed of the questions, for those of the examinations."""
GREEDY = alone(greedy=True)


@dataclass(frozen=True)
class StudiedNetwork:
    """Devices with these LLMs; the name of the team under which outcomes stand."""

    team: str
    llms: tuple[str, ...]

    def name(self, device: int) -> str:
        """Of a device."""
        return f"{device} {self.llms[device]}"

    @property
    def cards(self) -> dict[str, Card]:
        """Of all devices."""
        names = [self.name(device) for device in range(len(self.llms))]
        return {n: Card(n, n, llm) for n, llm in zip(names, self.llms, strict=True)}

    @property
    def way(self) -> Way:
        """The committee of all devices."""
        return Way(Row(1, len(self.llms) - 1))

    def plan(self, aggregator: int) -> Plan:
        """The committee of all devices with one of them as the aggregator."""
        names = list(self.cards)
        return policy.committee(
            1, [names[aggregator], *(n for n in names if n != names[aggregator])], names[aggregator]
        )

    def jobs(self, question: int, plan: Plan, owner_team: str) -> Job:
        """The job of a plan; committees by another than the question's owner are told apart."""
        device = list(self.cards).index(plan.aggregator)
        if plan.method == "alone":
            return Job(self.llms[device], GREEDY, question, device)
        return Job(owner_team, self.way, question, device)


def networks(study: Study) -> list[StudiedNetwork]:
    """The networks of the teams that are asked for."""
    found = []
    if "diverse" in study.teams:
        found.append(StudiedNetwork("diverse", study.llms))
    if "same" in study.teams:
        found += [StudiedNetwork(llm, (llm,) * len(study.llms)) for llm in study.llms]
    return found


class Examined(Settings, frozen=True, kw_only=True):
    """What a file of examinations must agree with."""

    examinations: bool = True


class DecidedTeam(msgspec.Struct, frozen=True):
    """What the devices of a team decided.

    Attributes:
        accuracy: of their answers, percent.
        inferences: spent on a question.
        plans: share of the questions that each got.
        exam_questions: that each device was examined by.
        exam_inferences: what all examinations cost.
        why: the reason given most often.
    """

    accuracy: Interval
    inferences: float
    plans: dict[str, float]
    exam_questions: int
    exam_inferences: int
    why: str


class Decided:
    """Examinations and decisions of a study.

    Args:
        study: what is asked.
        exams: examination questions of each device.
        examined: outcomes of examinations, as far as there are.
        outcomes: of the study's questions, as far as there are.
        open_arena: starts devices.
        tell: is told after each answer.
    """

    def __init__(
        self,
        study: Study,
        exams: int,
        examined: Outcomes,
        outcomes: Outcomes,
        open_arena: OpenArena,
        tell: Callable[[], None] = lambda: None,
    ) -> None:
        self.study = study
        self.exam = pocketqa.questions(exams, study.seed + EXAM_SEED)
        self.examined = examined
        self.outcomes = outcomes
        self._open = open_arena
        self._tell = tell
        self.topics = Topics((q.text, q.group) for q in self.exam)
        self.decided: dict[str, list[tuple[int, Plan, str, Job]]] = {}

    async def run(self) -> None:
        """Do what has not been done."""
        for network in networks(self.study):
            await self._ask(network, self.exam, self.examined, self._exam_jobs(network))
            self.decided[network.team] = self._decisions(network)
            jobs = [job for _, _, _, job in self.decided[network.team]]
            await self._ask(network, self.study.asked, self.outcomes, jobs)

    async def _ask(
        self,
        network: StudiedNetwork,
        questions: Sequence[pocketqa.Question],
        outcomes: Outcomes,
        jobs: list[Job],
    ) -> None:
        def right(question: int, text: str) -> bool:
            return pocketqa.is_right(text, questions[question])

        conditions = Conditions([q.text for q in questions], right, self.study.seed)
        experiment = Experiment(conditions, outcomes, self._open, self._tell)
        try:
            await experiment.run([Batch(network.llms, jobs)])
        finally:
            await experiment.close()

    def _exam_jobs(self, network: StudiedNetwork) -> list[Job]:
        devices = [*dict.fromkeys(network.llms.index(llm) for llm in network.llms)]
        singles = [
            Job(network.llms[device], GREEDY, i, device)
            for device in devices
            for i in range(len(self.exam))
        ]
        return singles + [
            Job(self._exam_team(network, device), network.way, i, device)
            for device in devices
            for i in range(len(self.exam))
        ]

    def _exam_team(self, network: StudiedNetwork, aggregator: int) -> str:
        return f"{network.team} by {network.llms[aggregator]}"

    # --- what is decided -----------------------------------------------------------------

    def standings(self, network: StudiedNetwork) -> Standings:
        """What examinations found."""
        known = Standings()
        for device, card in enumerate(network.cards.values()):
            plan = network.plan(device)
            for i, question in enumerate(self.exam):
                single = self.examined[network.llms[device], GREEDY.name, i]
                team = self._exam_team(network, device)
                committee = self.examined[team, network.way.name, i]
                for subject, outcome in (
                    (card.subject, single),
                    (plan_subject(plan, network.cards), committee),
                ):
                    known.note(subject, Outcome(i, question.group, bool(outcome.right), float(i)))
        return known

    def view_of(self, network: StudiedNetwork, known: Standings, owner: int) -> View:
        """What one device knows: its own committee is a candidate, and the best one's."""
        rights = [known.record(card.subject).right() for card in network.cards.values()]
        best = rights.index(max(rights))
        plans = [network.plan(device) for device in dict.fromkeys((owner, best))]
        own, now = list(network.cards)[owner], float(len(self.exam))
        return view(known, own, network.cards.values(), now, plans)

    def _decisions(self, network: StudiedNetwork) -> list[tuple[int, Plan, str, Job]]:
        known = self.standings(network)
        views = [self.view_of(network, known, owner) for owner in range(len(network.llms))]
        found = []
        for i, question in enumerate(self.study.asked):
            owner = self.study.owner_of(i)
            if network.team not in ("diverse", self.study.llms[owner]):
                continue
            decision = decide_idle(views[owner], topic=self.topics.guess(question.text))
            mine = decision.plan.aggregator == list(network.cards)[owner]
            team = network.team if mine else f"{network.team} by {decision.plan.aggregator}"
            job = network.jobs(i, decision.plan, team)
            found.append((i, decision.plan, decision.why, job))
        return found

    # --- what came out ---------------------------------------------------------------------

    def findings(self) -> "dict[str, DecidedTeam]":
        """What each team's devices decided, and what it was worth."""
        found = {}
        for team in self.study.teams:
            parts = [
                entry
                for name, entries in self.decided.items()
                if (name == "diverse") == (team == "diverse")
                for entry in entries
            ]
            right = [float(bool(self.outcomes[job.key].right)) for *_, job in parts]
            spent = statistics.fmean(self.outcomes[job.key].tasks for *_, job in parts)
            shares = Counter(_shape(plan) for _, plan, _, _ in parts)
            n = len(self.study.llms)
            found[team] = DecidedTeam(
                accuracy=Bootstrap(len(right), self.study.seed).percent(right),
                inferences=spent,
                plans={name: count / len(parts) for name, count in shares.most_common()},
                exam_questions=len(self.exam),
                # Each device asks all devices alone, and two committees of all.
                exam_inferences=len(self.exam) * n * (n + 2 * (n + 1)),
                why=Counter(why for _, _, why, _ in parts).most_common(1)[0][0],
            )
        return found


def _shape(plan: Plan) -> str:
    return f"m{plan.layers}-k{plan.proposers}"
