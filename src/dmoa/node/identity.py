"""Who this device is, also after a restart: an Ed25519 key, and the id that follows from it."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)

from dmoa.errors import UsageError
from dmoa.trust.authority import private_pem
from dmoa.trust.personal import write_private

ID_LENGTH = 20


@dataclass(frozen=True)
class Identity:
    """A device's key, and the id that follows from it."""

    id: str
    key: Ed25519PrivateKey


def load_identity(state: Path) -> Identity:
    """The identity of the device whose state folder this is; made at the first call.

    Raises:
        UsageError: the folder cannot be written, or its key cannot be read.
    """
    path = state / "device.key"
    try:
        state.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            _write_key(path)
        key = load_pem_private_key(path.read_bytes(), password=None)
    except OSError as error:
        raise UsageError(
            f"cannot use the state folder {state}: {error.strerror}; give another one by --state"
        ) from None
    except (ValueError, UnsupportedAlgorithm) as error:
        raise UsageError(
            f"{path} holds no key ({error}); restore it, or remove it to become a new device"
        ) from None
    if not isinstance(key, Ed25519PrivateKey):
        raise UsageError(f"{path} is no Ed25519 key; remove it to become a new device")
    public = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    return Identity(hashlib.sha256(public).hexdigest()[:ID_LENGTH], key)


def _write_key(path: Path) -> None:
    # Written aside and moved into place: a full disk leaves no broken key behind.
    write_private(path, private_pem(Ed25519PrivateKey.generate()))
