"""The messages between devices, and their versions.

On the wire each message is `dmoa`, one byte each of major and minor version, and a msgpack
map with a `type`. A newer minor version may add fields, which older devices ignore, and
message types, which they refuse as `unknown`. Another major version is refused as `version`.
"""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from dmoa.errors import MessageError
from dmoa.policies.limits import LIMITS
from dmoa.protocol.conversation import Count
from dmoa.protocol.tasks import Answer, Id, Piece, Seconds, Task, Waiting, Working

Address = Annotated[str, Meta(max_length=128)]
Rate = Annotated[float, Meta(ge=0, le=1e9)]

MAGIC = b"dmoa"
MAJOR, MINOR = 1, 0
_HEADER = len(MAGIC) + 2


class Card(msgspec.Struct, frozen=True):
    """What a device tells others of itself when they meet."""

    device: Id
    name: Annotated[str, Meta(max_length=LIMITS.name_characters)]
    model: Annotated[str, Meta(max_length=LIMITS.model_characters)]
    context_length: Annotated[int, Meta(ge=1, le=2**40)]
    addresses: Annotated[list[Address], Meta(max_length=8)] = []
    version: Annotated[str, Meta(max_length=16)] = f"{MAJOR}.{MINOR}"


class DeviceReport(msgspec.Struct, frozen=True, tag="device_report"):
    """How a device is doing; None where it has measured nothing yet.

    Attributes:
        queue: tasks waiting.
        serving: tasks in service.
        promised: tasks that prompts of its own user, which are under way, will still put there.
        slots: tasks that it serves at once.
        alpha: mean seconds per inference.
        arrival_rate: prompts of its own user per second (lambda).
        load: share of its LLM's time that is taken; stable below 1.
        seconds_since_token: since its LLM last made a token.
        healthy: whether its LLM can make a token.
    """

    queue: Count
    serving: Count
    alpha: Seconds | None
    arrival_rate: Rate | None
    load: Rate | None
    seconds_since_token: Seconds | None
    tokens_per_second: Rate | None
    healthy: bool
    promised: Count = 0
    slots: Annotated[int, Meta(ge=1, le=2**20)] = 1


# --- requests -----------------------------------------------------------------------------


class Hello(msgspec.Struct, frozen=True, tag="hello"):
    """Who I am; answered by `Welcome`."""

    card: Card


class Infer(msgspec.Struct, frozen=True, tag="infer"):
    """Make an inference for me; answered by steps of the task, or refused.

    Attributes:
        report: how the one that asks is doing, now and then.
    """

    task: Task
    report: DeviceReport | None = None


class Cancel(msgspec.Struct, frozen=True, tag="cancel"):
    """Nobody needs this task any more; answered by `Done`."""

    task: Id


class AskReport(msgspec.Struct, frozen=True, tag="ask_report"):
    """How are you doing; answered by `DeviceReport`."""


Request = Hello | Infer | Cancel | AskReport

# --- replies ------------------------------------------------------------------------------


class Welcome(msgspec.Struct, frozen=True, tag="welcome"):
    """Who I am, in answer to `Hello`."""

    card: Card


class Done(msgspec.Struct, frozen=True, tag="done"):
    """It is done."""


Reason = Literal[
    "busy",
    "cancelled",
    "context",
    "draining",
    "garbage",
    "request",
    "stranger",
    "unknown",
    "version",
]


class Refused(msgspec.Struct, frozen=True, tag="refused"):
    """No, and why.

    Attributes:
        reason: `request` when the LLM's server says that the request is wrong.
        status: HTTP's, of such a server; 0 for other reasons.
    """

    reason: Reason
    detail: str = ""
    retry_after: Annotated[float, Meta(ge=0, le=86_400)] = 0.0
    window: Count = 0
    status: Annotated[int, Meta(ge=0, le=499)] = 0


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    """The task was taken on and failed."""

    detail: str


Reply = Waiting | Working | Piece | Answer | Welcome | Done | DeviceReport | Refused | Failed


def _refuse_extension(code: int, data: Any) -> Any:
    raise ValueError(f"msgpack extension {code} is no part of the protocol")


_encoder = msgspec.msgpack.Encoder()
_requests: msgspec.msgpack.Decoder[Request] = msgspec.msgpack.Decoder(
    Request, ext_hook=_refuse_extension
)
_replies: msgspec.msgpack.Decoder[Reply] = msgspec.msgpack.Decoder(
    Reply, ext_hook=_refuse_extension
)
# Bytes of a hostile sender may be nested deeper than Python's stack.
_UNREADABLE = (msgspec.DecodeError, ValueError, RecursionError)


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
    except _UNREADABLE as error:
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
    except _UNREADABLE as error:
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
