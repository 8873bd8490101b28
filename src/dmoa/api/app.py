"""The web application of a device: its operations, keys and errors."""

import secrets
import time
from collections.abc import Callable, Collection, Sequence
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from dmoa.api import models, standings
from dmoa.api.anthropic.endpoint import Messages
from dmoa.api.anthropic.models import AnthropicModel, AnthropicModelList, asks_so, page
from dmoa.api.completions import ChatCompletions
from dmoa.api.embeddings import EmbeddingsEndpoint
from dmoa.api.errors import ApiError, as_api_error
from dmoa.api.guard import Guard
from dmoa.api.making import PromptDefaults, PromptMaker
from dmoa.api.metrics import Metrics
from dmoa.api.ollama.embeddings import OllamaEmbeddings
from dmoa.api.ollama.endpoint import Ollama
from dmoa.api.openai_responses.endpoint import Responses
from dmoa.api.openapi import Endpoint, Operation, describe
from dmoa.api.paths import TidyPaths
from dmoa.api.prompts import Prompts
from dmoa.api.prompts import json_response as _json
from dmoa.api.responses import Healthy, Model, ModelList
from dmoa.api.status import NetworkStatus, Status, status
from dmoa.api.text_completions import Completions
from dmoa.api.unattended import Unattended
from dmoa.device.committee import Committees
from dmoa.device.device import Device
from dmoa.errors import DmoaError
from dmoa.protocol.records import PromptRecord


def make_app(
    device: Device,
    *,
    committees: Committees,
    defaults: PromptDefaults,
    keys: list[str],
    problems: Callable[[], list[str]] = list,
    network: Callable[[], NetworkStatus | None] = lambda: None,
    origins: Collection[str] = (),
    hosts: Collection[str] = (),
    unattended: Unattended | None = None,
) -> ASGIApp:
    """The application.

    Args:
        device: the device behind it.
        committees: decide M and k of its prompts.
        defaults: what its owner has set for all prompts.
        keys: of which clients must show one; none means that no key is asked for.
        problems: what is wrong with the network just now, for `/status`.
        network: which network that is.
        origins, hosts: see `Guard`.
        unattended: answers prompts in the background, once it is started after this; None where
            the device keeps nothing.
    """
    metrics = Metrics(device)
    operations = all_operations(
        device, committees, defaults, problems, metrics, network, unattended
    )
    routed = make_routed(operations, keys, metrics.refused)
    return TidyPaths(Guard(routed, origins=origins, hosts=hosts, keyed=bool(keys)))


def make_routed(
    operations: Sequence[Operation],
    keys: list[str],
    refused: Callable[[Exception], None] = lambda error: None,
) -> Starlette:
    """The operations at their paths, behind the keys, with errors as their clients read them."""

    async def answer_error(request: Request, error: Exception) -> Response:
        refused(error)
        return await _answer_error(request, error)

    return Starlette(
        routes=[
            Route(
                operation.path,
                operation.endpoint if operation.open else _guarded(operation.endpoint, keys),
                methods=[operation.method],
            )
            for operation in operations
        ],
        exception_handlers={
            DmoaError: answer_error,
            HTTPException: answer_error,
            Exception: _answer_fault,
        },
    )


def all_operations(
    device: Device,
    committees: Committees,
    defaults: PromptDefaults,
    problems: Callable[[], list[str]],
    metrics: Metrics,
    network: Callable[[], NetworkStatus | None] = lambda: None,
    unattended: Unattended | None = None,
) -> list[Operation]:
    """All that the API does."""
    own_model = device.llm.info.name
    prompts = Prompts(device, PromptMaker(device, committees, defaults), unattended)

    async def list_models(request: Request) -> Response:
        if asks_so(request):
            return _json(page(models.names(own_model), request.query_params))
        created = int(time.time())
        return _json(ModelList([Model(name, created) for name in models.names(own_model)]))

    async def one_model(request: Request) -> Response:
        name = request.path_params["name"]
        models.parse(name, own_model)
        if asks_so(request):
            return _json(AnthropicModel(name, name))
        return _json(Model(name, int(time.time())))

    async def health(request: Request) -> Response:
        if await device.healthy():
            return _json(Healthy())
        raise ApiError(503, f"this device makes no token: {device.meter.failure}", retry_after=10)

    async def device_status(request: Request) -> Response:
        return _json(await status(device, committees.default(), problems(), network()))

    async def prompt_tree(request: Request) -> Response:
        record = device.prompt(request.path_params["id"])
        if record is None:
            raise ApiError(
                404,
                f"prompt {request.path_params['id']!r} is none of the last prompts here",
            )
        return _json(record)

    async def document(request: Request) -> Response:
        return _json(describe(operations))

    operations = [
        *Responses(prompts).operations(),
        *Completions(prompts).operations(),
        *EmbeddingsEndpoint(device).operations(),
        *OllamaEmbeddings(device).operations(),
        *Messages(prompts).operations(),
        *Ollama(prompts).operations(),
        *ChatCompletions(prompts).operations(),
        Operation(
            "/v1/models",
            "The models that can be asked for; as Anthropic lists them to its own clients.",
            list_models,
            (ModelList, AnthropicModelList),
            errors=(400,),
        ),
        Operation(
            "/v1/models/{name:path}",
            "One model; as Anthropic shows it to its own clients.",
            one_model,
            (Model, AnthropicModel),
            errors=(400, 404),
        ),
        Operation(
            "/v1/dmoa/prompts/{id}",
            "What happened to one of the last prompts, layer by layer.",
            prompt_tree,
            PromptRecord,
            errors=(404,),
        ),
        *standings.operations(device, committees),
        Operation("/status", "The network as this device sees it.", device_status, Status),
        Operation(
            "/healthz",
            "Whether this device makes tokens.",
            health,
            Healthy,
            errors=(503,),
            open=True,
        ),
        metrics.operation(),
        Operation("/openapi.json", "This description.", document, dict[str, Any]),
    ]
    return operations


def _guarded(endpoint: Endpoint, keys: list[str]) -> Endpoint:
    """An endpoint that asks for a key, if there are any."""

    async def checked(request: Request) -> Response:
        if keys and not _shows_key(request, keys):
            raise ApiError(
                401,
                "this device wants a key: send `Authorization: Bearer KEY` or `x-api-key: KEY`",
                code="invalid_api_key",
            )
        return await endpoint(request)

    return checked


def _shows_key(request: Request, keys: list[str]) -> bool:
    scheme, _, shown = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        shown = request.headers.get("x-api-key", "")  # as Anthropic's clients do
    # Every key is compared, in constant time, so that timing tells nothing.
    equal = [secrets.compare_digest(shown.encode(), key.encode()) for key in keys]
    return any(equal)


async def _answer_fault(request: Request, error: Exception) -> Response:
    """A fault of ours; the server logs it."""
    return ApiError(500, f"internal error: {type(error).__name__}").response(_read_as(request))


async def _answer_error(request: Request, error: Exception) -> Response:
    match error:
        case HTTPException():
            detail = f"{error.detail}: {request.method} {request.url.path}"
            response = ApiError(error.status_code, detail).response(_read_as(request))
            response.headers.update(error.headers or {})
            return response
        case DmoaError():
            return as_api_error(error).response(_read_as(request))
    raise error


def _read_as(request: Request) -> str:
    """The path whose errors a client reads; Anthropic's say so, and ask for models as others do."""
    return "/v1/messages" if asks_so(request) else request.url.path
