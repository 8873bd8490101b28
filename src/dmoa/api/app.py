"""The web application of a device: its routes, keys and errors."""

import secrets
import time
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from starlette.applications import Starlette
from starlette.exceptions import HTTPException

from dmoa import __version__
from dmoa.api import models
from dmoa.api.completions import ChatCompletions
from dmoa.api.errors import ApiError, as_api_error
from dmoa.api.status import status
from dmoa.device.committee import Committees
from dmoa.device.device import Device
from dmoa.errors import DmoaError
from dmoa.protocol.layer import LayerPolicy


class _App(FastAPI):
    """FastAPI without its own middlewares, which cost some 0.3 ms a request.

    They are for what this API does not have: dependencies, files, telemetry, bodies read by
    FastAPI. Bodies are bounded in `requests.py`.
    """

    build_middleware_stack = Starlette.build_middleware_stack


def make_app(
    device: Device,
    *,
    committees: Committees,
    policy: LayerPolicy,
    keys: list[str],
    problems: Callable[[], list[str]] = list,
) -> FastAPI:
    """The application.

    Args:
        device: the device behind it.
        committees: decide M and k of its prompts.
        policy: how long layers wait.
        keys: of which clients must show one; none means that no key is asked for.
        problems: what is wrong with the network just now, for `/status`.
    """
    app = _App(title="dmoa", version=__version__, openapi_url=None)
    app.add_exception_handler(DmoaError, _answer_error)
    app.add_exception_handler(HTTPException, _answer_error)
    app.add_exception_handler(Exception, _answer_fault)
    own = device.llm.info.name

    async def list_models(request: Request) -> Response:
        created = int(time.time())
        data = [
            {"id": name, "object": "model", "created": created, "owned_by": "dmoa"}
            for name in models.names(own)
        ]
        return JSONResponse({"object": "list", "data": data})

    async def one_model(request: Request) -> Response:
        name = request.path_params["name"]
        models.parse(name, own)
        return JSONResponse(
            {"id": name, "object": "model", "created": int(time.time()), "owned_by": "dmoa"}
        )

    async def health(request: Request) -> Response:
        if await device.healthy():
            return JSONResponse({"status": "ok"})
        error = ApiError(503, f"this device makes no token: {device.meter.failure}", retry_after=10)
        return error.response()

    async def device_status(request: Request) -> Response:
        return _json(await status(device, committees.default(), problems()))

    async def prompt_tree(request: Request) -> Response:
        record = device.prompt(request.path_params["id"])
        if record is None:
            raise ApiError(
                404,
                f"prompt {request.path_params['id']!r} is none of the last prompts here",
            )
        return _json(record)

    def guarded(
        endpoint: Callable[[Request], Awaitable[Response]],
    ) -> Callable[[Request], Awaitable[Response]]:
        async def checked(request: Request) -> Response:
            if keys and not _shows_key(request, keys):
                raise ApiError(
                    401,
                    "this device wants a key: send `Authorization: Bearer KEY`",
                    code="invalid_api_key",
                )
            return await endpoint(request)

        return checked

    completions = ChatCompletions(device, committees, policy)
    app.add_route("/v1/chat/completions", guarded(completions.__call__), methods=["POST"])
    app.add_route("/healthz", health)
    app.add_route("/status", guarded(device_status))
    app.add_route("/v1/models", guarded(list_models))
    app.add_route("/v1/models/{name:path}", guarded(one_model))
    app.add_route("/v1/dmoa/prompts/{id}", guarded(prompt_tree))
    return app


def _shows_key(request: Request, keys: list[str]) -> bool:
    scheme, _, shown = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        return False
    # Every key is compared, in constant time, so that timing tells nothing.
    equal = [secrets.compare_digest(shown.encode(), key.encode()) for key in keys]
    return any(equal)


def _json(value: Any) -> Response:
    return Response(msgspec.json.encode(value), media_type="application/json")


async def _answer_fault(request: Request, error: Exception) -> Response:
    """A fault of ours, in OpenAI's format; the server logs it."""
    return ApiError(500, f"internal error: {type(error).__name__}").response()


async def _answer_error(request: Request, error: Exception) -> Response:
    match error:
        case HTTPException():
            detail = f"{error.detail}: {request.method} {request.url.path}"
            response = ApiError(error.status_code, detail).response()
            response.headers.update(error.headers or {})
            return response
        case DmoaError():
            return as_api_error(error).response()
    raise error
