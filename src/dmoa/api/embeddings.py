"""`POST /v1/embeddings`, by the server of the own LLM."""

from typing import Any, Literal

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from dmoa.api.bodies import read_json
from dmoa.api.errors import ApiError
from dmoa.api.openapi import ANSWERING, Operation
from dmoa.api.prompts import json_response, until_gone
from dmoa.api.reading import convert
from dmoa.device.device import Device
from dmoa.errors import LLMError, NobodyAnswered, RequestRefused


class EmbeddingsRequest(msgspec.Struct):
    """The body of a request; it goes to the LLM's server as it is."""

    model: str
    input: str | list[Any]
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: int | None = None
    user: Any = None


class Embedding(msgspec.Struct, frozen=True):
    """The vector of one input; in base64 if that was asked for, and the server can do it."""

    index: int
    embedding: list[float] | str
    object: Literal["embedding"] = "embedding"


class EmbeddingUsage(msgspec.Struct, frozen=True):
    """Tokens read."""

    prompt_tokens: int
    total_tokens: int


class EmbeddingList(msgspec.Struct, frozen=True):
    """The vectors, in order of the inputs."""

    data: list[Embedding]
    model: str
    usage: EmbeddingUsage
    object: Literal["list"] = "list"


class EmbeddingsEndpoint:
    """The endpoint.

    Args:
        device: the device.
    """

    def __init__(self, device: Device) -> None:
        self._device = device

    def operations(self) -> list[Operation]:
        """What there is."""
        return [
            Operation(
                "/v1/embeddings",
                "Vectors of texts, by the server of the device's own LLM.",
                self.answer,
                EmbeddingList,
                method="POST",
                body=EmbeddingsRequest,
                errors=ANSWERING,
            )
        ]

    async def answer(self, request: Request) -> Response:
        """Answer a request."""
        body = await read_json(request)
        wanted = convert(body, EmbeddingsRequest)
        own = self._device.llm.info.name
        if wanted.model != own:
            raise ApiError(
                404,
                f"there is no model {wanted.model[:100]!r} for embeddings here; committees make"
                f" none, so ask for {own}, the device's own model",
                code="model_not_found",
            )
        if not wanted.input:
            raise ApiError(400, "input is empty; send a text, or a list of texts")
        work = self._device.embed({**body, "input": wanted.input})
        try:
            made = await until_gone(request, work)
        except RequestRefused:
            raise
        except LLMError as error:
            raise NobodyAnswered(str(error)) from None
        data = [Embedding(i, vector) for i, vector in enumerate(made.vectors)]
        tokens = made.prompt_tokens
        return json_response(EmbeddingList(data, own, EmbeddingUsage(tokens, tokens)))
