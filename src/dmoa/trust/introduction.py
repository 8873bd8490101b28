"""How a device proves who it is: an introduction, signed by its membership and by its own key.

An introduction names the key of this run of the device, from which pairs of devices derive their
keys (`sealing.py`). It is valid for a day and renewed while the device runs.

An invite can be copied, a device's own key is made where the device is. So whoever joins by an
invite is bound to it by the first members that it meets, who witness the moment; of two devices
with one invite the one that was witnessed first is the member.
"""

from collections.abc import Sequence
from typing import Annotated, Self

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from msgspec import Meta

from dmoa.errors import NotTrusted
from dmoa.trust.authority import Root
from dmoa.trust.membership import Membership, raw

WITNESSES = 4
_INTRODUCTION, _WITNESS = b"dmoa introduction 1\x00", b"dmoa witness 1\x00"

Key = Annotated[bytes, Meta(min_length=32, max_length=32)]
Signature = Annotated[bytes, Meta(min_length=64, max_length=64)]
Certificate = Annotated[bytes, Meta(max_length=4096)]


class Statement(msgspec.Struct, frozen=True, array_like=True):
    """What an introduction says; times in seconds since 1970.

    Attributes:
        device: the device's own public key (Ed25519).
        session: the public key of this run (X25519).
    """

    membership: Certificate
    device: Key
    session: Key
    begins: int
    ends: int


class Witness(msgspec.Struct, frozen=True, array_like=True):
    """A member's word that a device had joined by a membership.

    Attributes:
        when: seconds since 1970.
        by: certificate of the member's own membership.
    """

    serial: Annotated[str, Meta(max_length=40)]
    device: Key
    when: int
    by: Certificate
    signature: Signature

    @classmethod
    def sign(
        cls,
        root: Root,
        by: Membership,
        key: Ed25519PrivateKey,
        *,
        serial: str,
        device: bytes,
        when: int,
    ) -> Self:
        """Witness a device; `key` is that of the membership `by`."""
        return cls(
            serial,
            device,
            when,
            by.certificate,
            key.sign(_WITNESS + _witnessed(root, serial, device, when)),
        )

    def signer(self, root: Root) -> Membership:
        """The membership of who signed it.

        Raises:
            NotTrusted: no member did.
        """
        by = Membership(self.by, root)
        words = _WITNESS + _witnessed(root, self.serial, self.device, self.when)
        _verify(by.key, self.signature, words)
        return by


class Introduction(msgspec.Struct, frozen=True, array_like=True):
    """A statement and its signatures, by the keys of the membership and of the device."""

    statement: Annotated[bytes, Meta(max_length=8192)]
    by_membership: Signature
    by_device: Signature
    witnesses: Annotated[list[Witness], Meta(max_length=WITNESSES)] = []

    @classmethod
    def sign(
        cls,
        root: Root,
        statement: Statement,
        membership_key: Ed25519PrivateKey,
        device_key: Ed25519PrivateKey,
        witnesses: Sequence[Witness] = (),
    ) -> Self:
        """Make one."""
        encoded = msgspec.msgpack.encode(statement)
        words = _INTRODUCTION + root.fingerprint.encode() + encoded
        return cls(
            encoded,
            membership_key.sign(words),
            device_key.sign(words),
            list(witnesses)[:WITNESSES],
        )

    def read(self, root: Root) -> tuple[Statement, Membership]:
        """What it says, once its signatures hold.

        Raises:
            NotTrusted: they do not, or its membership is of another network.
        """
        try:
            statement = msgspec.msgpack.decode(self.statement, type=Statement)
        except (msgspec.MsgspecError, ValueError) as error:
            raise NotTrusted(f"its introduction cannot be read ({error})") from None
        membership = Membership(statement.membership, root)
        words = _INTRODUCTION + root.fingerprint.encode() + self.statement
        _verify(membership.key, self.by_membership, words)
        _verify(Ed25519PublicKey.from_public_bytes(statement.device), self.by_device, words)
        if not membership.terms.join_before and raw(membership.key) != statement.device:
            raise NotTrusted("its membership belongs to another device")
        return statement, membership


def _verify(key: Ed25519PublicKey, signature: bytes, words: bytes) -> None:
    try:
        key.verify(signature, words)
    except InvalidSignature:
        raise NotTrusted("a signature of its introduction is wrong") from None


def _witnessed(root: Root, serial: str, device: bytes, when: int) -> bytes:
    return f"{root.fingerprint} {serial} {device.hex()} {when}".encode()
