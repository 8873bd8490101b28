"""The authority of a network: whoever holds its key decides who may join."""

import datetime

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import NameOID

from dmoa.trust.credentials import Credentials

# Where dates mean nothing: a small device may not know the date when it starts.
BEGINS = datetime.datetime(2000, 1, 1, tzinfo=datetime.UTC)
ENDS = datetime.datetime(2100, 1, 1, tzinfo=datetime.UTC)

# Zenoh wants a name in a certificate. It is not checked against addresses, which change.
_NAME = "dmoa"


class Authority:
    """Signs the certificates of devices.

    Args:
        certificate: its own, in PEM.
        key: its private key (Ed25519), in PEM.

    Raises:
        ValueError: they are none, or do not belong together.
    """

    def __init__(self, certificate: bytes, key: bytes) -> None:
        self.certificate = certificate
        self._parsed = x509.load_pem_x509_certificate(certificate)
        loaded = load_pem_private_key(key, password=None)
        if not isinstance(loaded, Ed25519PrivateKey):
            raise ValueError("the key is of another kind than Ed25519")  # noqa: TRY004 - of a file
        if loaded.public_key() != self._parsed.public_key():
            raise ValueError("certificate and key do not belong together")
        self._key = loaded

    @classmethod
    def create(
        cls, name: str, begins: datetime.datetime = BEGINS, ends: datetime.datetime = ENDS
    ) -> tuple[bytes, bytes]:
        """Certificate and key of a new authority, in PEM."""
        key = Ed25519PrivateKey.generate()
        subject = _named(name)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(begins)
            .not_valid_after(ends)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .sign(key, None)
        )
        return certificate.public_bytes(Encoding.PEM), private_pem(key)

    def admit(
        self,
        device: str,
        key: Ed25519PrivateKey,
        begins: datetime.datetime = BEGINS,
        ends: datetime.datetime = ENDS,
    ) -> Credentials:
        """Sign a device's certificate.

        Args:
            device: its id, which becomes the certificate's common name.
            key: its private key.
            begins, ends: when the certificate is valid.
        """
        certificate = (
            x509.CertificateBuilder()
            .subject_name(_named(device))
            .issuer_name(self._parsed.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(begins)
            .not_valid_after(ends)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(_NAME)]), critical=False)
            .sign(self._key, None)
        )
        return Credentials(
            self.certificate, certificate.public_bytes(Encoding.PEM), private_pem(key)
        )


def private_pem(key: Ed25519PrivateKey) -> bytes:
    """A private key as PEM, not encrypted."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
