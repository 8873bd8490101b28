"""The in-memory twin of a network: the same bytes, no sockets, on whatever clock runs.

hub = MemoryHub()
a, b = hub.network(), hub.network()
"""

import asyncio
from collections.abc import Callable, Mapping
from itertools import count

from dmoa.errors import PeerGone
from dmoa.network.interface import Hear, Serve
from dmoa.network.request import OpenRequest
from dmoa.policies.limits import LIMITS


class MemoryHub:
    """The air between networks of one process."""

    def __init__(self) -> None:
        self.members: dict[str, MemoryNetwork] = {}
        self._incarnations = count(1)

    def network(self) -> "MemoryNetwork":
        """A place for one more device."""
        return MemoryNetwork(self)

    def join(self, member: "MemoryNetwork") -> str:
        """Make a device visible; returns its incarnation."""
        self.members[member.device] = member
        self.announce()
        return str(next(self._incarnations))

    def leave(self, member: "MemoryNetwork") -> None:
        """Make a device disappear."""
        if self.members.get(member.device) is member:
            del self.members[member.device]
            self.announce()

    def announce(self) -> None:
        """Tell everybody that somebody came or went."""
        loop = asyncio.get_running_loop()
        for member in self.members.values():
            loop.call_soon(member.changed)


class MemoryNetwork:
    """One device's place in a `MemoryHub`; see `Network`."""

    def __init__(self, hub: MemoryHub) -> None:
        self._hub = hub
        self.device = ""
        self.incarnation = ""
        self._open = False
        self._serving: set[asyncio.Task[None]] = set()

    async def open(self, device: str, serve: Serve, changed: Callable[[], None]) -> None:
        """Join the hub."""
        self.device, self.serve, self.changed = device, serve, changed
        self._open = True
        self.incarnation = self._hub.join(self)

    def alive(self) -> Mapping[str, str]:
        """All other members of the hub."""
        return {
            device: member.incarnation
            for device, member in self._hub.members.items()
            if member is not self
        }

    def certified_name(self, device: str) -> str | None:
        """Devices name themselves."""
        return None

    def addresses(self) -> list[str]:
        """There are none."""
        return []

    async def ask(self, device: str, payload: bytes, hear: Hear, silence: float) -> None:
        """See `Network.ask`."""
        member = self._hub.members.get(device)
        if member is None or not self._open or len(payload) > LIMITS.message_bytes:
            raise PeerGone(f"device {device} is not there")
        request = OpenRequest(device, hear, silence)
        member.answer(self.device, payload, request)
        await request.listen()

    def answer(self, asker: str, payload: bytes, request: OpenRequest) -> None:
        """Serve a request in a task of its own, as another process would."""
        loop = asyncio.get_running_loop()

        def send(reply: bytes) -> None:
            if self._open:
                loop.call_soon(request.take, bytes(reply))

        async def serve() -> None:
            try:
                await self.serve(asker, bytes(payload), send)
            finally:
                loop.call_soon(request.end)

        task = asyncio.create_task(serve())
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def retire(self) -> None:
        """Leave the hub's members."""
        self._hub.leave(self)

    async def close(self) -> None:
        """Leave; whoever waits for this device is told that it is gone."""
        self._hub.leave(self)
        self._open = False
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)
