"""`POST /v1/messages`, and what a prompt would cost."""

from starlette.requests import Request
from starlette.responses import Response

from dmoa.api import models
from dmoa.api.anthropic.objects import EVENTS, MessageObject, TokensCount
from dmoa.api.anthropic.request import CountRequest, MessagesRequest
from dmoa.api.anthropic.writer import MessageWriter
from dmoa.api.making import Asked
from dmoa.api.openapi import ANSWERING, Operation
from dmoa.api.prompts import Prompts, json_response, until_gone
from dmoa.api.reading import read


class Messages:
    """The endpoints.

    Args:
        prompts: answers requests.
    """

    def __init__(self, prompts: Prompts) -> None:
        self._prompts = prompts

    def operations(self) -> list[Operation]:
        """What there is."""
        return [
            Operation(
                "/v1/messages",
                "Answers a conversation as Anthropic's API does, whole or streamed.",
                self.answer,
                MessageObject,
                method="POST",
                body=MessagesRequest,
                events=EVENTS,
                errors=ANSWERING,
            ),
            Operation(
                "/v1/messages/count_tokens",
                "The length of a prompt, for the device's own LLM.",
                self.count,
                TokensCount,
                method="POST",
                body=CountRequest,
                errors=(400, 404, 408, 413),
            ),
        ]

    async def answer(self, request: Request) -> Response:
        """Answer a request."""
        wanted = await read(request, MessagesRequest)
        asked = Asked(
            wanted.model,
            wanted.conversation(),
            wanted.sampling(),
            wanted.constraints(),
            notes=wanted.notes(),
            stream=bool(wanted.stream),
        )
        stops = wanted.stop_sequences or []
        return await self._prompts.answer(
            request, asked, lambda name: MessageWriter(wanted.model, name, stops)
        )

    async def count(self, request: Request) -> Response:
        """Count the tokens of a prompt."""
        wanted = await read(request, CountRequest)
        llm = self._prompts.device.llm
        models.parse(wanted.model, llm.info.name)
        counting = llm.count_tokens(wanted.conversation(), wanted.constraints())
        return json_response(TokensCount(await until_gone(request, counting)))
