"""Looking after a device's links: saying what is wrong with them, and mending them.

Zenoh retries configured peers for ever, but not links that it has learnt by gossip. So a device
that was met, is away, and yet answers at its address is introduced anew. Where this machine's own
address has changed, the device listens at the new one and tells it to whom it knows.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence

from dmoa.device.peers import Peers
from dmoa.errors import UsageError
from dmoa.network.addresses import parse
from dmoa.network.probe import addresses_of, answers
from dmoa.network.sealed import SealedNetwork
from dmoa.network.zenoh import ZenohNetwork
from dmoa.node.known import KnownPeers
from dmoa.trust.private import PrivateNetwork

log = logging.getLogger(__name__)

LOOK_SECONDS = 2.0
INTRODUCTION_SECONDS = 3.0
INTRODUCTIONS = 8  # at once
# A device that answers is linked within seconds, but not at once.
UNLINKED_SECONDS = 10.0
_NOBODY = "nobody answers at"
# Whoever was here is looked for often, so that a link that heals is used again within seconds.
MET_SECONDS, UNMET_SECONDS = 4.0, 30.0


class Upkeep:
    """Watches the links of one network.

    Args:
        transport: carries the links.
        network: the members.
        known: the devices that were met.
        configured: addresses that the user gave; only these are worth a warning.
        say: is told of each new problem.
        private: what the state folder keeps of a private network.
    """

    def __init__(
        self,
        transport: ZenohNetwork,
        network: SealedNetwork,
        known: KnownPeers,
        configured: Sequence[str],
        say: Callable[[str], None],
        private: PrivateNetwork | None = None,
    ) -> None:
        self._own_id = network.holder.device
        self._configured = configured
        self._transport = transport
        self._network = network
        self._private = private
        self._known = known
        self._say = say
        self._met: set[str] = set()  # devices that have been here since the start
        self._pauses: dict[str, tuple[float, float]] = {}  # device -> not before, last pause
        self._addresses: list[str] = []
        self._unlinked: dict[str, float] = {}  # configured address -> when it first answered
        self.problems: list[str] = []
        self._trouble: list[str] = []  # with the folder of the private network
        self._watching: asyncio.Task[None] | None = None

    def start(self, peers: Peers) -> None:
        """Begin to watch."""
        self._addresses = self._network.addresses()
        self._watching = asyncio.create_task(self._watch(peers))

    async def close(self) -> None:
        """Stop watching."""
        if self._watching is not None:
            self._watching.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watching

    async def _watch(self, peers: Peers) -> None:
        while True:
            try:
                await self._follow_private()
                await self._follow_address(peers)
                await self._find_lost()
                await self._find_problems(peers)
            except Exception:  # a fault of ours must not end the upkeep of a device that runs
                log.exception("upkeep")
            await asyncio.sleep(LOOK_SECONDS)

    async def _follow_private(self) -> None:
        """Learn what a command has revoked beside this process; keep where invites lead."""
        if self._private is None:
            return
        try:
            self._private.keep_addresses(self._network.addresses())
            self._network.learn(await asyncio.to_thread(self._private.revocations))
            self._trouble = []
        except UsageError as error:  # links are looked after all the same
            self._trouble = [str(error)]

    async def _follow_address(self, peers: Peers) -> None:
        """Listen at this machine's address of now, and tell it."""
        if await asyncio.to_thread(self._transport.must_move):
            await self._transport.move()
            self._pauses.clear()
            self._say(f"the address has changed; listening on {self._shown_addresses()}")
        elif self._network.addresses() != self._addresses:
            peers.greet_again()
        self._addresses = self._network.addresses()

    def _shown_addresses(self) -> str:
        return ", ".join(self._network.addresses())

    async def _find_lost(self) -> None:
        """Introduce this device to those that were met, are away, and answer."""
        now = asyncio.get_running_loop().time()
        here = self._network.alive()
        self._met |= set(here)
        due: dict[str, list[str]] = {}
        for device, addresses in self._known.addresses().items():
            if device in here or device == self._own_id:
                self._pauses.pop(device, None)
                continue
            # Both sides look; one of them a little later, so that they do not meet halfway.
            first = now + (LOOK_SECONDS / 2 if self._own_id > device else 0.0)
            until, seconds = self._pauses.setdefault(device, (first, LOOK_SECONDS / 2))
            if now >= until and len(due) < INTRODUCTIONS:
                longest = MET_SECONDS if device in self._met else UNMET_SECONDS
                seconds = min(2 * seconds, longest)
                self._pauses[device] = (now + seconds, seconds)
                due[device] = addresses
        await asyncio.gather(*(self._introduce(addresses) for addresses in due.values()))

    async def _introduce(self, addresses: list[str]) -> None:
        for address in addresses:
            if await asyncio.to_thread(answers, address):
                await self._transport.introduce(address, INTRODUCTION_SECONDS)
                return

    async def _find_problems(self, peers: Peers) -> None:
        problems = await self._look(peers)
        for problem in problems:
            if problem not in self.problems:
                # Whoever is not there may just not have started yet.
                word = "note" if problem.startswith(_NOBODY) else "warning"
                self._say(f"{word}: {problem}")
        self.problems = problems

    async def _look(self, peers: Peers) -> list[str]:
        """What is wrong with the configured peers and the devices that are no peers."""
        now = asyncio.get_running_loop().time
        problems = [
            f"device {device}: {reason}" for device, reason in sorted(peers.strangers.items())
        ]
        problems += [*self._network.problems(), *self._trouble]
        linked = {parse(a)[1:3] for card in peers.cards().values() for a in card.addresses}
        linked |= {parse(a)[1:3] for a in self._transport.linked()}
        for text in self._configured:
            endpoint = parse(text)
            hosts = await asyncio.to_thread(addresses_of, endpoint.host)
            if any((host, endpoint.port) in linked for host in (endpoint.host, *hosts)):
                self._unlinked.pop(text, None)
                continue
            if not await asyncio.to_thread(answers, text):
                self._unlinked.pop(text, None)
                problems.append(f"{_NOBODY} {text}; it is tried until somebody does")
            elif now() - self._unlinked.setdefault(text, now()) >= UNLINKED_SECONDS:
                problems.append(
                    f"{text} answers, but not as a dmoa device of this network: its certificate,"
                    " or this device's, is of another network or none; check the address given by"
                    " --connect, and that both have joined the same network"
                )
        return problems
