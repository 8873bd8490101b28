"""Who this device is, also after a restart: an Ed25519 key, and the id that follows from it."""

from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from dmoa.errors import UsageError
from dmoa.trust.authority import private_pem
from dmoa.trust.files import require_own, write_private
from dmoa.trust.membership import device_id, raw


@dataclass(frozen=True)
class Identity:
    """A device's key, and the id that follows from it."""

    id: str
    key: Ed25519PrivateKey


def load_identity(state: Path) -> Identity:
    """The identity of the device whose state folder this is; made at the first call.

    Raises:
        UsageError: the folder cannot be written, is another user's, or its key cannot be read.
    """
    path = state / "device.key"
    try:
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
        require_own(state, (path.name,))
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
    return Identity(device_id(raw(key.public_key())), key)


def _write_key(path: Path) -> None:
    # Written aside and moved into place: a full disk leaves no broken key behind.
    write_private(path, private_pem(Ed25519PrivateKey.generate()))
