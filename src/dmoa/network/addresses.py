"""Link addresses such as `quic/192.168.1.20:7447`: reading them, and who may reach them.

QUIC carries what leaves the machine: a TCP link to a device that has silently gone blocks the
links to all others when it is closed, and QUIC does not. TCP is for the loopback address, and as
`tls` for networks that let no UDP through; both have TLS, with certificates on both sides.
"""

import ipaddress
from typing import NamedTuple

from dmoa.errors import UsageError

FIRST_PORT, LAST_PORT = 7447, 7462
EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104 - compared, and bound where the user says so
_PROTOCOLS = ("quic", "tcp", "tls")
_OPTIONS = "?#;"  # what begins Zenoh's options


class Endpoint(NamedTuple):
    """The parts of `protocol/host:port`; options of Zenoh's may follow."""

    protocol: str
    host: str
    port: int
    options: str = ""

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.protocol}/{host}:{self.port}{self.options}"


def parse(text: str) -> Endpoint:
    """Read an address; without a protocol it means QUIC.

    Raises:
        UsageError: it is none.
    """
    protocol, slash, rest = text.partition("/")
    if not slash:
        protocol, rest = "quic", text
    end = min((rest.find(sign) for sign in _OPTIONS if sign in rest), default=len(rest))
    host, colon, port = rest[:end].rpartition(":")
    digits = port.isascii() and port.isdigit()  # "²" is a digit, too
    if protocol not in _PROTOCOLS or not colon or not host or not digits:
        raise UsageError(
            f"{text!r} is no address of a device; write it like 192.168.1.20:{FIRST_PORT},"
            f" or tcp/127.0.0.1:{FIRST_PORT} on this machine"
        )
    if int(port) > 65535:
        raise UsageError(f"{text!r} has port {port}; ports end at 65535")
    return Endpoint(protocol, host.strip("[]"), int(port), rest[end:])


def link_address(text: str) -> str:
    """An address as links use it: written in full, and QUIC where it leaves the machine.

    Whoever writes `tls` there means it.

    Raises:
        UsageError: it is none.
    """
    endpoint = parse(text)
    if not is_loopback(endpoint.host) and endpoint.protocol == "tcp":
        endpoint = endpoint._replace(protocol="quic")
    return str(endpoint)


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


def is_local(text: str) -> bool:
    """Whether a text is an address, and only this machine can reach it."""
    try:
        return is_loopback(parse(text).host)
    except UsageError:
        return False


def is_plain(text: str) -> bool:
    """Whether a text is a plain `protocol/host:port`, without options of Zenoh's."""
    try:
        return "/" in text and not parse(text).options
    except UsageError:
        return False
