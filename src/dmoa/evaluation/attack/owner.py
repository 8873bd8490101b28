"""One owner's side: it examines the network by the product's examiner, and decides by it.

What is studied is the code that a device runs: which plans are examined, what is counted on, who
is distrusted. Only the order is simpler: all examinations first, then the user's questions.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from dmoa.evaluation.attack.kinds import Item
from dmoa.policies.plans import Plan, alone
from dmoa.standings.decision import Card, decide_idle, plan_subject
from dmoa.standings.examiner import Examiner, Kept, Step
from dmoa.standings.questions import Question
from dmoa.standings.questions.wording import Manner
from dmoa.standings.schedule import TRIES, Ask
from dmoa.standings.topics import Topics

ROUNDS = 2
"""Of plans: those of one layer, and those of two that follow from them."""


@dataclass(frozen=True)
class Reply:
    """What a plan came to.

    Attributes:
        text: the answer.
        drafts: of its first layer, by device.
    """

    text: str
    drafts: Mapping[str, str] = field(default_factory=dict)


class Place(Protocol):
    """Where plans are carried out: a network, or records of one."""

    @property
    def cards(self) -> Mapping[str, Card]:
        """All devices."""

    @property
    def owners(self) -> Sequence[str]:
        """Devices whose users ask: the honest ones."""

    def can(self, plan: Plan) -> bool:
        """Whether a plan can be carried out here."""

    async def carry_out(self, own: str, item: Item, plan: Plan) -> Reply | None:
        """What comes of a plan; None if nothing does."""

    def right(self, item: Item, text: str) -> bool:
        """Whether an answer is right."""

    def everybody(self, own: str) -> Plan:
        """The committee of all devices that nobody defends."""


@dataclass(frozen=True)
class Answered:
    """A user's question: its number, what was done, and whether it came out right."""

    number: int
    plan: Plan
    right: bool


class Owner:
    """A device whose user asks.

    Args:
        own: its id.
        place: the network.
        seed: of which answers are compared.
    """

    def __init__(self, own: str, place: Place, seed: int) -> None:
        self.own = own
        self.place = place
        self.examiner = Examiner(own, Kept(seed=f"{seed}"))
        self.found_after: dict[str, int] = {}
        self._random = random.Random(f"{seed} checks of {own}")
        self._topics = Topics(())
        self._examined: list[Item] = []
        self._done: set[Plan] = set()

    async def examine(self, items: Sequence[Item]) -> None:
        """Examine every device alone, then the plans that are worth it."""
        self._topics = Topics((item.text, item.topic) for item in items)
        cards = self.place.cards
        # The own LLM first: its answers are what others' are compared with.
        for device in sorted(cards, key=lambda device: device != self.own):
            await self._put(items, alone(device), cards[device].subject)
        self._examined = list(items)
        await self._examine_plans()

    async def _examine_plans(self) -> None:
        """Examine the plans of several that are worth it now, and were not examined before."""
        cards, now = self.place.cards, float(len(self._examined))
        for _ in range(ROUNDS):
            for plan in self.examiner.plans(cards, now):
                if plan not in self._done and self.place.can(plan):
                    await self._put(self._examined, plan, plan_subject(plan, cards))
                    self._done.add(plan)

    async def _put(self, items: Sequence[Item], plan: Plan, subject: str) -> None:
        failures = 0
        for item in items:
            if failures == TRIES:
                return  # left alone, as the product's schedule does
            reply = await self.place.carry_out(self.own, item, plan)
            failures = failures + 1 if reply is None else 0
            if reply is not None:
                question = Question(item.number, item.topic, item.text, item.answers, Manner())
                step = Step(Ask(subject, plan, item.number), question)
                self.examiner.answered(step, reply.text, 0.0, float(item.number))

    async def ask_everybody(self, items: Sequence[Item]) -> list[Answered]:
        """The user's questions to the committee of all."""
        plan, found = self.place.everybody(self.own), []
        for item in items:
            reply = await self.place.carry_out(self.own, item, plan) or Reply("")
            found.append(Answered(item.number, plan, self.place.right(item, reply.text)))
        return found

    async def ask(self, items: Sequence[Item], examined: int, *, compares: bool) -> list[Answered]:
        """The user's questions, in order, each by the plan that is decided on.

        Args:
            items: the questions.
            examined: examination questions before them.
            compares: whether peers' answers are compared with the own LLM's; what is learnt of
                peers counts for the next question.
        """
        now = float(examined)
        view = self.examiner.view(self.place.cards, now)
        answered = []
        for asked, item in enumerate(items, 1):
            topic = self._topics.guess(item.text)
            plan = decide_idle(view, topic=topic).plan
            reply = await self.place.carry_out(self.own, item, plan) or Reply("")
            right = self.place.right(item, reply.text)
            answered.append(Answered(item.number, plan, right))
            if topic and compares and await self._compare(item, plan, reply, asked, now):
                await self._examine_plans()  # as devices do in idle time, where others are now best
                view = self.examiner.view(self.place.cards, now)
        return answered

    async def _compare(self, item: Item, plan: Plan, reply: Reply, asked: int, now: float) -> bool:
        """Compare what devices said; whether one is now distrusted."""
        cards, examiner = self.place.cards, self.examiner
        said = dict(reply.drafts)
        if plan.method == "alone":
            subject = cards[plan.aggregator].subject
            checks = examiner.kept.agreements.checks(subject, self._random.random())
            if plan.aggregator == self.own or not checks:
                return False
            said = {plan.aggregator: reply.text}
            for witness in examiner.witnesses(plan.aggregator, cards, now):
                if answer := await self.place.carry_out(self.own, item, alone(witness)):
                    said[witness] = answer.text
        found = examiner.compare(cards, said, now)
        self.found_after.update(dict.fromkeys(found, asked))
        return bool(found)
