"""Addresses of links: how they are read, and what is found out about them without a link."""

import asyncio
import socket
from contextlib import AsyncExitStack

import pytest

from dmoa.errors import UsageError
from dmoa.network.addresses import Endpoint, link_address, parse, require_loopback
from dmoa.network.probe import answers, is_ours, listenable, reachable
from dmoa.network.zenoh import ZenohNetwork
from dmoa.node.local import free_ports
from dmoa.trust.authority import Authority
from tests.network.test_conformance import echo, join, until
from tests.trusted import credentials

TEST_NET = "203.0.113.7"  # documentation's own: no machine has it


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("192.168.1.20:7447", "quic/192.168.1.20:7447"),
        ("tcp/192.168.1.20:7447", "quic/192.168.1.20:7447"),
        ("quic/desk.local:7447", "quic/desk.local:7447"),
        ("tcp/127.0.0.1:7447", "tcp/127.0.0.1:7447"),
        ("quic/127.0.0.1:7447", "quic/127.0.0.1:7447"),
        ("tcp/localhost:7447", "tcp/localhost:7447"),
        ("[2001:db8::1]:7447", "quic/[2001:db8::1]:7447"),
        ("0.0.0.0:7447", "quic/0.0.0.0:7447"),
        ("quic/10.0.0.1:7447#bind=eth0", "quic/10.0.0.1:7447#bind=eth0"),
    ],
)
def test_what_leaves_the_machine_is_quic(text: str, meant: str) -> None:
    assert link_address(text) == meant


@pytest.mark.parametrize(
    "text", ["", "7447", "ws/127.0.0.1:7447", "tcp/:7447", "tcp/h:", "tcp/h:²", "quic/h:70000"]
)
def test_what_is_no_address_is_named(text: str) -> None:
    with pytest.raises(UsageError, match="address of a device|ports end at 65535"):
        parse(text)


def test_nothing_leaves_the_machine_unless_the_network_is_open() -> None:
    require_loopback(["tcp/127.0.0.1:7447", "quic/[::1]:7447"], open_network=False)
    require_loopback(["192.168.1.20:7447"], open_network=True)
    with pytest.raises(UsageError, match=r"^192\.168\.1\.20:7447 leaves this machine.*--open"):
        require_loopback(["192.168.1.20:7447"], open_network=False)


def test_an_address_that_has_gone_is_replaced_by_the_one_of_now() -> None:
    assert is_ours("127.0.0.1")
    assert not is_ours(TEST_NET)
    assert listenable("quic/127.0.0.1:7447") == "quic/127.0.0.1:7447"
    moved = parse(listenable(f"quic/{TEST_NET}:7447"))
    assert moved.port == 7447
    assert is_ours(moved.host)
    everywhere = parse(reachable("quic/0.0.0.0:7447"))
    assert everywhere.host != "0.0.0.0"
    assert is_ours(everywhere.host)


async def test_a_device_is_found_by_quic_without_a_link_and_others_are_not() -> None:
    quic, silent = free_ports(2)
    async with AsyncExitStack() as stack:
        own = credentials()
        network = ZenohNetwork([f"quic/127.0.0.1:{quic}"], [], own)
        await join(stack, network, "d")
        assert await asyncio.to_thread(answers, f"quic/127.0.0.1:{quic}")
        assert not await asyncio.to_thread(answers, f"quic/127.0.0.1:{silent}", 0.2)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as deaf:
            deaf.bind(("127.0.0.1", 0))
            port = deaf.getsockname()[1]
            assert not await asyncio.to_thread(answers, f"quic/127.0.0.1:{port}", 0.2)
        assert not await asyncio.to_thread(answers, "quic/no such name:1", 0.2)


@pytest.mark.slow
@pytest.mark.parametrize("protocol", ["tcp", "quic"])
async def test_two_devices_without_a_link_are_introduced_and_nobody_is_disturbed(
    protocol: str,
) -> None:
    ports = free_ports(3)
    changes: list[str] = []

    def network(place: int, known: list[int]) -> ZenohNetwork:
        addresses = [str(Endpoint(protocol, "127.0.0.1", ports[i])) for i in (place, *known)]
        own = credentials()
        return ZenohNetwork(addresses[:1], addresses[1:], own)

    async with AsyncExitStack() as stack:
        a, b, far = network(0, []), network(1, [0]), network(2, [])
        await a.open("a", echo, lambda: changes.append(" ".join(sorted(a.alive()))))
        stack.push_async_callback(a.close)
        await join(stack, b, "b")
        await join(stack, far, "far")
        await until(lambda: set(a.alive()) == {"b"})
        changes.clear()
        await a.introduce(str(Endpoint(protocol, "127.0.0.1", ports[2])), 5.0)
        await until(lambda: set(a.alive()) == {"b", "far"} and set(far.alive()) == {"a", "b"})
        assert set(changes) == {"b far"}, "a never lost sight of b"


def foreign_authority() -> Authority:
    return Authority(*Authority.create("another network"))


@pytest.mark.slow
async def test_devices_of_another_authority_get_no_link() -> None:
    ports = free_ports(2)
    async with AsyncExitStack() as stack:
        first = f"quic/127.0.0.1:{ports[0]}"
        own = credentials()
        network = await join(stack, ZenohNetwork([first], [], own), "d0")
        foreign = credentials(foreign_authority())
        stranger = ZenohNetwork([f"quic/127.0.0.1:{ports[1]}"], [first], foreign)
        await join(stack, stranger, "d1")
        member = credentials()
        late = ZenohNetwork(["quic/127.0.0.1:0"], [first], member)
        await join(stack, late, "d2")
        await until(lambda: set(network.alive()) == {"d2"})
        assert not stranger.alive()
        assert not stranger.linked()
