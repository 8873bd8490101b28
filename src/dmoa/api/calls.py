"""Whole calls, for the APIs whose arguments are objects and no text."""

from typing import Any

import msgspec

from dmoa.api.errors import ApiError
from dmoa.api.responses import Function


def arguments_of(function: Function) -> dict[str, Any]:
    """The arguments of a call.

    Raises:
        ApiError: 500, the model has written what is no JSON object.
    """
    try:
        arguments = msgspec.json.decode(function.arguments or "{}")
    except (msgspec.DecodeError, RecursionError):
        arguments = None
    if not isinstance(arguments, dict):
        raise ApiError(
            500,
            f"the model calls {function.name[:100]!r} with arguments that are no JSON object:"
            f" {function.arguments[:200]!r}; ask again",
        )
    return arguments
