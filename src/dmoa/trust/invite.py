"""An invite: all that one device needs to join a network, as text.

    -----BEGIN DMOA INVITE-----
    (base64, some lines)
    -----END DMOA INVITE-----

It holds a membership and the private key of it. The device that joins makes a key of its own, and
the members that it meets first bind the membership to that (`introduction.py`): a copy of the
invite is worth nothing from then on, nor after its time.
"""

import base64
import binascii
import hashlib
import time
from typing import Annotated, Self

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec import Meta

from dmoa.errors import NotTrusted, UsageError
from dmoa.trust.authority import Root
from dmoa.trust.membership import DeviceName, Membership, raw
from dmoa.trust.register import shown

FORMAT = 1
LARGEST_BYTES = 64 * 1024
_BEGIN, _END = "-----BEGIN DMOA INVITE-----", "-----END DMOA INVITE-----"
_USED = "DMOA INVITE, USED"
_CHECK_BYTES = 8


class Invite(msgspec.Struct, frozen=True):
    """What an invite says.

    Attributes:
        network: what its user calls the network.
        authority: certificate of it, in PEM.
        membership: certificate, in DER.
        key: private key of the membership, 32 bytes.
        name: of the device.
        addresses: where members are.
    """

    format: int
    network: Annotated[str, Meta(max_length=64)]
    authority: Annotated[bytes, Meta(max_length=4096)]
    membership: Annotated[bytes, Meta(max_length=4096)]
    key: Annotated[bytes, Meta(min_length=32, max_length=32)]
    name: DeviceName
    addresses: Annotated[list[Annotated[str, Meta(max_length=128)]], Meta(max_length=16)] = []

    def to_text(self) -> str:
        """What `read` reads."""
        packed = msgspec.msgpack.encode(self)
        whole = hashlib.sha256(packed).digest()[:_CHECK_BYTES] + packed
        text = base64.b64encode(whole).decode()
        lines = [text[i : i + 64] for i in range(0, len(text), 64)]
        return "\n".join([_BEGIN, *lines, _END, ""])

    @classmethod
    def read(cls, text: str, where: str) -> Self:
        """An invite whose parts fit each other.

        Args:
            text: as `to_text` makes it.
            where: it came from, for messages.

        Raises:
            UsageError: it is none, broken, or for a newer version.
        """
        if text.startswith(_USED):
            raise UsageError(f"{where}: {text.strip()}; an invite works once: ask for another one")
        _, begun, rest = text.partition(_BEGIN)
        body, ended, _ = rest.partition(_END)
        if not begun:
            raise UsageError(f"{where} is no invite; `dmoa network invite DEVICE --out FILE` makes"
                             " one")  # fmt: skip
        if not ended:
            raise UsageError(f"the invite {where} is cut off: its last line is missing; copy it"
                             " whole")  # fmt: skip
        try:
            whole = base64.b64decode("".join(body.split()), validate=True)
        except binascii.Error:
            whole = b""
        check, packed = whole[:_CHECK_BYTES], whole[_CHECK_BYTES:]
        if len(whole) <= _CHECK_BYTES or hashlib.sha256(packed).digest()[:_CHECK_BYTES] != check:
            raise UsageError(f"the invite {where} is damaged or cut off; copy it again, whole")
        try:
            format_ = msgspec.msgpack.decode(packed).get("format")
            if format_ != FORMAT:
                raise UsageError(
                    f"the invite {where} is of format {format_!r}, this version of dmoa reads"
                    f" {FORMAT}; install the same version on both devices"
                )
            return msgspec.msgpack.decode(packed, type=cls)
        except (msgspec.MsgspecError, ValueError, AttributeError, RecursionError) as error:
            raise UsageError(f"the invite {where} cannot be read: {error}") from None

    def check(self, where: str, now: float | None = None) -> tuple[Root, Membership]:
        """Whether it can be used now.

        Raises:
            UsageError: it has ended, or was not made by its authority.
        """
        try:
            root = Root(self.authority)
            membership = Membership(self.membership, root)
        except (ValueError, NotTrusted) as error:
            raise UsageError(
                f"the invite {where} was not signed by the network that it names ({error});"
                " whoever changed it may want you in a network of theirs: ask for another one"
            ) from None
        if raw(membership.key) != raw(self.private_key().public_key()):
            raise UsageError(f"the key in the invite {where} belongs to another one; ask anew")
        if membership.terms.name != self.name.digest():
            raise UsageError(f"the invite {where} is for another device than it says; ask anew")
        moment = time.time() if now is None else now
        if moment >= membership.terms.join_before:
            raise UsageError(
                f"the invite {where} ended on {shown(membership.terms.join_before)}, and this"
                f" machine's clock says {shown(int(moment))}; ask for a new one, or set the clock"
            )
        return root, membership

    def private_key(self) -> Ed25519PrivateKey:
        """The key of the membership."""
        return Ed25519PrivateKey.from_private_bytes(self.key)


def used(name: str, now: float) -> str:
    """What an invite's file says once a device has joined by it."""
    return f"{_USED}: {name} has joined by it on {shown(int(now))}\n"
