"""Links that go dead without a word, in network namespaces: nobody else is harmed."""

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from tests import lab as laboratory
from tests.lab import Lab, LabDevice, Watch

pytestmark = [
    pytest.mark.processes,
    pytest.mark.timeout(180),
    pytest.mark.skipif(laboratory.unavailable() is not None, reason=str(laboratory.unavailable())),
]

OUT_SECONDS = 5.0
BACK_SECONDS = 10.0
MOVED_SECONDS = 20.0
ANSWERS = "scripted:deterministic,mean=2,answer=a few words"
ALL = {"ada", "bob", "cyd", "dan"}


@contextlib.asynccontextmanager
async def four(
    folder: Path, *, everywhere: bool = False
) -> AsyncGenerator[tuple[Lab, list[LabDevice], Watch]]:
    """Four devices that see each other."""
    with Lab(4) as lab:
        devices = [
            lab.device(place, folder, ANSWERS, everywhere=everywhere) for place in range(1, 5)
        ]
        try:
            await devices[0].process.start()
            await asyncio.gather(*(device.process.start() for device in devices[1:]))
            async with Watch(devices) as watch:
                await watch.until(dict.fromkeys(ALL, ALL), 20.0)
                yield lab, devices, watch
        finally:
            await asyncio.gather(*(device.close() for device in devices))


async def test_a_cut_link_costs_its_device_and_nobody_else(tmp_path: Path) -> None:
    async with four(tmp_path) as (lab, devices, watch):
        asked = asyncio.create_task(devices[0].ask("dmoa-m1-k2"))
        await asyncio.sleep(0.5)  # the proposers are at work
        cut = time.monotonic()
        lab.cut(3)
        rest = ALL - {"cyd"}
        await watch.until(dict.fromkeys(rest, rest) | {"cyd": {"cyd"}}, OUT_SECONDS)
        answer = await asked
        assert answer["choices"][0]["message"]["content"] == "a few words"
        proposers = answer["dmoa"]["layers"][0]["proposers"]
        assert sum(p["outcome"] == "answered" for p in proposers) == 3
        lab.heal(3)
        await watch.until(dict.fromkeys(ALL, ALL), BACK_SECONDS)
        assert not watch.losses(cut, rest)


async def test_two_cut_links_at_once_cost_two_devices(tmp_path: Path) -> None:
    async with four(tmp_path) as (lab, _, watch):
        cut = time.monotonic()
        lab.cut(3, 4)
        rest = {"ada", "bob"}
        await watch.until({"ada": rest, "bob": rest, "cyd": {"cyd"}, "dan": {"dan"}}, OUT_SECONDS)
        await asyncio.sleep(5.0)  # long enough for what dialled in vain to give up
        lab.heal(3, 4)
        await watch.until(dict.fromkeys(ALL, ALL), BACK_SECONDS)
        assert not watch.losses(cut, rest)


async def test_a_network_in_two_halves_becomes_one_again(tmp_path: Path) -> None:
    async with four(tmp_path) as (lab, _, watch):
        cut = time.monotonic()
        lab.part(3, 4)
        near, far = {"ada", "bob"}, {"cyd", "dan"}
        halves = dict.fromkeys(near, near) | dict.fromkeys(far, far)
        await watch.until(halves, OUT_SECONDS)
        await asyncio.sleep(5.0)
        lab.join(3, 4)
        await watch.until(dict.fromkeys(ALL, ALL), BACK_SECONDS)
        assert not watch.losses(cut, near)
        assert not watch.losses(cut, far)


@pytest.mark.parametrize("everywhere", [False, True])
async def test_without_its_seed_a_device_comes_back_also_at_another_address(
    tmp_path: Path, everywhere: bool
) -> None:
    async with four(tmp_path, everywhere=everywhere) as (lab, devices, watch):
        devices[0].process.kill()
        killed = time.monotonic()
        left = ALL - {"ada"}
        await watch.until(dict.fromkeys(left, left), OUT_SECONDS)
        lab.cut(3)
        await watch.until({"bob": {"bob", "dan"}, "dan": {"bob", "dan"}}, OUT_SECONDS)
        lab.heal(3)
        await watch.until(dict.fromkeys(left, left), BACK_SECONDS)
        lab.give_address(3, "10.88.0.33")
        await asyncio.sleep(OUT_SECONDS)  # its old links are gone by now
        await watch.until(dict.fromkeys(left, left), MOVED_SECONDS - OUT_SECONDS)
        assert not watch.losses(killed, {"bob", "dan"})
        status = await devices[2].ask("dmoa-m1-k2")
        assert len(status["dmoa"]["layers"][0]["proposers"]) == 3
