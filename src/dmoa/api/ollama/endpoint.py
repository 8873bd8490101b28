"""Ollama's API: answers, and what it says of models."""

import time

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from dmoa import __version__
from dmoa.api import models
from dmoa.api.errors import ApiError
from dmoa.api.making import Asked
from dmoa.api.ollama.objects import (
    OllamaChat,
    OllamaGenerated,
    OllamaProcesses,
    OllamaRunning,
    OllamaShown,
    OllamaTag,
    OllamaTags,
    OllamaVersion,
)
from dmoa.api.ollama.request import (
    OllamaChatRequest,
    OllamaGenerateRequest,
    OllamaShowRequest,
    plain_name,
)
from dmoa.api.ollama.writer import OllamaChatWriter, OllamaGenerateWriter, OllamaWriter
from dmoa.api.openapi import ANSWERING, Operation
from dmoa.api.prompts import Prompts, json_response
from dmoa.api.reading import read
from dmoa.api.writing import timestamp

SPOKEN = "0.15.2"
"""Version of Ollama's API; clients refuse to talk to what they hold for an old server."""
_NEVER = "2318-01-01T00:00:00Z"  # what Ollama says of a model that stays


class Ollama:
    """The endpoints.

    Args:
        prompts: answers requests.
    """

    def __init__(self, prompts: Prompts) -> None:
        self._prompts = prompts
        self._since = timestamp(time.time())

    def operations(self) -> list[Operation]:
        """What there is."""
        lines = "application/x-ndjson"
        return [
            Operation(
                "/api/chat",
                "Answers a conversation as Ollama does, streamed unless asked otherwise.",
                self.chat,
                OllamaChat,
                method="POST",
                body=OllamaChatRequest,
                events=(OllamaChat,),
                streamed_as=lines,
                errors=ANSWERING,
            ),
            Operation(
                "/api/generate",
                "Answers a text as Ollama does, streamed unless asked otherwise.",
                self.generate,
                OllamaGenerated,
                method="POST",
                body=OllamaGenerateRequest,
                events=(OllamaGenerated,),
                streamed_as=lines,
                errors=ANSWERING,
            ),
            Operation("/api/tags", "The models, as Ollama lists them.", self.tags, OllamaTags),
            Operation(
                "/api/show",
                "One model, as Ollama shows it.",
                self.show,
                OllamaShown,
                method="POST",
                body=OllamaShowRequest,
                errors=(400, 404, 408, 413),
            ),
            Operation("/api/ps", "The device's own model.", self.processes, OllamaProcesses),
            Operation("/api/version", "What is spoken here.", self.version, OllamaVersion),
            Operation(
                "/",
                "A word of life, as Ollama's clients look for it.",
                self.root,
                str,
                answered_as="text/plain",
                open=True,
            ),
        ]

    async def chat(self, request: Request) -> Response:
        """Answer a conversation."""
        wanted = await read(request, OllamaChatRequest)
        return await self._answer(request, wanted, OllamaChatWriter(wanted.model), wanted.messages)

    async def generate(self, request: Request) -> Response:
        """Answer a text."""
        wanted = await read(request, OllamaGenerateRequest)
        asked = wanted.prompt or wanted.images
        return await self._answer(request, wanted, OllamaGenerateWriter(wanted.model), asked)

    async def _answer(
        self,
        request: Request,
        wanted: OllamaChatRequest | OllamaGenerateRequest,
        writer: OllamaWriter,
        anything: object,
    ) -> Response:
        model = self._model(wanted.model)
        if not anything:  # that is how clients have a model loaded, and it is
            return json_response(writer.loaded())
        asked = Asked(
            model,
            wanted.conversation(),
            wanted.sampling(),
            wanted.constraints(),
            notes=wanted.notes(),
            stream=wanted.streamed,
        )
        return await self._prompts.answer(request, asked, lambda _: writer)

    async def tags(self, request: Request) -> Response:
        """The models."""
        names = models.names(self._own)
        return json_response(
            OllamaTags([OllamaTag(name=n, model=n, modified_at=self._since) for n in names])
        )

    async def show(self, request: Request) -> Response:
        """One model."""
        wanted = await read(request, OllamaShowRequest)
        if (name := wanted.model or wanted.name) is None:
            raise ApiError(400, "model is missing; say which one is wanted")
        self._model(name)
        info = self._prompts.device.llm.info
        able = info.capabilities
        flags = {
            "completion": True,
            "tools": able.tools is not False,  # where nobody says, it is tried
            "vision": able.vision,
            "thinking": able.thinking,
        }
        return json_response(
            OllamaShown(
                modified_at=self._since,
                model_info={
                    "general.architecture": "dmoa",
                    "general.basename": info.name,
                    "dmoa.context_length": info.context_length,
                },
                capabilities=[flag for flag, there in flags.items() if there],
            )
        )

    async def processes(self, request: Request) -> Response:
        """What is in memory: the device's own model."""
        info = self._prompts.device.llm.info
        running = OllamaRunning(
            name=info.name,
            model=info.name,
            expires_at=_NEVER,
            context_length=info.context_length,
        )
        return json_response(OllamaProcesses([running]))

    async def root(self, request: Request) -> Response:
        """Whether something is here, to programs; people with a browser find nothing here."""
        if "text/html" in request.headers.get("accept", ""):
            raise HTTPException(404)
        return PlainTextResponse("Ollama is running")

    async def version(self, request: Request) -> Response:
        """What is spoken here."""
        return json_response(OllamaVersion(SPOKEN, __version__))

    @property
    def _own(self) -> str:
        return self._prompts.device.llm.info.name

    def _model(self, name: str) -> str:
        """A model as it is called here.

        Raises:
            ApiError: it is not there.
        """
        name = plain_name(name, self._own)
        models.parse(name, self._own)
        return name
