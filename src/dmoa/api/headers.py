"""What a request may wish by its headers, for the APIs whose bodies have no room for it."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import msgspec

from dmoa.api.errors import ApiError
from dmoa.api.making import Asked
from dmoa.api.requests import Patience

PATIENCE_HEADER = "dmoa-patience"
LOCAL_ONLY_HEADER = "dmoa-local-only"


def with_headers(asked: Asked, headers: Mapping[str, str]) -> Asked:
    """What is asked, with the wishes of the request's headers.

    Raises:
        ApiError: 400, a value is none.
    """
    patience = headers.get(PATIENCE_HEADER)
    if patience is not None:
        asked = replace(asked, patience=_read(PATIENCE_HEADER, patience, Patience))
    local_only = headers.get(LOCAL_ONLY_HEADER)
    if local_only is not None and _read(LOCAL_ONLY_HEADER, local_only, bool):
        asked = replace(asked, local_only=True)  # never less than what the body says
    return asked


def _read(name: str, value: str, kind: Any) -> Any:
    try:
        return msgspec.convert(value, kind, strict=False)
    except msgspec.ValidationError as error:
        raise ApiError(400, f"header {name} = {value[:50]!r}: {error}") from None
