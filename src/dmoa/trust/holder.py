"""A device's own side of a membership: its keys, and the introductions that it signs."""

from collections.abc import Callable, Sequence

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from dmoa.trust.authority import Authority, Root
from dmoa.trust.credentials import Credentials
from dmoa.trust.introduction import WITNESSES, Introduction, Statement, Witness
from dmoa.trust.membership import FOREVER, DeviceName, Membership, device_id, raw
from dmoa.trust.register import Member, Register

DAY = 24 * 3600


class Holder:
    """A device in a network.

    Args:
        register: who else is let in.
        membership: its membership.
        membership_key: the private key of it.
        device_key: the device's own private key.
        name: what the authority calls it; None when it names itself.
        proof_seconds: how long an introduction is valid; None where dates mean nothing.
        witnesses: what members have witnessed of it.
        keep: is given new ones.
    """

    def __init__(
        self,
        register: Register,
        membership: Membership,
        membership_key: Ed25519PrivateKey,
        device_key: Ed25519PrivateKey,
        *,
        name: DeviceName | None = None,
        proof_seconds: int | None = DAY,
        witnesses: Sequence[Witness] = (),
        keep: Callable[[list[Witness]], None] = lambda witnesses: None,
    ) -> None:
        self.register = register
        self.membership = membership
        self.name = name
        self.key = raw(device_key.public_key())
        self.device = device_id(self.key)
        self.proof_seconds = proof_seconds
        self._membership_key = membership_key
        self._device_key = device_key
        self._witnesses = list(witnesses)
        self._keep = keep

    @classmethod
    def self_made(cls, authority: Authority, device_key: Ed25519PrivateKey) -> "Holder":
        """A device that has its authority's key, and so needs no invite."""
        membership = Membership.grant(authority, device_key.public_key())
        return cls(Register(authority), membership, device_key, device_key, proof_seconds=None)

    @property
    def root(self) -> Root:
        """The authority."""
        return self.register.root

    def credentials(self) -> Credentials:
        """What it shows on links."""
        return self.membership.credentials(self.root, self._membership_key)

    def introduce(self, session: bytes, now: int) -> Introduction:
        """Prove, for a while from `now` on, that the key of this run is this device's."""
        begins, ends = (now, now + self.proof_seconds) if self.proof_seconds else (0, FOREVER)
        statement = Statement(self.membership.certificate, self.key, session, begins, ends)
        keys = self._membership_key, self._device_key
        return Introduction.sign(self.root, statement, *keys, self._witnesses)

    def witness(self, member: Member) -> Witness | None:
        """This device's word for one that has joined by an invite; None if it needs none."""
        when = self.register.when_joined(member)
        if when is None or member.witnesses >= WITNESSES:
            return None
        return Witness.sign(
            self.root,
            self.membership,
            self._membership_key,
            serial=member.membership.serial,
            device=member.key,
            when=when,
        )

    def is_witnessed(self, witness: Witness) -> bool:
        """Keep a member's word for this device; whether it was wanted."""
        wanted = (
            len(self._witnesses) < WITNESSES
            and (witness.serial, witness.device) == (self.membership.serial, self.key)
            and all(witness.by != known.by for known in self._witnesses)
        )
        if wanted:
            self._witnesses.append(witness)
            self._keep(self._witnesses)
        return wanted
