"""Looking after a device's links: saying what is wrong with them, and mending them.

Zenoh retries configured peers for ever, but not links that it has learnt by gossip. So a
device that was met, is gone, and yet accepts connections at its address is dialled anew, by
reopening the session when it disturbs nobody.
"""

import asyncio
import contextlib
from collections.abc import Callable, Sequence

from dmoa.device.peers import Peers
from dmoa.network.addresses import answers, parse
from dmoa.network.zenoh import ZenohNetwork
from dmoa.node.known import KnownPeers

LOOK_SECONDS = 5.0


class Upkeep:
    """Watches the links of one network.

    Args:
        network: the network.
        known: the devices that were met.
        configured: endpoints that the user gave; only these are worth a warning.
        say: is told of each new problem.
    """

    def __init__(
        self,
        network: ZenohNetwork,
        known: KnownPeers,
        configured: Sequence[str],
        say: Callable[[str], None],
    ) -> None:
        self._configured = configured
        self._network = network
        self._known = known
        self._say = say
        self.problems: list[str] = []
        self._watching: asyncio.Task[None] | None = None

    def start(self, peers: Peers, busy: Callable[[], bool]) -> None:
        """Begin to watch.

        Args:
            peers: who is there.
            busy: whether reopening the session would interrupt work.
        """
        self._watching = asyncio.create_task(self._watch(peers, busy))

    async def close(self) -> None:
        """Stop watching."""
        if self._watching is not None:
            self._watching.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watching

    async def _watch(self, peers: Peers, busy: Callable[[], bool]) -> None:
        lost: set[str] = set()
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            problems = await self._look(peers)
            for problem in problems:
                if problem not in self.problems:
                    self._say(f"warning: {problem}")
            self.problems = problems
            # Two looks in a row, so that a link that mends itself is left alone.
            before, lost = lost, await self._lost(peers)
            again = before & lost
            if again and not busy():
                self._say(f"dialling {', '.join(sorted(again))} anew")
                await self._network.reconnect(sorted(again))
                lost = set()

    async def _look(self, peers: Peers) -> list[str]:
        """What is wrong with the configured peers and the devices that are no peers."""
        linked = {a for card in peers.cards().values() for a in card.addresses}
        problems = [
            f"device {device}: {reason}" for device, reason in sorted(peers.strangers.items())
        ]
        for text in self._configured:
            if text in linked or text in self._network.linked():
                continue
            if not await _answers(text):
                problems.append(f"nobody answers at {text}; it is tried until somebody does")
            else:
                problems.append(
                    f"{text} answers, but not as a dmoa device of this network;"
                    " check the address given by --connect"
                )
        return problems

    async def _lost(self, peers: Peers) -> set[str]:
        here = {a for card in peers.cards().values() for a in card.addresses}
        ours = {*self._network.addresses(), *self._network.configured()}
        away = [a for a in self._known.addresses() if a not in here and a not in ours]
        reachable = await asyncio.gather(*(_answers(address) for address in away))
        return {address for address, answer in zip(away, reachable, strict=True) if answer}


async def _answers(text: str) -> bool:
    endpoint = parse(text)
    return await asyncio.to_thread(answers, endpoint.host, endpoint.port)
