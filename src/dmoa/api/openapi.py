"""The API's description, OpenAPI 3.1, made of the types that its requests and answers have."""

import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from dmoa import __version__
from dmoa.api.errors import error_type

Endpoint = Callable[[Request], Awaitable[Response]]

ANSWERING = (400, 404, 408, 413, 415, 422, 429, 503)
"""Statuses of what can go wrong with a prompt."""

_REFERENCE = "#/components/schemas/{name}"
_PARAMETER = re.compile(r"{(\w+)(?::\w+)?}")
_STREAMS = {
    "text/event-stream": "The data of each event is one of the types below, or `[DONE]`.",
    "application/x-ndjson": "Each line is one of the types below.",
}
_ERRORS = {
    400: "The request is not understood, or longer than every window.",
    401: "A key is wanted.",
    403: "A web page asks that may not.",
    404: "There is no such thing here.",
    408: "It was not answered, or did not come, in time.",
    413: "The body is too long.",
    415: "The body is of a type or encoding that is not read.",
    422: "The LLM's server refuses the request, or the answer misses the form asked for.",
    429: "There is no room; `Retry-After` says when to come back.",
    503: "No LLM makes a token.",
    507: "There is no room on the disk for a prompt in the background.",
}


@dataclass(frozen=True)
class Operation:
    """One thing that the API does.

    Attributes:
        path: as Starlette writes it.
        summary: what it does, in a sentence.
        endpoint: does it.
        answer: type of the answer; several, where it depends on who asks.
        method: of HTTP.
        body: type of the request's body; None for none.
        events: types of the events, where the answer may be streamed.
        streamed_as: media type of a streamed answer.
        answered_as: media type of an answer that is not streamed.
        accepted: type of the answer to what is done later, with status 202; None where none is.
        errors: statuses of what can go wrong, beside a missing key.
        open: whether it asks for no key.
    """

    path: str
    summary: str
    endpoint: Endpoint
    answer: Any
    method: str = "GET"
    body: Any = None
    events: tuple[Any, ...] = ()
    streamed_as: str = "text/event-stream"
    accepted: Any = None
    answered_as: str = "application/json"
    errors: tuple[int, ...] = ()
    open: bool = False


def describe(operations: Sequence[Operation]) -> dict[str, Any]:
    """The document of an API."""
    types = []
    for operation in operations:
        types += [*_answers(operation), *operation.events, error_type(operation.path)]
        types += [kind for kind in (operation.body, operation.accepted) if kind is not None]
    types = list(dict.fromkeys(types))
    schemas, components = msgspec.json.schema_components(types, ref_template=_REFERENCE)
    of = dict(zip(types, schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        path = _PARAMETER.sub(r"{\1}", operation.path)
        paths.setdefault(path, {})[operation.method.lower()] = _operation(operation, of)
    key = {"type": "http", "scheme": "bearer", "description": "Where the device has keys."}
    header = {"type": "apiKey", "in": "header", "name": "x-api-key", "description": "The same."}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "dmoa",
            "version": __version__,
            "description": "OpenAI's, Anthropic's and Ollama's API of one device of a network.",
        },
        "paths": paths,
        "components": {"schemas": components, "securitySchemes": {"key": key, "header": header}},
    }


def _answers(operation: Operation) -> tuple[Any, ...]:
    return operation.answer if isinstance(operation.answer, tuple) else (operation.answer,)


def _operation(operation: Operation, of: dict[Any, dict[str, Any]]) -> dict[str, Any]:
    schemas = [of[answer] for answer in _answers(operation)]
    answered = schemas[0] if len(schemas) == 1 else {"anyOf": schemas}
    content = {operation.answered_as: {"schema": answered}}
    error = error_type(operation.path)
    if operation.events:
        # OpenAPI 3.1 has no words for events, so their types stand beside the text.
        content[operation.streamed_as] = {
            "schema": {
                "type": "string",
                "contentMediaType": operation.streamed_as,
                "description": _STREAMS[operation.streamed_as],
                "x-events": [of[kind] for kind in (*operation.events, error)],
            }
        }
    described: dict[str, Any] = {
        "summary": operation.summary,
        "responses": {"200": {"description": "As asked.", "content": content}},
    }
    if operation.accepted is not None:
        described["responses"]["202"] = {
            "description": "It is done later.",
            "content": {"application/json": {"schema": of[operation.accepted]}},
        }
    errors = operation.errors if operation.open else (401, *operation.errors)
    for status in sorted(errors):
        described["responses"][str(status)] = {
            "description": _ERRORS[status],
            "content": {"application/json": {"schema": of[error]}},
        }
    if operation.body is not None:
        described["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": of[operation.body]}},
        }
    if names := _PARAMETER.findall(operation.path):
        described["parameters"] = [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
            for name in names
        ]
    if not operation.open:
        described["security"] = [{"key": []}, {"header": []}, {}]
    return described
