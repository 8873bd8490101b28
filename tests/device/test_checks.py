"""A peer that is good in examinations and bad for users is found out on the live path."""

import asyncio
from collections.abc import Callable, Sequence

import pytest

from dmoa.protocol.conversation import Message
from dmoa.standings.questions import question
from tests.school import School, coins, school
from tests.virtual import run_virtual

PROMPTS = 45
USERS = [question("what users ask", i) for i in range(PROMPTS)]
SKILLS = {"d0": 0.6, "d1": 1.0, "d2": 0.7}


def answers(s: School, name: str, honest: bool) -> Callable[[Sequence[Message]], str]:
    knows = coins(SKILLS)

    def respond(messages: Sequence[Message]) -> str:
        asked = messages[-1].content
        for users, known in ((True, {q.text: q for q in USERS}), (False, s.questions)):
            if found := known.get(asked):
                lies = users and not honest
                right = knows(name, found) and not lies
                return f"Answer: {found.answers[0] if right else f'{name} {found.index}'}"
        return "I do not know."

    return respond


async def asked(s: School, honest: bool) -> list[str]:
    """Which device answered each prompt; between prompts the devices idle."""
    for i, name in enumerate(SKILLS):
        respond = answers(s, name, honest or name != "d1")
        s.cluster.llms[i]._respond = respond
    await s.learn(0)
    s.examinations[0].start()
    answered = []
    for users in USERS:
        finished = await s.ask(0, text=users.text)
        answered.append(finished.record.aggregator[-1].name)
        await asyncio.sleep(20.0)
    await s.examinations[0].close()
    return answered


@pytest.mark.slow
def test_a_sleeper_loses_its_standing_and_an_honest_peer_keeps_it() -> None:
    async def work() -> None:
        for honest in (False, True):
            async with school(3, coins(SKILLS)) as s:
                answered = await asked(s, honest)
                assert answered[0] == "d1"
                assert (answered[-1] == "d1") is honest
                assert s.examiners[0].kept.agreements.trusts("d1", 1e6) is honest

    run_virtual(work())


def test_what_must_not_leave_the_device_is_compared_with_nobody() -> None:
    async def work() -> None:
        async with school(3, coins(SKILLS)) as s:
            await s.learn(0)
            before = [len(llm.asked) for llm in s.cluster.llms[1:]]
            s.examinations[0].start()
            await s.ask(0, text=USERS[0].text, local_only=True)
            await asyncio.sleep(1.0)
            assert not s.examinations[0]._checks.waiting
            await s.examinations[0].close()
            assert [len(llm.asked) for llm in s.cluster.llms[1:]] == before

    run_virtual(work())


def test_drafts_of_a_committee_are_compared_as_they_come_and_cost_nobody_an_inference() -> None:
    async def work() -> None:
        async with school(3, coins(SKILLS)) as s:
            await s.learn(0)
            agreements = s.examiners[0].kept.agreements
            for i in range(3):
                s.cluster.llms[i].asked.clear()
            await s.ask(0, "dmoa-m1-k2", USERS[0].text)
            assert set(agreements.heard.values()) == {1}
            assert {subject.split("\n")[0] for subject in agreements.heard} == {"d1", "d2"}
            assert sum(len(llm.asked) for llm in s.cluster.llms) == 4
            # A story agrees with no other, and says nothing.
            await s.ask(0, "dmoa-m1-k2", "Tell me a story of a sleepy dragon and a windmill.")
            assert set(agreements.heard.values()) == {1}

    run_virtual(work())
