"""The authority of a network: whoever holds its key decides who may join."""

import datetime
import hashlib

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import NameOID

# Links ask for no dates: Zenoh would refuse in silence. Dates stand in the terms of a membership,
# where a refusal says which clock is wrong.
_BEGINS = datetime.datetime(2000, 1, 1, tzinfo=datetime.UTC)
_ENDS = datetime.datetime(2100, 1, 1, tzinfo=datetime.UTC)

# Zenoh wants a name in a certificate. Whoever dials a device sees it, so it tells nothing.
_NAME = "dmoa"
# No registered number: nobody but dmoa reads this extension.
TERMS = x509.ObjectIdentifier("1.3.6.1.4.1.99999.13.1")


class Root:
    """What everybody may know of an authority: enough to check what it has signed.

    Args:
        certificate: in PEM.

    Attributes:
        fingerprint: tells one network from all others.

    Raises:
        ValueError: it is none.
    """

    def __init__(self, certificate: bytes) -> None:
        self.certificate = certificate
        self._parsed = x509.load_pem_x509_certificate(certificate)
        public = self._parsed.public_key()
        if not isinstance(public, Ed25519PublicKey):
            raise ValueError("the authority's key is of another kind than Ed25519")  # noqa: TRY004
        self.public = public
        encoded = self._parsed.public_bytes(Encoding.DER)
        self.fingerprint = hashlib.sha256(encoded).hexdigest()[:32]

    def has_issued(self, certificate: x509.Certificate) -> bool:
        """Whether a certificate was signed by this authority."""
        try:
            certificate.verify_directly_issued_by(self._parsed)
        except (InvalidSignature, ValueError, TypeError):
            return False
        return True


class Authority(Root):
    """Signs memberships and revocations.

    Args:
        certificate: its own, in PEM.
        key: its private key (Ed25519), in PEM.
        passphrase: of the key, when it is encrypted.

    Raises:
        ValueError: they are none, do not belong together, or the passphrase is wrong.
    """

    def __init__(self, certificate: bytes, key: bytes, passphrase: bytes | None = None) -> None:
        super().__init__(certificate)
        try:
            loaded = load_pem_private_key(key, passphrase)
        except (TypeError, UnsupportedAlgorithm) as error:
            raise ValueError(str(error)) from None
        if not isinstance(loaded, Ed25519PrivateKey):
            raise ValueError("the key is of another kind than Ed25519")  # noqa: TRY004 - of a file
        if loaded.public_key() != self.public:
            raise ValueError("certificate and key do not belong together")
        self._key = loaded

    @classmethod
    def create(cls, name: str = _NAME, passphrase: bytes | None = None) -> tuple[bytes, bytes]:
        """Certificate and key of a new authority, in PEM; with a passphrase the key is encrypted.

        The name is seen by whoever dials a device.
        """
        key = Ed25519PrivateKey.generate()
        subject = _named(name)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(_BEGINS)
            .not_valid_after(_ENDS)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .sign(key, None)
        )
        return certificate.public_bytes(Encoding.PEM), private_pem(key, passphrase)

    def certify(self, key: Ed25519PublicKey, terms: bytes) -> bytes:
        """Sign the certificate of a membership.

        Args:
            key: whose private half the member will hold.
            terms: see `membership.Terms`.

        Returns:
            The certificate in DER.
        """
        certificate = (
            x509.CertificateBuilder()
            .subject_name(_named(_NAME))
            .issuer_name(self._parsed.subject)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(_BEGINS)
            .not_valid_after(_ENDS)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(_NAME)]), critical=False)
            .add_extension(x509.UnrecognizedExtension(TERMS, terms), critical=False)
            .sign(self._key, None)
        )
        return certificate.public_bytes(Encoding.DER)

    def sign(self, words: bytes) -> bytes:
        """Sign anything else that is the authority's to say."""
        return self._key.sign(words)

    def private_pem(self, passphrase: bytes | None) -> bytes:
        """The key in PEM, encrypted when there is a passphrase."""
        return private_pem(self._key, passphrase)


def private_pem(key: Ed25519PrivateKey, passphrase: bytes | None = None) -> bytes:
    """A private key as PEM."""
    hidden = BestAvailableEncryption(passphrase) if passphrase else NoEncryption()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, hidden)


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
