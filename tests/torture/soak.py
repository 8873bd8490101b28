"""A long time: what prompts and faults take is given back.

24 hours of virtual time for four devices, one of which now and then dies, hangs or loses messages;
and, with `SOAK=1` in the environment, ten real minutes of three processes. Memory, tasks, sockets,
threads and descriptors are looked at while nothing is asked: once early, when caches are full, and
at the end.
"""

import asyncio
import contextlib
import gc
import os
import random
from collections import Counter
from typing import Any

import openai
import psutil

from dmoa.client import client, fetch_status
from dmoa.errors import NobodyAnswered, QueueFull
from dmoa.node.local import LocalNetwork
from tests.cluster import Cluster
from tests.virtual import run_virtual

HOUR = 3600.0
HOURS, WARM_HOURS = 24, 6
EVERY = 60.0  # seconds between two prompts of a user, on average
REAL_SECONDS, REAL_WARM, REAL_CALM = 600.0, 90.0, 15.0
LLM = "scripted:exponential,mean=0.1,answer=a few words that are said one after another"
GROWTH = 0.1
"""Share by which memory may be larger at the end."""


def measure(cluster: Cluster) -> dict[str, float]:
    """What this process holds, beside what scripted LLMs note down for tests."""
    for llm in cluster.llms:
        for noted in (llm.asked, llm.sampled, llm.constrained):
            noted.clear()
    gc.collect()
    return {"objects": len(gc.get_objects()), "tasks": len(asyncio.all_tasks())}


async def live(cluster: Cluster, draw: random.Random, hours: float, found: Counter[str]) -> None:
    """Prompts and faults for some hours, then calm."""
    loop = asyncio.get_running_loop()
    until = loop.time() + hours * HOUR

    async def user(i: int) -> None:
        while loop.time() < until:
            await asyncio.sleep(draw.expovariate(1 / EVERY))
            asking = asyncio.create_task(cluster.ask(i, draw.randrange(3), draw.randrange(4)))
            if draw.random() < 0.1:
                loop.call_later(draw.uniform(0, 3), asking.cancel)
            try:
                await asking
                found["answered"] += 1
            except asyncio.CancelledError:
                found["given_up"] += 1
            except (QueueFull, NobodyAnswered):
                found["refused"] += 1

    async def faults() -> None:
        while loop.time() < until:
            await asyncio.sleep(draw.expovariate(1 / (20 * EVERY)))
            network = cluster.networks[3]
            match draw.choice(("kill", "hang", "lose")):
                case "kill":
                    await cluster.kill(3)
                    await asyncio.sleep(30)
                    await cluster.add(3)
                case "hang":
                    network.hung = True
                    await asyncio.sleep(30)
                    network.hung = False
                case _:
                    network.loss = 0.3
                    await asyncio.sleep(30)
                    network.loss = 0.0
            found["faults"] += 1

    await asyncio.gather(faults(), *(user(i) for i in range(3)))
    await asyncio.sleep(600)
    cluster.assert_idle()


def virtual(seed: int) -> tuple[Counter[str], dict[str, float], dict[str, float]]:
    """A day; what happened, and what was held after some hours and at the end."""

    async def work() -> tuple[Counter[str], dict[str, float], dict[str, float]]:
        draw, found = random.Random(seed), Counter[str]()
        async with Cluster(4, seed=seed) as cluster:
            await live(cluster, draw, WARM_HOURS, found)
            warm = measure(cluster)
            await live(cluster, draw, HOURS - WARM_HOURS, found)
            return found, warm, measure(cluster)

    return run_virtual(work())


async def real(seconds: float, warm_seconds: float) -> tuple[Counter[str], list[Any], list[Any]]:
    """Processes that are asked all the time; what each held early and at the end."""
    found: Counter[str] = Counter()
    draw = random.Random(1)

    def held(network: LocalNetwork) -> list[dict[str, int]]:
        processes = [psutil.Process(device.pid) for device in network.devices]
        return [
            {
                "rss_mib": round(p.memory_info().rss / 2**20),
                "threads": p.num_threads(),
                "descriptors": p.num_fds(),
                "sockets": len(p.net_connections("all")),
            }
            for p in processes
        ]

    async def user(url: str, until: float) -> None:
        async with client(url, None) as api:
            while asyncio.get_running_loop().time() < until:
                model = f"dmoa-m{draw.randrange(3)}-k2"
                messages: Any = [{"role": "user", "content": "Why? " * draw.randrange(1, 200)}]
                try:
                    stream = await api.chat.completions.create(
                        model=model, messages=messages, stream=True
                    )
                    leaves = draw.random() < 0.1
                    async with contextlib.aclosing(stream):
                        async for _ in stream:
                            if leaves:
                                break
                    found["left" if leaves else "answered"] += 1
                except openai.APIError as error:
                    found[f"failed: {type(error).__name__}"] += 1

    async def ask(network: LocalNetwork, until: float) -> None:
        urls = [device.url for device in network.devices]
        await asyncio.gather(*(user(url, until) for url in urls))
        await asyncio.sleep(REAL_CALM)
        for url in urls:
            status = await fetch_status(url)
            found["open"] += status["open_prompts"]
            found["waiting"] += sum(
                (d["queue"] or 0) + (d["serving"] or 0) for d in status["devices"]
            )

    async with LocalNetwork(3, LLM) as network:
        now = asyncio.get_running_loop().time
        started = now()
        await ask(network, started + warm_seconds)
        warm = held(network)
        await ask(network, started + seconds)
        return found, warm, held(network)


def grown(warm: dict[str, float], end: dict[str, float]) -> list[str]:
    """What is more at the end than it may be: memory by a share, everything else by a few."""
    memory = ("objects", "rss_mib")
    return [
        f"{name}: {warm[name]} -> {end[name]}"
        for name in warm
        if end[name] > (warm[name] * (1 + GROWTH) if name in memory else warm[name] + 2)
    ]


def torture(seed: int, seconds: float) -> dict[str, Any]:
    """A day of virtual time, and ten real minutes if that is wanted; see the package."""
    found, warm, end = virtual(seed)
    failed = grown(warm, end)
    told: dict[str, Any] = {"virtual_hours": HOURS, **found, "warm": warm, "end": end}
    if os.environ.get("SOAK"):
        counted, early, late = asyncio.run(real(REAL_SECONDS, REAL_WARM))
        told["real"] = {"seconds": REAL_SECONDS, **counted, "early": early, "late": late}
        for before, after in zip(early, late, strict=True):
            failed += grown(before, after)
        failed += [f"{name}: {counted[name]}" for name in ("open", "waiting") if counted[name]]
        failed += [name for name in counted if name.startswith("failed")]
    return {**told, "failed": failed}
