"""A network of proven members, over a transport that proves nothing.

Beneath it a transport (`zenoh.py`) knows addresses: random-looking hashes, one a run of a device.
Whoever sees one there is met: both sides show their introductions (`trust/introduction.py`) and
tell their names only when these hold. From then on every message is sealed for the two of them
(`trust/sealing.py`), so `alive`, who asks and who replies are what the certificates say.

Revocations travel with each meeting and, when they are new, to everybody at once.
"""

import asyncio
import contextlib
import hashlib
import logging
import secrets
import struct
import time
from collections.abc import Callable, Coroutine, Iterable, Mapping
from typing import Any

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from dmoa.errors import NotTrusted, PeerError, PeerGone, PeerRefused
from dmoa.network.acquaintances import Acquaintance, Acquaintances
from dmoa.network.interface import Hear, Network, Send, Serve
from dmoa.network.sealing import (
    Denied,
    Greeting,
    Meet,
    Met,
    Sealed,
    SealedReply,
    decode,
    decode_greeting,
    decode_reply,
    encode,
)
from dmoa.policies.limits import LIMITS
from dmoa.trust.holder import Holder
from dmoa.trust.introduction import Introduction
from dmoa.trust.register import Member
from dmoa.trust.revocation import Revocation
from dmoa.trust.sealing import Channel, Counter

log = logging.getLogger(__name__)

MEET_SECONDS = 5.0
LOOK_SECONDS = 1.0
LONGEST_PAUSE = 30.0
_MESSAGE, _GREETING = b"\x00", b"\x01"


class SealedNetwork:
    """One device's place among members; see `Network`.

    Args:
        transport: carries the bytes.
        holder: this device's membership.
        clock: seconds since 1970.
    """

    def __init__(
        self, transport: Network, holder: Holder, clock: Callable[[], float] = time.time
    ) -> None:
        self._transport = transport
        self.holder = holder
        self._clock = clock
        self._key = X25519PrivateKey.generate()
        self._session = self._key.public_key().public_bytes_raw()
        self._counter = Counter()
        self.address = address_of(self._session, holder.key)
        self._known = Acquaintances(self._now)
        self._pauses: dict[str, tuple[float, float]] = {}  # address -> not before, last pause
        self._meeting: set[str] = set()
        self._background: set[asyncio.Task[None]] = set()
        self._alive: dict[str, str] = {}
        self._changed: Callable[[], None] = lambda: None
        self._closed = False
        self.expelled = ""
        """Why this device is no member any more; empty while it is one."""

    def _now(self) -> int:
        return int(self._clock())

    async def open(self, device: str, serve: Serve, changed: Callable[[], None]) -> None:
        """Join; the device must be the holder's."""
        if device != self.holder.device:
            raise ValueError(f"the holder is {self.holder.device}, not {device}")
        self._serve, self._changed = serve, changed
        self._loop = asyncio.get_running_loop()
        self._check_revocations()
        await self._transport.open(self.address, self._answer, self._look_around)
        self._spawn(self._look_often())

    # --- who is there -------------------------------------------------------------------------

    def alive(self) -> Mapping[str, str]:
        """Members that are there, each with its incarnation."""
        return self._alive

    def addresses(self) -> list[str]:
        """See `Network.addresses`."""
        return self._transport.addresses()

    def certified_name(self, device: str) -> str | None:
        """See `Network.certified_name`."""
        return self._known.name(device)

    def problems(self) -> list[str]:
        """What is wrong with those who are there, for people."""
        own = self.holder.device
        return [self.expelled] if self.expelled else self._known.problems(own, self._loop.time())

    def _look_around(self) -> None:
        """Somebody has come or gone: meet who is new."""
        here = self._transport.alive()
        self._known.see(here, self._loop.time())
        for address in [a for a in self._pauses if a not in here]:
            del self._pauses[address]
        for address in here:
            if self._known.is_due(address):
                self._meet_soon(address)
        self._refresh()

    def _refresh(self) -> None:
        found = {} if self.expelled else self._known.alive(self._transport.alive())
        if found != self._alive:
            self._alive = found
            self._changed()

    async def _look_often(self) -> None:
        """Meet again those who did not answer, or whose proof runs out."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                for address in self._transport.alive():
                    if self._known.is_due(address):
                        self._meet_soon(address)
                self._refresh()
            except Exception:  # a fault of ours must not end the looking
                log.exception("looking after proofs")

    def _meet_soon(self, address: str) -> None:
        now = self._loop.time()
        before, pause = self._pauses.get(address, (now, LOOK_SECONDS / 2))
        if address in self._meeting or now < before or self.expelled:
            return
        pause = min(2 * pause, LONGEST_PAUSE)
        self._pauses[address] = (now + pause, pause)
        self._meeting.add(address)
        self._spawn(self._meet(address))

    # --- meeting ------------------------------------------------------------------------------

    async def _meet(self, address: str) -> None:
        try:
            if (met := await self._exchange(address)) is not None:
                await self._greet(met)
                self._pauses.pop(address, None)
                self._refresh()
        except PeerError as error:
            log.info("meeting %s: %s", address, error)
        finally:
            self._meeting.discard(address)

    async def _exchange(self, address: str) -> Acquaintance | None:
        """Show introductions; None when one of the two refuses."""
        once = secrets.token_bytes(16)
        register = self.holder.register
        digest = register.revocations.digest()
        meet = Meet(self.holder.introduce(self._session, self._now()), once, digest)
        found: list[Acquaintance] = []
        denials: list[Denied] = []

        def hear(data: bytes) -> bool:
            match decode_reply(data):
                case Met() as met:
                    with contextlib.suppress(NotTrusted):  # somebody else's noise, or said below
                        found.append(self._accept(address, met, once))
                        return True
                case Denied() as denied:
                    denials.append(denied)
            return False

        await self._transport.ask(address, encode(meet), hear, MEET_SECONDS)
        if found:
            return found[0]
        if denials:
            self._is_denied(address, denials[0])
        return None

    def _accept(self, address: str, met: Met, once: bytes) -> Acquaintance:
        """Check who has answered at an address."""
        try:
            member = self.holder.register.admit(met.introduction, self._now())
            if address_of(member.session, member.key) != address:
                raise NotTrusted("somebody else answers there")
            known = self._acquaint(address, member)
            data = known.channel.open_reply(met.number, met.data, once)
            if (greeting := decode_greeting(data)) is None:
                raise NotTrusted("its greeting cannot be read")
            self._is_greeted(known, greeting)
        except NotTrusted as error:
            self._refuse(address, met.introduction, str(error))
            raise
        return known

    async def _greet(self, known: Acquaintance) -> None:
        """Tell a member that has proved itself this device's name and what else it should know."""
        await self._tell(known, self._greeting_for(known.member, None))

    def _greeting_for(self, member: Member, digest: bytes | None) -> Greeting:
        """`digest` is that of the revocations which the other knows, if it has said so."""
        known = self.holder.register.revocations
        tell = [] if digest == known.digest() else list(known)
        return Greeting(self.holder.name, tell, self.holder.witness(member))

    async def _tell(self, known: Acquaintance, greeting: Greeting) -> None:
        await self._ask(known, _GREETING + encode(greeting), lambda data: True, MEET_SECONDS)

    def _on_meet(self, meet: Meet, send: Send) -> None:
        if self.expelled:
            send(encode(Denied("it was revoked itself")))
            return
        address = ""
        try:
            member = self.holder.register.admit(meet.introduction, self._now())
            address = address_of(member.session, member.key)
            known = self._acquaint(address, member)
        except NotTrusted as error:
            why = self._refuse(address, meet.introduction, str(error))
            send(encode(Denied(why, evidence=self._evidence(meet.introduction))))
            return
        greeting = encode(self._greeting_for(member, meet.revocations))
        number, data = known.channel.seal_reply(greeting, meet.once)
        mine = self.holder.introduce(self._session, self._now())
        send(encode(Met(mine, number, data)))

    def _acquaint(self, address: str, member: Member) -> Acquaintance:
        """The one who is met, with the keys of the two; what was of an earlier proof is kept."""
        if member.device == self.holder.device:
            self._known.twins.add(address)
            raise NotTrusted("it has the identity of this device, as on a copied disk")
        known = self._known.get(address)
        if known is None:
            channel = Channel(
                self.holder.root.fingerprint,
                self._key,
                self.holder.key,
                member.session,
                member.key,
                self._counter,
            )
            known = Acquaintance(address, member, channel)
            self._known.add(known)
        known.member, known.barred = member, ""
        known.renew_at = self._now() + (member.ends - self._now()) / 2
        self._bar_who_lost_an_invite()
        return known

    def _is_greeted(self, known: Acquaintance, greeting: Greeting) -> None:
        """A member has told its name, and with it proved that the key of its run is its own."""
        digest = known.member.membership.terms.name
        claimed = greeting.name.digest() if greeting.name else b""
        if claimed != digest:
            raise NotTrusted("it calls itself otherwise than its certificate does")
        self.learn(greeting.revocations)
        if known.barred:
            raise NotTrusted(known.barred)
        known.name = greeting.name.name if greeting.name else None
        known.complete = True
        self._known.refused.pop(known.address, None)
        if greeting.witness is not None:
            self.holder.is_witnessed(greeting.witness)

    def _refuse(self, address: str, introduction: Introduction, why: str) -> str:
        """Note whom this device refuses, where it can be told who that is."""
        with contextlib.suppress(NotTrusted):
            statement, _ = introduction.read(self.holder.root)
            address = address or address_of(statement.session, statement.device)
        if address:
            self._known.refuse(address, f"it is refused: {why}")
        return why[: LIMITS.detail_characters]

    def _is_denied(self, address: str, denied: Denied) -> None:
        if denied.evidence is not None:
            self.learn([denied.evidence])
        if not denied.unmet:
            why = f"it refuses this device: {denied.why}"
            self._known.refused.setdefault(address, why)

    def _evidence(self, introduction: Introduction) -> Revocation | None:
        with contextlib.suppress(NotTrusted):
            _, membership = introduction.read(self.holder.root)
            return self.holder.register.revocations.of(membership.serial)
        return None

    # --- revocations --------------------------------------------------------------------------

    def learn(self, revocations: Iterable[Revocation]) -> None:
        """Take over revocations; new ones are passed on to everybody who is there."""
        if not self.holder.register.learn(revocations):
            return
        told = Greeting(self.holder.name, list(self.holder.register.revocations))
        for known in self._known.complete():  # also those who are revoked by it
            self._spawn(self._pass_on(known, told))
        self._check_revocations()
        self._refresh()

    def _check_revocations(self) -> None:
        register = self.holder.register
        if own := register.revocations.of(self.holder.membership.serial):
            self.expelled = (
                "this device was revoked: its network lets it in no more, and it answers alone."
                " Ask for a new invite, remove the folder `network` from its state folder, and"
                f" join again (revocation of {own.serial[:8]})"
            )
        for known in self._known.members():
            if known.member.membership.serial in register.revocations:
                self._known.bar(known, "its membership was revoked")

    def _bar_who_lost_an_invite(self) -> None:
        """An invite that turns out to have been used by another device before."""
        joined = self.holder.register.joined
        for known in self._known.members():
            of = joined.get(known.member.membership.serial)
            if of is not None and of.device != known.member.key:
                self._known.bar(known, "its invite was used by another device before")

    async def _pass_on(self, known: Acquaintance, greeting: Greeting) -> None:
        with contextlib.suppress(PeerError):
            await self._tell(known, greeting)

    # --- asking -------------------------------------------------------------------------------

    async def ask(self, device: str, payload: bytes, hear: Hear, silence: float) -> None:
        """See `Network.ask`."""
        known = None if self.expelled else self._known.of(device)
        if known is None or len(payload) > LIMITS.message_bytes:
            raise PeerGone(f"device {device} cannot be asked")
        await self._ask(known, _MESSAGE + payload, hear, silence)

    async def _ask(self, known: Acquaintance, payload: bytes, hear: Hear, silence: float) -> None:
        number, data = known.channel.seal_request(payload)
        place = 0
        denied: Denied | None = None

        def take(sealed: bytes) -> bool | None:
            nonlocal place, denied
            match decode_reply(sealed):
                case SealedReply(number=reply, data=data):
                    try:
                        opened = known.channel.open_reply(reply, data, _place(number, place))
                    except NotTrusted:  # not of the one that was asked, who may still reply
                        return None
                    if known.barred:
                        raise PeerRefused("stranger", known.barred)
                    place += 1
                    return hear(opened)
                case Denied() as found:
                    denied = found
            return None

        asked = encode(Sealed(self.address, number, data))
        await self._transport.ask(known.address, asked, take, silence)
        if place:
            return
        if denied is None:
            raise PeerGone(f"device {known.member.device} has sent no reply of its own")
        if denied.unmet:
            known.complete = False  # it has begun anew
            self._meet_soon(known.address)
            self._refresh()
            raise PeerGone(f"device {known.member.device} must be met again")
        self._is_denied(known.address, denied)
        raise PeerRefused("stranger", denied.why)

    # --- answering ----------------------------------------------------------------------------

    async def _answer(self, _: str, payload: bytes, send: Send) -> None:
        match decode(payload):
            case Meet() as meet:
                self._on_meet(meet, send)
            case Sealed() as sealed:
                await self._on_sealed(sealed, send)
            case _:
                send(encode(Denied("that is no message of this version of dmoa", unmet=True)))

    async def _on_sealed(self, sealed: Sealed, send: Send) -> None:
        known = self._known.get(sealed.sender)
        if known is None or self.expelled:
            send(encode(Denied("this device has not met the one that asks", unmet=True)))
            return
        try:
            payload = known.channel.open_request(sealed.number, sealed.data)
        except NotTrusted as error:
            log.warning("refused what says to be of %s: %s", known.member.device, error)
            return
        if known.barred:
            evidence = self.holder.register.revocations.of(known.member.membership.serial)
            send(encode(Denied(known.barred, evidence=evidence)))
            return
        place = 0

        def reply(data: bytes) -> None:
            nonlocal place
            if not known.barred:
                told = known.channel.seal_reply(data, _place(sealed.number, place))
                place += 1
                send(encode(SealedReply(*told)))

        kind, inner = payload[:1], payload[1:]
        if kind == _GREETING and (greeting := decode_greeting(inner)):
            self._hear_greeting(known, greeting, reply)
        elif kind == _MESSAGE and known.complete and known.member.ends > self._now():
            await self._serve(known.member.device, inner, reply)
        else:
            send(encode(Denied("this device has not met the one that asks", unmet=True)))

    def _hear_greeting(self, known: Acquaintance, greeting: Greeting, reply: Send) -> None:
        try:
            self._is_greeted(known, greeting)
        except NotTrusted as error:
            self._known.refuse(known.address, f"it is refused: {error}")
            return
        reply(b"")
        self._refresh()

    # --- ending -------------------------------------------------------------------------------

    async def retire(self) -> None:
        """See `Network.retire`."""
        await self._transport.retire()

    async def close(self) -> None:
        """See `Network.close`."""
        self._closed = True
        for task in self._background:
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)
        await self._transport.close()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        if self._closed:
            work.close()
            return
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)


def address_of(session: bytes, device: bytes) -> str:
    """Where a run of a device is found: a hash of its public keys, which tells nothing else."""
    return hashlib.sha256(b"dmoa address 1\x00" + session + device).hexdigest()[:32]


def _place(number: int, index: int) -> bytes:
    """Of which request a reply is, and the how-manieth."""
    return struct.pack(">QI", number, index)
