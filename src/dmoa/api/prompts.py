"""Prompts of every API are answered here, whole or streamed.

A client that goes away cancels its work on all devices.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from dmoa.api.errors import ApiError
from dmoa.api.headers import with_headers
from dmoa.api.making import Asked, PromptMaker
from dmoa.api.stream import AnswerStream, until_disconnected
from dmoa.api.writing import Writer
from dmoa.device.device import Device

T = TypeVar("T")


class Prompts:
    """Answers the prompts of one device's clients.

    Args:
        device: the device.
        maker: makes its prompts.
    """

    def __init__(self, device: Device, maker: PromptMaker) -> None:
        self.device = device
        self._maker = maker

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
