"""What dmoa asks of a network: who is there, and asking one of them.

Payloads are bytes; `messages.py` gives them meaning. An implementation promises:

* `alive` follows reality within seconds, and a device that has left does not come back until
  it has really joined again; each time it joins it has a new incarnation.
* `ask` hears the replies in order, and raises `PeerGone` when there is none.
  It ends with the reply that the asker takes for the last one, or when the other side has
  ended or disappeared: the replies must tell which.
* The other side does not notice when an asker goes away: say so by a message.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

Send = Callable[[bytes], None]
"""Sends one reply to whoever asked; the replies to a request arrive in order."""

Hear = Callable[[bytes], bool | None]
"""Is given each reply; True says that it was the last one, which only its content tells early."""

Serve = Callable[[str, bytes, Send], Awaitable[None]]
"""Answers one request by any number of replies; it must not raise for any bytes.

It is told the id of the device that asks, which the network has proved; empty in a network that
proves nothing, such as one that only carries what `sealed.py` sends.
"""


class Network(Protocol):
    """One device's place in a network of devices."""

    async def open(self, device: str, serve: Serve, changed: Callable[[], None]) -> None:
        """Join.

        Args:
            device: id of this device.
            serve: answers requests of others.
            changed: is called, on the event loop, whenever `alive` has changed.

        Raises:
            UsageError: an address is taken or makes no sense.
        """

    def alive(self) -> Mapping[str, str]:
        """Ids of the other devices that are there, each with its incarnation."""

    def certified_name(self, device: str) -> str | None:
        """What the network's authority calls a device; None where devices name themselves."""

    def addresses(self) -> list[str]:
        """Where other devices can reach this one."""

    async def ask(self, device: str, payload: bytes, hear: Hear, silence: float) -> None:
        """Send a request and hear the replies; cancelling this stops listening.

        Raises:
            PeerGone: there was no reply.
            PeerSilent: nothing came for `silence` seconds.
            Exception: what `hear` raised; nothing more is heard then.
        """

    async def retire(self) -> None:
        """Disappear from the others' `alive`, but go on serving what they have asked."""

    async def close(self) -> None:
        """Leave, and free what was held."""
