"""Prompts that are kept: each goes one way, ends once, and all of them stay within bounds."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from dmoa.errors import QueueFull
from dmoa.policies import limits
from dmoa.store import prompts as kept_prompts
from dmoa.store.prompts import DEATHS, KeptPrompt, KeptPrompts, Status
from tests.store.inline import database


def prompt(name: str, size: int = 1) -> KeptPrompt:
    return KeptPrompt(name, "chat", 0.0, "queued", b"x" * size)


async def status(kept: KeptPrompts, name: str) -> Status | None:
    found = await kept.get(name)
    return found.status if found else None


async def taken(kept: KeptPrompts) -> str | None:
    found = await kept.next()
    return found.id if found else None


async def test_prompts_are_taken_in_the_order_of_their_coming_each_once(tmp_path: Path) -> None:
    async with database(tmp_path / "s") as store:
        kept = KeptPrompts(store)
        for name in ("b", "a", "c"):
            await kept.accept(prompt(name))
        assert [await taken(kept) for _ in range(4)] == ["b", "a", "c", None]
        assert await status(kept, "a") == "in_progress"


@pytest.mark.parametrize("end", ["completed", "failed", "cancelled"])
async def test_what_is_over_stays_as_it_is(tmp_path: Path, end: Status) -> None:
    async with database(tmp_path / "s") as store:
        kept = KeptPrompts(store)
        await kept.accept(prompt("a"))
        await kept.next()
        assert await kept.end("a", end, b"first")
        for other in ("completed", "failed", "cancelled"):
            assert not await kept.end("a", other, b"second")
        await kept.queue_again(died=True)
        assert await kept.get("a") == KeptPrompt("a", "chat", 0.0, end, b"x", b"first")
        assert await taken(kept) is None


async def test_what_a_device_died_over_is_queued_again_before_what_came_later(
    tmp_path: Path,
) -> None:
    async with database(tmp_path / "s") as store:
        kept = KeptPrompts(store)
        for name in ("a", "b", "c"):
            await kept.accept(prompt(name))
        assert [await taken(kept) for _ in range(2)] == ["a", "b"]
    async with database(tmp_path / "s") as store:
        kept = KeptPrompts(store)
        await kept.queue_again(died=True)
        assert [await taken(kept) for _ in range(4)] == ["a", "b", "c", None]


async def test_a_prompt_that_kills_its_device_fails_at_last(tmp_path: Path) -> None:
    async with database(tmp_path / "s") as store:
        kept = KeptPrompts(store)
        await kept.accept(prompt("deadly"))
        for _ in range(2 * DEATHS):  # ends in order are no deaths
            assert await taken(kept) == "deadly"
            await kept.queue_again(died=False, broken=b"why")
        for _ in range(DEATHS):
            assert await taken(kept) == "deadly"
            await kept.queue_again(died=True, broken=b"why")
        assert await taken(kept) is None
        found = await kept.get("deadly")
        assert found
        assert (found.status, found.answer) == ("failed", b"why")


def bounded(monkeypatch: pytest.MonkeyPatch, **bounds: Any) -> None:
    monkeypatch.setattr(kept_prompts, "LIMITS", dataclasses.replace(limits.LIMITS, **bounds))


@pytest.mark.parametrize("bounds", [{"unattended": 3}, {"unattended_bytes": 3000}])
async def test_the_oldest_that_is_over_makes_room_and_none_that_waits_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bounds: dict[str, int]
) -> None:
    bounded(monkeypatch, **bounds)
    async with database(tmp_path / "s") as store:
        kept = KeptPrompts(store)
        for name in ("a", "b", "c"):
            await kept.accept(prompt(name, 1000))
        with pytest.raises(QueueFull, match="3 prompts .* wait here"):
            await kept.accept(prompt("d", 1000))
        await kept.end("b", "completed")
        await kept.end("c", "cancelled")
        await kept.accept(prompt("d", 1000))
        assert [await status(kept, name) for name in "abcd"] == [
            "queued",
            None,
            "cancelled",
            "queued",
        ]


async def test_a_long_answer_is_kept_and_others_make_room_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bounded(monkeypatch, unattended_bytes=3000)
    async with database(tmp_path / "s") as store:
        kept = KeptPrompts(store)
        for name in ("a", "b"):
            await kept.accept(prompt(name))
        assert await kept.end("a", "completed", b"short")
        assert await kept.end("b", "completed", b"y" * 5000)
        assert await status(kept, "a") is None
        assert await status(kept, "b") == "completed"


async def test_what_is_over_is_forgotten_after_so_much_time_of_the_device(
    tmp_path: Path,
) -> None:
    async with database(tmp_path / "s") as store:
        kept = KeptPrompts(store)
        for name in ("over", "waits"):
            await kept.accept(prompt(name))
        await kept.end("over", "completed")
        await kept.age(limits.LIMITS.unattended_seconds - 1)
        assert await status(kept, "over") == "completed"
        await kept.age(1)
        assert await status(kept, "over") is None
        assert await status(kept, "waits") == "queued"
