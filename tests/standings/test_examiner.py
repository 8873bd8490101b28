"""A device examines networks of LLMs with known skills, and decides."""

import random
from collections import Counter
from collections.abc import Callable, Mapping

import msgspec
import pytest

from dmoa.policies.plans import Plan, alone
from dmoa.standings.candidates import worth_examining
from dmoa.standings.decision import Card, decide_idle
from dmoa.standings.examiner import Examiner, Kept, Step
from dmoa.standings.outcomes import Outcome, Standings
from dmoa.standings.questions.own import OwnQuestion
from dmoa.standings.schedule import Budget
from dmoa.standings.summary import summary

CARDS = {name: Card(name, name, f"model of {name}") for name in ("ada", "bob", "cyd", "dan")}
AMPLE = Budget(share=1.0, per_day=10_000, gap=1.0, service=1.0)

Knows = Callable[[str, str, int], bool]
"""Whether a device knows a question, by its topic and number."""


def answer(plan: Plan, step: Step, knows: Knows) -> str:
    """What a plan answers; a committee is right if one of its members is."""
    members = plan.devices or (plan.aggregator,)
    question = step.question
    if any(knows(name, question.topic, question.index) for name in members):
        return f"Let me see.\n\nAnswer: {question.answers[0]}"
    return "I do not know."


def examined(
    knows: Knows, most: int = 2000, cards: Mapping[str, Card] = CARDS
) -> tuple[Examiner, float]:
    """Until there is nothing to ask for ten times in a row."""
    examiner, now, idle = Examiner("ada", Kept(seed="secret"), AMPLE), 0.0, 0
    for _ in range(most):
        now = max(now + 0.1, examiner.kept.schedule.not_before)
        idle += 1
        if idle > 10:
            break
        if step := examiner.next(now, cards, cards.keys()):
            examiner.answered(step, answer(step.ask.plan, step, knows), 1.0, now)
            idle = 0
    return examiner, now


def coins(skills: Mapping[str, float]) -> Knows:
    """Every device knows a question or not, by chance and for good."""
    return lambda name, topic, number: random.Random(f"{name} {number}").random() < skills[name]


def test_one_far_ahead_is_found_and_no_committee_is_tried() -> None:
    skills = {"ada": 0.3, "bob": 0.2, "cyd": 0.85, "dan": 0.4}
    examiner, now = examined(coins(skills))
    made = examiner.view(CARDS, now)
    assert decide_idle(made).plan == alone("cyd")
    assert examiner.plans(CARDS, now) == []


@pytest.mark.slow
def test_equals_that_know_different_things_become_a_committee() -> None:
    examiner, now = examined(coins(dict.fromkeys(CARDS, 0.45)))
    decision = decide_idle(examiner.view(CARDS, now))
    assert decision.plan.method == "synthesise"
    assert decision.plan.proposers == 3
    assert decision.plan.aggregator == "ada"


@pytest.mark.slow
def test_equals_that_know_the_same_stay_alone() -> None:
    examiner, now = examined(lambda name, topic, i: random.Random(i).random() < 0.5)
    assert decide_idle(examiner.view(CARDS, now)).plan == alone("ada")


def test_topics_of_prompts_are_told_where_they_are_like_the_examinations() -> None:
    examiner = Examiner("ada", Kept(seed="secret"), AMPLE)
    assert examiner.topic("How many grams are 5 kilograms and 120 grams?") == "units"
    assert examiner.topic("Write a poem about my aunt who sails on the fjord") == ""
    examiner.add([OwnQuestion("Write a poem about the aunt who sails", ("yes",), "poetry")] * 60)
    assert examiner.topic("Write a poem about my aunt who sails on the fjord") == "poetry"


def test_a_restart_goes_on_where_it_was() -> None:
    skills = {"ada": 0.3, "bob": 0.2, "cyd": 0.85, "dan": 0.4}
    examiner, _ = examined(coins(skills), most=100)
    raw = msgspec.msgpack.encode(examiner.kept)
    again = Examiner("ada", msgspec.msgpack.decode(raw, type=Kept), AMPLE)
    assert again.standings == examiner.standings
    assert again.kept == examiner.kept


@pytest.mark.slow
def test_what_was_chosen_is_held_over_a_restart_and_is_examined_on() -> None:
    examiner, now = examined(coins(dict.fromkeys(CARDS, 0.45)))
    chosen = decide_idle(examiner.view(CARDS, now)).plan
    assert chosen.devices
    raw = msgspec.json.encode(examiner.kept)
    again = Examiner("ada", msgspec.json.decode(raw, type=Kept), AMPLE)
    assert again.kept.held.plan == chosen
    for question in range(100, 140):  # the others fall far behind, so it is proposed no more
        for name in ("bob", "cyd", "dan"):
            again.standings.note(CARDS[name].subject, Outcome(question, "", False, now))
    assert chosen not in worth_examining(again.standings, "ada", CARDS, now)
    assert chosen in again.plans(CARDS, now)


def test_a_plan_is_the_same_whoever_is_ahead() -> None:
    subjects = set()
    for best in CARDS:
        known = Standings()
        for question in range(40):
            for name in CARDS:
                right = question < (30 if name == best else 28)
                known.note(CARDS[name].subject, Outcome(question, "", right, 0.0))
        plans = worth_examining(known, "ada", CARDS, 0.0)
        subjects |= {p.devices for p in plans if p.aggregator == "ada" and p.proposers == 3}
    assert len(subjects) == 1


def test_two_devices_have_different_secrets() -> None:
    assert Kept().seed != Kept().seed


def test_own_questions_are_asked_too() -> None:
    examiner = Examiner("ada", Kept(seed="secret"), AMPLE)
    examiner.add([OwnQuestion("Which valve first?", ("V3",), "plant")])
    asked, now = [], 0.0
    for _ in range(30):
        now = max(now + 1.0, examiner.kept.schedule.not_before)
        if step := examiner.next(now, CARDS, CARDS.keys()):
            asked.append(step.question.text)
            examiner.answered(step, "V3", 1.0, now)
    assert asked.count("Which valve first?") == len(CARDS)


def test_own_questions_that_come_late_are_asked_too_and_change_no_earlier_one() -> None:
    examiner = Examiner("ada", Kept(seed="secret"), AMPLE)
    said: dict[int, set[str]] = {}
    now = 0.0
    for i in range(600):
        if i == 10:
            examiner.add([OwnQuestion(f"Which valve is at {j}?", ("V3",)) for j in range(10)])
        now = max(now + 1.0, examiner.kept.schedule.not_before)
        if step := examiner.next(now, CARDS, CARDS.keys()):
            said.setdefault(step.question.index, set()).add(step.question.text)
            examiner.answered(step, "V3", 1.0, now)
    assert all(len(texts) == 1 for texts in said.values())
    assert sum("Which valve" in text for texts in said.values() for text in texts) == 10


TWO = {name: CARDS[name] for name in ("ada", "bob")}
VALVES = [OwnQuestion(f"Which valve is at {j}?", ("V3",), "plant") for j in range(40)]


def asked_on(
    examiner: Examiner,
    knows: Knows,
    now: float,
    most: int = 2000,
    cards: Mapping[str, Card] = CARDS,
) -> list[Step]:
    """The next questions, answered; fewer if there are no more."""
    steps: list[Step] = []
    idle = 0
    while len(steps) < most and idle < 10:
        now = max(now + 0.1, examiner.kept.schedule.not_before)
        idle += 1
        if step := examiner.next(now, cards, cards.keys()):
            steps.append(step)
            examiner.answered(step, answer(step.ask.plan, step, knows), 1.0, now)
            idle = 0
    return steps


def users(steps: list[Step]) -> list[Step]:
    return [step for step in steps if step.question.topic == "plant"]


def test_own_questions_that_come_late_to_a_well_known_network_are_asked_at_once() -> None:
    knows = coins({"ada": 0.3, "bob": 0.35, "cyd": 0.6, "dan": 0.4})
    examiner, now = examined(knows)
    assert not asked_on(examiner, knows, now, 10), "everybody is known well"
    examiner.add(VALVES)
    steps = asked_on(examiner, knows, now)
    alone_steps = [step for step in users(steps) if step.ask.plan.method == "alone"]
    asked = Counter(step.ask.plan.aggregator for step in alone_steps[: len(CARDS) * 30])
    assert all(count >= 25 for count in asked.values()), "nobody waits for the others"
    each = Counter((step.ask.subject, step.question.index) for step in users(steps))
    assert set(each.values()) == {1}
    assert sum(step.ask.plan == alone("ada") for step in users(steps)) == len(VALVES)
    drawn = [step for step in steps if step.question.topic != "plant"]
    assert all(step.ask.plan.method != "alone" for step in drawn), "only plans that are new"


def test_own_questions_are_half_of_the_examinations_while_others_are_wanted() -> None:
    examiner = Examiner("ada", Kept(seed="secret"), AMPLE)
    examiner.add(VALVES)
    steps = asked_on(examiner, coins(dict.fromkeys(CARDS, 0.5)), 0.0, 120)
    assert 40 <= len(users(steps)) <= 80


@pytest.mark.parametrize(("good", "asked"), [(True, 60), (False, 30)])
def test_who_is_hopeless_in_the_users_questions_is_not_asked_all_of_them(
    good: bool, asked: int
) -> None:
    def knows(name: str, topic: str, number: int) -> bool:
        return (topic == "plant") == ((name == "bob") == good)

    examiner, now = examined(knows, cards=TWO)
    examiner.add([OwnQuestion(f"Which valve is {j}?", ("V3",), "plant") for j in range(60)])
    steps = users(asked_on(examiner, knows, now, cards=TWO))
    count = Counter(step.ask.subject for step in steps)
    assert count[TWO["ada"].subject] == 60, "what others are compared with"
    assert asked <= count[TWO["bob"].subject] <= asked + 5


def test_a_new_model_has_the_users_questions_too() -> None:
    knows = coins({"ada": 0.9, "bob": 0.3})
    examiner, now = examined(knows, cards=TWO)
    examiner.add(VALVES)
    asked_on(examiner, knows, now, cards=TWO)
    cards = TWO | {"bob": Card("bob", "bob", "another")}
    now = examiner.kept.schedule.not_before
    steps = users(asked_on(examiner, coins({"ada": 0.9, "bob": 0.8}), now, cards=cards))
    assert sum(step.ask.subject == cards["bob"].subject for step in steps) == len(VALVES)


def test_harder_questions_of_the_user_are_no_fall_in_skill() -> None:
    def knows(name: str, topic: str, number: int) -> bool:
        return topic != "plant"

    examiner, now = examined(knows, cards=TWO)
    before = examiner.standings.record(CARDS["bob"].subject).asked()
    examiner.add(VALVES)
    asked_on(examiner, knows, now, cards=TWO)
    record = examiner.standings.record(CARDS["bob"].subject)
    assert record.changes == 0
    assert record.asked() == before + len(VALVES)


def test_a_failure_leaves_no_outcome_and_is_asked_again() -> None:
    examiner = Examiner("ada", Kept(seed="secret"), AMPLE)
    first = examiner.next(1.0, CARDS, CARDS.keys())
    assert first
    examiner.failed(first, 1.0, 2.0)
    again = examiner.next(60.0, CARDS, CARDS.keys())
    assert again
    assert again.question == first.question
    assert not examiner.standings.records
    examiner.refused(again, 65.0)
    assert not examiner.standings.records


def test_plans_worth_examining_are_few_and_of_those_near_the_best() -> None:
    known = Standings()
    many = {f"d{i}": Card(f"d{i}", f"d{i}", "m") for i in range(64)}
    for i, card in enumerate(many.values()):
        for question in range(40):
            known.note(card.subject, Outcome(question, "", question % 64 < i / 2, 0.0))
    plans = worth_examining(known, "d63", many, 0.0)
    assert 1 <= len(plans) <= 9
    assert all(int(device[1:]) > 40 for plan in plans for device in plan.members)
    assert worth_examining(Standings(), "d0", many, 0.0) == []


@pytest.mark.slow
def test_the_summary_has_what_a_table_needs() -> None:
    examiner, now = examined(coins(dict.fromkeys(CARDS, 0.45)))
    found = summary(examiner.standings, CARDS, examiner.plans(CARDS, now), now)
    assert [device["id"] for device in found["devices"]] == list(CARDS)
    for device in found["devices"]:
        assert device["skill"]["low"] < device["skill"]["mean"] < device["skill"]["high"]
        assert device["asked"] == sum(topic["asked"] for topic in device["topics"].values())
        assert device["right"] == sum(topic["right"] for topic in device["topics"].values())
    assert {"layers", "proposers", "aggregator", "asked", "right", "mean", "low", "high"} <= (
        found["plans"][0].keys()
    )
    assert msgspec.json.encode(found)
