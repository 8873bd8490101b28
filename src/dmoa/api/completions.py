"""`POST /v1/chat/completions`, whole or streamed.

A client that goes away cancels its work on all devices.
"""

import asyncio
from collections.abc import Awaitable

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive

from dmoa.api.prompts import Prompts
from dmoa.api.requests import read_chat_request
from dmoa.api.responses import as_json, completion
from dmoa.api.stream import AnswerStream, until_disconnected
from dmoa.device.device import Device
from dmoa.protocol.events import Finished


class ChatCompletions:
    """The endpoint of one device.

    Args:
        device: the device.
        prompts: makes its prompts.
    """

    def __init__(self, device: Device, prompts: Prompts) -> None:
        self._device = device
        self._prompts = prompts

    async def answer(self, request: Request) -> Response:
        """Answer a request."""
        chat = await read_chat_request(request)
        prompt = await self._prompts.make(
            chat.model,
            chat.conversation(),
            chat.sampling(),
            chat.constraints(),
            extension=chat.dmoa,
            streamed=bool(chat.stream),
        )
        if chat.stream:
            stream = AnswerStream(chat, prompt.id)
            await stream.begin(lambda tell: self._device.ask(prompt, tell))
            return stream
        finished = await _until_gone(request.receive, self._device.ask(prompt))
        if finished is None:
            return Response(status_code=499)  # nobody is there to read it
        return Response(as_json(completion(chat.model, finished)), media_type="application/json")


async def _until_gone(receive: Receive, work: Awaitable[Finished]) -> Finished | None:
    """The result of `work`, or None when the client has gone; the work is cancelled then."""
    working = asyncio.ensure_future(work)
    gone = asyncio.create_task(until_disconnected(receive))
    try:
        await asyncio.wait({working, gone}, return_when=asyncio.FIRST_COMPLETED)
        return working.result() if working.done() else None
    finally:
        gone.cancel()
        working.cancel()
        await asyncio.gather(gone, working, return_exceptions=True)
