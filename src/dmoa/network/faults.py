"""A network that fails: delay, loss, partition and hanging around any other network.

For tests and studies. Every random choice comes from the generator that is passed in.
"""

import asyncio
import random
from collections.abc import Callable, Mapping

from dmoa.errors import PeerGone
from dmoa.network.interface import Hear, Network, Send, Serve


class FaultyNetwork:
    """One device's place in a network, with faults that can be changed at any time.

    Args:
        network: the network that really carries the bytes.
        generator: for every random choice.

    Attributes:
        mean_delay: mean seconds, exponentially distributed, that each request takes longer.
        loss: probability that a request gets lost with its link.
        cut: devices that cannot be seen or reached.
        hung: this device takes requests and never answers, as a stopped process does.
    """

    def __init__(self, network: Network, generator: random.Random) -> None:
        self._network = network
        self._generator = generator
        self._changed: Callable[[], None] = lambda: None
        self.mean_delay = 0.0
        self.loss = 0.0
        self.cut: set[str] = set()
        self._goes_on = asyncio.Event()
        self._goes_on.set()

    @property
    def hung(self) -> bool:
        """See the class."""
        return not self._goes_on.is_set()

    @hung.setter
    def hung(self, hangs: bool) -> None:
        if hangs:
            self._goes_on.clear()
        else:
            self._goes_on.set()

    async def open(self, device: str, serve: Serve, changed: Callable[[], None]) -> None:
        """See `Network.open`."""
        self._changed = changed

        async def serve_or_hang(asker: str, payload: bytes, send: Send) -> None:
            held: list[bytes] = []

            def hold(data: bytes) -> None:
                held.append(data)
                while held and not self.hung:
                    send(held.pop(0))

            await serve(asker, payload, hold)
            await self._goes_on.wait()
            for data in held:
                send(data)

        await self._network.open(device, serve_or_hang, changed)

    def alive(self) -> Mapping[str, str]:
        """See `Network.alive`."""
        alive = self._network.alive()
        return {device: alive[device] for device in alive if device not in self.cut}

    def cut_off(self, devices: set[str]) -> None:
        """Lose sight of devices, and see all others again."""
        self.cut = devices
        self._changed()

    def certified_name(self, device: str) -> str | None:
        """See `Network.certified_name`."""
        return self._network.certified_name(device)

    def addresses(self) -> list[str]:
        """See `Network.addresses`."""
        return self._network.addresses()

    async def ask(self, device: str, payload: bytes, hear: Hear, silence: float) -> None:
        """See `Network.ask`."""
        if self.mean_delay:
            await asyncio.sleep(self._generator.expovariate(1 / self.mean_delay))
        if device in self.cut or self._generator.random() < self.loss:
            raise PeerGone(f"device {device} cannot be reached")

        def hear_unless_cut(reply: bytes) -> bool | None:
            if device in self.cut:
                raise PeerGone(f"device {device} cannot be reached any more")
            return hear(reply)

        await self._network.ask(device, payload, hear_unless_cut, silence)

    async def retire(self) -> None:
        """See `Network.retire`."""
        await self._network.retire()

    async def close(self) -> None:
        """See `Network.close`."""
        await self._network.close()
