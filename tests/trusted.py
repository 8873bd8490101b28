"""Members of networks, for tests."""

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from dmoa.trust import public
from dmoa.trust.authority import Authority
from dmoa.trust.credentials import Credentials
from dmoa.trust.holder import Holder


def self_made(authority: Authority | None = None) -> Holder:
    """A new device that has an authority's key; by default everybody's."""
    return Holder.self_made(authority or public.authority(), Ed25519PrivateKey.generate())


def credentials(authority: Authority | None = None) -> Credentials:
    """What such a device shows on its links."""
    return self_made(authority).credentials()
