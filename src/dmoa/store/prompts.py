"""Prompts that were accepted though nobody waits for them, and what became of each.

queued -> in_progress -> completed | failed | cancelled

A prompt goes one way along the arrows, but for one: when its device ends in the middle, it is
queued again. Every step is a transaction, and none leaves one of the three ends. So a prompt that
was accepted is answered, and has one answer, whatever happens between.
"""

import sqlite3
from typing import Literal

import msgspec

from dmoa.errors import QueueFull
from dmoa.policies.limits import LIMITS
from dmoa.store.database import Database

Status = Literal["queued", "in_progress", "completed", "failed", "cancelled"]

DEATHS = 5
"""A prompt in whose middle the device has died so often may well be why, and has failed."""
FULL_SECONDS = 60.0
"""Whoever finds no room is asked to come back after so long."""

_COLUMNS = "id, api, created, status, request, answer"
_OPEN = "status IN ('queued', 'in_progress')"


class KeptPrompt(msgspec.Struct, frozen=True):
    """A prompt, and what became of it.

    Attributes:
        id: of the prompt.
        api: which has accepted it, and knows how to read the next two.
        created: Unix time, seconds.
        request: what was asked.
        answer: where it is completed, the answer; where it has failed, why.
    """

    id: str
    api: str
    created: float
    status: Status
    request: bytes
    answer: bytes = b""

    @property
    def over(self) -> bool:
        """Whether nothing will become of it any more."""
        return self.status not in ("queued", "in_progress")


class KeptPrompts:
    """The prompts of a store: at most `LIMITS.unattended` of `LIMITS.unattended_bytes` together.

    Every method raises `StoreFull` or `StoreFailed` where the store cannot be used.

    Args:
        database: where they are.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def accept(self, prompt: KeptPrompt) -> None:
        """Keep a prompt; once this returns, it is on the disk.

        Raises:
            QueueFull: too many wait, or they are too long.
        """

        def insert(connection: sqlite3.Connection) -> None:
            connection.execute(
                f"INSERT INTO prompts ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?)",
                msgspec.structs.astuple(prompt),
            )
            _make_room(connection)

        await self._database.run(insert)

    async def next(self) -> KeptPrompt | None:
        """The one that has been queued for longest, which is in progress from now on."""

        def take(connection: sqlite3.Connection) -> KeptPrompt | None:
            return _one(
                connection,
                "UPDATE prompts SET status = 'in_progress' WHERE number ="
                " (SELECT min(number) FROM prompts WHERE status = 'queued')",
            )

        return await self._database.run(take)

    async def get(self, prompt_id: str) -> KeptPrompt | None:
        """A prompt by its id; None where there is none."""

        def look(connection: sqlite3.Connection) -> KeptPrompt | None:
            query = f"SELECT {_COLUMNS} FROM prompts WHERE id = ?"
            row = connection.execute(query, (prompt_id,)).fetchone()
            return KeptPrompt(*row) if row else None

        return await self._database.run(look)

    async def end(self, prompt_id: str, status: Status, answer: bytes = b"") -> bool:
        """An open prompt is over; False when it was already, or is there no more."""

        def end(connection: sqlite3.Connection) -> bool:
            ended = _one(
                connection,
                f"UPDATE prompts SET status = ?, answer = ? WHERE id = ? AND {_OPEN}",
                (status, answer, prompt_id),
            )
            _make_room(connection, spare=prompt_id)
            return ended is not None

        return await self._database.run(end)

    async def forget(self, prompt_id: str) -> bool:
        """Keep a prompt no longer, open or not; False when there is none."""
        deleted = await self._database.run(
            lambda connection: (
                connection.execute("DELETE FROM prompts WHERE id = ?", (prompt_id,)).rowcount
            )
        )
        return bool(deleted)

    async def queue_again(self, *, died: bool, broken: bytes = b"") -> None:
        """What was in progress is queued: the device has ended, or died, in the middle.

        Args:
            died: whether it died.
            broken: the answer of those in whose middle it has died too often, which have failed.
        """

        def again(connection: sqlite3.Connection) -> None:
            connection.execute(
                "UPDATE prompts SET status = 'queued', deaths = deaths + ?"
                " WHERE status = 'in_progress'",
                (int(died),),
            )
            connection.execute(
                f"UPDATE prompts SET status = 'failed', answer = ? WHERE deaths >= ? AND {_OPEN}",
                (broken, DEATHS),
            )

        await self._database.run(again)

    async def age(self, seconds: float) -> None:
        """The device has run for so long; what has been over for too long is forgotten."""

        def age(connection: sqlite3.Connection) -> None:
            connection.execute(f"UPDATE prompts SET age = age + ? WHERE NOT {_OPEN}", (seconds,))
            connection.execute("DELETE FROM prompts WHERE age >= ?", (LIMITS.unattended_seconds,))

        await self._database.run(age)


def _one(
    connection: sqlite3.Connection, update: str, values: tuple[object, ...] = ()
) -> KeptPrompt | None:
    """What an update has changed: one prompt, or none."""
    rows = connection.execute(f"{update} RETURNING {_COLUMNS}", values).fetchall()
    return KeptPrompt(*rows[0]) if rows else None


def _make_room(connection: sqlite3.Connection, spare: str = "") -> None:
    """Keep the bounds: what has been over for longest goes first, `spare` last of all.

    Raises:
        QueueFull: what is open alone is too much.
    """
    rows = connection.execute(
        "SELECT number, length(request) + length(answer), "
        f"{_OPEN} OR id = ? FROM prompts ORDER BY number",
        (spare,),
    ).fetchall()
    count, size = len(rows), sum(row[1] for row in rows)
    over = [(number, length) for number, length, needed in rows if not needed]
    while count > LIMITS.unattended or size > LIMITS.unattended_bytes:
        if not over:
            if spare:
                return  # an answer that is there is not given up
            raise QueueFull(
                f"{count - 1} prompts of {size} bytes wait here to be answered, as many as may",
                FULL_SECONDS,
            )
        number, length = over.pop(0)
        connection.execute("DELETE FROM prompts WHERE number = ?", (number,))
        count, size = count - 1, size - length
