"""Looking at addresses without a link: what is this machine's, what is free, who answers."""

import secrets
import socket
from collections.abc import Sequence

from dmoa.errors import UsageError
from dmoa.network.addresses import EVERYWHERE, FIRST_PORT, LAST_PORT, Endpoint, is_loopback, parse

# A version of QUIC that nobody speaks (RFC 9000, 15: reserved for this). Whoever speaks QUIC
# answers by the versions that it knows, without a handshake, and keeps nothing of it (6.1).
_NO_VERSION = bytes.fromhex("1a2a3a4a")
_DATAGRAM = 1200  # shorter ones are dropped (RFC 9000, 14.1)


def is_free(endpoint: Endpoint) -> bool:
    """Whether a server could listen there now."""
    with socket.socket(_family(endpoint.host), _kind(endpoint)) as server:
        if endpoint.protocol != "quic":
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            server.bind((endpoint.host, endpoint.port))
        except OSError:
            return False
    return True


def is_ours(host: str) -> bool:
    """Whether `host` is an address of this machine now."""
    try:
        return is_free(Endpoint("quic", host, 0))
    except OSError:  # a name that is none
        return False


def answers(text: str, timeout: float = 1.0) -> bool:
    """Whether somebody speaks the protocol of an address there; blocks for `timeout` at most."""
    endpoint = parse(text)
    try:
        if endpoint.protocol != "quic":
            socket.create_connection((endpoint.host, endpoint.port), timeout).close()
            return True
        return _speaks_quic(endpoint, timeout)
    except (OSError, ValueError):  # ValueError: a name that is none
        return False


def _speaks_quic(endpoint: Endpoint, timeout: float) -> bool:
    theirs, ours = secrets.token_bytes(8), secrets.token_bytes(8)
    initial = b"\xc0" + _NO_VERSION + b"\x08" + theirs + b"\x08" + ours
    found = socket.getaddrinfo(endpoint.host, endpoint.port, type=socket.SOCK_DGRAM)
    with socket.socket(found[0][0], socket.SOCK_DGRAM) as asking:
        asking.settimeout(timeout)
        asking.connect(found[0][4])
        asking.send(initial.ljust(_DATAGRAM, b"\x00"))
        reply = asking.recv(2048)
    # Version negotiation: version 0, and our connection id as the one that it goes to.
    return reply[1:5] == bytes(4) and reply[5:14] == b"\x08" + ours


def addresses_of(host: str) -> set[str]:
    """What a host's name stands for; the name itself when nobody knows."""
    try:
        return {str(found[4][0]) for found in socket.getaddrinfo(host, None)} or {host}
    except (OSError, ValueError):
        return {host}


def own_address(towards: Sequence[str] = (), *, ipv6: bool = False) -> str:
    """This machine's address on the way to others.

    Args:
        towards: hosts of which the first that can be reached decides, where there are several
            ways; without any the way to everywhere does.
        ipv6: whether a version 6 address is wanted.

    Returns:
        The address; the loopback one when there is no way.
    """
    family = socket.AF_INET6 if ipv6 else socket.AF_INET
    anywhere = "2001:db8::1" if ipv6 else "192.0.2.1"  # documentation's own
    for host in (*towards, anywhere):
        with socket.socket(family, socket.SOCK_DGRAM) as sock:
            try:
                sock.connect((host, 9))  # chooses a route; sends nothing
            except (OSError, ValueError):
                continue
            found = str(sock.getsockname()[0])
        if not is_loopback(found):
            return found
    return "::1" if ipv6 else "127.0.0.1"


def reachable(text: str, towards: Sequence[str] = ()) -> str:
    """An address as others can dial it: "all addresses" becomes this machine's main one."""
    endpoint = parse(text)
    if endpoint.host not in EVERYWHERE:
        return str(endpoint)
    return str(endpoint._replace(host=own_address(towards, ipv6=":" in endpoint.host)))


def listenable(text: str, towards: Sequence[str] = ()) -> str:
    """Where to listen when an address that was asked for may have gone.

    A device whose address has changed listens on its new one, and on the old one again when
    that is back.
    """
    endpoint = parse(text)
    if endpoint.host in EVERYWHERE or is_ours(endpoint.host):
        return str(endpoint)
    return str(endpoint._replace(host=own_address(towards, ipv6=":" in endpoint.host)))


def default_endpoints(*, open_network: bool) -> tuple[str, list[str]]:
    """Where a device listens when nothing is said, and the devices of this machine to join.

    In an open network that is every address of this machine.

    Devices on one machine take the ports from 7447 on, so that each finds the others.

    Raises:
        UsageError: all of them are taken.
    """
    here = "127.0.0.1"
    protocol, host = ("quic", EVERYWHERE[0]) if open_network else ("tcp", here)
    ports = range(FIRST_PORT, LAST_PORT + 1)
    near = {port: str(Endpoint(protocol, here, port)) for port in ports}
    free = [port for port in ports if is_free(Endpoint(protocol, host, port))]
    taken = [near[p] for p in ports if p not in free and answers(near[p], timeout=0.2)]
    if free:
        return str(Endpoint(protocol, host, free[0])), taken
    raise UsageError(
        f"ports {FIRST_PORT} to {LAST_PORT} of {here} are all taken;"
        f" give a free one, as in --listen {protocol}/{here}:7500"
    )


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def _kind(endpoint: Endpoint) -> socket.SocketKind:
    return socket.SOCK_DGRAM if endpoint.protocol == "quic" else socket.SOCK_STREAM
