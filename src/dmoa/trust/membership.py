"""A membership: the authority's word that whoever holds a key may be a device of the network.

    membership = Membership.grant(authority, key, name="bob", join_before=tomorrow)

It is an X.509 certificate, so that links can ask for it, with terms in an extension of ours. It
holds no name in the clear: whoever dials a device sees it. The name is told to members only, who
compare it with a hash in the terms.
"""

import hashlib
import secrets
from typing import Self

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from dmoa.errors import NotTrusted
from dmoa.trust.authority import TERMS, Authority, Root, private_pem
from dmoa.trust.credentials import Credentials

FOREVER = 4_102_444_800  # 2100, in seconds since 1970
_SALT_BYTES = 16


class Terms(msgspec.Struct, frozen=True, array_like=True):
    """What the authority says of a membership; times in seconds since 1970.

    Attributes:
        name: hash of the device's name; empty when the device names itself.
        begins, ends: when the membership is valid.
        join_before: until when a device may join by it, with a key of its own; 0 when the key of
            the membership is that of the device.
    """

    name: bytes
    begins: int
    ends: int
    join_before: int


class DeviceName(msgspec.Struct, frozen=True):
    """A name and the random bytes that keep its hash from being guessed."""

    name: str
    salt: bytes

    @classmethod
    def choose(cls, name: str) -> Self:
        """A name for a new membership."""
        return cls(name, secrets.token_bytes(_SALT_BYTES))

    def digest(self) -> bytes:
        """What stands in the terms."""
        return hashlib.sha256(self.salt + self.name.encode()).digest()


class Membership:
    """A membership as it is shown to others.

    Args:
        certificate: in DER.
        root: the authority that must have signed it.

    Raises:
        NotTrusted: it has not.
    """

    def __init__(self, certificate: bytes, root: Root) -> None:
        self.certificate = certificate
        try:
            parsed = x509.load_der_x509_certificate(certificate)
            key = parsed.public_key()
        except (ValueError, TypeError) as error:
            raise NotTrusted(f"it shows no certificate ({error})") from None
        if not root.has_issued(parsed):
            raise NotTrusted("its certificate was signed by another network's authority")
        try:
            extension = parsed.extensions.get_extension_for_oid(TERMS).value
            assert isinstance(extension, x509.UnrecognizedExtension)
            self.terms = msgspec.msgpack.decode(extension.value, type=Terms)
        except (x509.ExtensionNotFound, ValueError, msgspec.MsgspecError):
            raise NotTrusted("its certificate has no terms that this version can read") from None
        if not isinstance(key, Ed25519PublicKey):
            raise NotTrusted("its certificate has a key of another kind than Ed25519")
        self.key = key
        self.serial = f"{parsed.serial_number:040x}"

    @classmethod
    def grant(
        cls,
        authority: Authority,
        key: Ed25519PublicKey,
        name: DeviceName | None = None,
        *,
        begins: int = 0,
        ends: int = FOREVER,
        join_before: int = 0,
    ) -> Self:
        """Make a membership; see `Terms`."""
        terms = Terms(name.digest() if name else b"", begins, ends, join_before)
        return cls(authority.certify(key, msgspec.msgpack.encode(terms)), authority)

    def credentials(self, root: Root, key: Ed25519PrivateKey) -> Credentials:
        """What is shown on links."""
        parsed = x509.load_der_x509_certificate(self.certificate)
        return Credentials(root.certificate, parsed.public_bytes(Encoding.PEM), private_pem(key))


def raw(key: Ed25519PublicKey) -> bytes:
    """The 32 bytes of a public key."""
    return key.public_bytes(Encoding.Raw, PublicFormat.Raw)


def device_id(key: bytes) -> str:
    """The id of the device whose public key this is."""
    return hashlib.sha256(key).hexdigest()[:20]
