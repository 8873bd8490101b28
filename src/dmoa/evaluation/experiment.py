"""Experiments: questions that devices answer in many ways, each answer paid for once.

An experiment is a list of batches; a batch is a list of jobs for the same devices. A job's
seed follows from what it is, so the order of jobs and an interruption change no answer (only
`select`, which learns from answer to answer, begins anew when a run is continued).
"""

import asyncio
import random
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from dmoa.evaluation.arena import Arena, OpenArena
from dmoa.evaluation.grid import Way
from dmoa.evaluation.outcomes import GradedAnswer, Outcomes, inferences_of
from dmoa.protocol.conversation import Sampling


@dataclass(frozen=True)
class Job:
    """A question to the user's device `owner` of a team, to be answered in one way."""

    team: str
    way: Way
    question: int
    owner: int

    @property
    def key(self) -> tuple[str, str, int]:
        """The outcome's key."""
        return self.team, self.way.name, self.question


@dataclass(frozen=True)
class Batch:
    """Jobs that are done together, by devices with these LLMs."""

    llms: tuple[str, ...]
    jobs: list[Job]


@dataclass(frozen=True)
class Conditions:
    """How questions are asked.

    Attributes:
        texts: the questions.
        right: whether an answer to a question is right; None where nobody can say.
        seed: of the LLMs' sampling, the proposers and the arrivals.
        rate: prompts per second per user, Poisson; None: each user asks the next question as
            soon as the last one is answered.
    """

    texts: Sequence[str]
    right: Callable[[int, str], bool | None]
    seed: int
    rate: float | None = None


class Experiment:
    """Does jobs and keeps their outcomes.

    Args:
        conditions: how questions are asked.
        outcomes: what is known, and where the rest goes.
        open_arena: starts the devices of a batch.
        tell: is told after each answer.
    """

    def __init__(
        self,
        conditions: Conditions,
        outcomes: Outcomes,
        open_arena: OpenArena,
        tell: Callable[[], None],
    ) -> None:
        self.conditions = conditions
        self.outcomes = outcomes
        self._open = open_arena
        self._tell = tell
        self._arena: Arena | None = None
        self._llms: tuple[str, ...] = ()
        self._began = asyncio.get_running_loop().time()

    async def run(self, batches: Sequence[Batch]) -> None:
        """Do what has not been done; devices stay up for the next batch if it needs the same.

        Raises:
            DmoaError: a question got no answer. What came before is kept.
        """
        for batch in batches:
            todo = [job for job in batch.jobs if job.key not in self.outcomes]
            for _ in range(len(batch.jobs) - len(todo)):
                self._tell()
            if todo:
                await self._ask_all(await self._devices(batch.llms), todo)

    async def close(self) -> None:
        """End the devices."""
        arena, self._arena = self._arena, None
        if arena is not None:
            await arena.close()

    async def _devices(self, llms: tuple[str, ...]) -> Arena:
        if self._arena is None or self._llms != llms:
            await self.close()
            self._arena, self._llms = await self._open(llms), llms
        return self._arena

    async def _ask_all(self, arena: Arena, jobs: Sequence[Job]) -> None:
        users: dict[int, list[Job]] = defaultdict(list)
        for job in jobs:
            users[job.owner].append(job)
        rate = self.conditions.rate
        asking: list[Awaitable[None]] = [
            self._one_by_one(arena, mine)
            if rate is None
            else self._stream(arena, mine, rate, random.Random(f"{self.conditions.seed} {user}"))
            for user, mine in users.items()
        ]
        await _together(asking)

    async def _one_by_one(self, arena: Arena, jobs: Sequence[Job]) -> None:
        for job in jobs:
            await self._ask(arena, job)

    async def _stream(
        self, arena: Arena, jobs: Sequence[Job], rate: float, draw: random.Random
    ) -> None:
        async def after(seconds: float, job: Job) -> None:
            await asyncio.sleep(seconds)
            await self._ask(arena, job)

        arrivals, time = [], 0.0
        for job in jobs:
            time += draw.expovariate(rate)
            arrivals.append(after(time, job))
        await _together(arrivals)

    async def _ask(self, arena: Arena, job: Job) -> None:
        conditions, way = self.conditions, job.way
        what = f"{conditions.seed} {job.team} {way.name} {job.question}"
        sampling = Sampling(
            temperature=0.0 if way.greedy else None,
            seed=random.Random(f"{what} tokens").getrandbits(31),
        )
        now = asyncio.get_running_loop().time
        started = now()
        reply = await arena.ask(
            job.owner, conditions.texts[job.question], way, sampling, random.Random(what)
        )
        seconds = now() - started
        record = reply.record
        self.outcomes.add(
            GradedAnswer(
                team=job.team,
                way=way.name,
                question=job.question,
                owner=job.owner,
                answer=reply.text,
                right=conditions.right(job.question, reply.text),
                tasks=record.tasks,
                prompt_tokens=record.usage.prompt_tokens,
                completion_tokens=record.usage.completion_tokens,
                session=self.outcomes.session,
                started=started - self._began,
                seconds=seconds,
                layers=inferences_of(
                    record, {name: number for number, name in enumerate(arena.names)}
                ),
            )
        )
        self._tell()


async def _together(work: Sequence[Awaitable[None]]) -> None:
    """All at once; when one fails the others are ended, and its error is raised as it is."""
    try:
        async with asyncio.TaskGroup() as group:
            for one in work:
                group.create_task(_whole(one))
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None


async def _whole(work: Awaitable[None]) -> None:
    await work
