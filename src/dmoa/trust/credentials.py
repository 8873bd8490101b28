"""What a device shows on its links, and whom it lets in."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Credentials:
    """Certificates of one device in one network, each in PEM.

    Attributes:
        authority: certificate of the authority; peers must have been signed by it.
        certificate: this device's own, signed by the authority.
        key: the private key of it.
    """

    authority: bytes
    certificate: bytes
    key: bytes
