"""The messages between devices, and their versions.

On the wire each message is `dmoa`, one byte each of major and minor version, and a msgpack
map with a `type`. A newer minor version may add fields, which older devices ignore, and
message types, which they refuse as `unknown`. Another major version is refused as `version`.
"""

from typing import Literal

import msgspec

from dmoa.errors import MessageError
from dmoa.tasks import Answer, Piece, Task, Waiting, Working

MAGIC = b"dmoa"
MAJOR, MINOR = 1, 0
_HEADER = len(MAGIC) + 2


class Card(msgspec.Struct, frozen=True):
    """What a device tells others of itself when they meet."""

    device: str
    name: str
    model: str
    context_length: int
    addresses: list[str] = []
    version: str = f"{MAJOR}.{MINOR}"


class DeviceReport(msgspec.Struct, frozen=True, tag="device_report"):
    """How a device is doing; None where it has measured nothing yet.

    Attributes:
        queue: tasks waiting.
        serving: tasks in service.
        alpha: mean seconds per inference.
        arrival_rate: prompts of its own user per second (lambda).
        load: share of its LLM's time that is taken; stable below 1.
        seconds_since_token: since its LLM last made a token.
        healthy: whether its LLM can make a token.
    """

    queue: int
    serving: int
    alpha: float | None
    arrival_rate: float | None
    load: float | None
    seconds_since_token: float | None
    tokens_per_second: float | None
    healthy: bool


# --- requests -----------------------------------------------------------------------------


class Hello(msgspec.Struct, frozen=True, tag="hello"):
    """Who I am; answered by `Welcome`."""

    card: Card


class Infer(msgspec.Struct, frozen=True, tag="infer"):
    """Make an inference for me; answered by steps of the task, or refused."""

    origin: str
    task: Task


class Cancel(msgspec.Struct, frozen=True, tag="cancel"):
    """Nobody needs this task any more; answered by `Done`."""

    task: str


class AskReport(msgspec.Struct, frozen=True, tag="ask_report"):
    """How are you doing; answered by `DeviceReport`."""


Request = Hello | Infer | Cancel | AskReport

# --- replies ------------------------------------------------------------------------------


class Welcome(msgspec.Struct, frozen=True, tag="welcome"):
    """Who I am, in answer to `Hello`."""

    card: Card


class Done(msgspec.Struct, frozen=True, tag="done"):
    """It is done."""


Reason = Literal["busy", "context", "draining", "garbage", "version", "unknown", "cancelled"]


class Refused(msgspec.Struct, frozen=True, tag="refused"):
    """No, and why."""

    reason: Reason
    detail: str = ""
    retry_after: float = 0.0
    window: int = 0


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    """The task was taken on and failed."""

    detail: str


Reply = Waiting | Working | Piece | Answer | Welcome | Done | DeviceReport | Refused | Failed

_encoder = msgspec.msgpack.Encoder()
_requests: msgspec.msgpack.Decoder[Request] = msgspec.msgpack.Decoder(Request)
_replies: msgspec.msgpack.Decoder[Reply] = msgspec.msgpack.Decoder(Reply)


def encode(message: Request | Reply, *, minor: int = MINOR) -> bytes:
    """A message as bytes."""
    return MAGIC + bytes((MAJOR, minor)) + _encoder.encode(message)


def decode_request(payload: bytes) -> Request | Refused:
    """A request; bytes that are none become the refusal to send back."""
    try:
        body = _body(payload)
    except MessageError as error:
        reason: Reason = "version" if payload.startswith(MAGIC) else "garbage"
        return Refused(reason, str(error))
    try:
        return _requests.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        # A message type of a newer minor version is no garbage: the sender can do without.
        newer = payload[_HEADER - 1] > MINOR
        return Refused("unknown" if newer else "garbage", f"cannot read the request: {error}")


def decode_reply(payload: bytes) -> Reply:
    """A reply.

    Raises:
        MessageError: the bytes are no reply of a version that we speak.
    """
    try:
        return _replies.decode(_body(payload))
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise MessageError(f"cannot read a peer's reply: {error}") from None


def _body(payload: bytes) -> bytes:
    if len(payload) < _HEADER or not payload.startswith(MAGIC):
        raise MessageError(f"{len(payload)} bytes that are no dmoa message")
    major, minor = payload[len(MAGIC)], payload[len(MAGIC) + 1]
    if major != MAJOR:
        raise MessageError(
            f"protocol version {major}.{minor}, this device speaks {MAJOR}.{MINOR};"
            " install the same major version of dmoa on both"
        )
    return payload[_HEADER:]
