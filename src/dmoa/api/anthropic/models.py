"""Models as Anthropic's API lists them, at the path where OpenAI's does."""

import time
from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec
from starlette.requests import Request

from dmoa.api.errors import ApiError
from dmoa.api.writing import timestamp

_LIMIT, _MOST = 20, 1000
_SINCE = timestamp(time.time())


class AnthropicModel(msgspec.Struct, frozen=True):
    """A model that can be asked for."""

    id: str
    display_name: str
    created_at: str = _SINCE
    type: Literal["model"] = "model"


class AnthropicModelList(msgspec.Struct, frozen=True):
    """A page of the models."""

    data: list[AnthropicModel]
    has_more: bool
    first_id: str | None
    last_id: str | None


def asks_so(request: Request) -> bool:
    """Whether a client of Anthropic's asks: all of them say the version."""
    return "anthropic-version" in request.headers


def page(names: Sequence[str], query: Mapping[str, str]) -> AnthropicModelList:
    """Some of the models.

    Args:
        names: of all.
        query: `limit`, and `after_id` or `before_id`, the model beside the page.

    Raises:
        ApiError: it makes no sense.
    """
    limit = query.get("limit", str(_LIMIT))
    if not (limit.isascii() and limit.isdigit() and len(limit) < 5 and 1 <= int(limit) <= _MOST):
        raise ApiError(400, f"limit {limit[:60]!r}; send a number from 1 to {_MOST}")
    first, last = 0, len(names)
    for name in ("after_id", "before_id"):
        if (beside := query.get(name)) is None:
            continue
        if beside not in names:
            raise ApiError(400, f"{name}: there is no model {beside[:100]!r}")
        if name == "after_id":
            first = names.index(beside) + 1
        else:
            last = names.index(beside)
    backwards = "before_id" in query and "after_id" not in query
    whole = names[first:last]
    shown = whole[-int(limit) :] if backwards else whole[: int(limit)]
    return AnthropicModelList(
        [AnthropicModel(name, name) for name in shown],
        len(shown) < len(whole),
        shown[0] if shown else None,
        shown[-1] if shown else None,
    )
