"""Ollama's API: vectors, `/api/embed` and the older `/api/embeddings`."""

import time
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from dmoa.api.embeddings import embedded
from dmoa.api.ollama.request import plain_name
from dmoa.api.openapi import ANSWERING, Operation
from dmoa.api.prompts import json_response
from dmoa.api.reading import read
from dmoa.device.device import Device


class OllamaEmbedRequest(msgspec.Struct):
    """Texts; how the model is run (`options`, `keep_alive`) is set at the device."""

    model: str
    input: str | list[str] = ""
    dimensions: int | None = None
    truncate: bool | None = None
    options: Any = None
    keep_alive: Any = None


class OllamaEmbedded(msgspec.Struct, frozen=True):
    """The vectors, in order of the texts; durations are in nanoseconds."""

    model: str
    embeddings: list[list[float]]
    total_duration: int = 0
    load_duration: int = 0
    prompt_eval_count: int = 0


class OllamaEmbeddingRequest(msgspec.Struct):
    """A text, as older clients send it."""

    model: str
    prompt: str = ""
    options: Any = None
    keep_alive: Any = None


class OllamaEmbedding(msgspec.Struct, frozen=True):
    """Its vector."""

    embedding: list[float]


class OllamaEmbeddings:
    """The endpoints.

    Args:
        device: the device.
    """

    def __init__(self, device: Device) -> None:
        self._device = device

    def operations(self) -> list[Operation]:
        """What there is."""
        return [
            Operation(
                "/api/embed",
                "Vectors of texts as Ollama gives them, by the device's own LLM.",
                self.embed,
                OllamaEmbedded,
                method="POST",
                body=OllamaEmbedRequest,
                errors=ANSWERING,
            ),
            Operation(
                "/api/embeddings",
                "The vector of one text, as older clients of Ollama ask for it.",
                self.embeddings,
                OllamaEmbedding,
                method="POST",
                body=OllamaEmbeddingRequest,
                errors=ANSWERING,
            ),
        ]

    async def embed(self, request: Request) -> Response:
        """Vectors of texts."""
        wanted = await read(request, OllamaEmbedRequest)
        started = time.monotonic()
        vectors, tokens = await self._vectors(
            request, wanted.model, wanted.input, wanted.dimensions
        )
        nanoseconds = int((time.monotonic() - started) * 1e9)
        return json_response(
            OllamaEmbedded(wanted.model, vectors, nanoseconds, prompt_eval_count=tokens)
        )

    async def embeddings(self, request: Request) -> Response:
        """The vector of a text."""
        wanted = await read(request, OllamaEmbeddingRequest)
        vectors, _ = await self._vectors(request, wanted.model, wanted.prompt, None)
        return json_response(OllamaEmbedding(vectors[0] if vectors else []))

    async def _vectors(
        self, request: Request, model: str, given: str | list[str], dimensions: int | None
    ) -> tuple[list[Any], int]:
        """Vectors, and the tokens that were read; none of nothing, which only loads a model."""
        own = self._device.llm.info.name
        name = plain_name(model, own)
        if not given and name == own:
            return [], 0
        # In numbers: base64 is OpenAI's.
        body: dict[str, Any] = {"model": name, "input": given, "encoding_format": "float"}
        if dimensions is not None:
            body["dimensions"] = dimensions
        made = await embedded(self._device, request, name, body)
        return made.vectors, made.prompt_tokens
