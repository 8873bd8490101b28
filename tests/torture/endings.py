"""One device ends at a random moment: no prompt is lost, none answered twice, none waits long.

Each schedule has four devices whose users ask 1000 prompts in all, and one of them is killed (it
starts again), stopped (it goes on) or cut off (it is joined again). The users of the other devices
wait for their answers; those of the one that ends ask in the background. Service takes one second
and nobody queues, so that what a prompt takes beyond M + 1 seconds is what the ending cost it.
Twenty schedules on virtual time; `--seconds 0` runs one.
"""

import asyncio
import os
import random
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from dmoa.api.unattended import Unattended, Work
from dmoa.device.queue import DeviceQueue
from dmoa.protocol.conversation import Message
from dmoa.protocol.prompt import Prompt, new_prompt_id
from dmoa.store.database import Database
from dmoa.store.prompts import KeptPrompt, KeptPrompts
from tests.cluster import Cluster
from tests.store.inline import database
from tests.virtual import run_virtual

DEVICES = 4
PROMPTS = 1000
EACH = 0.3  # seconds between two of them
SCHEDULES = 20
SERVICE = 1.0
ADDED = SERVICE + 2.0
"""What an ending may cost a prompt: one inference in the place of another, and two seconds."""


@dataclass(frozen=True)
class Ending:
    """How a device ends, and when it is back."""

    how: str
    device: int
    at: float
    back: float

    def __str__(self) -> str:
        return f"{self.how} d{self.device} at {self.at:.2f} s, back at {self.back:.2f} s"


def schedule(seed: int, prompts: int = PROMPTS) -> Ending:
    """The ending of a seed."""
    draw = random.Random(seed)
    at = draw.uniform(0.1, 0.8) * prompts * EACH
    back = at + draw.uniform(2.0, 60.0)
    how = ("killed", "stopped", "cut")[seed % 3]
    return Ending(how, draw.randrange(DEVICES), at, back)


@dataclass
class Found:
    """What became of the prompts."""

    asked: int = 0
    answers: Counter[str] = field(default_factory=Counter)
    lost: list[str] = field(default_factory=list)
    added: list[float] = field(default_factory=list)

    @property
    def twice(self) -> list[str]:
        """Prompts with more than one answer."""
        return [name for name, answers in self.answers.items() if answers > 1]


class Counted(KeptPrompts):
    """Kept prompts whose answers are counted."""

    def __init__(self, store: Database, found: Found) -> None:
        super().__init__(store)
        self.found = found

    async def end(self, prompt_id: str, status: Any, answer: bytes = b"") -> bool:
        ended = await super().end(prompt_id, status, answer)
        self.found.answers[prompt_id] += ended and status == "completed"
        return ended


class Run:
    """One schedule."""

    def __init__(self, cluster: Cluster, ending: Ending, seed: int, file: Path) -> None:
        self.found = Found()
        self._cluster, self._ending, self._file = cluster, ending, file
        self._draw = random.Random(f"{seed} prompts")
        self._there = asyncio.Event()
        self._kept: KeptPrompts
        self._unattended: Unattended

    async def run(self, prompts: int) -> Found:
        """Ask all, and wait for all answers."""
        draw = self._draw
        asking = [
            asyncio.create_task(self._ask(draw.randrange(DEVICES), draw.random() * prompts * EACH))
            for _ in range(prompts)
        ]
        async with database(self._file) as store:
            self._begin(store)
            await asyncio.sleep(self._ending.at)
            if self._ending.how == "killed":
                await self._power_cut()
            else:
                await self._silenced()
        if self._ending.how == "killed":
            await asyncio.sleep(self._ending.back - self._ending.at)
            await self._cluster.add(self._ending.device)
        async with database(self._file) as store:
            self._begin(store)
            await asyncio.gather(*asking)
            await self._unattended.close()
        return self.found

    def _begin(self, store: Database) -> None:
        self._kept = kept = Counted(store, self.found)
        device = self._cluster.devices[self._ending.device]
        self._unattended = Unattended(kept, device)
        self._unattended.register("test", self._revive)
        self._unattended.start()
        self._there.set()

    async def _power_cut(self) -> None:
        """Gone from one moment to the next: nothing is tidied up, but what is on the disk is."""
        self._there.clear()
        tasks = [*self._unattended._running, *self._unattended._working.values()]
        await self._cluster.networks[self._ending.device].close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._cluster.devices[self._ending.device].close()

    async def _silenced(self) -> None:
        """Hung, or cut off from all others, for a while; then it ends in order and starts again."""
        here, networks = self._ending.device, self._cluster.networks
        others = [i for i in range(DEVICES) if i != here]
        if self._ending.how == "stopped":
            networks[here].hung = True
        else:
            networks[here].cut_off({f"d{i}" for i in others})
            for i in others:
                networks[i].cut_off({f"d{here}"})
        await asyncio.sleep(self._ending.back - self._ending.at)
        networks[here].hung = False
        for network in networks:
            network.cut_off(set())
        self._there.clear()
        await self._unattended.close()

    async def _ask(self, i: int, at: float) -> None:
        await asyncio.sleep(at)
        if i == self._ending.device:
            return await self._ask_in_background()
        self.found.asked += 1
        layers = self._draw.randint(1, 2)
        name = f"{self.found.asked}"
        started = asyncio.get_running_loop().time()
        try:
            finished = await self._cluster.ask(i, layers, 2)  # which sees that it ends once
        except Exception as error:  # whatever it is, the prompt is lost
            self.found.lost.append(f"d{i}: {error!r}")
            return None
        assert finished.text
        self.found.answers[name] += 1
        took = asyncio.get_running_loop().time() - started
        self.found.added.append(took - (layers + 1) * SERVICE)
        return None

    async def _ask_in_background(self) -> None:
        await self._there.wait()  # nobody is asked who is not there
        name = new_prompt_id()
        await self._unattended.accept(name, "test", msgspec.json.encode(self._draw.randint(1, 2)))
        self.found.asked += 1
        while True:
            await asyncio.sleep(1.0)
            await self._there.wait()
            prompt = await self._kept.get(name)
            if prompt is None or prompt.status in ("failed", "cancelled"):
                self.found.lost.append(f"{name}: {prompt}")
                return
            if prompt.status == "completed":
                assert prompt.answer
                return

    async def _revive(self, kept: KeptPrompt) -> Work:
        layers = msgspec.json.decode(kept.request, type=int)
        prompt = Prompt([Message(role="user", content="Why?")], layers, 2, id=kept.id)
        return Work(prompt, lambda finished: finished.text.encode())


def run(seed: int, prompts: int = PROMPTS) -> Found:
    """Run the schedule of a seed."""

    async def work(folder: Path) -> Found:
        queue = partial(DeviceQueue, slots=64)
        async with Cluster(DEVICES, seconds=SERVICE, seed=seed, queue=queue) as cluster:
            ending = schedule(seed, prompts)
            return await Run(cluster, ending, seed, folder / "store").run(prompts)

    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # the disk's speed is no matter
    with tempfile.TemporaryDirectory(prefix="dmoa-torture-", dir=memory) as folder:
        return run_virtual(work(Path(folder)), at_most=20_000)


def faults(found: Found, prompts: int = PROMPTS) -> list[str]:
    """What must not be."""
    told = [f"lost: {name}" for name in found.lost]
    told += [f"answered twice: {name}" for name in found.twice]
    if not found.asked == found.answers.total() + len(found.lost) == prompts:
        told.append(f"{found.asked} asked, {found.answers.total()} answered")
    if (most := max(found.added)) > ADDED + 0.01:
        told.append(f"a prompt took {most:.2f} s longer")
    return told


def torture(seed: int, seconds: float) -> dict[str, Any]:
    """Run schedules from a seed on; see the package."""
    asked = answered = lost = twice = 0
    added: dict[str, float] = {}
    failed: list[int] = []
    schedules = SCHEDULES if seconds else 1
    for number in range(seed, seed + schedules):
        found, ending = run(number), schedule(number)
        asked += found.asked
        answered += found.answers.total()
        lost += len(found.lost)
        twice += len(found.twice)
        added[ending.how] = max(added.get(ending.how, 0.0), *found.added)
        if wrong := faults(found):
            failed.append(number)
            print(f"seed {number} fails ({ending}): {'; '.join(wrong[:5])}")
    return {
        "schedules": schedules,
        "prompts": asked,
        "answered": answered,
        "lost": lost,
        "twice": twice,
        "added_seconds": {how: round(most, 2) for how, most in sorted(added.items())},
        "failed": failed,
    }
