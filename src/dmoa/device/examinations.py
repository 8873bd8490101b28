"""The device's examinations as they run: in idle time, by the path of users' prompts.

`Examiner` says what to ask whom, and keeps what was found. Here it is asked when this device has
nothing to do, the plan is carried out by `protocol.answer` like a prompt of the user, and the
outcome is told and kept. The user's next prompt ends an examination that is under way; so does
a task of a guest, where the own LLM is the one examined.
"""

import asyncio
import contextlib
import copy
import logging
import random
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from dmoa.device.checks import Checks, Unchecked
from dmoa.device.device import Device
from dmoa.device.shapes import likeliest, shape_of
from dmoa.errors import DeadlinePassed, DmoaError, PeerGone, PeerRefused
from dmoa.policies.plans import Plan, alone
from dmoa.protocol.conversation import Message, Sampling
from dmoa.protocol.prompt import Prompt, answer
from dmoa.protocol.tasks import Answer, Piece, Say, Task
from dmoa.protocol.tasks import Step as TaskStep
from dmoa.standings.decision import Card, View
from dmoa.standings.examiner import Examiner, Kept, Step
from dmoa.standings.questions.own import OwnQuestion
from dmoa.standings.questions.wording import USUAL
from dmoa.standings.summary import summary

log = logging.getLogger(__name__)

EXAM_SECONDS = 300.0
"""An examination that takes longer has failed."""
LONGEST_ANSWER = 3000
"""Characters of an answer that are waited for at least, and twice as many at most: an LLM that
goes on has lost the thread, and is wrong. Of 4550 right answers of real LLMs, of at most 240
tokens each, the longest had 1256. `max_tokens` would tell the examined one that it is examined."""
THOUGHT = 0.1
"""What a character that is thought aloud counts: thinking takes ten times as long."""
SHORTEST_PAUSE = 0.1
LONGEST_PAUSE = 60.0
"""Seconds between two looks at whether there is something to ask."""
LOOKED_AT = 32
"""Peers that are asked at once whether they idle."""
VIEW_SECONDS = 600.0
"""For so long a view is good when nothing new was found: what is known fades by the day."""
MANNERS_KNOWN = 8
"""The owner's prompts from which on none but their manners are imitated."""
PASSING = frozenset({"busy", "draining", "stranger", "cancelled"})
"""Reasons of a refusal that say nothing about what a peer wants."""


class EndlessAnswer(DmoaError):
    """An answer is far longer than any right one."""


class Examinations:
    """Examines peers and the own LLM while nobody works, and says what is known.

    Args:
        device: the device.
        examiner: what it knows.
        clock: Unix time, seconds.
        save: keeps what is known for the next start.
    """

    def __init__(
        self,
        device: Device,
        examiner: Examiner,
        *,
        clock: Callable[[], float] = time.time,
        save: Callable[[Kept], None] = lambda kept: None,
    ) -> None:
        self._device = device
        self._examiner = examiner
        self._clock = clock
        self._save = save
        self._random = random.Random()
        self._running: asyncio.Task[None] | None = None
        self._view: View | None = None
        self._viewed_at = 0.0
        self._viewed: dict[str, Card] = {}
        self._checks = Checks(device, examiner, self.cards, clock, self._keep)

    # --- what is known -----------------------------------------------------------------------

    def cards(self) -> dict[str, Card]:
        """The devices that are there, this one first, as standings know them."""
        cards = [self._device.card(), *self._device.peer_links.cards().values()]
        return {card.device: Card(card.device, card.name, card.model) for card in cards}

    def view(self) -> View:
        """What is known now of the devices that are there."""
        now, cards = self._clock(), self.cards()
        view = self._view
        if view is None or self._viewed != cards or abs(now - self._viewed_at) > VIEW_SECONDS:
            view = self._view = self._examiner.view(cards, now)
            self._viewed, self._viewed_at = cards, now
        return view

    def topic(self, prompt: str) -> str:
        """The topic of a user's prompt, where topics make a difference; otherwise ""."""
        return self._examiner.topic(prompt) if self.view().by_topic else ""

    def summary(self) -> dict[str, Any]:
        """What is known, for tables and programs."""
        now, cards = self._clock(), self.cards()
        plans, agreements = self._examiner.plans(cards, now), self._examiner.kept.agreements
        distrusted = [card.name for d, card in cards.items() if not agreements.trusts(d, now)]
        told = summary(self._examiner.standings, cards, plans, now)
        return {**told, "distrusted": distrusted}

    @property
    def own_questions(self) -> Sequence[OwnQuestion]:
        """The user's own questions."""
        return list(self._examiner.kept.own.values())

    def rate(self, plan: Plan, cards: Mapping[str, Card], *, good: bool) -> None:
        """The user's rating of a plan's answer; `cards` of its devices, as they were."""
        self._examiner.rate(plan, cards, good, self._clock())
        self._keep()

    def add(self, questions: Sequence[OwnQuestion]) -> None:
        """Take the user's own questions, which were checked."""
        self._examiner.add(questions)
        self._keep()

    def _keep(self) -> None:
        self._view = None
        self._save(self._examiner.kept)

    # --- examining ---------------------------------------------------------------------------

    def start(self) -> None:
        """Examine from now on, in idle time."""
        self._running = asyncio.create_task(self._examine_on())

    async def close(self) -> None:
        """Examine no longer."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)

    async def _examine_on(self) -> None:
        # Not at once: a device that was just started is wanted for something.
        pause = self._random.expovariate(1 / self._examiner.budget.gap)
        while True:
            await asyncio.sleep(max(SHORTEST_PAUSE, min(pause, LONGEST_PAUSE)))
            while self._checks.waiting and self._idles():
                await self._check(self._checks.waiting.popleft())
            if step := await self._next():
                await self._carry_out(step)
            pause = self._examiner.kept.schedule.not_before - self._clock()

    def _idles(self) -> bool:
        device = self._device
        working = device.open_prompts or device.service.running
        return not (working or device.draining or device.queue.waiting or device.queue.serving)

    async def _next(self) -> Step | None:
        if not self._idles():
            return None
        cards = self.cards()
        reports = await self._device.reports(self._looked_at(cards))
        if not self._idles():
            return None
        told = {device: report for device, (_, report) in reports.items() if report}
        return self._examiner.next(
            self._clock(),
            cards,
            {device for device, report in told.items() if not (report.queue or report.serving)},
            seconds={device: r.alpha for device, r in told.items() if r.alpha},
            manners=self._manners(),
        )

    def _looked_at(self, cards: dict[str, Card]) -> Collection[str]:
        """Members of plans, and as many others by chance as may be asked at once."""
        if len(cards) <= LOOKED_AT:
            return cards
        plans = self._examiner.plans(cards, self._clock())
        first = {device for plan in plans for device in plan.members}
        rest = [device for device in cards if device not in first]
        return first.union(self._random.sample(rest, min(len(rest), LOOKED_AT)))

    def _manners(self) -> Sequence[Any]:
        seen = tuple(self._device.manners)
        return seen if len(seen) >= MANNERS_KNOWN else (*USUAL, *seen)

    async def _carry_out(self, step: Step) -> None:
        # Not always the same, or one could tell by being cut where no user would cut.
        longest = self._random.randint(LONGEST_ANSWER, 2 * LONGEST_ANSWER)
        committee = _Examined(self._device, step.ask.plan, longest)
        working = asyncio.create_task(self._put(step, committee))
        self._device.idle_work.add(working)
        working.add_done_callback(self._device.idle_work.discard)
        try:
            await asyncio.wait({working})
        finally:
            if not working.done():
                working.cancel()
                await asyncio.gather(working, return_exceptions=True)
            if working.cancelled():
                self._examiner.broken_off(step, committee.most_seconds, self._clock())
            elif error := working.exception():
                log.error("an examination", exc_info=error)  # a fault of ours costs no more
                self._examiner.failed(step, committee.most_seconds, self._clock())
            self._keep()

    async def _check(self, unchecked: Unchecked) -> None:
        """Let witnesses answer a user's prompt too; the user's next prompt ends that."""
        said = {unchecked.device: unchecked.text}

        async def hear(witness: str) -> None:
            committee = _Examined(self._device, alone(witness), LONGEST_ANSWER)
            with contextlib.suppress(DmoaError):
                said[witness] = await self._carried_out(
                    committee, alone(witness), unchecked.messages, Sampling()
                )

        async def hear_all() -> None:
            for witness in self._checks.witnesses(unchecked):
                await hear(witness)
            self._checks.compare(said)

        working = asyncio.create_task(hear_all())
        self._device.idle_work.add(working)
        working.add_done_callback(self._device.idle_work.discard)
        try:
            await asyncio.wait({working})
        finally:
            if not working.done():
                working.cancel()
            await asyncio.gather(working, return_exceptions=True)
            if not working.cancelled() and (error := working.exception()):
                log.error("a comparison", exc_info=error)  # a fault of ours costs no more

    async def _put(self, step: Step, committee: "_Examined") -> None:
        text = ""
        with contextlib.suppress(DmoaError):  # the committee has seen it, or it was empty
            try:
                text = await self._answer(step, committee)
            except DeadlinePassed as error:
                committee.failure = committee.failure or error
        now, seconds = self._clock(), committee.most_seconds
        match committee.failure:
            case None:
                self._examiner.answered(step, text, seconds, now)
            case EndlessAnswer():
                self._examiner.answered(step, "", seconds, now)
            case PeerRefused(reason=reason) if (
                reason not in PASSING and step.ask.plan.method == "alone"
            ):
                self._examiner.refused(step, now)
            case _:
                self._examiner.failed(step, seconds, now)

    async def _answer(self, step: Step, committee: "_Examined") -> str:
        question, manner = step.question, step.question.manner
        messages = [Message(role="user", content=question.text)]
        if manner.system is not None:
            messages.insert(0, Message(role="system", content=manner.system))
        sampling = Sampling(temperature=manner.temperature, max_tokens=manner.max_tokens)
        return await self._carried_out(committee, step.ask.plan, messages, sampling)

    async def _carried_out(
        self, committee: "_Examined", plan: Plan, messages: list[Message], sampling: Sampling
    ) -> str:
        shape = shape_of(plan, self._device.own_id)
        prompt = Prompt(
            messages,
            shape.layers,
            shape.proposers,
            likeliest(sampling) if shape.greedy else sampling,
            aggregation=shape.aggregation,
            aggregator=shape.aggregator,
            among=shape.among,
        )
        # What is learnt of drafts is learnt from the user's prompts.
        experience = copy.deepcopy(self._device.experience)
        finished = await answer(
            prompt, committee, self._random, lambda event: None, experience, EXAM_SECONDS
        )
        return finished.text


class _Examined:
    """The devices of a plan, as the committee of an examination; who fails is not replaced.

    Args:
        device: the device that examines.
        plan: whose devices may be asked.
        longest: characters of one inference, from which on it is cancelled.
    """

    def __init__(self, device: Device, plan: Plan, longest: int) -> None:
        self.own_id = device.own_id
        self.describe = device.describe
        self.failure: DmoaError | None = None
        self._device = device
        self._members = plan.members
        self._longest = longest
        self._seconds: dict[str, float] = {}

    @property
    def most_seconds(self) -> float:
        """Seconds that the device was asked for that had most to do."""
        return max(self._seconds.values(), default=0.0)

    def peers(self) -> Sequence[str]:
        """See `Committee.peers`."""
        return [device for device in self._device.peers() if device in self._members]

    async def infer(self, device: str, task: Task, say: Say) -> Answer:
        """See `Committee.infer`."""
        if self.failure is not None:
            raise self.failure
        if device not in self._members:
            raise PeerGone("it is no part of the plan")
        now = asyncio.get_running_loop().time
        started = now()
        say = self._bounded(say)
        try:
            if device == self.own_id:  # gives way: being cancelled ends the whole prompt
                return await self._device.inferences.probe(task, say)
            return await self._device.peer_links.infer(device, task, say)
        except DmoaError as error:
            self.failure = self.failure or error
            raise
        finally:
            self._seconds[device] = self._seconds.get(device, 0.0) + now() - started

    def _bounded(self, say: Say) -> Say:
        """The same, which ends an inference whose answer has no end."""
        written = 0.0

        def told(step: TaskStep) -> None:
            nonlocal written
            if isinstance(step, Piece):
                if step.recants:
                    written *= THOUGHT
                written += len(step.text) + THOUGHT * len(step.reasoning)
                if written > self._longest:
                    raise EndlessAnswer(f"{written:.0f} characters, and no end")
            say(step)

        return told
