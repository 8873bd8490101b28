"""All of a device's examinations in one object: schedule, questions, grading, what was found.

No clock, no network: whoever owns it asks `next`, carries the plan out as an ordinary task, and
says what came of it. `kept` is what must be there again after a restart.

    examiner = Examiner("own key id", kept)
    if step := examiner.next(now, cards, idle):
        answer, seconds = await carried_out(step.ask.plan, step.question)
        examiner.answered(step, answer, seconds, now)
"""

import random
import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from dmoa.policies.plans import Plan
from dmoa.standings.agreements import WITNESSES, Agreements
from dmoa.standings.candidates import worth_examining
from dmoa.standings.decision import Card, Held, View, plan_subject, view
from dmoa.standings.grading import is_right
from dmoa.standings.outcomes import Outcome, Standings
from dmoa.standings.questions import Question, question
from dmoa.standings.questions.bank import Bank
from dmoa.standings.questions.own import OwnQuestion
from dmoa.standings.questions.wording import USUAL, Manner
from dmoa.standings.schedule import Ask, Budget, Schedule, State
from dmoa.standings.topics import Topics

SEED_BYTES = 16
TOPIC_EXAMPLES = 600
"""Generated questions from which topics of prompts are told."""


class Kept(msgspec.Struct):
    """What a device keeps of its examinations between its runs.

    Attributes:
        seed: private: who knows it knows all answers.
        own: the user's own questions, by their numbers.
        agreements: whether peers answer users as they answer examinations.
        held: what is chosen now.
    """

    seed: str = msgspec.field(default_factory=lambda: secrets.token_hex(SEED_BYTES))
    standings: Standings = msgspec.field(default_factory=Standings)
    schedule: State = msgspec.field(default_factory=State)
    own: dict[int, OwnQuestion] = {}
    agreements: Agreements = msgspec.field(default_factory=Agreements)
    held: Held = Held()


@dataclass(frozen=True)
class Step:
    """A question to put now, and how."""

    ask: Ask
    question: Question


class Examiner:
    """A device's examinations.

    Args:
        own: key id of the own device.
        kept: of an earlier run; a new seed if there was none.
        budget: how much may be spent.
    """

    def __init__(self, own: str, kept: Kept | None = None, budget: Budget | None = None) -> None:
        self.own = own
        self.kept = kept or Kept()
        self.standings = self.kept.standings
        # The secret also draws times and ties: nobody else can foresee them.
        rng = random.Random(f"{self.kept.seed}/schedule/{self.kept.schedule.fresh}")
        self.budget = budget or Budget()
        self._schedule = Schedule(own, rng, self.budget, self.kept.schedule)
        self._topics: Topics | None = None

    def next(
        self,
        now: float,
        cards: Mapping[str, Card],
        idle: Collection[str],
        *,
        seconds: Mapping[str, float] | None = None,
        manners: Sequence[Manner] = USUAL,
    ) -> Step | None:
        """The next question, which counts as begun; None if there is none now.

        Args:
            now: Unix time, seconds.
            cards: of all devices that are there, the own one included.
            idle: devices that have nothing to do.
            seconds: mean service time of each device, where known.
            manners: what came with the user's latest prompts.
        """
        cards = self._trusted(cards, now)
        plans = self.plans(cards, now)
        users = sorted(self.kept.own)
        ask = self._schedule.next(now, cards, idle, self.standings, plans, seconds, users)
        if ask is None:
            return None
        bank = Bank(self.kept.seed, self.kept.own, manners)
        return Step(ask, bank.question(ask.question))

    def answered(self, step: Step, answer: str, seconds: float, now: float) -> bool:
        """Grade an answer; True if the subject turns out to have fallen in skill."""
        self._schedule.finished(step.ask, seconds, now)
        right = is_right(answer, step.question.answers)
        users = step.ask.question in self.kept.own
        outcome = Outcome(step.ask.question, step.question.topic, right, now, users)
        if step.ask.plan.method == "alone":
            self.kept.agreements.examined(step.ask.subject, step.ask.question, answer)
        return self.standings.note(step.ask.subject, outcome)

    def failed(self, step: Step, seconds: float, now: float) -> None:
        """There was no answer, by nobody's will."""
        self._schedule.failed(step.ask, seconds, now)

    def broken_off(self, step: Step, seconds: float, now: float) -> None:
        """It gave way to a user's work."""
        self._schedule.broken_off(step.ask, seconds, now)

    def refused(self, step: Step, now: float) -> None:
        """Somebody did not want to answer."""
        self._schedule.refused(step.ask, now)

    def rate(self, plan: Plan, cards: Mapping[str, Card], good: bool, now: float) -> None:
        """The user's rating of a plan's answer, which is nobody's who only took part in it.

        Args:
            plan: who answered, and how.
            cards: of its devices, as they were.
            good: whether it was.
            now: Unix time, seconds.
        """
        self.standings.rate(plan_subject(plan, cards), good, now)

    def add(self, questions: Sequence[OwnQuestion]) -> None:
        """Take the user's own questions, as `questions.own` reads them."""
        # New numbers: what was asked before keeps its own, so that nobody is compared on two
        # different questions.
        state = self.kept.schedule
        first = max(state.fresh, max(self.kept.own, default=-1) + 1)
        state.fresh = first + len(questions)
        self.kept.own.update(enumerate(questions, first))
        self._topics = None

    def plans(self, cards: Mapping[str, Card], now: float) -> list[Plan]:
        """Plans of several devices that are worth examining, the chosen one among them."""
        trusted = self._trusted(cards, now)
        plans = worth_examining(self.standings, self.own, trusted, now)
        held = self.kept.held.plan
        if held is not None and held not in plans and held.members <= trusted.keys():
            plans.append(held)
        return plans

    def view(self, cards: Mapping[str, Card], now: float) -> View:
        """What is known, to decide from; to be made anew when an outcome or a card is new."""
        plans, held = self.plans(cards, now), self.kept.held
        made = view(self.standings, self.own, self._trusted(cards, now).values(), now, plans, held)
        self.kept.held = made.held
        return made

    def witnesses(self, device: str, cards: Mapping[str, Card], now: float) -> list[str]:
        """Who answers a prompt too that a device has answered alone: the own LLM, and the best."""
        others = [d for d in self._trusted(cards, now) if d not in (self.own, device)]
        skill = {d: self.standings.record(cards[d].subject).skill(now).mean for d in others}
        return [self.own, *sorted(others, key=skill.__getitem__, reverse=True)[:WITNESSES]]

    def compare(
        self, cards: Mapping[str, Card], answers: Mapping[str, str], now: float
    ) -> set[str]:
        """Compare devices' answers to a user's prompt; those that are distrusted from now on."""
        said = {cards[device].subject: text for device, text in answers.items()}
        own = cards[self.own].subject
        return {
            device
            for device in answers
            if device != self.own
            and self.kept.agreements.compare(cards[device].subject, device, own, said, now)
        }

    def _trusted(self, cards: Mapping[str, Card], now: float) -> dict[str, Card]:
        return {d: card for d, card in cards.items() if self.kept.agreements.trusts(d, now)}

    def topic(self, prompt: str) -> str:
        """The topic of a user's prompt, or "" if it is like none of the examinations'."""
        if self._topics is None:
            drawn = [question(self.kept.seed, i) for i in range(TOPIC_EXAMPLES)]
            examples = [(q.text, q.topic) for q in drawn]
            examples += [(own.question, own.topic) for own in self.kept.own.values()]
            self._topics = Topics(examples)
        return self._topics.guess(prompt)
