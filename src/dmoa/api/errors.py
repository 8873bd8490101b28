"""Errors as clients of each API expect them.

OpenAI's read `{"error": {"message", "type", "code", "param"}}`, Anthropic's
`{"type": "error", "error": {"type", "message"}}`, Ollama's `{"error": MESSAGE}`. Which of them is
meant follows from the path that is asked, also where nothing is there.
"""

import math
from collections.abc import Callable
from typing import Any, Literal

import msgspec
from starlette.responses import Response

from dmoa.errors import (
    ContextExceeded,
    DeadlinePassed,
    DmoaError,
    FormMissed,
    NobodyAnswered,
    QueueFull,
    RequestRefused,
    StoreFailed,
    StoreFull,
)

_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    404: "not_found_error",
    405: "invalid_request_error",
    408: "timeout_error",
    413: "invalid_request_error",
    422: "invalid_request_error",
    429: "rate_limit_error",
}
_ANTHROPIC_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    405: "invalid_request_error",
    408: "timeout_error",
    413: "request_too_large",
    415: "invalid_request_error",
    422: "invalid_request_error",
    429: "rate_limit_error",
    503: "overloaded_error",
}


class ErrorDetail(msgspec.Struct, frozen=True):
    """What went wrong: for people, and for programs."""

    message: str
    type: str
    code: str | None
    param: str | None = None


class ErrorBody(msgspec.Struct, frozen=True):
    """What clients get instead of an answer."""

    error: ErrorDetail


class AnthropicErrorDetail(msgspec.Struct, frozen=True):
    """What went wrong, for clients of Anthropic's API."""

    type: str
    message: str


class AnthropicErrorBody(msgspec.Struct, frozen=True):
    """What clients of Anthropic's API get instead of an answer."""

    error: AnthropicErrorDetail
    type: Literal["error"] = "error"


class OllamaErrorBody(msgspec.Struct, frozen=True):
    """What clients of Ollama's API get instead of an answer."""

    error: str


class ApiError(DmoaError):
    """A request that cannot be served.

    Args:
        status: the HTTP status.
        message: what is wrong and how to mend it.
        code: OpenAI's code, for programs.
        retry_after: seconds, for 429, 503 and 507.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.retry_after = retry_after

    def response(self, path: str) -> Response:
        """The HTTP response to a request for a path."""
        headers = {}
        if self.retry_after is not None:
            headers["Retry-After"] = str(max(1, math.ceil(min(self.retry_after, 86_400))))
        content = msgspec.json.encode(error_body(self, path))
        return Response(content, self.status, headers, media_type="application/json")


def openai_error(error: ApiError) -> ErrorBody:
    """An error for OpenAI's clients."""
    kind = _TYPES.get(error.status, "server_error")
    return ErrorBody(ErrorDetail(str(error), kind, error.code))


def anthropic_error(error: ApiError) -> AnthropicErrorBody:
    """An error for Anthropic's clients."""
    kind = _ANTHROPIC_TYPES.get(error.status, "api_error")
    return AnthropicErrorBody(AnthropicErrorDetail(kind, str(error)))


def ollama_error(error: ApiError) -> OllamaErrorBody:
    """An error for Ollama's clients."""
    return OllamaErrorBody(str(error))


_FORMS: dict[str, tuple[Any, Callable[[ApiError], Any]]] = {
    "/v1/messages": (AnthropicErrorBody, anthropic_error),
    "/api": (OllamaErrorBody, ollama_error),
    "": (ErrorBody, openai_error),
}


def _form(path: str) -> tuple[Any, Callable[[ApiError], Any]]:
    return next(
        form
        for prefix, form in _FORMS.items()
        if not prefix or path == prefix or path.startswith(f"{prefix}/")
    )


def error_type(path: str) -> Any:
    """The type of the errors at a path."""
    return _form(path)[0]


def error_body(error: ApiError, path: str) -> Any:
    """What a client of a path gets instead of an answer."""
    return _form(path)[1](error)


def as_api_error(error: DmoaError) -> ApiError:
    """Any error of ours, with the status that fits."""
    match error:
        case ApiError():
            return error
        case ContextExceeded():
            return ApiError(400, str(error), code="context_length_exceeded")
        case RequestRefused():
            # 401, 403 and 404 would be about this node; the words say what it is about.
            status = error.status if error.status in (413, 422) else 400
            return ApiError(status, str(error), code="refused_by_llm")
        case QueueFull():
            return ApiError(429, str(error), code="queue_full", retry_after=error.retry_after)
        case DeadlinePassed():
            return ApiError(408, str(error), code="deadline_passed")
        case FormMissed():
            # Not 5xx: clients would ask again by themselves what this model cannot do.
            return ApiError(422, str(error), code="form_missed")
        case NobodyAnswered():
            return ApiError(503, str(error), code="no_device_answered", retry_after=10)
        case StoreFull():
            return ApiError(507, str(error), code="store_full", retry_after=60)
        case StoreFailed():
            return ApiError(503, str(error), code="store_failed", retry_after=60)
        case _:
            return ApiError(500, str(error))
