"""Whom a device asks, given what it has found out; networks of coins with known skills."""

import random
from collections.abc import Callable, Mapping

import pytest

from dmoa.policies.plans import Load, Plan, alone, choosing, committee
from dmoa.standings.decision import Card, View, decide, decide_idle, plan_subject, view
from dmoa.standings.outcomes import Outcome, Standings

CARDS = {name: Card(name, name, f"model of {name}") for name in ("ada", "bob", "cyd")}
TEAM = committee(1, ["ada", "bob", "cyd"], "ada")
VOTE = choosing(["cyd", "bob", "ada"], "vote")
TOPICS = ("units", "dates", "code")

Rights = Callable[[random.Random, str], Mapping[object, bool]]
"""Who is right in a question of a topic: devices by name, and plans."""


def independent(**skills: float) -> Rights:
    return lambda rng, topic: {name: rng.random() < skill for name, skill in skills.items()}


def examined(
    rights: Rights, questions: int, seed: int = 0, own: str = "ada", plans: tuple[Plan, ...] = ()
) -> View:
    rng, known = random.Random(seed), Standings()
    for question in range(questions):
        topic = TOPICS[question % len(TOPICS)]
        for who, right in rights(rng, topic).items():
            card = CARDS.get(str(who))
            subject = plan_subject(who, CARDS) if isinstance(who, Plan) else card and card.subject
            assert subject
            known.note(subject, Outcome(question, topic, right, 0.0))
    return view(known, own, CARDS.values(), 0.0, plans)


def test_until_something_is_known_the_own_llm_answers() -> None:
    decision = decide_idle(view(Standings(), "ada", CARDS.values(), 0.0, [TEAM]))
    assert decision.plan == alone("ada")
    assert decision.why.startswith("too little is known")


def test_a_far_better_peer_is_asked_alone() -> None:
    decision = decide_idle(examined(independent(ada=0.35, bob=0.2, cyd=0.8), 60))
    assert decision.plan == alone("cyd")
    assert decision.why == "cyd's LLM was right in 47 of 60 questions, this one's in 19"


def test_a_peer_that_was_only_lucky_is_not() -> None:
    left = sum(
        decide_idle(examined(independent(ada=0.6, bob=0.6, cyd=0.55), 60, seed)).plan
        != alone("ada")
        for seed in range(200)
    )
    assert left <= 20


def test_a_strong_owner_keeps_its_own_llm() -> None:
    for seed in range(100):
        made = examined(independent(ada=0.78, bob=0.36, cyd=0.17), 60, seed, plans=(TEAM,))
        assert decide_idle(made).plan == alone("ada")


def test_a_weak_owner_finds_the_strong_peer_in_sixty_questions() -> None:
    for seed in range(100):
        made = examined(independent(ada=0.36, bob=0.17, cyd=0.78), 60, seed)
        assert decide_idle(made).plan == alone("cyd")


def complementary(rng: random.Random, topic: str) -> Mapping[object, bool]:
    said: dict[object, bool] = {name: rng.random() < 0.55 for name in CARDS}
    return said | {TEAM: sum(said.values()) >= 1 and rng.random() < 0.95}


def test_a_committee_that_is_better_on_the_same_questions_is_taken() -> None:
    decision = decide_idle(examined(complementary, 200, plans=(TEAM, VOTE)))
    assert decision.plan == TEAM
    assert "it won" in decision.why


def test_a_committee_that_only_repeats_its_best_member_is_not() -> None:
    def same(rng: random.Random, topic: str) -> Mapping[object, bool]:
        right = rng.random() < 0.6
        return {"ada": right, "bob": right, "cyd": right, TEAM: right}

    decision = decide_idle(examined(same, 200, plans=(TEAM,)))
    assert decision.plan == alone("ada")
    assert decision.why.endswith("committees have not been better")


def test_a_plan_that_was_not_examined_is_no_candidate() -> None:
    made = examined(independent(ada=0.5, bob=0.5, cyd=0.5), 60, plans=(TEAM,))
    assert all(candidate.plan != TEAM for candidate in made.candidates)


def by_topic(rng: random.Random, topic: str) -> Mapping[object, bool]:
    good = dict(zip(TOPICS, CARDS, strict=True))[topic]
    return {name: rng.random() < (0.9 if name == good else 0.3) for name in CARDS}


def test_topics_count_where_they_help() -> None:
    made = examined(by_topic, 240)
    assert {decide_idle(made, topic=t).plan.aggregator for t in TOPICS} == {"ada", "bob", "cyd"}
    assert decide_idle(made, topic="poetry").topic == ""


def test_topics_do_not_count_where_they_do_not_help() -> None:
    told = sum(
        bool(examined(independent(ada=0.6, bob=0.6, cyd=0.6), 120, seed).by_topic)
        for seed in range(30)
    )
    assert told <= 3


def test_who_may_not_be_asked_is_not() -> None:
    made = examined(independent(ada=0.35, bob=0.7, cyd=0.8), 60)
    assert decide_idle(made, may_ask=lambda peer: peer != "cyd").plan == alone("bob")
    local = decide_idle(made, may_ask=lambda peer: False)
    assert local.plan == alone("ada")
    assert "cannot be asked" in local.why


def test_a_busy_peer_is_passed_over_and_that_is_said() -> None:
    made = examined(independent(ada=0.35, bob=0.2, cyd=0.8), 60)
    decision = decide(made, load=Load({"cyd": 1000.0}))
    assert decision
    assert decision.plan == alone("ada")
    assert "is busier" in decision.why


def test_what_a_card_claims_of_its_model_changes_nothing() -> None:
    known = Standings()
    for question in range(60):
        known.note(CARDS["ada"].subject, Outcome(question, "", True, 0.0))
        known.note(CARDS["cyd"].subject, Outcome(question, "", False, 0.0))
    boaster = Card("cyd", "cyd (the best)", "gpt-9-ultra")
    decision = decide_idle(view(known, "ada", [CARDS["ada"], boaster], 0.0))
    assert decision.plan == alone("ada")


@pytest.mark.parametrize("questions", [0, 5, 9])
def test_few_questions_are_no_ground_to_leave(questions: int) -> None:
    made = examined(lambda rng, topic: {"ada": False, "cyd": True}, questions)
    assert decide_idle(made).plan == alone("ada")
