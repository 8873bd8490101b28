"""Zenoh endpoints such as `tcp/127.0.0.1:7447`: reading them, and who may reach them."""

import ipaddress
import socket
from typing import NamedTuple

from dmoa.errors import UsageError

FIRST_PORT, LAST_PORT = 7447, 7462
_PROTOCOLS = ("tcp", "tls", "quic", "udp", "ws")


class Endpoint(NamedTuple):
    """The parts of `protocol/host:port`."""

    protocol: str
    host: str
    port: int


def parse(text: str) -> Endpoint:
    """Read an endpoint.

    Raises:
        UsageError: it is none.
    """
    protocol, slash, address = text.partition("/")
    host, colon, port = address.partition("?")[0].partition("#")[0].rpartition(":")
    digits = port.isascii() and port.isdigit()  # "²" is a digit, too
    if protocol not in _PROTOCOLS or not slash or not colon or not host or not digits:
        raise UsageError(
            f"{text!r} is no address of a device; write it like tcp/192.168.1.20:{FIRST_PORT}"
        )
    if int(port) > 65535:
        raise UsageError(f"{text!r} has port {port}; ports end at 65535")
    return Endpoint(protocol, host.strip("[]"), int(port))


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach `host`."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def require_loopback(endpoints: list[str], *, open_network: bool) -> None:
    """Keep an unprotected network on this machine, unless its user wants it open.

    Raises:
        UsageError: an endpoint is reachable from elsewhere and `open_network` is false.
    """
    for text in endpoints:
        if not open_network and not is_loopback(parse(text).host):
            raise UsageError(
                f"{text} leaves this machine, and the network is not private: anybody who"
                " reaches it could use this LLM and read prompts. Add --open to allow that"
            )


def is_free(host: str, port: int) -> bool:
    """Whether a TCP server could listen there now."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            server.bind((host, port))
        except OSError:
            return False
    return True


def answers(host: str, port: int, timeout: float = 1.0) -> bool:
    """Whether somebody accepts TCP connections there; blocks for at most `timeout`."""
    try:
        socket.create_connection((host, port), timeout).close()
    except (OSError, ValueError):  # ValueError: a name that is none
        return False
    return True


def is_local(text: str) -> bool:
    """Whether an endpoint is one, and only this machine can reach it."""
    try:
        return is_loopback(parse(text).host)
    except UsageError:
        return False


def is_plain(text: str) -> bool:
    """Whether an endpoint is a plain `protocol/host:port`, without options of Zenoh's."""
    try:
        return bool(parse(text)) and not {"?", "#", ";"} & set(text)
    except UsageError:
        return False


def default_endpoints(*, open_network: bool) -> tuple[str, list[str]]:
    """Where a device listens when nothing is said, and the devices of this machine to join.

    In an open network that is every address of this machine.

    Devices on one machine take the ports from 7447 on, so that each finds the others.

    Raises:
        UsageError: all of them are taken.
    """
    host = "127.0.0.1"
    everywhere = "0.0.0.0" if open_network else host  # noqa: S104 - the user said --open
    taken = [p for p in range(FIRST_PORT, LAST_PORT + 1) if answers(host, p, timeout=0.2)]
    for port in range(FIRST_PORT, LAST_PORT + 1):
        if port not in taken and is_free(everywhere, port):
            return f"tcp/{everywhere}:{port}", [f"tcp/{host}:{p}" for p in taken]
    raise UsageError(
        f"ports {FIRST_PORT} to {LAST_PORT} of {host} are all taken;"
        f" give a free one, as in --listen tcp/{host}:7500"
    )


def reachable(text: str) -> str:
    """An endpoint as others can dial it: "all addresses" becomes this machine's main one."""
    endpoint = parse(text)
    if endpoint.host not in ("0.0.0.0", "::"):  # noqa: S104 - compared, not bound
        return text
    family = socket.AF_INET6 if ":" in endpoint.host else socket.AF_INET
    probe = "2001:db8::1" if family == socket.AF_INET6 else "192.0.2.1"  # documentation's own
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        try:
            sock.connect((probe, 9))  # chooses a route; sends nothing
            host = sock.getsockname()[0]
        except OSError:
            host = "::1" if family == socket.AF_INET6 else "127.0.0.1"
    shown = f"[{host}]" if ":" in host else host
    return f"{endpoint.protocol}/{shown}:{endpoint.port}"
