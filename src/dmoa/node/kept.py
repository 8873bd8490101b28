"""What a device's examinations found, kept in a file for its next start.

The file holds the secret that its questions are drawn from, so nobody but its owner may read it.
"""

import os
from collections.abc import Callable
from pathlib import Path

import msgspec

from dmoa.standings.examiner import Kept


class KeptExaminations:
    """A file of what was found, written whole or not at all.

    Args:
        path: the file.
        say: is told what goes wrong with it.
    """

    def __init__(self, path: Path, say: Callable[[str], None]) -> None:
        self._path = path
        self._say = say
        self._failed = False

    def load(self) -> Kept | None:
        """What was kept; None at the first start, and where it cannot be read.

        A broken file is set aside, never overwritten: its owner may want to mend it.
        """
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=Kept)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, RecursionError, msgspec.MsgspecError) as error:
            aside = self._path.with_suffix(".broken")
            told = f"warning: {self._path} cannot be read ({error}); examinations begin anew"
            try:
                self._path.replace(aside)
                told += f", and it is kept as {aside.name}"
            except OSError:
                told += ", and it cannot be set aside"
            self._say(told)
            return None

    def save(self, kept: Kept) -> None:
        """Write it; a disk that is full is said once, and the device goes on without."""
        aside = self._path.with_suffix(".new")
        try:
            with open(aside, "wb", opener=_private) as file:
                file.write(msgspec.json.encode(kept))
            aside.replace(self._path)
            self._failed = False
        except OSError as error:
            aside.unlink(missing_ok=True)
            if not self._failed:
                self._say(f"warning: {self._path} cannot be written: {error}; it will be lost")
            self._failed = True


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
