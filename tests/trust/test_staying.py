"""Attempts to use invites that are not one's own, to stay after a revocation, and to learn names.

Each fails when its defence is taken out.
"""

import asyncio
import shutil
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from dmoa.errors import NotTrusted
from dmoa.network.sealed import address_of
from dmoa.network.sealing import Denied, Meet, encode
from dmoa.trust.authority import Authority
from dmoa.trust.holder import DAY, Holder
from dmoa.trust.introduction import Introduction, Witness
from dmoa.trust.membership import DeviceName, Membership, raw
from dmoa.trust.private import PrivateNetwork
from dmoa.trust.register import Register
from dmoa.trust.revocation import Revocation, Revocations
from tests.trust.village import (
    NOW,
    Rogue,
    Village,
    denied,
    keep_one,
    other_authority,
    run,
    statement,
)

YEAR = 365 * DAY


# --- by invites -----------------------------------------------------------------------------------


def test_an_invite_lets_one_device_in_and_its_copy_is_named(tmp_path: Path) -> None:
    async def work(v: Village) -> None:
        invite = v.invite("bob")
        bob = await v.joined("bob", invite).up()
        thief = await v.joined("thief", invite).up()
        assert v.ada.sees(bob)
        assert not thief.network.alive().keys() & {v.ada.id}
        assert await thief.ask(v.ada) == b""
        assert "its invite was used before" in v.ada.says()
        assert "its invite was used before" in thief.says()

    run(tmp_path, work)


def test_a_thief_who_met_somebody_else_later_is_found_out_when_they_meet(tmp_path: Path) -> None:
    async def work(v: Village) -> None:
        invite = v.invite("bob")
        bob, cyd = await v.joined("bob", invite).up(), v.joined("cyd")
        await bob.network.close()
        thief = v.joined("thief", invite)
        holder = PrivateNetwork(thief.state).holder(thief.key)
        cyds = PrivateNetwork(cyd.state).holder(cyd.key)
        late = holder.introduce(X25519PrivateKey.generate().public_key().public_bytes_raw(), NOW)
        cyds.register.admit(late, NOW + 60)  # cyd has not met bob, and takes the thief for him
        await cyd.up(cyds)
        again = await v.place("bob", bob.key).up()
        assert again.id in cyd.network.alive(), "ada has witnessed that bob was first"
        with pytest.raises(NotTrusted, match="used before"):
            cyds.register.admit(late, NOW + 61)

    run(tmp_path, work)


def test_a_thief_who_was_let_in_is_put_out_when_the_first_device_comes(tmp_path: Path) -> None:
    async def work(v: Village) -> None:
        invite = v.invite("bob")
        bob, cyd = await v.joined("bob", invite).up(), v.joined("cyd")
        for device in (bob, v.ada):
            await device.network.close()
        cyd.clock.ahead = 60
        await cyd.up()
        thief = await v.joined("thief", invite).up()
        assert cyd.sees(thief)
        again = await v.place("bob", bob.key).up()
        assert cyd.sees(again)
        assert await thief.ask(cyd) == b""
        assert "used by another device before" in cyd.says()

    run(tmp_path, work)


def test_an_invite_that_nobody_used_in_time_is_void(tmp_path: Path) -> None:
    async def work(v: Village) -> None:
        eve = v.joined("eve", v.invite("eve", seconds=3600))
        v.ada.clock.ahead = eve.clock.ahead = 3601
        await eve.up()
        assert v.ada.sees()
        assert "ended on" in v.ada.says()

    run(tmp_path, work)


def test_whoever_joined_in_time_is_believed_by_those_who_were_away(tmp_path: Path) -> None:
    async def work(v: Village) -> None:
        cyd = v.joined("cyd")
        await cyd.up()
        await cyd.network.close()
        bob = await v.joined("bob").up()
        assert len(PrivateNetwork(bob.state).member.witnesses) == 1
        for device in (v.ada, bob, cyd):
            device.clock.ahead = 12 * 3600
        cyd = await v.place("cyd", cyd.key).up()
        cyd.clock.ahead = 12 * 3600
        await bob.network._meet(cyd.network.address)
        assert bob.id in cyd.network.alive()

    run(tmp_path, work)


def test_a_device_cannot_witness_itself(tmp_path: Path) -> None:
    async def work(v: Village) -> None:
        invite = v.invite("eve")
        mine, key = Membership(invite.membership, v.authority), Ed25519PrivateKey.generate()
        device = raw(key.public_key())
        witness = Witness.sign(
            v.authority, mine, invite.private_key(), serial=mine.serial, device=device, when=NOW
        )
        told = statement(mine, device)
        forged = Introduction.sign(v.authority, told, invite.private_key(), key, [witness])
        v.ada.clock.ahead = 2 * 3600
        assert "ended on" in await denied(v, forged)

    run(tmp_path, work)


def test_the_word_of_a_revoked_member_counts_nothing(tmp_path: Path) -> None:
    async def work(v: Village) -> None:
        mallory, invite = await v.joined("mallory").up(), v.invite("eve")
        mine, key = Membership(invite.membership, v.authority), Ed25519PrivateKey.generate()
        theirs = mallory.network.holder
        witness = Witness.sign(
            v.authority,
            theirs.membership,
            theirs._membership_key,
            serial=mine.serial,
            device=raw(key.public_key()),
            when=NOW,
        )
        told = statement(mine, raw(key.public_key()))
        shown = Introduction.sign(v.authority, told, invite.private_key(), key, [witness])
        v.revoke("mallory")
        v.ada.clock.ahead = 2 * 3600
        assert "ended on" in await denied(v, shown)

    run(tmp_path, work)


def test_a_membership_ends_when_it_should(tmp_path: Path) -> None:
    async def work(v: Village) -> None:
        bob = await v.joined("bob", v.invite("bob", days=0.5)).up()
        assert v.ada.sees(bob)
        v.ada.clock.ahead = bob.clock.ahead = 0.5 * DAY + 1
        v.ada.network._refresh()
        assert v.ada.sees(), "also in the middle of a link"
        assert await bob.ask(v.ada) == b""
        await v.ada.network._meet(bob.network.address)
        assert "its membership ended on" in v.ada.says()

    run(tmp_path, work)


# --- to stay --------------------------------------------------------------------------------------


def test_a_revoked_device_is_out_at_once_everywhere_and_is_told(tmp_path: Path) -> None:
    async def work(v: Village) -> None:
        bob, cyd = await v.joined("bob").up(), await v.joined("cyd").up()
        assert cyd.sees(v.ada, bob)
        v.revoke("bob")
        await asyncio.sleep(0.5)
        assert v.ada.sees(cyd)
        assert cyd.sees(v.ada)
        assert bob.sees()
        assert "this device was revoked" in bob.says()
        assert "bob is refused: its membership was revoked" in cyd.says()
        assert await bob.ask(cyd) == b""

    run(tmp_path, work)


def test_an_answer_that_comes_after_the_revocation_is_not_heard(tmp_path: Path) -> None:
    async def work(v: Village) -> None:
        bob = v.joined("bob")
        held = asyncio.Event()

        async def late(asker: str, payload: bytes, send: Any) -> None:
            await held.wait()
            send(b"too late")

        bob.serve = late  # type: ignore[method-assign]
        await bob.up()
        bob.network.learn = lambda revocations: None  # type: ignore[method-assign]
        asking = asyncio.create_task(v.ada.ask(bob))
        await asyncio.sleep(0.1)
        v.revoke("bob")
        held.set()
        assert await asking == b""

    run(tmp_path, work)


def test_a_revoked_device_that_does_not_listen_is_out_as_well(tmp_path: Path) -> None:
    async def work(v: Village) -> None:
        bob = v.joined("bob")
        await bob.up()
        await bob.network.close()
        bob.transport = v.hub.network()
        bob.network = Rogue(bob.transport, PrivateNetwork(bob.state).holder(bob.key))
        v.running.append(bob)
        await bob.network.open(bob.id, bob.serve, lambda: None)
        cyd = await v.joined("cyd").up()
        assert await bob.ask(v.ada) == b"re: hello"
        v.revoke("bob")
        await asyncio.sleep(0.5)
        before = len(v.ada.asked), len(cyd.asked)
        assert await bob.ask(v.ada) == b""
        assert await bob.ask(cyd) == b""
        assert await v.ada.ask(bob) == b"", "nor does it answer"
        assert (len(v.ada.asked), len(cyd.asked)) == before

    run(tmp_path, work)


def test_a_revoked_device_that_starts_anew_is_refused_with_the_reason(tmp_path: Path) -> None:
    async def work(v: Village) -> None:
        bob = v.joined("bob")
        v.revoke("bob")
        await bob.up()
        assert v.ada.sees()
        assert "was revoked" in v.ada.says()
        assert "this device was revoked" in bob.says(), "the authority's own word came along"

    run(tmp_path, work)


def test_who_was_away_learns_of_a_revocation_when_it_comes_back(tmp_path: Path) -> None:
    async def work(v: Village) -> None:
        bob, cyd = await v.joined("bob").up(), await v.joined("cyd").up()
        await cyd.network.close()
        v.revoke("bob")
        cyd = await v.place("cyd", cyd.key).up()
        assert cyd.sees(v.ada)
        assert await bob.ask(cyd) == b""
        assert len(PrivateNetwork(cyd.state).revocations()) == 1, "and keeps it"

    run(tmp_path, work)


def test_a_folder_from_before_a_revocation_brings_nobody_back(tmp_path: Path) -> None:
    async def work(v: Village) -> None:
        bob, cyd = await v.joined("bob").up(), await v.joined("cyd").up()
        shutil.copytree(v.ada.state, tmp_path / "backup")
        v.revoke("bob")
        await asyncio.sleep(0.5)
        await v.ada.network.close()
        shutil.rmtree(v.ada.state)
        shutil.copytree(tmp_path / "backup", v.ada.state)
        v.ada = await v.place("ada", v.ada.key).up()
        assert v.ada.sees(cyd)
        assert await bob.ask(v.ada) == b""

    run(tmp_path, work)


def test_nobody_but_the_authority_revokes(tmp_path: Path) -> None:
    async def work(v: Village) -> None:
        bob, eve = await v.joined("bob").up(), await v.joined("eve").up()
        serial = bob.network.holder.membership.serial
        forged = Revocation(serial, NOW, bytes(64))
        foreign = Revocation.sign(other_authority(), serial)
        later = msgspec.structs.replace(Revocation.sign(v.authority, "0" * 40), serial=serial)
        for false in (forged, foreign, later):
            eve.network.holder.register.revocations._known[serial] = false
            known = eve.network._known.of(v.ada.id)
            assert known is not None
            await eve.network._greet(known)
        assert v.ada.sees(bob, eve)

    run(tmp_path, work)


def test_revocations_are_only_ever_added() -> None:
    authority = other_authority()
    one, two = Revocations(authority), Revocations(authority)
    first, second = Revocation.sign(authority, "a" * 40), Revocation.sign(authority, "b" * 40)
    one.merge([first])
    two.merge([second])
    assert one.digest() != two.digest()
    assert one.merge(two)
    assert two.merge(one)
    assert one.digest() == two.digest()
    assert not one.merge([first, second]), "nothing is new"
    assert len(one) == 2


# --- what is learnt -------------------------------------------------------------------------------


def test_a_stranger_and_a_revoked_device_learn_no_names(tmp_path: Path) -> None:
    async def work(v: Village) -> None:
        bob = await v.joined("robert").up()
        v.revoke("robert")
        cyd = await v.joined("cydonia").up()
        heard: list[bytes] = []
        session = v.session("somewhere", lambda payload: b"")
        nosy = bob.network.holder.introduce(bob.network._session, NOW)
        for address in (v.ada.network.address, cyd.network.address):
            for message in (encode(Meet(nosy, bytes(16), bytes(16))), b"", b"who are you?"):
                await session.ask(address, message, keep_one(heard), 5)
        assert heard
        shown = b"".join(heard) + repr(v.hub.members.keys()).encode()
        for name in (b"cydonia", b"home", cyd.id.encode(), v.ada.id.encode()):
            assert name not in shown

    run(tmp_path, work)


def test_certificates_name_nobody() -> None:
    certificate, key = Authority.create()
    authority = Authority(certificate, key)
    name = DeviceName.choose("cydonia")
    device = Ed25519PrivateKey.generate()
    membership = Membership.grant(authority, device.public_key(), name)
    assert b"cydonia" not in membership.certificate
    again = DeviceName("cydonia", bytes(16))
    assert again.digest() != name.digest(), "and guesses cannot be tried"


@pytest.mark.parametrize(
    "message",
    [b"", b"\xff" * 1000, b"\x91" * 100_000, b"\x81\xa4type\xa4meet", b"dmoa\x01\x00\x80"],
)
def test_garbage_is_denied_and_the_device_goes_on(tmp_path: Path, message: bytes) -> None:
    async def work(v: Village) -> None:
        bob = await v.joined("bob").up()
        session = v.session("somewhere", lambda payload: b"")
        reply = await v.send(session, v.ada.network.address, message)
        assert isinstance(reply, Denied)
        assert await bob.ask(v.ada) == b"re: hello"

    run(tmp_path, work)


def test_a_copied_disk_is_named_by_the_copies_and_by_the_others(tmp_path: Path) -> None:
    async def work(v: Village) -> None:
        bob = await v.joined("bob").up()
        await v.place("bob", bob.key).up()
        await asyncio.sleep(15)
        v.ada.network._look_around()
        assert "device bob is there twice" in v.ada.says()
        for copy in (d for d in v.running if d.key is bob.key):
            assert "another device has the identity of this one" in copy.says()

    run(tmp_path, work)


def test_a_device_that_was_replaced_after_a_crash_is_no_copy(tmp_path: Path) -> None:
    async def work(v: Village) -> None:
        bob = await v.joined("bob").up()
        await bob.network.close()
        again = await v.place("bob", bob.key).up()
        await asyncio.sleep(15)
        v.ada.network._look_around()
        assert v.ada.sees(again)
        assert not v.ada.says()

    run(tmp_path, work)


def test_proofs_are_renewed_while_devices_run(tmp_path: Path) -> None:
    async def work(v: Village) -> None:
        bob = await v.joined("bob").up()
        for hours in range(0, 72, 8):
            v.ada.clock.ahead = bob.clock.ahead = hours * 3600.0
            await asyncio.sleep(60)
            assert v.ada.sees(bob), f"after {hours} hours"
            assert await v.ada.ask(bob) == b"re: hello"

    run(tmp_path, work)


@pytest.mark.parametrize("years", [-1, 1])
def test_a_clock_that_is_wrong_by_a_year_is_named_on_both_sides(tmp_path: Path, years: int) -> None:
    async def work(v: Village) -> None:
        bob = await v.joined("bob").up()
        await bob.network.close()
        again = v.place("bob", bob.key)
        again.clock.ahead = years * YEAR
        await again.up()
        assert v.ada.sees()
        for device in (v.ada, again):
            assert "one of the two clocks is wrong" in device.says()

    run(tmp_path, work)


def test_an_address_is_bound_to_the_device_and_to_its_run() -> None:
    assert address_of(b"s" * 32, b"d" * 32) != address_of(b"s" * 32, b"e" * 32)
    assert address_of(b"s" * 32, b"d" * 32) != address_of(b"t" * 32, b"d" * 32)


def test_a_register_without_its_authority_knows_nobody() -> None:
    mine, theirs = other_authority(), other_authority()
    key = Ed25519PrivateKey.generate()
    holder = Holder.self_made(theirs, key)
    with pytest.raises(NotTrusted):
        Register(mine).admit(holder.introduce(bytes(32), NOW), NOW)
