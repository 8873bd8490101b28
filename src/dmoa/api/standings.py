"""Who is good at what, as this device has found out; the user's ratings and own questions."""

import asyncio
from collections import OrderedDict
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response

from dmoa.api.errors import ApiError
from dmoa.api.openapi import Operation
from dmoa.api.prompts import json_response
from dmoa.api.reading import read
from dmoa.device.committee import Committees
from dmoa.device.device import Device
from dmoa.device.examinations import Examinations
from dmoa.device.shapes import cards_of, plan_of, told_plan
from dmoa.errors import UsageError
from dmoa.policies.limits import LIMITS
from dmoa.protocol.records import PlanRecord
from dmoa.standings.questions.own import QUESTIONS, checked


class SkillEstimate(msgspec.Struct):
    """Probability of a right answer: posterior mean and 95 % interval."""

    mean: float
    low: float
    high: float


class TopicStanding(msgspec.Struct):
    """Questions of one topic, how many were answered right, and what follows."""

    asked: int
    right: int
    skill: SkillEstimate


class DeviceStanding(msgspec.Struct):
    """What is known of one device's LLM."""

    name: str
    id: str
    model: str
    asked: int
    right: int
    skill: SkillEstimate
    topics: dict[str, TopicStanding]


class PlanStanding(msgspec.Struct):
    """What is known of a plan of several devices, which are called by name."""

    layers: int
    proposers: int
    method: Literal["synthesise", "select", "vote"]
    aggregator: str
    devices: list[str]
    asked: int
    right: int
    mean: float
    low: float
    high: float


class AllStandings(msgspec.Struct):
    """What this device has found out about the LLMs that are there, and about plans.

    Attributes:
        distrusted: names of devices that answer users worse than examinations.
    """

    devices: list[DeviceStanding]
    plans: list[PlanStanding]
    distrusted: list[str]


class Feedback(msgspec.Struct, forbid_unknown_fields=True):
    """The user's rating of an answer: 1 for good, -1 for bad."""

    rating: Literal[1, -1]


class FeedbackTaken(msgspec.Struct):
    """Whose rating it became.

    One device's, or that of the plan by which several wrote the answer together, never of a
    single one of them; both are null if it was no plan that could be taken again.
    """

    id: str
    rating: int
    device: str | None
    plan: PlanRecord | None


class OwnQuestions(msgspec.Struct, forbid_unknown_fields=True):
    """Questions of the user: objects with `question`, `answers` and, if wanted, `topic`."""

    questions: Annotated[list[dict[str, Any]], Meta(min_length=1, max_length=QUESTIONS)]


class QuestionsTaken(msgspec.Struct):
    """How many questions were taken, and how many there are now."""

    added: int
    questions: int


def operations(device: Device, committees: Committees) -> list[Operation]:
    """What the API does with standings; nothing where there are none."""
    if committees.examinations is None:
        return []
    endpoints = _Endpoints(device, committees.examinations)
    return [
        Operation(
            "/v1/dmoa/standings",
            "How good each LLM and plan was in this device's examinations.",
            endpoints.standings,
            AllStandings,
        ),
        Operation(
            "/v1/dmoa/prompts/{id}/feedback",
            "Rates the answer of one of the last prompts, once.",
            endpoints.feedback,
            FeedbackTaken,
            method="POST",
            body=Feedback,
            errors=(400, 404, 408, 413, 415),
        ),
        Operation(
            "/v1/dmoa/questions",
            "Adds questions of the user to the examinations, all of them or none.",
            endpoints.add,
            QuestionsTaken,
            method="POST",
            body=OwnQuestions,
            errors=(400, 408, 413, 415),
        ),
    ]


class _Endpoints:
    def __init__(self, device: Device, examinations: Examinations) -> None:
        self._device = device
        self._examinations = examinations
        self._rated: OrderedDict[str, None] = OrderedDict()

    async def standings(self, request: Request) -> Response:
        return json_response(self._examinations.summary())

    async def feedback(self, request: Request) -> Response:
        prompt_id = request.path_params["id"]
        body = await read(request, Feedback)
        record = self._device.prompt(prompt_id)
        if record is None or record.seconds is None or record.error is not None:
            raise ApiError(404, f"prompt {prompt_id!r} is none of the last that were answered here")
        if prompt_id in self._rated:
            raise ApiError(400, f"prompt {prompt_id!r} was rated already; an answer is rated once")
        self._rated[prompt_id] = None
        while len(self._rated) > LIMITS.prompts:
            self._rated.popitem(last=False)
        plan, cards = plan_of(record), cards_of(record)
        if plan is None:
            return json_response(FeedbackTaken(prompt_id, body.rating, None, None))
        self._examinations.rate(plan, cards, good=body.rating > 0)
        if plan.method == "alone":
            writer = cards[plan.aggregator].name
            return json_response(FeedbackTaken(prompt_id, body.rating, writer, None))
        told = told_plan(plan, cards)
        return json_response(FeedbackTaken(prompt_id, body.rating, None, told))

    async def add(self, request: Request) -> Response:
        body = await read(request, OwnQuestions)
        known = self._examinations.own_questions
        lines = [(i, msgspec.json.encode(question)) for i, question in enumerate(body.questions, 1)]
        try:
            # Checking thousands of answers takes a moment, in which others are served.
            questions = await asyncio.to_thread(checked, lines, "the questions", known)
        except UsageError as error:
            raise ApiError(400, str(error)) from None
        self._examinations.add(questions)
        return json_response(QuestionsTaken(len(questions), len(self._examinations.own_questions)))
