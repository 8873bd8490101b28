"""Requests per second of the API, of the LiteLLM proxy, and of no proxy, before one LLM server.

    python -m benchmarks.api      # LiteLLM is there after `make clients`

All in one run, in turn, on a server that answers at once, with M = 0; each point is the median of
several rounds. `dmoa`, `litellm` and `direct` are asked by a client that costs next to nothing, a
bare socket; `dmoa_openai` and `direct_openai` by OpenAI's own, as programs ask. `times_litellm`
compares the first two, `share_of_direct` the last two. The last line is JSON.
"""

import asyncio
import json
import statistics
import sys
import time
from typing import Any

import openai

from benchmarks._litellm import litellm_proxy, process
from dmoa.cli.up import loop_factory
from dmoa.llm.http import authorities
from dmoa.node.local import LocalNetwork

CLIENTS = (1, 16, 128)
ROUNDS = 3
SECONDS = 2.5
TIMES_LITELLM, SHARE_OF_DIRECT = 3.0, 0.5
MESSAGES: Any = [{"role": "user", "content": "What is a queue? Answer in a sentence."}]


async def _ask(address: tuple[str, int], request: bytes, until: float) -> int:
    """One client on one connection; how many whole answers it got."""
    answered = 0
    reader, writer = await asyncio.open_connection(*address)
    try:
        while time.monotonic() < until:
            writer.write(request)
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            assert head.startswith(b"http/1.1 200"), head + await reader.read(1000)
            if b"\r\ncontent-length:" in head:
                length = int(head.partition(b"\r\ncontent-length:")[2].split(b"\r\n")[0])
                await reader.readexactly(length)
            else:
                await reader.readuntil(b"0\r\n\r\n")
            answered += 1
    finally:
        writer.close()
    return answered


def _request(model: str, *, stream: bool) -> bytes:
    body = json.dumps({"model": model, "messages": MESSAGES, "stream": stream}).encode()
    return (
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer sk-1\r\n"
        b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    )


async def _plain(port: int, model: str, clients: int, *, stream: bool) -> float:
    request = _request(model, stream=stream)
    started = time.monotonic()
    until = started + SECONDS
    work = [_ask(("127.0.0.1", port), request, until) for _ in range(clients)]
    return sum(await asyncio.gather(*work)) / (time.monotonic() - started)


async def _official(port: int, model: str, clients: int, *, stream: bool) -> float:
    http = openai.DefaultAsyncHttpxClient(verify=authorities())
    url = f"http://127.0.0.1:{port}/v1"
    async with openai.AsyncOpenAI(base_url=url, api_key="sk-1", http_client=http) as api:

        async def ask() -> int:
            answered = 0
            while time.monotonic() < until:
                if stream:
                    async for _ in await api.chat.completions.create(
                        model=model, messages=MESSAGES, stream=True
                    ):
                        pass
                else:
                    await api.chat.completions.create(model=model, messages=MESSAGES)
                answered += 1
            return answered

        started = time.monotonic()
        until = started + SECONDS
        return sum(await asyncio.gather(*(ask() for _ in range(clients)))) / (
            time.monotonic() - started
        )


async def _measure() -> list[dict[str, Any]]:
    server = (sys.executable, "-m", "benchmarks._llm_server")
    async with process(*server, stdout=asyncio.subprocess.PIPE) as started:
        assert started.stdout is not None
        direct = int(await started.stdout.readline())
        api = f"http://127.0.0.1:{direct}/v1"
        slots = ["--slots", "256", "--patience", "1000"]
        async with (
            litellm_proxy(api, "tiny") as litellm,
            LocalNetwork(1, f"openai:{api}#tiny", slots) as network,
        ):
            ours = int(network.devices[0].url.rpartition(":")[2])
            return [
                await _point(direct, litellm, ours, clients, stream=stream)
                for stream in (False, True)
                for clients in CLIENTS
            ]


async def _point(
    direct: int, litellm: int | None, ours: int, clients: int, *, stream: bool
) -> dict[str, Any]:
    rounds: dict[str, list[float]] = {}
    for _ in range(ROUNDS):
        rates = {
            "dmoa": await _plain(ours, "dmoa-m0-k0", clients, stream=stream),
            "direct": await _plain(direct, "tiny", clients, stream=stream),
            "dmoa_openai": await _official(ours, "dmoa-m0-k0", clients, stream=stream),
            "direct_openai": await _official(direct, "tiny", clients, stream=stream),
        }
        if litellm is not None:
            rates["litellm"] = await _plain(litellm, "tiny", clients, stream=stream)
        for name, rate in rates.items():
            rounds.setdefault(name, []).append(rate)
    median = {name: statistics.median(rates) for name, rates in rounds.items()}
    point: dict[str, Any] = {"clients": clients, "streamed": stream}
    point |= {name: round(rate, 1) for name, rate in median.items()}
    point["times_litellm"] = (
        round(median["dmoa"] / median["litellm"], 2) if "litellm" in median else None
    )
    point["share_of_direct"] = round(median["dmoa_openai"] / median["direct_openai"], 3)
    point["share_of_bare_direct"] = round(median["dmoa"] / median["direct"], 3)
    print(json.dumps(point), flush=True)
    return point


def main() -> None:
    """Measure all points."""
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        points = runner.run(_measure())
    times = [point["times_litellm"] for point in points if point["times_litellm"] is not None]
    summary = {
        "points": points,
        "least_times_litellm": min(times, default=None),
        "least_share_of_direct": min(point["share_of_direct"] for point in points),
        "goals": {"times_litellm": TIMES_LITELLM, "share_of_direct": SHARE_OF_DIRECT},
    }
    print(json.dumps(summary))


if __name__ == "__main__":
    main()
