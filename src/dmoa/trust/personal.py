"""The network of one user on one machine: its authority is made at the first start.

Its key is a file that only the user can read. So another user's device, or a program that
bridges the loopback address to elsewhere, gets no link to the user's devices.
"""

from pathlib import Path

from filelock import FileLock, Timeout

from dmoa.errors import UsageError
from dmoa.trust.authority import Authority
from dmoa.trust.files import write_private

LOCK_SECONDS = 10.0
_CERTIFICATE, _KEY = "network.pem", "network.key"


def authority(folder: Path) -> Authority:
    """The authority that a folder holds, made at the first call.

    Args:
        folder: the user's own, shared by all devices of the user.

    Raises:
        UsageError: the folder cannot be written, or what it holds is broken.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / "network.lock", timeout=LOCK_SECONDS):
            if not (folder / _KEY).exists():
                certificate, key = Authority.create()
                write_private(folder / _CERTIFICATE, certificate)
                write_private(folder / _KEY, key)
            pair = (folder / _CERTIFICATE).read_bytes(), (folder / _KEY).read_bytes()
    except OSError as error:
        raise UsageError(
            f"cannot keep the key of this user's devices in {folder}: {error.strerror or error};"
            " make the folder writable, or set DMOA_HOME to another one"
        ) from None
    except Timeout:
        raise UsageError(
            f"another process has held {folder / 'network.lock'} for {LOCK_SECONDS:.0f} s; end it"
        ) from None
    try:
        return Authority(*pair)
    except ValueError as error:
        raise UsageError(
            f"{folder / _CERTIFICATE} and {folder / _KEY} are no authority ({error}); remove both"
            " to make a new one, and restart all devices of this machine"
        ) from None
