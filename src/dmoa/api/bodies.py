"""Bodies of requests, as clients really send them: read within bounds, unpacked, as JSON."""

import asyncio
import re
import zlib
from typing import Any

import msgspec
from starlette.requests import ClientDisconnect, Request

from dmoa.api.errors import ApiError
from dmoa.llm.packed import Unpacker
from dmoa.policies.limits import LIMITS

BODY_SECONDS = 30.0
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_MEBIBYTE = 2**20
_MANY_DIGITS = re.compile(rb"\d{19}")


async def read_json(request: Request) -> dict[str, Any]:
    """The object that a body holds.

    Raises:
        ApiError: 408 when it does not come, 413 when it is too long, 400 when it is no object.
    """
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    body = _unpacked(await _read(request), encoding).removeprefix(_BYTE_ORDER_MARK)
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ApiError(400, f"the body is no JSON in UTF-8: {error}") from None
    except RecursionError:
        raise ApiError(400, "the body is nested too deeply") from None
    if not isinstance(value, dict):
        raise ApiError(
            400, f"the request is not understood: a JSON {type(value).__name__} is no object"
        )
    whole: dict[str, Any] = _within_64_bits(value) if _MANY_DIGITS.search(body) else value
    return whole


def _within_64_bits(value: Any) -> Any:
    """The same with integers that no message between devices holds as floats, as JavaScript has it.

    Its depth is bounded: the JSON has been read.
    """
    match value:
        case dict():
            return {name: _within_64_bits(inner) for name, inner in value.items()}
        case list():
            return [_within_64_bits(inner) for inner in value]
        case int() if not -(2**63) <= value < 2**64:
            try:
                return float(value)
            except OverflowError:
                raise ApiError(400, "the body has a number with too many digits") from None
        case _:
            return value


async def _read(request: Request) -> bytes:
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for chunk in request.stream():
                body += chunk
                _check_length(len(body))
    except ClientDisconnect:
        raise ApiError(499, "the client went away in the middle of its body") from None
    except TimeoutError:
        raise ApiError(408, f"the body did not come in {BODY_SECONDS:.0f} s") from None
    return bytes(body)


def _unpacked(body: bytes, encoding: str) -> bytes:
    if encoding in ("", "identity"):
        return body
    if encoding not in ("gzip", "x-gzip", "deflate"):
        raise ApiError(415, f"content encoding {encoding[:40]!r}; send gzip, deflate or none")
    unpacker, whole = Unpacker(), bytearray()
    try:
        for piece in unpacker.feed(body):
            whole += piece
            _check_length(len(whole))
    except zlib.error as error:
        raise ApiError(400, f"the body is not {encoding}: {error}") from None
    if not unpacker.whole:
        raise ApiError(400, f"the body ends in the middle of its {encoding}")
    return bytes(whole)


def _check_length(length: int) -> None:
    if length > LIMITS.body_bytes:
        most = LIMITS.body_bytes // _MEBIBYTE
        raise ApiError(413, f"the body is longer than {most} MiB; shorten it")
