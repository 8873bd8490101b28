"""Links that are cut, parted and moved, in network namespaces: nobody else is harmed.

A schedule is a list of printable operations that follows from its seed. After each operation
everybody must see just whom it can reach, within the bounds, and those that an operation does not
touch must never lose each other, while a user asks one prompt after another. Twenty schedules are
played, each by four and by eight devices at once; `--seconds 0` plays one.
"""

import asyncio
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dmoa.node.local import NAMES
from tests import lab as laboratory
from tests.lab import Lab, LabDevice, Watch

OUT_SECONDS, BACK_SECONDS, MOVED_SECONDS = 5.0, 10.0, 20.0
START_SECONDS = 60.0
LLM = "scripted:exponential,mean=0.5,answer=a few words"
EPISODES = 3
SCHEDULES = 20
DEVICES = (4, 8)


@dataclass(frozen=True)
class Episode:
    """Something happens to some places, lasts, and is undone.

    Attributes:
        what: `cut` (each of the places is alone), `part` (they only have each other), `move`
            (one gets another address), or `kill` (the seed is gone for good).
        seconds: how long it lasts.
    """

    what: str
    places: tuple[int, ...]
    seconds: float = 0.0

    def __str__(self) -> str:
        names = ", ".join(NAMES[place - 1] for place in self.places)
        return f"{self.what} {names}" + (f" for {self.seconds:.1f} s" if self.seconds else "")


def schedule(seed: int, devices: int) -> list[Episode]:
    """The episodes of a seed."""
    draw = random.Random(f"{seed}/{devices}")
    there = list(range(1, devices + 1))
    episodes: list[Episode] = []
    for _ in range(EPISODES):
        what = draw.choices(("cut", "part", "move", "kill"), (4, 2, 2, 1))[0]
        if what == "kill" and 1 in there:
            there.remove(1)
            episodes.append(Episode("kill", (1,)))
        elif what == "move":
            episodes.append(Episode("move", (draw.choice(there),)))
        else:
            places = draw.sample(there, draw.randint(1, len(there) // 2))
            what = "part" if what == "part" else "cut"
            episodes.append(Episode(what, tuple(sorted(places)), draw.uniform(5.0, 12.0)))
    return episodes


@dataclass
class Findings:
    """What was measured, in seconds."""

    out: list[float] = field(default_factory=list)
    back: list[float] = field(default_factory=list)
    moved: list[float] = field(default_factory=list)
    losses: list[str] = field(default_factory=list)
    late: list[str] = field(default_factory=list)
    answered: int = 0
    failed: list[str] = field(default_factory=list)


class Run:
    """One schedule on real devices."""

    def __init__(self, lab: Lab, devices: Sequence[LabDevice], watch: Watch, found: Findings):
        self._lab, self._devices, self._watch, self._found = lab, devices, watch, found
        self._there = {device.name for device in devices}
        self._moves = 0

    async def play(self, episode: Episode) -> None:
        """One episode, from the whole network to the whole network."""
        names = {NAMES[place - 1] for place in episode.places}
        rest = self._there - names
        begun = time.monotonic()
        match episode.what:
            case "cut":
                self._lab.cut(*episode.places)
                alone = {name: {name} for name in names}
                await self._see(alone | dict.fromkeys(rest, rest), OUT_SECONDS, self._found.out)
                await asyncio.sleep(episode.seconds)
                self._lab.heal(*episode.places)
            case "part":
                self._lab.part(*episode.places)
                halves = dict.fromkeys(names, names) | dict.fromkeys(rest, rest)
                await self._see(halves, OUT_SECONDS, self._found.out)
                await asyncio.sleep(episode.seconds)
                self._lab.join(*episode.places)
            case "kill":
                self._devices[0].process.kill()
                self._there = rest
            case _:
                self._moves += 1
                address = f"10.88.0.{100 + 10 * self._moves + episode.places[0]}"
                self._lab.give_address(episode.places[0], address)
                await asyncio.sleep(OUT_SECONDS)  # its links at the old address end
        everybody = dict.fromkeys(self._there, self._there)
        match episode.what:
            case "kill":
                await self._see(everybody, OUT_SECONDS, self._found.out)
            case "move":
                left = MOVED_SECONDS - OUT_SECONDS
                await self._see(everybody, left, self._found.moved, begun)
            case _:
                await self._see(everybody, BACK_SECONDS, self._found.back)
        groups = [rest, names] if episode.what == "part" else [rest]
        for group in groups:
            self._found.losses += [
                f"{episode}: {loss}" for loss in self._watch.losses(begun, group & self._there)
            ]

    async def _see(
        self,
        expected: dict[str, set[str]],
        seconds: float,
        times: list[float],
        begun: float | None = None,
    ) -> None:
        started = time.monotonic() if begun is None else begun
        try:
            await self._watch.until(expected, seconds)
        except AssertionError as late:
            self._found.late.append(str(late))
            await self._watch.until(expected, START_SECONDS)
        times.append(time.monotonic() - started)

    async def ask(self, stop: asyncio.Event) -> None:
        """A user who asks one prompt after another all the time."""
        asker = self._devices[-1]
        while not stop.is_set():
            answer = await asker.ask("dmoa-m1-k2", seconds=120.0)
            if "choices" in answer:
                self._found.answered += 1
            else:
                self._found.failed.append(str(answer)[:200])


async def play(seed: int, devices: int, found: Findings) -> None:
    """A whole schedule, with a user who asks all the time."""
    with tempfile.TemporaryDirectory(prefix="dmoa-torture-") as scratch, Lab(devices) as lab:
        there = [lab.device(place, Path(scratch), LLM) for place in range(1, devices + 1)]
        try:
            await there[0].process.start()
            await asyncio.gather(*(device.process.start() for device in there[1:]))
            async with Watch(there) as watch:
                names = {device.name for device in there}
                await watch.until(dict.fromkeys(names, names), START_SECONDS)
                run, stop = Run(lab, there, watch, found), asyncio.Event()
                asking = asyncio.create_task(run.ask(stop))
                for episode in schedule(seed, devices):
                    print(f"  {devices} devices: {episode}", file=sys.stderr, flush=True)
                    await run.play(episode)
                stop.set()
                await asking
        finally:
            await asyncio.gather(*(device.close() for device in there))


def torture(seed: int, seconds: float) -> dict[str, Any]:
    """Play schedules from a seed on; what was measured, and what was broken."""
    if why := laboratory.unavailable():
        return {"skipped": why, "failed": []}
    found = Findings()

    async def both(number: int) -> None:
        await asyncio.gather(*(play(number, devices, found) for devices in DEVICES))

    schedules = SCHEDULES if seconds else 1
    for number in range(seed, seed + schedules):
        print(f"seed {number}", file=sys.stderr, flush=True)
        asyncio.run(both(number))
    longest = {name: max(getattr(found, name), default=None) for name in ("out", "back", "moved")}
    return {
        "schedules": schedules,
        "devices": DEVICES,
        "longest_seconds": {n: None if v is None else round(v, 1) for n, v in longest.items()},
        "others_lost": len(found.losses),
        "late": len(found.late),
        "prompts_answered": found.answered,
        "prompts_failed": len(found.failed),
        "failed": [*found.losses, *found.late, *found.failed],
    }
