"""The file of what a device keeps: private, migrated, set aside when broken, healed when full."""

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from dmoa.errors import StoreFailed, StoreFull, UsageError
from dmoa.store.database import Database
from dmoa.store.migrations import MIGRATIONS, Migration
from tests.store.inline import database

FILE = "store.sqlite"


def documents(connection: sqlite3.Connection) -> dict[str, bytes]:
    return dict(connection.execute("SELECT name, value FROM documents").fetchall())


def put(name: str, value: bytes) -> Callable[[sqlite3.Connection], object]:
    return lambda connection: connection.execute(
        "INSERT INTO documents (name, value) VALUES (?, ?)", (name, value)
    )


async def test_the_file_is_private_and_what_it_holds_is_there_at_the_next_start(
    tmp_path: Path,
) -> None:
    async with database(tmp_path / FILE) as first:
        await first.run(put("a", b"1"))
        for file in tmp_path.iterdir():
            assert file.stat().st_mode & 0o077 == 0, file
    async with database(tmp_path / FILE) as second:
        assert await second.run(documents) == {"a": b"1"}


async def test_the_event_loop_goes_on_while_the_store_works(tmp_path: Path) -> None:
    store = Database(tmp_path / FILE, lambda words: None)
    await store.open()
    goes_on = threading.Event()
    working = asyncio.create_task(store.run(lambda connection: goes_on.wait(10)))
    await asyncio.sleep(0)
    goes_on.set()  # only a loop that is not blocked comes here
    assert await working is True
    await store.close()


async def test_a_transaction_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def fail(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO documents VALUES ('a', x'31')")
        raise ValueError("the test says so")

    async with database(tmp_path / FILE) as store:
        with pytest.raises(ValueError, match="the test says so"):
            await store.run(fail)
        assert await store.run(documents) == {}


async def test_an_old_file_of_examinations_is_taken_over_once(tmp_path: Path) -> None:
    (tmp_path / "examinations.json").write_bytes(b'{"seed": "secret"}')
    async with database(tmp_path / FILE) as store:
        assert await store.run(documents) == {"examinations": b'{"seed": "secret"}'}
    assert not (tmp_path / "examinations.json").exists()
    (tmp_path / "examinations.json").write_bytes(b"another")
    async with database(tmp_path / FILE) as store:
        assert (await store.run(documents))["examinations"] == b'{"seed": "secret"}'


async def test_a_file_is_brought_up_to_date_step_by_step(tmp_path: Path) -> None:
    async with database(tmp_path / FILE, migrations=MIGRATIONS) as store:
        await store.run(put("a", b"1"))

    def more(connection: sqlite3.Connection, folder: Path) -> None:
        connection.execute("ALTER TABLE documents ADD COLUMN more TEXT DEFAULT 'new'")

    async with database(tmp_path / FILE, migrations=(*MIGRATIONS, Migration(more))) as store:
        rows = await store.run(
            lambda connection: connection.execute("SELECT name, more FROM documents").fetchall()
        )
        assert rows == [("a", "new")]


async def test_a_migration_that_fails_changes_nothing_and_runs_again(tmp_path: Path) -> None:
    def half(connection: sqlite3.Connection, folder: Path) -> None:
        connection.execute("INSERT INTO documents VALUES ('half', x'31')")
        raise OSError("the test says so")

    with pytest.raises(UsageError, match="the test says so"):
        async with database(tmp_path / FILE, migrations=(*MIGRATIONS, Migration(half))):
            pass
    async with database(tmp_path / FILE) as store:
        assert await store.run(documents) == {}


async def test_a_store_of_a_newer_version_is_refused_and_untouched(tmp_path: Path) -> None:
    newer = (*MIGRATIONS, Migration(lambda connection, folder: None))
    async with database(tmp_path / FILE, migrations=newer):
        pass
    before = (tmp_path / FILE).read_bytes()
    with pytest.raises(UsageError, match=r"newer dmoa \(version 3 .* knows 2\): update dmoa"):
        async with database(tmp_path / FILE):
            pass
    assert (tmp_path / FILE).read_bytes() == before


@pytest.mark.parametrize("how", ["no database", "a torn page"])
async def test_a_broken_store_is_set_aside_and_said(tmp_path: Path, how: str) -> None:
    path = tmp_path / FILE
    async with database(path) as store:
        await store.run(put("a", b"1" * 50_000))
    whole = path.read_bytes()
    torn = whole[:4096] + b"\xff" * 8192 + whole[12288:]
    broken = b"this is no database" * 300 if how == "no database" else torn
    for number in (1, 2):
        path.write_bytes(broken)
        said: list[str] = []
        async with database(path, said) as store:
            assert await store.run(documents) == {}
        assert (tmp_path / f"{FILE}.broken-{number}").read_bytes() == broken
        assert len(said) == 1
        assert f"kept as {FILE}.broken-{number}" in said[0]


async def test_a_full_store_says_so_loses_nothing_and_heals(tmp_path: Path) -> None:
    async with database(tmp_path / FILE, most_bytes=200_000) as store:
        await store.run(put("a", b"1" * 100_000))
        with pytest.raises(StoreFull, match="there is no room"):
            await store.run(put("b", b"2" * 150_000))
        assert set(await store.run(documents)) == {"a"}
        await store.run(lambda connection: connection.execute("DELETE FROM documents"))
        await store.run(put("b", b"2" * 150_000))
        assert set(await store.run(documents)) == {"b"}


async def test_a_folder_that_cannot_be_used_is_an_error_with_the_fix(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot be used: .*another folder by --state"):
        async with database(tmp_path / "no" / FILE):
            pass


async def test_a_store_that_is_closed_says_so(tmp_path: Path) -> None:
    async with database(tmp_path / FILE) as store:
        pass
    with pytest.raises(StoreFailed, match="is closed"):
        await store.run(documents)
