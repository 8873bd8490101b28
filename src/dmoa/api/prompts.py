"""Prompts of every API are answered here, whole or streamed.

A client that goes away cancels its work on all devices.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from dmoa.api.errors import ApiError
from dmoa.api.headers import with_headers
from dmoa.api.making import Asked, PromptMaker
from dmoa.api.stream import AnswerStream, until_disconnected
from dmoa.api.unattended import Revive, Unattended, Work
from dmoa.api.writing import Writer
from dmoa.device.device import Device
from dmoa.protocol.events import Finished
from dmoa.protocol.prompt import new_prompt_id
from dmoa.store.prompts import KeptPrompt

T = TypeVar("T")


class Prompts:
    """Answers the prompts of one device's clients.

    Args:
        device: the device.
        maker: makes its prompts.
        unattended: answers those for which nobody waits; None where the device keeps nothing.
    """

    def __init__(
        self, device: Device, maker: PromptMaker, unattended: Unattended | None = None
    ) -> None:
        self.device = device
        self._maker = maker
        self._unattended = unattended

    async def answer(
        self, request: Request, asked: Asked, make_writer: Callable[[str], Writer]
    ) -> Response:
        """Answer a request.

        Args:
            request: as it came.
            asked: what it asks.
            make_writer: makes the writer of an answer, from the id of its prompt.
        """
        prompt = await self._maker.make(with_headers(asked, request.headers))
        writer = make_writer(prompt.id)
        if asked.stream:
            stream = AnswerStream(writer)
            await stream.begin(lambda tell: self.device.ask(prompt, tell))
            return stream
        finished = await until_gone(request, self.device.ask(prompt))
        return json_response(writer.whole(finished))

    async def accept(self, asked: Asked, api: str, request: Any) -> KeptPrompt:
        """Accept a prompt for which nobody waits.

        Args:
            asked: what it asks.
            api: which reads the request again.
            request: what is kept of it, as JSON.

        Raises:
            ApiError: it could never be answered, or this device keeps nothing.
        """
        self._maker.check(asked)
        return await self.unattended.accept(new_prompt_id(), api, msgspec.json.encode(request))

    async def work(self, kept: KeptPrompt, asked: Asked, answer: Callable[[Finished], Any]) -> Work:
        """A kept prompt, ready to be worked on.

        Args:
            kept: the prompt.
            asked: what it asks, read again.
            answer: what is kept of its end, as JSON.
        """
        prompt = replace(await self._maker.make(asked), id=kept.id)
        return Work(prompt, lambda finished: msgspec.json.encode(answer(finished)))

    @property
    def keeps(self) -> bool:
        """Whether prompts are accepted for which nobody waits."""
        return self._unattended is not None

    @property
    def unattended(self) -> Unattended:
        """Answers prompts for which nobody waits.

        Raises:
            ApiError: this device keeps nothing.
        """
        if self._unattended is None:
            raise ApiError(400, "this device keeps no prompts; leave background out")
        return self._unattended

    def revives(self, api: str, revive: Revive) -> None:
        """How the kept prompts of an API are read again."""
        if self._unattended is not None:
            self._unattended.register(api, revive)


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


def json_response(value: Any, status: int = 200) -> Response:
    """A value as JSON."""
    return Response(msgspec.json.encode(value), status, media_type="application/json")
