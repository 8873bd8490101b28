"""The file: opened, brought up to date, and written in transactions, by a thread of its own.

    database = Database(state / "store.sqlite", say)
    await database.open()
    rows = await database.run(lambda connection: connection.execute("SELECT ...").fetchall())

One process uses it at a time (the state folder has a lock), so it is held exclusively: there is no
shared memory beside it, which a full disk would turn into a bus error. What `run` returned from is
on the disk, and survives a power cut.
"""

import asyncio
import os
import sqlite3
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from dmoa.errors import StoreFailed, StoreFull, UsageError
from dmoa.policies.limits import LIMITS
from dmoa.store.migrations import MIGRATIONS, Migration

T = TypeVar("T")

_PAGE_BYTES = 4096
_WAL_BYTES = 2**20
_NOT_OURS = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


class Database:
    """A SQLite file in WAL mode.

    Args:
        path: the file; nobody but its owner may read it.
        say: is told what goes wrong with it.
        executor: runs what is asked of it, one after another; by default a thread of its own.
        most_bytes: the file never grows beyond them.
        migrations: bring it up to date, in order; the version of a file is how many it has had.
    """

    def __init__(
        self,
        path: Path,
        say: Callable[[str], None],
        *,
        executor: Executor | None = None,
        most_bytes: int = LIMITS.store_bytes,
        migrations: tuple[Migration, ...] = MIGRATIONS,
    ) -> None:
        self.path = path
        self._say = say
        self._executor = executor or ThreadPoolExecutor(1, thread_name_prefix="store")
        self._most_bytes = most_bytes
        self._migrations = migrations
        self._connection: sqlite3.Connection | None = None

    async def open(self) -> None:
        """Open the file, or make it; a broken one is set aside and said.

        Raises:
            UsageError: a newer dmoa has written it, there is no room, or it may not be used.
        """
        await self._in_thread(self._open)

    async def close(self) -> None:
        """Close the file, after all that was asked before."""
        await self._in_thread(self._close)
        self._executor.shutdown(wait=False)

    async def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do `work` in a transaction, once more if there is no room at first.

        Whoever is cancelled meanwhile does not stop it.

        Raises:
            StoreFull: there is no room on the disk.
            StoreFailed: it cannot be read or written.
        """
        return await self._in_thread(lambda: self._transact(work))

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._executor, work)

    def _transact(self, work: Callable[[sqlite3.Connection], T]) -> T:
        connection = self._connection
        if connection is None:
            raise StoreFailed(f"{self.path} is closed")
        try:
            try:
                return _in_transaction(connection, work)
            except sqlite3.Error as error:
                if _code(error) != sqlite3.SQLITE_FULL:
                    raise
                # The log holds every change anew until it is carried over into the file.
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                return _in_transaction(connection, work)
        except (sqlite3.Error, OSError) as error:
            raise _as_ours(self.path, error) from None

    # --- opening -----------------------------------------------------------------------------

    def _open(self) -> None:
        try:
            try:
                self._connect()
            except sqlite3.DatabaseError as error:
                if _code(error) not in _NOT_OURS:
                    raise
                self._set_aside(error)
                self._connect()
        except (sqlite3.Error, OSError) as error:
            self._close()
            raise UsageError(
                f"{_as_ours(self.path, error)}; make room or the file writable, or give another"
                " folder by --state"
            ) from None
        except UsageError:
            self._close()
            raise

    def _connect(self) -> None:
        os.close(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600))
        self.path.chmod(0o600)
        connection = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)
        self._connection = connection
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA secure_delete = ON")
        connection.execute(f"PRAGMA wal_autocheckpoint = {_WAL_BYTES // _PAGE_BYTES}")
        connection.execute(f"PRAGMA journal_size_limit = {_WAL_BYTES}")
        connection.execute(f"PRAGMA max_page_count = {self._most_bytes // _PAGE_BYTES}")
        (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        if found != "ok":
            error = sqlite3.DatabaseError(str(found))
            error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
            raise error
        self._migrate(connection)

    def _migrate(self, connection: sqlite3.Connection) -> None:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        known = len(self._migrations)
        if version > known:
            raise UsageError(
                f"{self.path} was written by a newer dmoa (version {version} of the store; this"
                f" one knows {known}): update dmoa, or move the file away to begin an empty one"
            )
        for number, migration in enumerate(self._migrations[version:], version + 1):

            def migrate(
                connection: sqlite3.Connection, number: int = number, this: Migration = migration
            ) -> None:
                this.change(connection, self.path.parent)
                connection.execute(f"PRAGMA user_version = {number}")

            _in_transaction(connection, migrate)
            migration.clean(self.path.parent)

    def _set_aside(self, error: sqlite3.DatabaseError) -> None:
        """A broken file is never overwritten: its owner may want to mend it."""
        self._close()
        number = 1
        while (aside := self.path.with_name(f"{self.path.name}.broken-{number}")).exists():
            number += 1
        self.path.replace(aside)
        wal = self.path.with_name(f"{self.path.name}-wal")
        if wal.exists():
            wal.replace(aside.with_name(f"{aside.name}-wal"))
        self._say(
            f"warning: {self.path} is broken ({error}) and kept as {aside.name}; prompts that were"
            " accepted in the background and what examinations found begin anew"
        )

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _in_transaction(connection: sqlite3.Connection, work: Callable[[sqlite3.Connection], T]) -> T:
    connection.execute("BEGIN IMMEDIATE")
    try:
        result = work(connection)
        connection.execute("COMMIT")
    except BaseException:  # whatever breaks the work off, none of it is kept
        if connection.in_transaction:  # SQLite ends some of those that fail by itself
            connection.execute("ROLLBACK")
        raise
    return result


def _code(error: BaseException) -> int:
    """SQLite's primary code of an error; 0 where there is none."""
    return int(getattr(error, "sqlite_errorcode", None) or 0) & 0xFF


def _as_ours(path: Path, error: BaseException) -> StoreFailed:
    if _code(error) == sqlite3.SQLITE_FULL:
        return StoreFull(f"there is no room for {path}: {error}")
    return StoreFailed(f"{path} cannot be used: {error}")
