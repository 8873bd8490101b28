"""What travels between devices that prove who they are to each other; see `sealed.py`.

Outside, anybody's session may send it; what is inside of `Sealed` only two devices can read.
"""

from typing import Annotated

import msgspec
from msgspec import Meta

from dmoa.policies.limits import LIMITS
from dmoa.trust.introduction import Introduction, Witness
from dmoa.trust.membership import DeviceName
from dmoa.trust.revocation import Revocation

ADDRESS = Meta(min_length=32, max_length=32)
Number = Annotated[int, Meta(ge=1, le=2**62)]
Digest = Annotated[bytes, Meta(min_length=16, max_length=16)]
Revoked = Annotated[list[Revocation], Meta(max_length=LIMITS.revocations)]


# --- outside ------------------------------------------------------------------------------


class Meet(msgspec.Struct, frozen=True, tag="meet"):
    """Who I am, without a name; answered by `Met` or `Denied`.

    Attributes:
        once: random, so that an old answer is none.
        revocations: digest of those that I know.
    """

    introduction: Introduction
    once: Digest
    revocations: Digest


class Sealed(msgspec.Struct, frozen=True, tag="sealed"):
    """A request; `sender` is the address of whoever says that it asks."""

    sender: Annotated[str, ADDRESS]
    number: Number
    data: bytes


class Met(msgspec.Struct, frozen=True, tag="met"):
    """Who I am; inside is a `Greeting`."""

    introduction: Introduction
    number: Number
    data: bytes


class SealedReply(msgspec.Struct, frozen=True, tag="reply"):
    """One of the replies to a `Sealed`."""

    number: Number
    data: bytes


class Denied(msgspec.Struct, frozen=True, tag="denied"):
    """You are not let in, and why; nobody has signed that.

    Attributes:
        unmet: I do not know you, or not any more: meet me again.
        evidence: the authority's word when you are revoked.
    """

    why: Annotated[str, Meta(max_length=LIMITS.detail_characters)]
    unmet: bool = False
    evidence: Revocation | None = None


Outside = Meet | Sealed
OutsideReply = Met | SealedReply | Denied


# --- inside -------------------------------------------------------------------------------


class Greeting(msgspec.Struct, frozen=True, tag="greeting"):
    """What only those may know who are let in.

    Attributes:
        name: what the authority calls me; None when I name myself.
        revocations: those that I know, when you seem to know others.
        witness: my word for you.
    """

    name: DeviceName | None = None
    revocations: Revoked = []
    witness: Witness | None = None


_encoder = msgspec.msgpack.Encoder()
_outside: msgspec.msgpack.Decoder[Outside] = msgspec.msgpack.Decoder(Outside)
_replies: msgspec.msgpack.Decoder[OutsideReply] = msgspec.msgpack.Decoder(OutsideReply)
_greetings = msgspec.msgpack.Decoder(Greeting)
# Bytes of a hostile sender may be nested deeper than Python's stack.
UNREADABLE = (msgspec.MsgspecError, ValueError, RecursionError)


def encode(message: Outside | OutsideReply | Greeting) -> bytes:
    """A message as bytes."""
    return _encoder.encode(message)


def decode(payload: bytes) -> Outside | None:
    """A request; None for bytes that are none."""
    try:
        return _outside.decode(payload)
    except UNREADABLE:
        return None


def decode_reply(payload: bytes) -> OutsideReply | None:
    """A reply; None for bytes that are none."""
    try:
        return _replies.decode(payload)
    except UNREADABLE:
        return None


def decode_greeting(payload: bytes) -> Greeting | None:
    """A greeting; None for bytes that are none."""
    try:
        return _greetings.decode(payload)
    except UNREADABLE:
        return None
