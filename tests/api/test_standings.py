"""Standings, ratings and questions of one's own over HTTP, and prompts that must not leave."""

import json
import time
from typing import Any

import pytest

from dmoa.api.making import PromptDefaults
from dmoa.policies.plans import committee
from dmoa.standings.decision import Card, plan_subject
from dmoa.standings.outcomes import Outcome, subject_of
from tests.api.asking import check
from tests.api.test_openapi import answer_schema, described
from tests.served import Served, served

FEEDBACK, QUESTIONS = "/v1/dmoa/prompts/{id}/feedback", "/v1/dmoa/questions"
OWN = {"question": "Which valve first?", "answers": ["V3"], "topic": "plant"}


async def asked(s: Served, model: str, **more: Any) -> dict[str, Any]:
    body = {"model": model, "messages": [{"role": "user", "content": "Why?"}], **more}
    answered = await s.post(json.dumps(body).encode())
    assert answered.status == 200, answered.body
    found = answered.json()["dmoa"]
    assert isinstance(found, dict)
    return found


async def rate(s: Served, prompt: str, rating: Any) -> tuple[int, Any]:
    path = FEEDBACK.replace("{id}", prompt)
    answered = await s.post(json.dumps({"rating": rating}).encode(), path)
    return answered.status, answered.json()


async def test_standings_are_there_from_the_start_and_as_described() -> None:
    async with served(2) as s:
        found = (await s.get("/v1/dmoa/standings")).json()
        check(await described(s), answer_schema(await described(s), "/v1/dmoa/standings"), found)
        assert [device["name"] for device in found["devices"]] == ["d0", "d1"]
        assert all(device["asked"] == 0 for device in found["devices"])
        assert found["plans"] == []


async def test_an_aggregator_that_is_set_does_not_answer_in_place_of_the_one_decided() -> None:
    defaults = PromptDefaults(aggregator="d2")
    async with served(3, defaults=defaults) as s:
        together = await asked(s, "dmoa-m1-k1")
        assert together["aggregator"][0]["name"] == "d2"
        known = s.examiner.standings
        for device in ("d0", "d1"):
            for question in range(40):
                outcome = Outcome(question, "", device == "d1", time.time())
                known.note(subject_of(device, f"model-{device}"), outcome)
        for more in ({}, {"dmoa": {"aggregator": "d0"}}):
            found = await asked(s, "dmoa-m0-k0-best", **more)
            assert found["aggregator"][0]["name"] == "d1"


async def test_a_rating_counts_for_whom_the_answer_is_of_and_once() -> None:
    async with served(2) as s:
        document = await described(s)
        alone = await asked(s, "model-d0")
        status, told = await rate(s, alone["id"], -1)
        assert (status, told["device"]) == (200, "d0")
        check(document, answer_schema(document, FEEDBACK, method="post"), told)
        skills = [d["skill"] for d in (await s.get("/v1/dmoa/standings")).json()["devices"]]
        assert skills[0]["mean"] < 0.5 == skills[1]["mean"]
        again, refused = await rate(s, alone["id"], -1)
        assert again == 400
        assert "rated already" in refused["error"]["message"]
        assert (await s.get("/v1/dmoa/standings")).json()["devices"][0]["skill"] == skills[0]


async def test_a_rating_of_what_several_wrote_counts_for_their_plan_alone() -> None:
    async with served(3) as s:
        document = await described(s)
        together = await asked(s, "dmoa-m1-k1")
        devices = sorted(p["device"] for p in together["layers"][0]["proposers"])
        status, told = await rate(s, together["id"], -1)
        check(document, answer_schema(document, FEEDBACK, method="post"), told)
        assert (status, told["device"]) == (200, None)
        plan = {"layers": 1, "proposers": 1, "aggregator": "d0", "devices": devices}
        assert told["plan"] == {**plan, "method": "synthesise"}
        cards = {d: Card(d, d, f"model-{d}") for d in ("d0", "d1", "d2")}
        subject = plan_subject(committee(1, devices, "d0"), cards)
        assert list(s.examiner.standings.records) == [subject], "nobody else's"
        record = s.examiner.standings.record(subject)
        assert record.skill(time.time()).mean < 0.5
        assert record.asked() == 0, "a rating is no question"


async def test_a_rating_of_a_vote_or_a_choice_that_no_plan_says_is_nobodys() -> None:
    async with served(3) as s:
        for model in ("dmoa-m1-k1-vote", "dmoa-m1-k1-select"):
            status, told = await rate(s, (await asked(s, model))["id"], 1)
            assert (status, told["device"], told["plan"]) == (200, None, None)
        assert not s.examiner.standings.records


@pytest.mark.parametrize("rating", [0, 2, "1", None, 1.5])
async def test_a_rating_is_one_or_minus_one(rating: Any) -> None:
    async with served(1) as s:
        status, told = await rate(s, (await asked(s, "model-d0"))["id"], rating)
        assert status == 400
        assert "rating" in told["error"]["message"]


async def test_a_rating_with_more_than_a_rating_is_refused() -> None:
    async with served(1) as s:
        path = FEEDBACK.format(id=(await asked(s, "model-d0"))["id"])
        answer = await s.post(b'{"rating": 1, "reason": "it was right"}', path)
        assert answer.status == 400
        assert "reason" in answer.json()["error"]["message"]


async def test_what_was_never_answered_cannot_be_rated() -> None:
    async with served(1) as s:
        assert (await rate(s, "prompt-x", 1))[0] == 404


async def test_own_questions_are_taken_all_or_none_and_faults_are_told() -> None:
    async with served(1) as s:
        document = await described(s)
        body = json.dumps({"questions": [OWN]}).encode()
        taken = await s.post(body, QUESTIONS)
        assert taken.json() == {"added": 1, "questions": 1}
        check(document, answer_schema(document, QUESTIONS, method="post"), taken.json())
        bad = {"questions": [{**OWN, "question": "Another?"}, {"question": "no answers"}, OWN]}
        refused = await s.post(json.dumps(bad).encode(), QUESTIONS)
        assert refused.status == 400
        message = refused.json()["error"]["message"]
        assert "line 2" in message
        assert "line 3: a duplicate" in message
        again = {"questions": [{**OWN, "question": "Another?"}]}
        assert (await s.post(json.dumps(again).encode(), QUESTIONS)).json()["questions"] == 2
        bodies: list[Any] = [{}, {"questions": []}, {"questions": [1]}, {"questions": {}}]
        for nonsense in bodies:
            answered = await s.post(json.dumps(nonsense).encode(), QUESTIONS)
            assert answered.status == 400, nonsense


async def test_a_request_that_must_not_leave_does_not() -> None:
    async with served(3) as s:
        for model in ("dmoa", "dmoa-m2-k2", "dmoa-m1-k2-best"):
            found = await asked(s, model, dmoa={"local_only": True, "aggregator": "d1"})
            assert (found["M"], found["tasks"]) == (0, 1)
            assert found["aggregator"][0]["name"] == "d0"
        s.cluster.llms[0].fails_before_token = 0
        body = {
            "model": "dmoa",
            "messages": [{"role": "user", "content": "Why?"}],
            "dmoa": {"local_only": True},
        }
        assert (await s.post(json.dumps(body).encode())).status == 503
        assert not s.cluster.llms[1].asked
        assert not s.cluster.llms[2].asked


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("dmoa-m1-k1-best", 200),
        ("dmoa-m1-k1-best-select", 200),
        ("dmoa-m1-k1-select-best", 200),
        ("dmoa-m0-k0-best", 200),
        ("dmoa-best", 404),
        ("dmoa-m1-k1-best-best", 404),
        ("dmoa-m1-k1-bestest", 404),
        ("dmoa-auto-best", 404),
    ],
)
async def test_best_is_a_suffix_of_models_with_m_and_k(name: str, status: int) -> None:
    async with served(2) as s:
        assert (await s.get(f"/v1/models/{name}")).status == status
