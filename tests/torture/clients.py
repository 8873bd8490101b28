"""Clients by the thousand, and clients that do not read: nobody else pays for them.

A device's API with its real server, on the loopback address. More connections than it takes are
opened and left idle; whoever asks meanwhile is answered or told 503 at once. Readers that read
nothing of a long stream are there while others are served. Afterwards all descriptors and tasks
are back.
"""

import asyncio
import contextlib
import json
import os
import resource
import time
from collections import Counter
from functools import partial
from typing import Any

from dmoa.device.queue import DeviceQueue
from dmoa.llm.scripted import ScriptedAnswer
from dmoa.policies.limits import LIMITS
from tests.served import Served, served

CONNECTIONS = 2 * LIMITS.connections
READERS = 40
ANSWER = "word " * 150_000  # more than sockets hold
AT_ONCE_SECONDS, HEALED_SECONDS = 10.0, 20.0


def descriptors() -> int:
    """How many this process has open."""
    return len(os.listdir("/proc/self/fd"))


async def idle(s: Served, found: Counter[str]) -> None:
    """More connections than there may be, of which nobody asks anything."""
    writers: list[asyncio.StreamWriter] = []
    try:
        for _ in range(CONNECTIONS):
            _, writer = await asyncio.open_connection("127.0.0.1", s.port)
            writers.append(writer)
        async with asyncio.timeout(AT_ONCE_SECONDS):
            found[f"meanwhile {(await s.get('/healthz')).status}"] += 1
    finally:
        for writer in writers:
            writer.close()
        await asyncio.gather(*(w.wait_closed() for w in writers), return_exceptions=True)


async def slow(s: Served, found: Counter[str]) -> None:
    """Readers that ask for a long stream and read nothing, beside one that does read."""
    body = {"model": "model-d0", "messages": [{"role": "user", "content": "Long"}], "stream": True}
    payload = json.dumps(body).encode()
    head = (
        "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n"
        f"Content-Length: {len(payload)}\r\n\r\n"
    )
    writers: list[asyncio.StreamWriter] = []
    try:
        for _ in range(READERS):
            # A reader's limit bounds what this side takes in for it.
            _, writer = await asyncio.open_connection("127.0.0.1", s.port, limit=1024)
            writer.write(head.encode() + payload)
            writers.append(writer)
        async with asyncio.timeout(60):
            while s.cluster.devices[0].open_prompts:
                await asyncio.sleep(0.05)  # the answers are there, and wait to be read
            answer = await s.post(json.dumps({**body, "stream": False}).encode())
        found[f"beside slow readers {answer.status}"] += 1
    finally:
        for writer in writers:
            writer.transport.abort()
        await asyncio.gather(*(w.wait_closed() for w in writers), return_exceptions=True)


async def all_of_it() -> tuple[Counter[str], list[str]]:
    """What was seen, and what must not be."""
    found: Counter[str] = Counter()
    failed: list[str] = []
    async with served(1, seconds=0.001, queue=partial(DeviceQueue, slots=READERS)) as s:
        s.cluster.llms[0]._respond = lambda messages: (
            ScriptedAnswer(ANSWER) if "Long" in messages[-1].content else "short"
        )
        await s.get("/healthz")
        before = descriptors(), len(asyncio.all_tasks())
        for what in (idle, slow):
            await what(s, found)
            started = time.monotonic()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(HEALED_SECONDS):
                    while (descriptors(), len(asyncio.all_tasks())) > before or s.cluster.busy():
                        await asyncio.sleep(0.05)
            found[f"healed after {what.__name__}, ms"] = round(1000 * (time.monotonic() - started))
            after = descriptors(), len(asyncio.all_tasks())
            if after > before or s.cluster.busy():
                failed.append(f"{what.__name__}: {before} before, {after} after")
            status = (await s.get("/healthz")).status
            if status != 200:
                failed.append(f"{status} after {what.__name__}")
    good = {"meanwhile 200", "meanwhile 503", "beside slow readers 200"}
    seen = {name for name in found if not name.startswith("healed")}
    return found, failed + sorted(seen - good)


def torture(seed: int, seconds: float) -> dict[str, Any]:
    """Once; see the package."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * CONNECTIONS + 500
    if hard != resource.RLIM_INFINITY and hard < wanted:
        return {"skipped": f"only {hard} descriptors are allowed", "failed": []}
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    try:
        found, failed = asyncio.run(all_of_it())
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return {"connections": CONNECTIONS, "slow_readers": READERS, **found, "failed": failed}
