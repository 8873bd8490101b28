"""How the file came to be as it is, step by step; a step that was released never changes.

A new step goes to the end. Each runs once, in a transaction of its own together with the number
that says that it ran.
"""

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Migration:
    """One step.

    Attributes:
        change: what is done to the file; gets its folder, too.
        clean: what is done once that is safe on the disk.
    """

    change: Callable[[sqlite3.Connection, Path], None]
    clean: Callable[[Path], None] = lambda folder: None


def _tables(connection: sqlite3.Connection, folder: Path) -> None:
    connection.execute(
        "CREATE TABLE documents (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID"
    )
    # Numbered in the order of their coming, which a clock that jumps would not keep. `age` is
    # in seconds that the device ran since the prompt ended, for the same reason.
    connection.execute(
        "CREATE TABLE prompts ("
        " number INTEGER PRIMARY KEY AUTOINCREMENT,"
        " id TEXT NOT NULL UNIQUE,"
        " api TEXT NOT NULL,"
        " created REAL NOT NULL,"
        " status TEXT NOT NULL,"
        " request BLOB NOT NULL,"
        " answer BLOB NOT NULL DEFAULT x'',"
        " deaths INTEGER NOT NULL DEFAULT 0,"
        " age REAL NOT NULL DEFAULT 0)"
    )
    connection.execute("CREATE INDEX prompts_by_status ON prompts (status, number)")


_OLD_EXAMINATIONS = "examinations.json"


def _take_over_examinations(connection: sqlite3.Connection, folder: Path) -> None:
    """Up to 0.2's middle, what examinations found was a file of its own."""
    old = folder / _OLD_EXAMINATIONS
    if old.exists():
        connection.execute(
            "INSERT INTO documents (name, value) VALUES ('examinations', ?)", (old.read_bytes(),)
        )


def _remove_old_examinations(folder: Path) -> None:
    (folder / _OLD_EXAMINATIONS).unlink(missing_ok=True)


MIGRATIONS = (
    Migration(_tables),
    Migration(_take_over_examinations, _remove_old_examinations),
)
