"""Files that only their user may read: secrets, and what must not be changed by others."""

import os
import stat
from pathlib import Path

from dmoa.errors import UsageError


def write_private(path: Path, content: bytes) -> None:
    """Write a file that only its user can read, whole or not at all.

    Raises:
        OSError: it cannot be written.
    """
    aside = path.with_name(path.name + ".new")
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    aside.replace(path)


def require_own(folder: Path, secrets: tuple[str, ...]) -> None:
    """Refuse a folder that is another user's, or whose secrets others can read.

    Args:
        folder: exists.
        secrets: names of files in it that hold some.

    Raises:
        UsageError: says what to do.
    """
    if os.name != "posix":  # elsewhere modes mean nothing
        return
    try:
        owner = folder.stat().st_uid
        if owner != os.geteuid():
            raise UsageError(
                f"{folder} belongs to user {owner}, and this is user {os.geteuid()}: run dmoa as"
                " the user who made it, or give another folder by --state"
            )
        for name in secrets:
            path = folder / name
            if path.exists() and stat.S_IMODE(path.stat().st_mode) & 0o077:
                raise UsageError(
                    f"others than you can read the key {path}; if nobody has, chmod 600 {path},"
                    " otherwise revoke this device and invite it again"
                )
    except OSError as error:
        raise UsageError(f"cannot look at {folder}: {error.strerror or error}") from None
