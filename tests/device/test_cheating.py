"""Peers that try to tell examinations from users' prompts, and answer well only the first."""

import asyncio
import itertools
import random
import statistics
from collections.abc import Sequence

import pytest

from dmoa.policies.plans import alone
from dmoa.protocol.conversation import Message
from dmoa.protocol.tasks import Task
from dmoa.standings.outcomes import Standings
from dmoa.standings.questions import question
from dmoa.standings.questions.own import OwnQuestion
from dmoa.standings.topics import Topics
from tests.school import School, coins, school
from tests.virtual import run_virtual

pytestmark = pytest.mark.slow

WORDS = (
    *("leeks", "eggs", "bread", "sail", "aunt", "landlord"),
    *("volcano", "rope", "grammar", "invoice", "bakery", "riddle"),
)
GAP = 20.0


def user_prompt(rng: random.Random) -> str:
    """What a user writes: of every length."""
    return " ".join(rng.choices(WORDS, k=rng.choice((4, 8, 12, 20, 40, 80)))) + "?"


def auc(one: Sequence[float], two: Sequence[float]) -> float:
    """Probability that a draw of one is above a draw of two, ties half: 0.5 tells nothing."""
    return statistics.fmean((a > b) + (a == b) / 2 for a in one for b in two)


def test_length_sampling_timing_and_envelope_tell_a_peer_nothing() -> None:
    """A peer keeps everything it can measure of its tasks but the words, and learns nothing."""

    async def work() -> None:
        async with school(2, coins({"d0": 0.1, "d1": 0.95})) as s:
            rng, now = random.Random(4), asyncio.get_running_loop().time
            await s.learn(0)
            s.examiners[0].kept.standings.records.popitem()  # of the peer: examined once more
            seen: list[tuple[float, Task]] = []
            run = s.cluster.devices[1].inferences.run

            async def watching(task: Task, *args: object) -> object:
                seen.append((now(), task))
                return await run(task, *args)  # type: ignore[arg-type]

            s.cluster.devices[1].service._infer = watching  # type: ignore[assignment]
            for _ in range(40):
                await s.ask(0, "dmoa-m1-k1", user_prompt(rng))  # its manners become known
            seen.clear()
            s.examiners[0].budget = s.examiners[0]._schedule.budget = type(s.examiners[0].budget)(
                share=1.0, per_day=10_000, gap=GAP
            )
            s.examinations[0].start()
            for _ in range(50):
                await asyncio.sleep(rng.expovariate(1 / GAP))
                await s.ask(0, "dmoa-m1-k1", user_prompt(rng))
            await s.examinations[0].close()
            examined = set(s.questions)
            gaps = [b[0] - a[0] for a, b in itertools.pairwise(seen)]
            told: dict[bool, list[list[float]]] = {True: [], False: []}
            for (_, task), gap in zip(seen[1:], gaps, strict=True):
                said = task.messages[-1].content
                told[said in examined].append(
                    [
                        float(len(said)),
                        float(task.sampling.temperature or 0.0),
                        float(task.sampling.max_tokens or 0),
                        float(len(task.messages)),
                        gap,
                    ]
                )
            assert min(len(told[True]), len(told[False])) >= 20
            for i, name in enumerate(("length", "temperature", "max_tokens", "messages", "gap")):
                value = auc([t[i] for t in told[True]], [t[i] for t in told[False]])
                assert 0.3 < value < 0.7, f"{name} tells them apart: {value:.2f}"

    run_virtual(work())


def cheat(s: School, cheater: str) -> None:
    """A peer that knows the public templates: it is right where words are an examination's."""
    examples = (question("another secret", i) for i in range(600))
    templates = Topics((q.text, q.topic) for q in examples)
    respond = s._respond

    def answers(name: str, messages: Sequence[Message]) -> str:
        looks_like_one = bool(templates.guess(messages[-1].content))
        if name == cheater and not looks_like_one:
            return "whatever"
        return respond(name, messages)

    s._respond = answers  # type: ignore[method-assign]


def test_a_peer_that_knows_the_words_is_found_out_by_the_users_own_questions() -> None:
    async def work() -> None:
        async with school(2, coins({"d0": 0.5, "d1": 0.98})) as s:
            cheat(s, "d1")
            await s.learn(0)
            assert (await s.ask(0)).record.aggregator[-1].name == "d1", "it deceives at first"
            rng = random.Random(3)
            own = [OwnQuestion(f"{i} {user_prompt(rng)}", ("V3",)) for i in range(60)]
            s.examinations[0].add(own)
            s.examiners[0].nothing_left = 0
            await s.learn(0, 7200.0)
            assert (await s.ask(0)).record.aggregator[-1].name == "d0"

    run_virtual(work())


def test_a_peer_that_knows_the_words_is_found_out_by_ratings() -> None:
    async def work() -> None:
        async with school(2, coins({"d0": 0.3, "d1": 0.98})) as s:
            cheat(s, "d1")
            await s.learn(0)
            rated = 0
            while (await s.ask(0)).record.aggregator[-1].name == "d1" and rated < 400:
                s.examinations[0].rate(alone("d1"), s.examinations[0].cards(), good=False)
                rated += 1
            assert 10 < rated < 250, "each counts a quarter of a question"

    run_virtual(work())


def test_what_a_peer_says_of_itself_or_others_is_no_outcome() -> None:
    """Standings have outcomes of the device's own examinations and ratings, and nothing else."""

    async def work() -> None:
        async with school(3, coins({"d0": 0.5, "d1": 0.5, "d2": 0.5})) as s:
            await s.learn(1, 300.0)
            await s.learn(2, 300.0)
            assert s.examiners[0].kept.standings == Standings()

    run_virtual(work())
