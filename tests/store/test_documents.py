"""Documents: the newest value of each is written, and a full disk only holds that up."""

import asyncio
import sqlite3
from pathlib import Path

import msgspec
import pytest

from dmoa.errors import StoreFull
from dmoa.store.database import Database
from dmoa.store.documents import RETRY_SECONDS, Documents
from tests.store.inline import database
from tests.virtual import run_virtual


class Known(msgspec.Struct):
    """What is kept."""

    words: str


async def test_what_was_saved_last_is_there_at_the_next_start(tmp_path: Path) -> None:
    async with database(tmp_path / "s") as store:
        documents = Documents(store, pytest.fail)
        assert await documents.load("known", Known) is None
        for words in ("one", "two", "three"):
            documents.save("known", Known(words))
        await documents.close()
    async with database(tmp_path / "s") as store:
        assert await Documents(store, pytest.fail).load("known", Known) == Known("three")


async def test_what_is_saved_is_written_before_the_end(tmp_path: Path) -> None:
    async with database(tmp_path / "s") as store:
        Documents(store, pytest.fail).save("known", Known("now"))
        await asyncio.sleep(0.01)
        assert await Documents(store, pytest.fail).load("known", Known) == Known("now")


@pytest.mark.parametrize("broken", [b"{", b'{"words": 7}', b"[" * 100_000, b"\xff\xfe"])
async def test_a_broken_document_is_set_aside_and_said(tmp_path: Path, broken: bytes) -> None:
    said: list[str] = []

    def put(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO documents VALUES ('known', ?)", (broken,))

    def aside(connection: sqlite3.Connection) -> list[tuple[str, bytes]]:
        return connection.execute("SELECT name, value FROM documents").fetchall()

    async with database(tmp_path / "s") as store:
        await store.run(put)
        assert await Documents(store, said.append).load("known", Known) is None
        assert await store.run(aside) == [("known.broken", broken)]
    assert len(said) == 1
    assert "begins anew" in said[0]


def test_a_full_disk_is_said_once_and_the_newest_is_written_when_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []

    async def work() -> None:
        async with database(tmp_path / "s") as store:
            documents = Documents(store, said.append)
            with monkeypatch.context() as full:

                async def refuse(self: Database, work: object) -> None:
                    raise StoreFull("there is no room")

                full.setattr(Database, "run", refuse)
                for words in ("one", "two"):
                    documents.save("known", Known(words))
                    await asyncio.sleep(3 * RETRY_SECONDS)
            await asyncio.sleep(2 * RETRY_SECONDS)
            assert await documents.load("known", Known) == Known("two")
            await documents.close()

    run_virtual(work())
    assert len(said) == 1
