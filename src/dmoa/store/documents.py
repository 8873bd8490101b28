"""Things of which a device keeps one each, under a name: what it knows, as JSON."""

import asyncio
import sqlite3
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from dmoa.errors import StoreFailed
from dmoa.store.database import Database

T = TypeVar("T")

RETRY_SECONDS = 30.0
"""After so long a write that failed is tried again."""


class Documents:
    """The documents of a store. Saving waits for nothing: the newest value of each is written.

    Args:
        database: where they are.
        say: is told what goes wrong.
    """

    def __init__(self, database: Database, say: Callable[[str], None]) -> None:
        self._database = database
        self._say = say
        self._waiting: dict[str, bytes] = {}
        self._writing: asyncio.Task[None] | None = None
        self._failing = False

    async def load(self, name: str, kind: type[T]) -> T | None:
        """A document; None where there is none.

        One that cannot be read is set aside, never overwritten, and said.

        Raises:
            StoreFailed: the store cannot be used.
        """
        row = await self._database.run(
            lambda connection: connection.execute(
                "SELECT value FROM documents WHERE name = ?", (name,)
            ).fetchone()
        )
        if row is None:
            return None
        try:
            return msgspec.json.decode(row[0], type=kind)
        except (ValueError, RecursionError, msgspec.MsgspecError) as error:
            await self._database.run(
                lambda connection: connection.execute(
                    "UPDATE OR REPLACE documents SET name = ? WHERE name = ?",
                    (f"{name}.broken", name),
                )
            )
            self._say(
                f"warning: {name} in {self._database.path} cannot be read ({error}); it is kept as"
                f" {name}.broken there, and begins anew"
            )
            return None

    def save(self, name: str, value: Any) -> None:
        """Write a document soon, as it is now."""
        self._waiting[name] = msgspec.json.encode(value)
        if self._writing is None:
            self._writing = asyncio.create_task(self._write_on())

    async def close(self) -> None:
        """Write what waits, or say that it is lost."""
        if self._writing is not None:
            self._writing.cancel()
            await asyncio.gather(self._writing, return_exceptions=True)
        if not await self._write():
            self._say(f"warning: lost, for want of room: {', '.join(self._waiting)}")

    async def _write_on(self) -> None:
        while self._waiting:
            if not await self._write():
                await asyncio.sleep(RETRY_SECONDS)
        self._writing = None

    async def _write(self) -> bool:
        """Write what waits; False when it cannot be written now."""
        writing = dict(self._waiting)

        def write(connection: sqlite3.Connection) -> None:
            connection.executemany(
                "INSERT OR REPLACE INTO documents (name, value) VALUES (?, ?)", writing.items()
            )

        try:
            await self._database.run(write)
        except StoreFailed as error:
            if not self._failing:
                self._say(f"warning: {error}; it is tried again, and until then only in memory")
            self._failing = True
            return False
        self._failing = False
        for name, value in writing.items():
            if self._waiting.get(name) is value:  # otherwise there is a newer one by now
                del self._waiting[name]
        return True
