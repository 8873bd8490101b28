"""`POST /v1/chat/completions`, whole or streamed.

A client that goes away cancels its work on all devices.
"""

import asyncio
from collections.abc import Awaitable, Callable

from fastapi import Request
from fastapi.responses import Response
from starlette.types import Receive

from dmoa.api import models
from dmoa.api.automatic import Automatic
from dmoa.api.requests import read_chat_request
from dmoa.api.responses import completion
from dmoa.api.stream import AnswerStream, until_disconnected
from dmoa.device.device import Device
from dmoa.protocol.events import Finished
from dmoa.protocol.packing import INSTRUCTION
from dmoa.protocol.prompt import LayerPolicy, Prompt


class ChatCompletions:
    """The endpoint of one device.

    Args:
        device: the device.
        default: gives what the model `dmoa` means now.
        policy: how long layers wait.
    """

    def __init__(
        self, device: Device, default: Callable[[], models.CommitteeSize], policy: LayerPolicy
    ) -> None:
        self._device = device
        self._default = default
        self._automatic = Automatic(device, default)
        self._policy = policy

    async def __call__(self, request: Request) -> Response:
        """Answer a request."""
        chat = await read_chat_request(request)
        automatic = models.is_automatic(chat.model)
        default = await self._automatic.size() if automatic else self._default()
        committee = models.resolve(chat.model, self._device.llm.info.name, default)
        prompt = Prompt(
            messages=chat.conversation(),
            layers=committee.layers,
            proposers=committee.proposers,
            sampling=chat.sampling(),
            constraints=chat.constraints(),
            instruction=(chat.dmoa and chat.dmoa.instruction) or INSTRUCTION,
            aggregation=committee.aggregation,
            notes=[committee.note] if committee.note else [],
            policy=self._policy,
        )
        if chat.stream:
            stream = AnswerStream(chat, prompt.id)
            await stream.begin(lambda tell: self._device.ask(prompt, tell))
            return stream
        finished = await _until_gone(request.receive, self._device.ask(prompt))
        if finished is None:
            return Response(status_code=499)  # nobody is there to read it
        return Response(completion(chat.model, finished), media_type="application/json")


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
