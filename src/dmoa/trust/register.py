"""Who is let in: what an introduction must prove, and which device an invite has become.

    register.admit(introduction, now)   # a Member, or NotTrusted with the reason

The reasons are told to the device that is refused and shown by the one that refuses.
"""

import datetime
from collections.abc import Callable, Iterable

import msgspec

from dmoa.errors import NotTrusted
from dmoa.policies.limits import LIMITS
from dmoa.trust.authority import Root
from dmoa.trust.introduction import Introduction, Statement, Witness
from dmoa.trust.membership import Membership, device_id
from dmoa.trust.revocation import Revocation, Revocations

SKEW_SECONDS = 3600


class Joined(msgspec.Struct, frozen=True):
    """Which device has joined by an invite, and when; its public key and seconds since 1970."""

    device: bytes
    when: int


class Member(msgspec.Struct, frozen=True):
    """A device that has proved who it is.

    Attributes:
        device: its id.
        session: public key of this run.
        ends: until when the proof holds, in seconds since 1970.
        witnesses: how many it showed.
    """

    device: str
    key: bytes
    session: bytes
    membership: Membership
    ends: int
    witnesses: int


class Register:
    """Decides who is a member.

    Args:
        root: the authority.
        revocations: those that are known.
        joined: which device has joined by which invite, by serial.
        save: is called when any of it has changed.
    """

    def __init__(
        self,
        root: Root,
        revocations: Revocations | None = None,
        joined: dict[str, Joined] | None = None,
        save: Callable[[], None] = lambda: None,
    ) -> None:
        self.root = root
        self.revocations = Revocations(root) if revocations is None else revocations
        self.joined = {} if joined is None else joined
        self.save = save

    def admit(self, introduction: Introduction, now: int) -> Member:
        """Check an introduction.

        Args:
            introduction: a device's.
            now: seconds since 1970.

        Raises:
            NotTrusted: the device is not let in; says why.
        """
        statement, membership = introduction.read(self.root)
        self._require_not_revoked(membership)
        _require_valid(statement, membership, now)
        if membership.terms.join_before:
            self._bind(membership, statement, introduction.witnesses, now)
        return Member(
            device_id(statement.device),
            statement.device,
            statement.session,
            membership,
            min(statement.ends, membership.terms.ends),
            len(introduction.witnesses),
        )

    def learn(self, revocations: Iterable[Revocation]) -> bool:
        """Take over what another device knows; whether any of it is new."""
        new = self.revocations.merge(revocations)
        if new:
            self.save()
        return new

    def when_joined(self, member: Member) -> int | None:
        """When a device has joined by its invite; None for one that needed none."""
        known = self.joined.get(member.membership.serial)
        return known.when if known and known.device == member.key else None

    def _require_not_revoked(self, membership: Membership) -> None:
        if revocation := self.revocations.of(membership.serial):
            raise NotTrusted(f"its membership was revoked on {shown(revocation.when)}")

    def _bind(
        self,
        membership: Membership,
        statement: Statement,
        witnesses: Iterable[Witness],
        now: int,
    ) -> None:
        """Bind an invite to the device that joined by it first."""
        claimed = self._witnessed(membership, statement.device, witnesses)
        known = self.joined.get(membership.serial)
        if known is not None and known.device == statement.device:
            if claimed is None or claimed >= known.when:
                return
        elif known is not None and (claimed is None or claimed >= known.when):
            raise NotTrusted(
                f"its invite was used before, by device {device_id(known.device)} on"
                f" {shown(known.when)}; an invite is for one device: revoke this name if the"
                " wrong one has joined, and invite again"
            )
        before = membership.terms.join_before
        if claimed is None and now >= before:
            raise NotTrusted(
                f"its invite ended on {shown(before)} before any member met it, and here it is"
                f" {shown(now)}; ask for a new invite, unless one of the clocks is wrong"
            )
        self.joined.pop(membership.serial, None)
        self.joined[membership.serial] = Joined(statement.device, claimed or now)
        while len(self.joined) > LIMITS.revocations:
            del self.joined[next(iter(self.joined))]
        self.save()

    def _witnessed(
        self, membership: Membership, device: bytes, witnesses: Iterable[Witness]
    ) -> int | None:
        """The earliest moment at which a member says that this device had joined."""
        moments = []
        for witness in witnesses:
            if witness.serial != membership.serial or witness.device != device:
                continue
            try:
                by = witness.signer(self.root)
            except NotTrusted:
                continue
            revoked, itself = by.serial in self.revocations, by.serial == membership.serial
            if not revoked and not itself and witness.when < membership.terms.join_before:
                moments.append(witness.when)
        return min(moments, default=None)


def _require_valid(statement: Statement, membership: Membership, now: int) -> None:
    terms = membership.terms
    if now >= terms.ends:
        raise NotTrusted(
            f"its membership ended on {shown(terms.ends)}, and here it is {shown(now)};"
            " invite it again, unless one of the clocks is wrong"
        )
    begins = max(statement.begins, terms.begins)
    if not begins - SKEW_SECONDS <= now < statement.ends:
        raise NotTrusted(
            f"its proof is of {shown(statement.begins)} to {shown(statement.ends)}, and here it"
            f" is {shown(now)}: one of the two clocks is wrong; set it"
        )


def shown(moment: int) -> str:
    """A moment as people read it, in UTC."""
    try:
        return f"{datetime.datetime.fromtimestamp(moment, datetime.UTC):%Y-%m-%d %H:%M} UTC"
    except (OverflowError, ValueError, OSError):
        return f"second {moment}"
