"""What trust costs: TLS on links against plain ones, proofs of membership, sealed messages.

    python -m benchmarks.trust

Plain links are Zenoh's own TCP without certificates; the others are what dmoa uses. Requests are
those of one inference: a task of 4 KB, and a reply of 2 KB. All in one run, in turns; medians.
"""

import asyncio
import json
import statistics
import time
from collections.abc import Awaitable, Callable
from typing import Any

import zenoh
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from dmoa.network.interface import Network, Send
from dmoa.network.sealed import SealedNetwork
from dmoa.network.zenoh import ZenohNetwork
from dmoa.node.local import free_ports
from dmoa.trust import public
from dmoa.trust.holder import Holder

INFERENCE_SECONDS = 0.1
TASK, REPLY = b"t" * 4096, b"r" * 2048
ROUNDS, REQUESTS = 5, 200


class PlainZenoh(ZenohNetwork):
    """The transport without certificates, for comparison only."""

    def _config(self, listen: list[str], connect: list[str]) -> zenoh.Config:
        config = zenoh.Config()
        for key, value in {
            "mode": "peer",
            "listen/endpoints": listen,
            "connect/endpoints": connect,
            "scouting/multicast/enabled": False,
        }.items():
            config.insert_json5(key, json.dumps(value))
        return config


async def serve(_: str, payload: bytes, send: Send) -> None:
    """Answer at once."""
    send(REPLY)


def holder() -> Holder:
    """A device of a network of its own."""
    return Holder.self_made(public.authority(), Ed25519PrivateKey.generate())


async def link(
    make: Callable[[Holder, list[str], list[str]], Network], protocol: str
) -> tuple[float, float]:
    """Seconds until two devices see each other, and a request's median."""
    ports = free_ports(2)
    addresses = [f"{protocol}/127.0.0.1:{port}" for port in ports]
    one, two = holder(), holder()
    first = make(one, addresses[:1], [])
    second = make(two, addresses[1:], addresses[:1])
    seen = asyncio.Event()
    await first.open(one.device, serve, lambda: None)

    def look() -> None:
        if second.alive():
            seen.set()

    begun = time.perf_counter()
    await second.open(two.device, serve, look)
    async with asyncio.timeout(20):
        await seen.wait()
    joined = time.perf_counter() - begun
    device = next(iter(second.alive()))
    times = []
    try:
        for _ in range(REQUESTS):
            begun = time.perf_counter()
            await second.ask(device, TASK, lambda data: True, 10.0)
            times.append(time.perf_counter() - begun)
    finally:
        await second.close()
        await first.close()
    return joined, statistics.median(times)


def plain(holder: Holder, listen: list[str], connect: list[str]) -> Network:
    """Neither certificates nor seals."""
    return PlainZenoh(listen, connect, holder.credentials())


def linked(holder: Holder, listen: list[str], connect: list[str]) -> Network:
    """Certificates on links."""
    return ZenohNetwork(listen, connect, holder.credentials())


def sealed(holder: Holder, listen: list[str], connect: list[str]) -> Network:
    """What dmoa uses."""
    return SealedNetwork(linked(holder, listen, connect), holder)


async def measure() -> dict[str, Any]:
    """All kinds in turns."""
    kinds: dict[str, Callable[[], Awaitable[tuple[float, float]]]] = {
        "tcp plain": lambda: link(plain, "tcp"),
        "tcp tls": lambda: link(linked, "tcp"),
        "quic": lambda: link(linked, "quic"),
        "quic sealed": lambda: link(sealed, "quic"),
    }
    joins: dict[str, list[float]] = {kind: [] for kind in kinds}
    asks: dict[str, list[float]] = {kind: [] for kind in kinds}
    for _ in range(ROUNDS):
        for kind, run in kinds.items():
            joined, asked = await run()
            joins[kind].append(joined)
            asks[kind].append(asked)
    ask = {kind: statistics.median(times) * 1e3 for kind, times in asks.items()}
    return {
        "join_ms": {k: round(statistics.median(v) * 1e3, 1) for k, v in joins.items()},
        "request_ms": {k: round(v, 3) for k, v in ask.items()},
        "seal_share_of_100_ms": (ask["quic sealed"] - ask["quic"]) / (INFERENCE_SECONDS * 1e3),
        "against_plain_tcp_share_of_100_ms": (ask["quic sealed"] - ask["tcp plain"])
        / (INFERENCE_SECONDS * 1e3),
    }


def main() -> None:
    """Measure, and end with one JSON line."""
    found = asyncio.run(measure())
    for kind, milliseconds in found["join_ms"].items():
        print(f"{kind:12}  join {milliseconds:7.1f} ms  request {found['request_ms'][kind]:.3f} ms")
    print(json.dumps({"benchmark": "trust", **found}))


if __name__ == "__main__":
    main()
