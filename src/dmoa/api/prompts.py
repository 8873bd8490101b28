"""Requests of every API become prompts here, and are answered, whole or streamed.

A client that goes away cancels its work on all devices.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from dmoa.api import models
from dmoa.api.errors import ApiError
from dmoa.api.stream import AnswerStream, until_disconnected
from dmoa.api.writing import Writer
from dmoa.device.committee import Committees
from dmoa.device.device import Device
from dmoa.protocol.conversation import Constraints, Message, Sampling
from dmoa.protocol.layer import LayerPolicy
from dmoa.protocol.packing import INSTRUCTION
from dmoa.protocol.prompt import Prompt

T = TypeVar("T")


@dataclass(frozen=True)
class Asked:
    """What a request asks, whatever API it came by.

    Attributes:
        model: as the client calls it.
        instruction: of the aggregation, where the client has one of its own.
        notes: what of the request was left out, for the prompt's record.
        stream: whether the client reads the answer as it comes.
    """

    model: str
    messages: list[Message]
    sampling: Sampling = Sampling()
    constraints: Constraints | None = None
    instruction: str | None = None
    notes: list[str] = field(default_factory=list)
    stream: bool = False


class Prompts:
    """Answers the prompts of one device's clients.

    Args:
        device: the device.
        committees: decide M and k.
        policy: how long layers wait.
    """

    def __init__(self, device: Device, committees: Committees, policy: LayerPolicy) -> None:
        self.device = device
        self._committees = committees
        self._policy = policy

    async def answer(
        self, request: Request, asked: Asked, make_writer: Callable[[str], Writer]
    ) -> Response:
        """Answer a request.

        Args:
            request: as it came.
            asked: what it asks.
            make_writer: makes the writer of an answer, from the id of its prompt.
        """
        plan = await self._committees.plan(models.parse(asked.model, self.device.llm.info.name))
        prompt = Prompt(
            messages=asked.messages,
            layers=plan.layers,
            proposers=plan.proposers,
            sampling=asked.sampling,
            constraints=asked.constraints,
            instruction=asked.instruction or INSTRUCTION,
            aggregation=plan.aggregation,
            why=plan.reason,
            notes=[*plan.notes, *asked.notes],
            policy=self._policy,
            streamed=asked.stream,
        )
        writer = make_writer(prompt.id)
        if asked.stream:
            stream = AnswerStream(writer)
            await stream.begin(lambda tell: self.device.ask(prompt, tell))
            return stream
        finished = await until_gone(request, self.device.ask(prompt))
        return json_response(writer.whole(finished))


async def until_gone(request: Request, work: Awaitable[T]) -> T:
    """The result of `work`, which is cancelled when the client goes away.

    Raises:
        ApiError: 499, which nobody is there to read.
    """
    working = asyncio.ensure_future(work)
    gone = asyncio.create_task(until_disconnected(request.receive))
    try:
        await asyncio.wait({working, gone}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        raise ApiError(499, "the client went away")
    finally:
        gone.cancel()
        working.cancel()
        await asyncio.gather(gone, working, return_exceptions=True)


def json_response(value: Any) -> Response:
    """A value as JSON."""
    return Response(msgspec.json.encode(value), media_type="application/json")
