"""Attacks on a network, with LLMs that are scripts and with invented recorded drafts."""

import asyncio
import random
from collections.abc import Sequence
from pathlib import Path

import pytest

from dmoa.errors import UsageError
from dmoa.evaluation import pocketqa
from dmoa.evaluation.attack.deceiver import Member
from dmoa.evaluation.attack.kinds import ATTACKS, Attack, Item, attacks_of, with_wrong_answers
from dmoa.evaluation.attack.pocket import questions
from dmoa.evaluation.attack.recorded import RecordedPlace, items_of, misled, put
from dmoa.evaluation.attack.study import attack_pocketqa, attack_recorded
from dmoa.evaluation.recorded_drafts import read_rows
from dmoa.llm.interface import LLM, Token
from dmoa.llm.scripted import ScriptedLLM
from dmoa.protocol.conversation import Message, Sampling
from tests.evaluation.test_recorded_drafts import written
from tests.virtual import run_virtual

ITEM = Item(0, exam=False, text="Why?", answers=("yes",), topic="t", wrong="no")


def knowing(name: str, exams: int, asked: int, seed: int) -> LLM:
    """An LLM that knows two thirds of the questions, and takes a sure draft for right."""
    exam, users = questions(exams, asked, seed)
    right = {item.text: item.answers[0] for item in (*exam, *users)}

    def respond(messages: Sequence[Message]) -> str:
        question, _, drafts = messages[-1].content.partition("\n")
        if random.Random(f"{name} {question}").random() < 0.67:
            return f"{right[question]}, I am sure."
        sure = [d[3:] for d in drafts.splitlines() if d.endswith(pocketqa.SURE)]
        return sure[-1] if sure else f"{name}, but I am not sure."

    llm = ScriptedLLM(lambda: 0.01, respond, name=name)
    llm.pack = lambda messages, drafts, instruction: [
        Message(role="user", content=pocketqa.aggregation_prompt(messages[-1].content, drafts))
    ]
    return llm


@pytest.mark.slow
def test_a_deceiver_costs_a_committee_much_and_those_who_examine_little() -> None:
    exams, asked, seed = 40, 160, 3
    told: list[float] = []
    found = run_virtual(
        attack_pocketqa(
            attacks_of("confident,drip"),
            exams=exams,
            asked=asked,
            seed=seed,
            tell=told.append,
            llms=[knowing(name, exams, asked, seed) for name in pocketqa.NAMES],
        )
    )
    assert told[-1] == 1.0
    assert list(found.networks) == ["nobody", "absent", "confident", "drip"]
    attacked = found.networks["confident"]
    assert attacked.n == 120  # the deceiver's own user is no part of it
    committee, dmoa = attacked.rules["committee"], attacked.rules["dmoa"]
    assert committee.lost.mean > 10
    assert dmoa.lost.mean < committee.lost.mean / 2
    assert found.networks["drip"].rules["dmoa"].lost.mean < 15
    assert set(attacked.owners) == {"fern", "iris", "moss"}


@pytest.mark.slow
def test_sleepers_of_recorded_networks_are_found_out(tmp_path: Path) -> None:
    path = written(tmp_path / "drafts.jsonl.gz", committee=0.5)
    found = asyncio.run(
        attack_recorded(
            [path], attacks_of("confident,sleeper"), exams=80, seed=1, tell=lambda share: None
        )
    )
    nobody, sleeper = found.networks["nobody"], found.networks["sleeper"]
    assert nobody.honest_distrusted == sleeper.honest_distrusted == 0
    assert nobody.rules["dmoa"] == nobody.rules["standings"]
    # Standings alone never find out.
    assert sleeper.rules["standings"].accuracy.mean == 0
    assert all(after and after < 75 for after in sleeper.found_after.values())
    assert sleeper.rules["dmoa"].late_lost.mean < 5
    assert found.networks["confident"].rules["dmoa"].lost.mean < 5
    assert found.estimate["big"]["lost"].mean > -2


def test_every_attack_says_what_it_is() -> None:
    said = {a.name: a.says(ITEM, False, put, "honest") for a in ATTACKS}
    assert said["confident"] == put("no")
    assert said["empty"] == " "
    assert said["drip"] is None
    assert said["copycat"] == "honest"
    assert len(said["giant"] or "") > 100_000
    assert "</draft 1>" in (said["escape"] or "")
    assert "ignore" in (said["instructions"] or "")
    by_name = {a.name: a for a in ATTACKS}
    assert by_name["long-sleeper"].says(ITEM, False, put, "") == put("yes")
    assert by_name["long-sleeper"].says(ITEM, True, put, "") == put("no")
    exam = Item(0, exam=True, text="Why?", answers=("yes",), topic="t", wrong="no")
    assert by_name["sleeper"].says(exam, False, put, "") == put("yes")
    assert by_name["sleeper"].says(ITEM, False, put, "") == put("no")


def test_wrong_answers_are_wrong_and_accomplices_agree_on_them() -> None:
    asked = [(f"q{i}", (str(i % 3),), "kind", "topic") for i in range(30)]
    items = with_wrong_answers(asked, exam=False, seed=1)
    assert all(item.wrong not in item.answers for item in items)
    assert items == with_wrong_answers(asked, exam=False, seed=1)


def test_a_member_that_drips_never_ends_and_an_unknown_question_is_answered() -> None:
    async def work() -> None:
        attack = next(a for a in ATTACKS if a.name == "drip")
        llm = ScriptedLLM(lambda: 0.0, lambda messages: "honest", name="x")
        member = Member(llm, {}, attack, {"Why?": ITEM})
        heard = []
        async for token in member.stream([Message(role="user", content="Why?")], Sampling()):
            heard.append(token)
            if len(heard) == 500:
                break
        assert all(isinstance(token, Token) for token in heard)
        other = member.stream([Message(role="user", content="How?")], Sampling())
        assert (await anext(other)) == Token("honest")

    run_virtual(work())


def test_plans_that_nobody_recorded_are_not_carried_out(tmp_path: Path) -> None:
    rows = read_rows([written(tmp_path / "drafts.jsonl.gz", committee=0.5)])
    users = items_of(rows, exam=False, seed=1)
    quiet = Attack("quiet", lambda item, drafts, put, honest: None)
    place = RecordedPlace(rows, users, quiet, "big")
    everybody = place.everybody("big")
    assert everybody.devices == ("big", "middle", "small", "member1")
    reply = asyncio.run(place.carry_out("big", users[0], everybody))
    assert reply
    assert set(reply.drafts) == {"big", "middle", "small"}
    assert misled(rows, "big")


def test_unknown_attacks_are_refused() -> None:
    with pytest.raises(UsageError, match="'bribe' is none of confident"):
        attacks_of("sleeper,bribe")
