"""What every network promises, checked over Zenoh, its in-memory twin, and both when sealed."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack

import pytest

from dmoa.errors import PeerGone, UsageError
from dmoa.network.interface import Hear, Network, Send, Serve
from dmoa.network.memory import MemoryHub
from dmoa.network.sealed import SealedNetwork
from dmoa.network.zenoh import ZenohNetwork
from dmoa.node.local import free_ports
from tests.trusted import credentials, self_made

DEADLINE = 20.0


class Named:
    """A sealed network, whose ids follow from keys, under names that tests can say."""

    def __init__(self, network: SealedNetwork, ids: dict[str, str]) -> None:
        self._network = network
        self._ids = ids
        self.certified_name = network.certified_name
        self.addresses, self.retire, self.close = network.addresses, network.retire, network.close

    async def open(self, device: str, serve: Serve, changed: Callable[[], None]) -> None:
        self._ids[device] = self._network.holder.device
        await self._network.open(self._network.holder.device, serve, changed)

    def alive(self) -> Mapping[str, str]:
        names = {device: name for name, device in self._ids.items()}
        return {names[device]: seen for device, seen in self._network.alive().items()}

    async def ask(self, device: str, payload: bytes, hear: Hear, silence: float) -> None:
        await self._network.ask(self._ids.get(device, device), payload, hear, silence)


class Air:
    """Makes networks of one kind that can reach each other."""

    def __init__(self, kind: str) -> None:
        self._hub = MemoryHub()
        self._sealed, self._kind = kind.startswith("sealed "), kind.removeprefix("sealed ")
        self._ids: dict[str, str] = {}
        self._ports = free_ports(8)
        self._made = 0

    def network(self, *, knows: int | None = None) -> Network:
        """One more; it only knows one before it, by default the last: gossip does the rest."""
        holder = self_made()
        if self._kind == "memory":
            inner: Network = self._hub.network()
            return Named(SealedNetwork(inner, holder), self._ids) if self._sealed else inner
        before = self._made - 1 if knows is None else knows
        known = [self.address(before)] if before >= 0 else []
        self._made += 1
        inner = ZenohNetwork([self.address(self._made - 1)], known, holder.credentials())
        return Named(SealedNetwork(inner, holder), self._ids) if self._sealed else inner

    def address(self, number: int) -> str:
        """Where a network of Zenoh's listens."""
        return f"{self._kind}/127.0.0.1:{self._ports[number]}"


REAL = [pytest.param(kind, marks=pytest.mark.slow) for kind in ("tcp", "quic", "sealed quic")]
"""Sessions of Zenoh take their time to meet and to close."""


@pytest.fixture(params=["memory", "sealed memory", *REAL])
def air(request: pytest.FixtureRequest) -> Air:
    return Air(request.param)


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what another thread brings about; a deadline, and no fixed sleeps."""
    async with asyncio.timeout(DEADLINE):
        while not condition():
            await asyncio.sleep(0.005)


async def echo(_: str, payload: bytes, send: Send) -> None:
    send(payload)
    send(payload + b"!")


async def join(
    stack: AsyncExitStack, network: Network, device: str, serve: Serve = echo
) -> Network:
    await network.open(device, serve, lambda: None)
    stack.push_async_callback(network.close)
    return network


async def replies(network: Network, device: str, payload: bytes) -> list[bytes]:
    heard: list[bytes] = []
    async with asyncio.timeout(DEADLINE):
        await network.ask(device, payload, heard.append, DEADLINE)
    return heard


async def test_devices_find_each_other_and_replies_come_in_order(air: Air) -> None:
    async with AsyncExitStack() as stack:
        networks = [await join(stack, air.network(), f"d{i}") for i in range(4)]
        await until(lambda: all(len(n.alive()) == 3 for n in networks))
        assert set(networks[0].alive()) == {"d1", "d2", "d3"}
        for device in ("d1", "d2", "d3"):
            assert await replies(networks[0], device, b"\x00hello") == [
                b"\x00hello",
                b"\x00hello!",
            ]


async def test_a_device_that_leaves_disappears_and_comes_back_as_a_new_incarnation(
    air: Air,
) -> None:
    async with AsyncExitStack() as stack:
        stays = await join(stack, air.network(), "stays")
        leaves = air.network()
        await leaves.open("leaves", echo, lambda: None)
        await until(lambda: "leaves" in stays.alive())
        before = stays.alive()["leaves"]
        await leaves.close()
        await until(lambda: not stays.alive())
        await join(stack, air.network(knows=0), "leaves")
        await until(lambda: "leaves" in stays.alive())
        assert stays.alive()["leaves"] != before


async def test_asking_nobody_fails_at_once(air: Air) -> None:
    async with AsyncExitStack() as stack:
        network = await join(stack, air.network(), "alone")
        with pytest.raises(PeerGone):
            await replies(network, "nobody", b"?")


async def test_replies_end_when_the_other_side_disappears(air: Air) -> None:
    async def never_ends(_: str, payload: bytes, send: Send) -> None:
        send(b"first")
        await asyncio.sleep(1000)

    async with AsyncExitStack() as stack:
        asker = await join(stack, air.network(), "asker")
        other = air.network()
        await other.open("other", never_ends, lambda: None)
        await until(lambda: "other" in asker.alive())
        heard: list[bytes] = []
        asking = asyncio.create_task(asker.ask("other", b"?", heard.append, DEADLINE))
        await until(lambda: heard == [b"first"])
        await other.close()
        async with asyncio.timeout(DEADLINE):
            await asking
        assert heard == [b"first"]


async def test_a_request_ends_with_the_reply_that_the_asker_takes_for_the_last(air: Air) -> None:
    async def never_ends(_: str, payload: bytes, send: Send) -> None:
        for number in range(3):
            send(b"%d" % number)
        await asyncio.sleep(1000)

    heard: list[bytes] = []

    def up_to_one(reply: bytes) -> bool:
        heard.append(reply)
        return reply == b"1"

    def wrong(reply: bytes) -> bool:
        raise ValueError(reply)

    async with AsyncExitStack() as stack:
        asker = await join(stack, air.network(), "asker")
        await join(stack, air.network(), "other", never_ends)
        await until(lambda: "other" in asker.alive())
        async with asyncio.timeout(DEADLINE):
            await asker.ask("other", b"?", up_to_one, DEADLINE)
            assert heard == [b"0", b"1"]
            with pytest.raises(ValueError, match="0"):
                await asker.ask("other", b"?", wrong, DEADLINE)


async def test_a_retired_device_is_not_seen_but_still_answers(air: Air) -> None:
    hurry = asyncio.Event()

    async def slow(_: str, payload: bytes, send: Send) -> None:
        send(b"begun")
        await hurry.wait()
        send(b"done")

    async with AsyncExitStack() as stack:
        asker = await join(stack, air.network(), "asker")
        other = await join(stack, air.network(), "other", slow)
        await until(lambda: "other" in asker.alive())
        heard: list[bytes] = []
        asking = asyncio.create_task(asker.ask("other", b"?", heard.append, DEADLINE))
        await until(lambda: heard == [b"begun"])
        await other.retire()
        await until(lambda: not asker.alive())
        hurry.set()
        async with asyncio.timeout(DEADLINE):
            await asking
        assert heard == [b"begun", b"done"]


async def test_many_requests_run_at_once_and_none_is_mixed_up(air: Air) -> None:
    async with AsyncExitStack() as stack:
        networks = [await join(stack, air.network(), f"d{i}") for i in range(3)]
        await until(lambda: all(len(n.alive()) == 2 for n in networks))
        asked = [(i % 2 + 1, b"%d" % i) for i in range(200)]
        got = await asyncio.gather(*(replies(networks[0], f"d{d}", p) for d, p in asked))
        assert got == [[p, p + b"!"] for _, p in asked]


async def test_large_payloads_arrive_whole(air: Air) -> None:
    async with AsyncExitStack() as stack:
        a = await join(stack, air.network(), "a")
        await join(stack, air.network(), "b")
        await until(lambda: "b" in a.alive())
        payload = bytes(range(256)) * 8192
        assert await replies(a, "b", payload) == [payload, payload + b"!"]
        with pytest.raises(PeerGone):
            await replies(a, "b", b"x" * (17 * 2**20))


@pytest.mark.parametrize("protocol", ["tcp", "quic"])
async def test_a_taken_address_is_a_clear_error(protocol: str) -> None:
    async with AsyncExitStack() as stack:
        air = Air(protocol)
        await join(stack, air.network(), "first")
        address = air.address(0)
        with pytest.raises(UsageError, match=f"cannot listen on {address}.*--listen"):
            await ZenohNetwork(
                [address],
                [],
                credentials(),
            ).open("second", echo, lambda: None)
