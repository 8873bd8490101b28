"""A private network in memory: members, intruders, and a clock that tests set.

Devices are real `SealedNetwork`s over the in-memory transport, which carries real bytes, proves
nothing, and lets anybody answer at any address: what Zenoh lets a session do that has a link.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from dmoa.errors import PeerError
from dmoa.network.interface import Send
from dmoa.network.memory import MemoryHub, MemoryNetwork
from dmoa.network.sealed import SealedNetwork
from dmoa.network.sealing import Denied, Meet, OutsideReply, decode_reply, encode
from dmoa.trust.authority import Authority
from dmoa.trust.holder import DAY, Holder
from dmoa.trust.introduction import Introduction, Statement
from dmoa.trust.invite import Invite
from dmoa.trust.membership import Membership
from dmoa.trust.private import PrivateNetwork
from tests.virtual import run_virtual

NOW = int(time.time())


class Clock:
    """Seconds since 1970, as one machine sees them."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


class Villager:
    """One device: its state folder, its network, and what it was asked."""

    def __init__(self, village: "Village", state: Path, key: Ed25519PrivateKey) -> None:
        self.village = village
        self.state = state
        self.key = key
        self.clock = Clock()
        self.asked: list[tuple[str, bytes]] = []
        self.answer: Callable[[bytes], bytes] = lambda payload: b"re: " + payload
        self.transport = village.hub.network()
        self.network: SealedNetwork

    @property
    def id(self) -> str:
        return self.network.holder.device

    async def up(self, holder: Holder | None = None) -> "Villager":
        """Start it, anew if it ran before."""
        self.transport = self.village.hub.network()
        held = holder or PrivateNetwork(self.state).holder(self.key)
        self.network = SealedNetwork(self.transport, held, self.clock)
        self.village.running.append(self)
        await self.network.open(self.id, self.serve, lambda: None)
        await asyncio.sleep(0.1)
        return self

    async def serve(self, asker: str, payload: bytes, send: Send) -> None:
        self.asked.append((asker, payload))
        send(self.answer(payload))

    async def ask(self, other: "Villager", payload: bytes = b"hello") -> bytes:
        """What another device replies; b"" when it does not."""
        heard: list[bytes] = []
        try:
            await self.network.ask(other.id, payload, keep_one(heard), 5)
        except PeerError:
            return b""
        return heard[0]

    def sees(self, *others: "Villager") -> bool:
        """Whether these are the members that it sees."""
        return set(self.network.alive()) == {other.id for other in others}

    def says(self) -> str:
        """What is wrong with the network, in its words."""
        return " | ".join(self.network.problems())


class Village:
    """A private network, made by `ada`."""

    def __init__(self, folder: Path) -> None:
        self.hub = MemoryHub()
        self.folder = folder
        self.running: list[Villager] = []
        self.ada = self.place("ada")
        PrivateNetwork.create(self.ada.state, self.ada.key, "home", "ada")
        self.authority: Authority = self.private.authority(None)

    @property
    def private(self) -> PrivateNetwork:
        """The network as ada's folder keeps it."""
        return PrivateNetwork(self.ada.state)

    def place(self, name: str, key: Ed25519PrivateKey | None = None) -> Villager:
        """A device that has joined nothing yet."""
        state = self.folder / name
        state.mkdir(exist_ok=True)
        return Villager(self, state, key or Ed25519PrivateKey.generate())

    def invite(self, name: str, **how: Any) -> Invite:
        """An invite of ada's."""
        how = {"seconds": 3600, "days": None, "addresses": []} | how
        return self.private.invite(self.authority, name, **how)

    def joined(self, name: str, invite: Invite | None = None) -> Villager:
        """A device that has joined."""
        device = self.place(name)
        PrivateNetwork.join(device.state, invite or self.invite(name), "invite")
        return device

    def revoke(self, name: str) -> None:
        """What `dmoa network revoke` does beside ada's process, and what that does of it."""
        self.private.revoke(self.authority, name)
        self.ada.network.learn(self.private.revocations())

    def session(self, address: str, answer: Callable[[bytes], bytes]) -> MemoryNetwork:
        """A bare session with a link, that answers at an address, whosever it is."""
        network = self.hub.network()

        async def serve(_: str, payload: bytes, send: Send) -> None:
            send(answer(payload))

        network.device, network.serve, network.changed = address, serve, lambda: None
        network._open = True
        return network

    async def send(self, session: MemoryNetwork, address: str, message: Any) -> OutsideReply | None:
        """What an address replies to a message, or to bytes, of a bare session."""
        heard: list[bytes] = []
        payload = message if isinstance(message, bytes) else encode(message)
        try:
            await session.ask(address, payload, keep_one(heard), 5)
        except PeerError:
            return None
        return decode_reply(heard[0])


def keep_one(heard: list[bytes]) -> Callable[[bytes], bool]:
    """Hears one reply."""

    def hear(data: bytes) -> bool:
        heard.append(data)
        return True

    return hear


@asynccontextmanager
async def village(folder: Path) -> AsyncGenerator[Village, None]:
    """A network with ada running in it."""
    made = Village(folder)
    try:
        await made.ada.up()
        yield made
    finally:
        for device in made.running:
            await device.network.close()


def run(folder: Path, work: Callable[[Village], Any]) -> None:
    """Let something happen in a village, on virtual time."""

    async def live() -> None:
        async with village(folder) as v:
            await work(v)

    run_virtual(live())


def other_authority() -> Authority:
    """That of another network."""
    return Authority(*Authority.create())


def statement(membership: Membership, device: bytes, session: bytes | None = None) -> Statement:
    """What an introduction says of a device, valid now."""
    key = session or X25519PrivateKey.generate().public_key().public_bytes_raw()
    return Statement(membership.certificate, device, key, NOW - 60, NOW + DAY)


async def denied(v: Village, introduction: Introduction) -> str:
    """Why ada does not let somebody in who introduces itself so."""
    session = v.session("somewhere", lambda payload: b"")
    digest = v.ada.network.holder.register.revocations.digest()
    reply = await v.send(session, v.ada.network.address, Meet(introduction, bytes(16), digest))
    assert isinstance(reply, Denied), reply
    return reply.why


class Rogue(SealedNetwork):
    """A member's program that was changed: what it learns of revocations it forgets."""

    def learn(self, revocations: Any) -> None:
        pass
