"""The wall clock jumps, years ahead and back: nothing waits for it, and nothing is forgotten.

On virtual time, with a wall clock beside it that jumps at random while users ask, in the foreground
and in the background, and while devices examine each other.
"""

import asyncio
import random
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any
from unittest import mock

import msgspec

from dmoa.api.unattended import Unattended, Work
from dmoa.protocol.conversation import Message
from dmoa.protocol.prompt import Prompt, new_prompt_id
from dmoa.store.prompts import KeptPrompt, KeptPrompts
from tests.school import coins, school
from tests.store.inline import database
from tests.virtual import run_virtual

YEAR = 365 * 86400.0
PROMPTS = 40


def run(seed: int) -> tuple[Counter[str], list[str]]:
    """One schedule: what became of prompts and examinations, and what must not be."""
    draw = random.Random(seed)
    found: Counter[str] = Counter()
    failed: list[str] = []
    offset = 1.7e9

    def wall() -> float:
        return offset + asyncio.get_running_loop().time()

    async def jump() -> None:
        nonlocal offset
        while True:
            await asyncio.sleep(draw.expovariate(1 / 20))
            offset += draw.choice((-1, 1)) * draw.choice((2.0, 3600.0, YEAR))
            offset = max(offset, 0.0)
            found["jumps"] += 1

    async def revive(kept: KeptPrompt) -> Work:
        prompt = Prompt([Message(role="user", content="Why?")], 1, 1, id=kept.id)
        return Work(prompt, lambda finished: msgspec.json.encode(finished.text))

    async def work(folder: Path) -> None:
        peers = coins({"d0": 0.5, "d1": 0.9})
        async with school(2, peers) as s, database(folder / "store") as store:
            jumping = asyncio.create_task(jump())
            s.join(0, clock=wall)
            s.examinations[0].start()
            kept = KeptPrompts(store)
            unattended = Unattended(kept, s.cluster.devices[0])
            unattended.register("test", revive)
            unattended.start()
            names = []
            for _ in range(PROMPTS):
                await asyncio.sleep(draw.expovariate(1 / 10))
                names.append(new_prompt_id())
                await unattended.accept(names[-1], "test", b"{}")
                found["answered"] += bool((await s.cluster.ask(0, 1, 1)).text)
            await asyncio.sleep(120)
            jumping.cancel()
            for name in names:
                prompt = await kept.get(name)
                found["in background"] += prompt is not None and prompt.status == "completed"
            found["examined"] = s.examinations[0].summary()["devices"][1]["asked"]
            await unattended.close()

    with (
        tempfile.TemporaryDirectory(prefix="dmoa-torture-") as folder,
        mock.patch.object(time, "time", wall),
    ):
        run_virtual(work(Path(folder)))
    if found["answered"] != PROMPTS or found["in background"] != PROMPTS:
        failed.append(f"prompts are missing: {dict(found)}")
    if not found["examined"]:
        failed.append("nobody is examined")
    return found, failed


def torture(seed: int, seconds: float) -> dict[str, Any]:
    """Schedules from a seed on; see the package."""
    until = time.monotonic() + seconds
    found: Counter[str] = Counter()
    failed: list[str] = []
    schedules = 0
    while not schedules or time.monotonic() < until:
        seen, wrong = run(seed + schedules)
        found += seen
        failed += [f"seed {seed + schedules}: {what}" for what in wrong]
        schedules += 1
    return {"schedules": schedules, **found, "failed": failed}
