"""What a device says of its links, and when."""

import asyncio
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest

from dmoa.node import upkeep
from dmoa.node.upkeep import Upkeep

SEED = "tcp/127.0.0.1:7447"
PEERS: Any = SimpleNamespace(strangers={}, cards=dict, greet_again=lambda: None)


class Links:
    """A network that is linked to whom it is told."""

    def __init__(self) -> None:
        self.dialled: set[str] = set()
        self.claims = 0
        self.holder = SimpleNamespace(device="ada")

    def addresses(self) -> list[str]:
        return ["tcp/127.0.0.1:7448"]

    def must_move(self) -> bool:
        return False

    def alive(self) -> Mapping[str, str]:
        return {}

    def linked(self) -> set[str]:
        return self.dialled

    def problems(self) -> list[str]:
        return ["device.key: another has the identity of this one"] * self.claims


class Watched:
    """Upkeep of such a network that looks every moment."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, answers: bool, patience: float) -> None:
        monkeypatch.setattr(upkeep, "LOOK_SECONDS", 0.01)
        monkeypatch.setattr(upkeep, "UNLINKED_SECONDS", patience)
        monkeypatch.setattr(upkeep, "answers", lambda address: answers)
        self.links = Links()
        self.said: list[str] = []
        known: Any = SimpleNamespace(addresses=dict)
        network: Any = self.links
        self.upkeep = Upkeep(network, network, known, [SEED], self.said.append)

    async def __aenter__(self) -> "Watched":
        self.upkeep.start(PEERS)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.upkeep.close()

    async def until_said(self, words: str) -> str:
        async with asyncio.timeout(20):
            while not (found := [line for line in self.said if words in line]):
                await asyncio.sleep(0.01)
        return found[0]


async def test_an_address_that_answers_and_is_linked_a_little_later_is_no_problem(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with Watched(monkeypatch, answers=True, patience=1e6) as w:
        looks = 0

        def linked() -> set[str]:
            nonlocal looks
            looks += 1
            return {SEED} if looks > 5 else set()

        monkeypatch.setattr(w.links, "linked", linked)
        async with asyncio.timeout(20):
            while looks < 10:
                await asyncio.sleep(0.01)
        assert not w.said
        assert not w.upkeep.problems


async def test_an_address_that_answers_and_stays_without_a_link_is_a_warning(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with Watched(monkeypatch, answers=True, patience=0.2) as w:
        started = asyncio.get_running_loop().time()
        line = await w.until_said("not as a dmoa device")
        assert line.startswith("warning: ")
        assert asyncio.get_running_loop().time() - started >= 0.2
        w.links.dialled.add(SEED)
        async with asyncio.timeout(20):
            while w.upkeep.problems:
                await asyncio.sleep(0.01)


async def test_whoever_is_not_there_yet_is_noted_but_no_warning(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with Watched(monkeypatch, answers=False, patience=0.0) as w:
        assert (await w.until_said("nobody answers")).startswith("note: ")
        assert len(w.upkeep.problems) == 1, "status says it all the same"


async def test_an_identity_that_another_device_has_too_is_a_problem(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with Watched(monkeypatch, answers=True, patience=1e6) as w:
        w.links.claims = 1
        line = await w.until_said("identity")
        assert line.startswith("warning: ")
        assert "device.key" in line
        w.links.claims = 0
        async with asyncio.timeout(20):
            while w.upkeep.problems:
                await asyncio.sleep(0.01)
