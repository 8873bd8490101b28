"""What the live network costs beyond its LLMs: overhead, first token, throughput, memory.

    python -m benchmarks.live

Four real processes with scripted LLMs, real Zenoh, through the HTTP API. Ratios within one run,
repeated; the last line is JSON.
"""

import asyncio
import json
import random
import statistics
import subprocess
import sys
import time
from typing import Any

import psutil

from dmoa.cli.up import loop_factory
from dmoa.client import client
from dmoa.node.local import LocalNetwork

ALPHA, LAYERS, PROPOSERS = 0.1, 2, 3
MODEL = f"dmoa-m{LAYERS}-k{PROPOSERS}"
REPEATS = 5
PROMPTS = 12
SEED = 3
MESSAGES: Any = [{"role": "user", "content": "What is a queue? Answer in a sentence."}]


class PlainClient:
    """A client that costs next to nothing: one kept connection, no more parsing than needed.

    The official client takes 2 to 3 ms of its own for a request, which is not what is measured.
    """

    def __init__(self, url: str) -> None:
        host, _, port = url.removeprefix("http://").partition(":")
        self._address = (host, int(port))
        self._connection: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def stream(self, request: bytes) -> list[tuple[float, bytes]]:
        """What came of one streamed answer, and when; reading it is not measured."""
        if self._connection is None:
            self._connection = await asyncio.open_connection(*self._address)
        reader, writer = self._connection
        writer.write(request)
        await reader.readuntil(b"\r\n\r\n")
        chunks = []
        while size := int(await reader.readline(), 16):
            chunks.append((time.time(), await reader.readexactly(size + 2)))
        await reader.readline()
        return chunks

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection[1].close()


def request(model: str) -> bytes:
    """An HTTP request for a streamed answer."""
    body = json.dumps({"model": model, "messages": MESSAGES, "stream": True}).encode()
    head = "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: "
    return f"{head}{len(body)}\r\n\r\n".encode() + body


def events(chunks: list[tuple[float, bytes]]) -> list[tuple[float, dict[str, Any]]]:
    """The events of an answer, and when each came."""
    return [
        (at, json.loads(line.removeprefix("data: ")))
        for at, chunk in chunks
        for line in chunk.decode().splitlines()
        if line.startswith("data: {")
    ]


async def prompt_seconds(api: PlainClient) -> tuple[float, float]:
    """Wall time of one prompt, and from the last draft's arrival to the first token.

    The second is measured against the owner's own record, on the clock of this machine. The LLM
    answers one word, so its time to the first token is its service time, which is taken off.
    """
    asked = request(MODEL)
    started = time.perf_counter()
    chunks = await api.stream(asked)
    seconds = time.perf_counter() - started
    told = events(chunks)
    first = next(at for at, event in told if event["choices"][0]["delta"].get("content"))
    tree = next(event["dmoa"] for _, event in told if "dmoa" in event)
    last_draft = max(p["asked_at"] + p["seconds"] for p in tree["layers"][-1]["proposers"])
    last_draft += tree["started"]
    return seconds, first - last_draft - tree["aggregator"][0]["service_seconds"]


async def direct_seconds(apis: list[PlainClient], model: str) -> float:
    """The same inferences by the same client, asking the four LLMs without a network of ours."""
    asked = request(model)
    started = time.perf_counter()
    for _ in range(LAYERS):
        await asyncio.gather(*(api.stream(asked) for api in apis))
    await apis[0].stream(asked)
    return time.perf_counter() - started


async def sleep_seconds() -> float:
    """The critical path alone: as many sleeps in a row. What the machine can do at best."""
    started = time.perf_counter()
    for _ in range(LAYERS + 1):
        await asyncio.gather(*(asyncio.sleep(ALPHA) for _ in range(PROPOSERS + 1)))
    return time.perf_counter() - started


async def overhead() -> dict[str, Any]:
    """Wall time over the critical path (M+1) alpha, on an idle network, linked by TCP and QUIC."""
    critical = (LAYERS + 1) * ALPHA
    ratios: dict[str, list[float]] = {"dmoa": [], "dmoa_quic": [], "direct": [], "sleeps": []}
    first_tokens: list[float] = []
    llm = f"scripted:deterministic,mean={ALPHA},answer=Yes."
    async with LocalNetwork(4, llm) as network, LocalNetwork(4, llm, protocol="quic") as secured:
        apis = [PlainClient(device.url) for device in network.devices]
        quic = PlainClient(secured.devices[0].url)
        for _ in range(3):  # connections, imports
            await prompt_seconds(apis[0])
            await prompt_seconds(quic)
            await direct_seconds(apis, "scripted")
        order, generator = list(ratios), random.Random(SEED)
        for _ in range(REPEATS * PROMPTS):
            generator.shuffle(order)  # what comes after an idle time finds colder processors
            for name in order:
                match name:
                    case "dmoa":
                        seconds, first = await prompt_seconds(apis[0])
                        first_tokens.append(first)
                    case "dmoa_quic":
                        seconds, _ = await prompt_seconds(quic)
                    case "direct":
                        seconds = await direct_seconds(apis, "scripted")
                    case _:
                        seconds = await sleep_seconds()
                ratios[name].append(seconds / critical)
        memory = [psutil.Process(d.pid).memory_info().rss / 1e6 for d in network.devices]
        for api in [*apis, quic]:
            api.close()
    return {
        "overhead": {name: spread(values) for name, values in ratios.items()},
        "first_token_ms": spread([1000 * t for t in first_tokens]),
        "node_megabytes": spread(memory),
    }


async def throughput() -> dict[str, Any]:
    """Prompts per second through one node's API with LLMs that take no time."""
    rates = []
    async with LocalNetwork(
        4, "scripted:deterministic,mean=0,answer=Yes.", environment={"DMOA_PATIENCE": "1000"}
    ) as network:
        api = client(network.devices[0].url, None)

        async def worker(count: int) -> None:
            for _ in range(count):
                await api.chat.completions.create(model=MODEL, messages=MESSAGES)

        await worker(5)
        for _ in range(REPEATS):
            started = time.perf_counter()
            await asyncio.gather(*(worker(10) for _ in range(8)))
            rates.append(80 / (time.perf_counter() - started))
        await api.close()
    return {"prompts_per_second": spread(rates)}


def help_seconds() -> dict[str, Any]:
    """How long `dmoa --help` takes, beside an empty Python."""
    times: dict[str, list[float]] = {"help_seconds": [], "empty_python_seconds": []}
    for _ in range(REPEATS):
        for name, command in (
            ("help_seconds", ["-m", "dmoa", "--help"]),
            ("empty_python_seconds", ["-c", "pass"]),
        ):
            started = time.perf_counter()
            subprocess.run([sys.executable, *command], check=True, capture_output=True)
            times[name].append(time.perf_counter() - started)
    return {name: spread(values) for name, values in times.items()}


def spread(values: list[float]) -> dict[str, float]:
    """Minimum, median and maximum."""
    return {
        "min": round(min(values), 4),
        "median": round(statistics.median(values), 4),
        "max": round(max(values), 4),
    }


def main() -> None:
    """Run all, show them, and end with one JSON line."""
    with asyncio.Runner(loop_factory=loop_factory()) as runner:  # the event loop of the nodes
        results = {**runner.run(overhead()), **runner.run(throughput()), **help_seconds()}
    for name, value in results.items():
        print(f"{name}: {value}")
    print(json.dumps({"benchmark": "live", **results}))


if __name__ == "__main__":
    main()
