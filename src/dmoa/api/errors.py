"""Errors as OpenAI's clients expect them: `{"error": {"message", "type", "code", "param"}}`."""

import math

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


class ErrorDetail(msgspec.Struct, frozen=True):
    """What went wrong: for people, and for programs."""

    message: str
    type: str
    code: str | None
    param: str | None = None


class ErrorBody(msgspec.Struct, frozen=True):
    """What clients get instead of an answer."""

    error: ErrorDetail


class ApiError(DmoaError):
    """A request that cannot be served.

    Args:
        status: the HTTP status.
        message: what is wrong and how to mend it.
        code: OpenAI's code, for programs.
        retry_after: seconds, for 429 and 503.
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

    def body(self) -> ErrorBody:
        """What clients get."""
        kind = _TYPES.get(self.status, "server_error")
        return ErrorBody(ErrorDetail(str(self), kind, self.code))

    def response(self) -> Response:
        """The HTTP response."""
        headers = {}
        if self.retry_after is not None:
            headers["Retry-After"] = str(max(1, math.ceil(min(self.retry_after, 86_400))))
        content = msgspec.json.encode(self.body())
        return Response(content, self.status, headers, media_type="application/json")


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
            return ApiError(502, str(error), code="form_missed")
        case NobodyAnswered():
            return ApiError(503, str(error), code="no_device_answered", retry_after=10)
        case _:
            return ApiError(500, str(error))
