"""Attempts to get in, to speak as another, to read, to stay: none succeeds, and each is named.

Each fails when its defence is taken out. What needs real links is in `test_real_links.py`.
"""

from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from dmoa.errors import NotTrusted
from dmoa.network.sealing import Denied, Meet, Met, Sealed, encode
from dmoa.trust.holder import DAY, Holder
from dmoa.trust.introduction import Introduction, Statement
from dmoa.trust.membership import DeviceName, Membership, raw
from dmoa.trust.private import PrivateNetwork
from dmoa.trust.sealing import Channel, Counter
from tests.trust.village import (
    NOW,
    Village,
    Villager,
    denied,
    other_authority,
    run,
    statement,
)

# --- without a membership -----------------------------------------------------------------------


def test_a_device_of_another_network_is_refused_and_both_say_why(tmp_path: Path) -> None:
    async def work(v: Village) -> None:
        key = Ed25519PrivateKey.generate()
        eve = v.place("eve", key)
        await eve.up(Holder.self_made(other_authority(), key))
        assert v.ada.sees()
        assert eve.sees()
        assert await eve.ask(v.ada) == b""
        assert "another network's authority" in eve.says()

    run(tmp_path, work)


@pytest.mark.parametrize("certificate", [b"", b"junk", b"0" * 4000])
def test_bytes_that_are_no_certificate_are_refused(tmp_path: Path, certificate: bytes) -> None:
    async def work(v: Village) -> None:
        key = Ed25519PrivateKey.generate()
        told = Statement(certificate, raw(key.public_key()), bytes(32), NOW, NOW + DAY)
        assert "no certificate" in await denied(v, Introduction.sign(v.authority, told, key, key))

    run(tmp_path, work)


def test_an_authority_that_calls_itself_the_same_is_another(tmp_path: Path) -> None:
    async def work(v: Village) -> None:
        key = Ed25519PrivateKey.generate()
        false = Membership.grant(other_authority(), key.public_key())
        told = statement(false, raw(key.public_key()))
        assert "another network's" in await denied(
            v, Introduction.sign(v.authority, told, key, key)
        )

    run(tmp_path, work)


def test_a_certificate_of_the_authority_that_is_no_membership_is_none(tmp_path: Path) -> None:
    async def work(v: Village) -> None:
        key = Ed25519PrivateKey.generate()
        told = Statement(
            v.authority.certify(key.public_key(), b"\xc1"),
            raw(key.public_key()),
            bytes(32),
            NOW,
            NOW + DAY,
        )
        why = await denied(v, Introduction.sign(v.authority, told, key, key))
        assert "no terms" in why

    run(tmp_path, work)


def test_anothers_certificate_without_its_key_is_worth_nothing(tmp_path: Path) -> None:
    async def work(v: Village) -> None:
        bob = await v.joined("bob").up()
        seen = bob.network.holder.membership  # whoever dials bob sees it
        key = Ed25519PrivateKey.generate()
        told = statement(seen, raw(key.public_key()))
        assert "signature" in await denied(v, Introduction.sign(v.authority, told, key, key))

    run(tmp_path, work)


# --- as another -----------------------------------------------------------------------------------


def test_a_member_cannot_claim_anothers_device_key(tmp_path: Path) -> None:
    async def work(v: Village) -> None:
        bob = await v.joined("bob").up()
        invite = v.invite("eve")
        mine = Membership(invite.membership, v.authority)
        told = statement(mine, bob.network.holder.key)
        forged = Introduction.sign(
            v.authority, told, invite.private_key(), Ed25519PrivateKey.generate()
        )
        assert "signature" in await denied(v, forged)

    run(tmp_path, work)


def test_the_founders_membership_is_the_founders_alone(tmp_path: Path) -> None:
    async def work(v: Village) -> None:
        bob = await v.joined("bob").up()
        founder = v.ada.network.holder.membership
        key = Ed25519PrivateKey.generate()
        told = statement(founder, raw(key.public_key()))
        forged = Introduction.sign(v.authority, told, v.ada.key, key)
        with pytest.raises(NotTrusted, match="another device"):
            bob.network.holder.register.admit(forged, NOW)

    run(tmp_path, work)


def test_a_member_cannot_call_itself_by_anothers_name(tmp_path: Path) -> None:
    async def work(v: Village) -> None:
        await v.joined("bob").up()
        eve = v.joined("eve")
        holder = PrivateNetwork(eve.state).holder(eve.key)
        holder.name = DeviceName.choose("bob")
        await eve.up(holder)
        assert eve.id not in v.ada.network.alive()
        assert "calls itself otherwise" in v.ada.says()
        assert await eve.ask(v.ada) == b""
        assert not v.ada.asked

    run(tmp_path, work)


def test_a_certified_name_is_what_others_are_told(tmp_path: Path) -> None:
    async def work(v: Village) -> None:
        bob = await v.joined("bob").up()
        assert v.ada.network.certified_name(bob.id) == "bob"
        assert bob.network.certified_name(v.ada.id) is None, "the founder names itself"

    run(tmp_path, work)


def test_who_asks_is_who_the_keys_say(tmp_path: Path) -> None:
    async def work(v: Village) -> None:
        bob, eve = await v.joined("bob").up(), await v.joined("eve").up()
        assert await eve.ask(v.ada, b"I am bob") == b"re: I am bob"
        assert v.ada.asked[-1] == (eve.id, b"I am bob")
        # Under bob's address eve has only her own keys.
        to_ada = eve.network._known.of(v.ada.id)
        assert to_ada is not None
        number, data = to_ada.channel.seal_request(b"\x00as bob")
        before = len(v.ada.asked)
        forged = Sealed(bob.network.address, number, data)
        assert await v.send(eve.transport, v.ada.network.address, forged) is None
        assert len(v.ada.asked) == before

    run(tmp_path, work)


def test_anothers_key_of_a_run_cannot_be_taken_for_ones_own(tmp_path: Path) -> None:
    async def work(v: Village) -> None:
        bob, eve = await v.joined("bob").up(), v.joined("eve")
        holder = PrivateNetwork(eve.state).holder(eve.key)
        stolen = holder.introduce(bob.network._session, NOW)
        session = v.session("somewhere", lambda payload: b"")
        reply = await v.send(session, v.ada.network.address, Meet(stolen, bytes(16), bytes(16)))
        assert isinstance(reply, Met), "the proof itself is right"
        assert v.ada.sees(bob), "but nobody has used that key as eve"
        assert await bob.ask(v.ada) == b"re: hello", "and bob goes on"
        assert v.ada.asked[-1][0] == bob.id

    run(tmp_path, work)


def test_keys_of_two_devices_are_bound_to_both() -> None:
    one, two = X25519PrivateKey.generate(), X25519PrivateKey.generate()
    keys = one.public_key().public_bytes_raw(), two.public_key().public_bytes_raw()
    bob = Channel("n", one, b"b" * 32, keys[1], b"a" * 32, Counter())
    as_eve = Channel("n", two, b"a" * 32, keys[0], b"e" * 32, Counter())
    with pytest.raises(NotTrusted):
        as_eve.open_request(*bob.seal_request(b"of bob"))


def test_a_member_that_answers_at_anothers_address_is_not_taken_for_it(tmp_path: Path) -> None:
    async def work(v: Village) -> None:
        bob, eve = await v.joined("bob").up(), await v.joined("eve").up()
        bob.transport.serve = eve.network._answer
        bob.network._meet_soon = lambda address: None  # type: ignore[method-assign]
        cyd = await v.joined("cyd").up()
        assert cyd.network._known.get(bob.network.address) is None
        assert "somebody else answers there" in cyd.says()

    run(tmp_path, work)


def test_a_key_that_leads_to_a_known_secret_is_refused(tmp_path: Path) -> None:
    async def work(v: Village) -> None:
        eve = v.joined("eve")
        holder = PrivateNetwork(eve.state).holder(eve.key)
        assert "key of its run" in await denied(v, holder.introduce(bytes(32), NOW))

    run(tmp_path, work)


# --- between two ----------------------------------------------------------------------------------


async def captured(v: Village, bob: Villager) -> bytes:
    """A message of bob's to ada, as whoever carries it sees it."""
    seen: list[bytes] = []
    carry = v.ada.transport.serve

    async def listen(asker: str, payload: bytes, send: Any) -> None:
        seen.append(payload)
        await carry(asker, payload, send)

    v.ada.transport.serve = listen
    assert await bob.ask(v.ada, b"a secret prompt") == b"re: a secret prompt"
    v.ada.transport.serve = carry
    return seen[-1]


def test_whoever_carries_a_message_cannot_read_it(tmp_path: Path) -> None:
    async def work(v: Village) -> None:
        assert b"secret" not in await captured(v, await v.joined("bob").up())

    run(tmp_path, work)


def test_a_message_that_is_sent_again_is_not_heard_again(tmp_path: Path) -> None:
    async def work(v: Village) -> None:
        message = await captured(v, await v.joined("bob").up())
        heard = len(v.ada.asked)
        session = v.session("somewhere", lambda payload: b"")
        assert await v.send(session, v.ada.network.address, message) is None
        assert len(v.ada.asked) == heard

    run(tmp_path, work)


def test_a_message_that_was_changed_is_not_heard(tmp_path: Path) -> None:
    async def work(v: Village) -> None:
        message = bytearray(await captured(v, await v.joined("bob").up()))
        message[-1] ^= 1
        heard = len(v.ada.asked)
        session = v.session("somewhere", lambda payload: b"")
        assert await v.send(session, v.ada.network.address, bytes(message)) is None
        assert len(v.ada.asked) == heard

    run(tmp_path, work)


def test_a_message_to_one_device_is_none_to_another(tmp_path: Path) -> None:
    async def work(v: Village) -> None:
        bob, cyd = await v.joined("bob").up(), await v.joined("cyd").up()
        message = await captured(v, bob)
        assert await v.send(v.session("x", lambda p: b""), cyd.network.address, message) is None
        assert not cyd.asked

    run(tmp_path, work)


def test_a_reply_of_somebody_else_is_not_heard(tmp_path: Path) -> None:
    async def work(v: Village) -> None:
        bob = await v.joined("bob").up()
        carry = v.ada.transport.serve

        async def meddle(asker: str, payload: bytes, send: Any) -> None:
            send(b"junk")
            send(encode(Denied("go away")))
            await carry(asker, payload, send)

        v.ada.transport.serve = meddle
        assert await bob.ask(v.ada, b"?") == b"re: ?"

    run(tmp_path, work)


def test_replies_cannot_be_swapped_nor_left_out() -> None:
    def pair() -> tuple[Channel, Channel]:
        one, two = X25519PrivateKey.generate(), X25519PrivateKey.generate()
        a, b = b"a" * 32, b"b" * 32
        first = Channel("n", one, a, two.public_key().public_bytes_raw(), b, Counter())
        second = Channel("n", two, b, one.public_key().public_bytes_raw(), a, Counter())
        return first, second

    asker, other = pair()
    number, data = other.seal_reply(b"second", b"request 1, reply 1")
    with pytest.raises(NotTrusted):
        asker.open_reply(number, data, b"request 1, reply 0")
    assert asker.open_reply(number, data, b"request 1, reply 1") == b"second"
    with pytest.raises(NotTrusted, match="not of the device"):
        other.open_request(*other.seal_request(b"my own, back to me"))


def test_an_introduction_that_is_shown_again_opens_nothing(tmp_path: Path) -> None:
    async def work(v: Village) -> None:
        bob = await v.joined("bob").up()
        shown = bob.network.holder.introduce(bob.network._session, NOW)
        session = v.session("somewhere", lambda payload: b"")
        reply = await v.send(session, v.ada.network.address, Meet(shown, bytes(16), bytes(16)))
        assert isinstance(reply, Met), "who bob is, is no secret"
        assert b"home" not in encode(reply)
        number, data = reply.number, reply.data
        forged = Sealed(bob.network.address, number, data)
        assert await v.send(session, v.ada.network.address, forged) is None

    run(tmp_path, work)


def test_yesterdays_introduction_is_refused(tmp_path: Path) -> None:
    async def work(v: Village) -> None:
        bob = await v.joined("bob").up()
        old = bob.network.holder.introduce(bob.network._session, NOW - 2 * DAY)
        assert "one of the two clocks is wrong" in await denied(v, old)

    run(tmp_path, work)
