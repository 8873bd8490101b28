"""Bodies of requests turned into the types of an API, and what all of them say of sampling."""

from typing import Any, TypeVar

import msgspec
from starlette.requests import Request

from dmoa.api.bodies import read_json
from dmoa.api.errors import ApiError
from dmoa.protocol.conversation import (
    MOST_TOKENS,
    Message,
    Role,
    part_kind,
    split_extra,
    text_of_parts,
)

T = TypeVar("T", bound=msgspec.Struct)

_LIMITS = ("max_tokens", "max_completion_tokens", "max_output_tokens")
_WHOLE_NUMBERS = (*_LIMITS, "seed", "n", "best_of")


async def read(request: Request, kind: type[T]) -> T:
    """Read and check a body.

    Raises:
        ApiError: 408 when it does not come, 413 when it is too long, 400 when it is wrong.
    """
    return convert(await read_json(request), kind)


def convert(body: dict[str, Any], kind: type[T]) -> T:
    """A request from its JSON.

    What it does not know goes into its field `unknown`, if there is one; else it is refused or
    left out, as the type says.

    Raises:
        ApiError: it makes no sense.
    """
    fields = {field.encode_name for field in msgspec.structs.fields(kind)} - {"unknown"}
    known = {name: value for name, value in body.items() if name in fields}
    for name in _WHOLE_NUMBERS:
        value = known.get(name)
        if isinstance(value, float) and value.is_integer():
            known[name] = int(value)
    for name in _LIMITS:
        value = known.get(name)
        if value == -1:  # as many as there is room for
            del known[name]
        elif isinstance(value, int) and value > MOST_TOKENS:  # the same, in a number
            known[name] = MOST_TOKENS
    if "unknown" in kind.__struct_fields__:
        known["unknown"] = {name: value for name, value in body.items() if name not in fields}
    elif kind.__struct_config__.forbid_unknown_fields:
        known = {**body, **known}
    try:
        return msgspec.convert(known, kind)
    except msgspec.ValidationError as error:
        raise ApiError(400, f"the request is not understood: {error}") from None


def switches(fields: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Parameters that dmoa does not know, as `Sampling.thinking` and `Sampling.extra`.

    Raises:
        ApiError: they are too long.
    """
    try:
        return split_extra(fields)
    except ValueError as error:
        raise ApiError(400, str(error)) from None


def left_out(fields: dict[str, Any]) -> list[str]:
    """What a prompt's record says of fields that are not known here and go nowhere."""
    names = ", ".join(sorted(name for name, value in fields.items() if value is not None))
    return [f"{names[:200]}: not known here, and left out"] if names else []


def message(role: Role, content: str | list[dict[str, Any]] | None, **beside: Any) -> Message:
    """A message as devices read it.

    Args:
        role: who says it.
        content: text, or OpenAI's parts.
        beside: further fields of `Message`.
    """
    parts = content if isinstance(content, list) else []
    only_text = all(part_kind(part) == "text" for part in parts)
    return Message(
        role=role,
        content=content if isinstance(content, str) else text_of_parts(parts),
        parts=None if only_text else parts,
        content_is_null=content is None,
        **beside,
    )


def only_functions(tools: list[dict[str, Any]] | None, kinds: tuple[str, ...]) -> None:
    """Refuse tools that are no functions of the client's own.

    Args:
        tools: as the client sent them.
        kinds: what the API calls a function.

    Raises:
        ApiError: there is another one.
    """
    for tool in tools or []:
        if (kind := tool.get("type", kinds[0])) not in (*kinds, None):
            raise ApiError(
                400,
                f"tools of type {str(kind)[:60]!r} run at their vendor's; here there are only"
                f" functions that the client runs itself (type {kinds[0]!r})",
            )
