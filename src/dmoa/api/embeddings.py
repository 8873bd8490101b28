"""`POST /v1/embeddings`, by the server of the own LLM; the work behind Ollama's API, too."""

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
from dmoa.errors import ContextExceeded, LLMError, NobodyAnswered, RequestRefused
from dmoa.llm.interface import Embedded


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
        made = await embedded(self._device, request, wanted.model, {**body, "input": wanted.input})
        data = [Embedding(i, vector) for i, vector in enumerate(made.vectors)]
        tokens = made.prompt_tokens
        return json_response(EmbeddingList(data, wanted.model, EmbeddingUsage(tokens, tokens)))


async def embedded(device: Device, request: Request, model: str, body: dict[str, Any]) -> Embedded:
    """Vectors of texts by the own LLM, as long as the client is there.

    Args:
        model: as the client calls it.
        body: OpenAI's request.

    Raises:
        ApiError: the model makes none here, or there is no input.
        RequestRefused: the LLM's server refuses it.
        NobodyAnswered: the LLM failed.
    """
    own = device.llm.info.name
    if model != own:
        raise ApiError(
            404,
            f"there is no model {model[:100]!r} for embeddings here; committees make"
            f" none, so ask for {own}, the device's own model",
            code="model_not_found",
        )
    if not body["input"]:
        raise ApiError(400, "input is empty; send a text, or a list of texts")
    try:
        return await until_gone(request, device.embed(body))
    except (RequestRefused, ContextExceeded):
        raise
    except LLMError as error:
        raise NobodyAnswered(str(error)) from None
