"""A cluster whose devices examine each other, with LLMs of which the skills are known."""

import asyncio
import random
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from dmoa.api.making import Asked, PromptDefaults, PromptMaker
from dmoa.device.committee import Committees
from dmoa.device.examinations import Examinations
from dmoa.protocol.conversation import Message
from dmoa.protocol.events import Finished
from dmoa.standings.decision import Card
from dmoa.standings.examiner import Examiner, Kept, Step
from dmoa.standings.questions import Question
from dmoa.standings.schedule import Budget
from tests.cluster import Cluster

AMPLE = Budget(share=1.0, per_day=10_000, gap=1.0, service=1.0)

Knows = Callable[[str, Question], bool]
"""Whether a device knows a question."""


def coins(skills: Mapping[str, float]) -> Knows:
    """Every device knows a question or not, by chance and for good."""
    return lambda name, q: random.Random(f"{name} {q.index}").random() < skills[name]


class WatchedExaminer(Examiner):
    """An examiner whose questions the school's LLMs can look up."""

    questions: dict[str, Question]
    latest: Step | None = None
    nothing_left = 0
    """How often in a row there was nothing to ask."""

    def next(self, now: float, cards: Mapping[str, Card], *args: Any, **more: Any) -> Step | None:
        step = super().next(now, cards, *args, **more)
        self.nothing_left = 0 if step else self.nothing_left + 1
        if step is not None:
            self.latest = step
            self.questions[step.question.text] = step.question
        return step


@dataclass
class School:
    """Device i examines by `examinations[i]`.

    Attributes:
        knows: what decides of the devices' answers.
        questions: those that were asked by anybody, by their text.
        examined: who was asked one, in order.
    """

    cluster: Cluster
    knows: Knows
    questions: dict[str, Question] = field(default_factory=dict)
    examined: list[str] = field(default_factory=list)
    examiners: list[WatchedExaminer] = field(default_factory=list)
    examinations: list[Examinations] = field(default_factory=list)
    committees: list[Committees] = field(default_factory=list)

    def join(self, i: int, kept: Kept | None = None, **options: Any) -> None:
        """Device i goes to school."""
        device = self.cluster.devices[i]
        self.cluster.llms[i]._respond = lambda messages: self._respond(device.name, messages)
        examiner = WatchedExaminer(device.own_id, kept or Kept(seed=f"secret of {i}"), AMPLE)
        examiner.questions = self.questions
        options.setdefault("clock", asyncio.get_running_loop().time)
        examinations = Examinations(device, examiner, **options)
        committees = Committees(device, layers=None, proposers=3, examinations=examinations)
        self.examiners[i : i + 1] = [examiner]
        self.examinations[i : i + 1] = [examinations]
        self.committees[i : i + 1] = [committees]

    def _respond(self, name: str, messages: Sequence[Message]) -> str:
        said = "\n".join(message.content for message in messages)
        for question in self.questions.values():
            if question.text in said:
                self.examined.append(name)
                right = f"Answer: {question.answers[0]}"
                # Whoever aggregates sees which draft is right.
                return right if right in said or self.knows(name, question) else "I do not know."
        return f"answer of {name} with some more words"

    async def ask(
        self, i: int, model: str = "dmoa", text: str = "Why?", **options: Any
    ) -> Finished:
        """A prompt of device i's user, as the API makes it."""
        device = self.cluster.devices[i]
        maker = PromptMaker(device, self.committees[i], PromptDefaults())
        asked = Asked(model, [Message(role="user", content=text)], **options)
        return await device.ask(await maker.make(asked))

    async def learn(self, i: int, seconds: float = 3600.0) -> None:
        """Let device i examine for so long, or until there is nothing left to ask."""
        now = asyncio.get_running_loop().time
        until = now() + seconds
        self.examinations[i].start()
        while now() < until and self.examiners[i].nothing_left < 5:
            await asyncio.sleep(1.0)
        await self.examinations[i].close()


@asynccontextmanager
async def school(
    count: int, knows: Knows, *, seconds: float = 0.1, **options: Any
) -> AsyncGenerator[School, None]:
    """A cluster of which every device can examine."""
    async with Cluster(count, seconds=seconds, **options) as cluster:
        made = School(cluster, knows)
        for i in range(count):
            made.join(i)
        try:
            yield made
        finally:
            for examinations in made.examinations:
                await examinations.close()
