"""A private network as the state folder of a device keeps it, in the folder `network`.

    member.json     the device's membership, the authority's certificate, witnesses; a secret
    revoked.json    revocations that are known
    joined.json     which device has joined by which invite
    authority.key   only where the authority's key is; may be encrypted
    issued.json     beside it: every membership, by name

Nothing here needs the authority's key but inviting and revoking.
"""

import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from filelock import FileLock, Timeout
from msgspec import Meta

from dmoa.errors import NotTrusted, UsageError
from dmoa.policies.limits import LIMITS
from dmoa.trust.authority import Authority, Root
from dmoa.trust.files import require_own, write_private
from dmoa.trust.holder import DAY, Holder
from dmoa.trust.introduction import Witness
from dmoa.trust.invite import Invite
from dmoa.trust.membership import FOREVER, DeviceName, Membership, raw
from dmoa.trust.register import Joined, Register
from dmoa.trust.revocation import Revocation, Revocations

log = logging.getLogger(__name__)

FORMAT = 1
LOCK_SECONDS, SHORT_LOCK_SECONDS = 10.0, 0.5
_FOLDER = "network"
_MEMBER, _REVOKED, _JOINED = "member.json", "revoked.json", "joined.json"
_KEY, _ISSUED = "authority.key", "issued.json"
_Kept = TypeVar("_Kept")


class Member(msgspec.Struct):
    """`member.json`.

    Attributes:
        network: what its user calls the network.
        key: private key of the membership; None when that is the device's own key.
        name: what the authority calls the device; None when it names itself.
        addresses: where members were when it was invited.
    """

    format: int
    network: str
    authority: bytes
    membership: bytes
    key: bytes | None = None
    name: DeviceName | None = None
    addresses: list[str] = []
    witnesses: list[Witness] = []


class Issued(msgspec.Struct, frozen=True):
    """A membership that the authority has made; times in seconds since 1970."""

    name: Annotated[str, Meta(max_length=LIMITS.name_characters)]
    serial: str
    join_before: int
    ends: int


class Exported(msgspec.Struct, frozen=True):
    """An authority on its way to another device."""

    format: int
    authority: bytes
    key: str
    issued: list[Issued]
    revoked: list[Revocation]


class PrivateNetwork:
    """The network that a state folder has joined.

    Args:
        state: the state folder of a device.

    Raises:
        UsageError: it has joined none, or what it keeps cannot be used.
    """

    def __init__(self, state: Path) -> None:
        self.folder = state / _FOLDER
        if not has_joined(state):
            raise UsageError(
                f"{state} has joined no network; `dmoa network create NAME` makes one,"
                " `dmoa network join FILE` joins another device's"
            )
        require_own(self.folder, (_MEMBER, _KEY))
        self.member = self._read(_MEMBER, Member)
        if self.member.format != FORMAT:
            raise UsageError(
                f"{self.folder} is of format {self.member.format}, and this version of dmoa"
                f" reads {FORMAT}: install the version that made it, or move the folder away and"
                " join again"
            )
        try:
            self.root = Root(self.member.authority)
            self.membership = Membership(self.member.membership, self.root)
        except (ValueError, NotTrusted) as error:
            raise UsageError(self._broken(_MEMBER, error)) from None

    # --- making one -----------------------------------------------------------------------------

    @classmethod
    def create(
        cls,
        state: Path,
        device_key: Ed25519PrivateKey,
        network: str,
        device: str,
        passphrase: bytes | None = None,
    ) -> "PrivateNetwork":
        """Make a network; this device is its first member and keeps the authority's key."""
        certificate, key = Authority.create(passphrase=passphrase)
        authority = Authority(certificate, key, passphrase)
        membership = Membership.grant(authority, device_key.public_key())
        issued = [Issued(device, membership.serial, 0, membership.terms.ends)]
        member = Member(FORMAT, network, certificate, membership.certificate)
        files = {_KEY: key, _ISSUED: _encode(issued), _MEMBER: _encode(member)}
        return cls._settle(state, files)

    @classmethod
    def join(cls, state: Path, invite: Invite, where: str) -> "PrivateNetwork":
        """Join by an invite."""
        invite.check(where)
        member = Member(
            FORMAT,
            invite.network,
            invite.authority,
            invite.membership,
            invite.key,
            invite.name,
            invite.addresses,
        )
        return cls._settle(state, {_MEMBER: _encode(member)})

    @classmethod
    def _settle(cls, state: Path, files: dict[str, bytes]) -> "PrivateNetwork":
        if has_joined(state):
            known = cls(state).member.network
            raise UsageError(
                f"{state} is in network {known} already; give another --state, or move"
                f" {state / _FOLDER} away to leave that network"
            )
        folder = state / _FOLDER
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
            folder.chmod(0o700)
            for name, content in files.items():  # the member last: with it the device has joined
                write_private(folder / name, content)
        except OSError as error:
            raise UsageError(
                f"cannot write {folder}: {error.strerror or error}; make it writable, or give"
                " another folder by --state"
            ) from None
        return cls(state)

    # --- for the device that runs ---------------------------------------------------------------

    def holder(self, device_key: Ed25519PrivateKey) -> Holder:
        """The device's own side, and whom it lets in.

        Raises:
            UsageError: the membership is another device's.
        """
        revocations = Revocations(self.root)
        revocations.merge(self.revocations())
        register = Register(self.root, revocations, self.joined())
        register.save = lambda: self._keep(register)
        own = self.member.key
        key = device_key if own is None else Ed25519PrivateKey.from_private_bytes(own)
        if raw(key.public_key()) != raw(self.membership.key):
            raise UsageError(
                f"the membership in {self.folder} is of another device: device.key beside it was"
                " replaced; restore it, or move the folder away and join again"
            )
        return Holder(
            register,
            self.membership,
            key,
            device_key,
            name=self.member.name,
            proof_seconds=DAY,
            witnesses=self.member.witnesses,
            keep=self._keep_witnesses,
        )

    def revocations(self) -> list[Revocation]:
        """Those that are known here, also what a command has added a moment ago."""
        return self._read_or(_REVOKED, list[Revocation], [])

    def joined(self) -> dict[str, Joined]:
        """Which devices have joined by which invites, as far as this one has met them."""
        found: dict[str, Joined] = self._read_or(_JOINED, dict[str, Joined], {})
        return found

    def _keep(self, register: Register) -> None:
        # A full disk or a command that hangs must not keep a running device from refusing others.
        try:
            with self._locked(SHORT_LOCK_SECONDS):
                register.revocations.merge(self.revocations())
                self._write(_REVOKED, list(register.revocations))
                self._write(_JOINED, register.joined)
        except UsageError as error:
            log.warning("not kept for the next start: %s", error)

    def _keep_witnesses(self, witnesses: list[Witness]) -> None:
        self.member.witnesses = witnesses
        try:
            self._write(_MEMBER, self.member)
        except UsageError as error:
            log.warning("not kept for the next start: %s", error)

    def keep_addresses(self, addresses: Sequence[str]) -> None:
        """Remember where this device listens, for the invites that it makes."""
        if addresses and list(addresses) != self.member.addresses and self.has_authority:
            self.member.addresses = list(addresses)[:8]
            self._write(_MEMBER, self.member)

    # --- with the authority's key ---------------------------------------------------------------

    @property
    def has_authority(self) -> bool:
        """Whether the authority's key is here."""
        return (self.folder / _KEY).exists()

    @property
    def is_encrypted(self) -> bool:
        """Whether a passphrase is needed for it."""
        return b"ENCRYPTED" in self._bytes(_KEY)

    def authority(self, passphrase: bytes | None) -> Authority:
        """The authority.

        Raises:
            UsageError: its key is not here, or the passphrase is wrong.
        """
        if not self.has_authority:
            raise UsageError(
                f"the authority's key of network {self.member.network} is not in {self.folder};"
                " invite and revoke where the network was made, or move the key here by"
                " `dmoa network authority`"
            )
        try:
            return Authority(self.member.authority, self._bytes(_KEY), passphrase)
        except ValueError as error:
            raise UsageError(
                f"cannot use {self.folder / _KEY} ({error}); give its passphrase by"
                " --passphrase-file or DMOA_PASSPHRASE"
            ) from None

    def issued(self) -> list[Issued]:
        """Every membership that was made."""
        return self._read_or(_ISSUED, list[Issued], [])

    def invite(
        self,
        authority: Authority,
        device: str,
        *,
        seconds: float,
        days: float | None,
        addresses: Sequence[str],
    ) -> Invite:
        """Make an invite.

        Args:
            authority: signs it.
            device: name of the device.
            seconds: until when it may join.
            days: how long it may stay; None for ever.
            addresses: where members are.

        Raises:
            UsageError: a device of that name is in the network.
        """
        now = int(time.time())
        with self._locked():
            issued, revoked = self.issued(), {r.serial for r in self.revocations()}
            for known in issued:
                if known.name == device and known.serial not in revoked and known.ends > now:
                    raise UsageError(
                        f"{device} has been invited already; `dmoa network revoke {device}` takes"
                        " that back, after which it can be invited anew"
                    )
            key, name = Ed25519PrivateKey.generate(), DeviceName.choose(device)
            ends = FOREVER if days is None else now + int(days * DAY)
            membership = Membership.grant(
                authority,
                key.public_key(),
                name,
                begins=now,
                ends=ends,
                join_before=min(ends, now + max(1, int(seconds))),
            )
            terms = membership.terms
            row = Issued(device, membership.serial, terms.join_before, terms.ends)
            self._write(_ISSUED, [*issued, row])
        return Invite(
            FORMAT,
            self.member.network,
            self.root.certificate,
            membership.certificate,
            key.private_bytes_raw(),
            name,
            list(addresses or self.member.addresses)[:16],
        )

    def revoke(self, authority: Authority, device: str) -> int:
        """Take back every membership of a name, or that of a serial number's beginning.

        Returns:
            How many there were.

        Raises:
            UsageError: there is none.
        """
        with self._locked():
            issued = self.issued()
            known = Revocations(self.root)
            known.merge(self.revocations())
            meant = [i for i in issued if i.name == device]
            meant = meant or [i for i in issued if len(device) >= 8 and i.serial.startswith(device)]
            left = [i for i in meant if i.serial not in known]
            if not left:
                said = "is revoked already" if meant else "is no device of this network"
                names = ", ".join(sorted({i.name for i in issued if i.serial not in known}))
                raise UsageError(f"{device} {said}; its devices are {names or 'none'}")
            known.merge(Revocation.sign(authority, i.serial) for i in left)
            self._write(_REVOKED, list(known))
        return len(left)

    def export(self, authority: Authority, passphrase: bytes | None) -> bytes:
        """The authority, for another device; with a passphrase its key is encrypted."""
        key = authority.private_pem(passphrase).decode()
        return _encode(
            Exported(FORMAT, self.root.certificate, key, self.issued(), self.revocations())
        )

    def give_up_authority(self) -> None:
        """Remove the authority's key from here, once another device has it."""
        (self.folder / _KEY).unlink()
        (self.folder / _ISSUED).unlink(missing_ok=True)

    def take_authority(self, content: bytes, where: str) -> None:
        """Take an exported authority over.

        Raises:
            UsageError: it is none, or of another network.
        """
        try:
            exported = msgspec.json.decode(content, type=Exported)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            raise UsageError(f"{where} is no exported authority ({error})") from None
        if exported.authority != self.root.certificate:
            raise UsageError(f"{where} is the authority of another network than this device's")
        with self._locked():
            known = Revocations(self.root)
            known.merge([*self.revocations(), *exported.revoked])
            self._write(_REVOKED, list(known))
            self._write(_ISSUED, exported.issued)
            self._write_bytes(_KEY, exported.key.encode())

    # --- files ----------------------------------------------------------------------------------

    def _locked(self, seconds: float = LOCK_SECONDS) -> FileLock:
        return _Lock(self.folder / "lock", timeout=seconds)

    def _bytes(self, name: str) -> bytes:
        try:
            return (self.folder / name).read_bytes()
        except OSError as error:
            raise UsageError(
                f"cannot read {self.folder / name}: {error.strerror or error}"
            ) from None

    def _read(self, name: str, kind: type[_Kept]) -> _Kept:
        try:
            return msgspec.json.decode(self._bytes(name), type=kind)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            raise UsageError(self._broken(name, error)) from None

    def _broken(self, name: str, error: Exception) -> str:
        return (
            f"{self.folder / name} is damaged or of another version ({error}); restore it from a"
            f" backup, or move {self.folder} away and join again. It was left as it is"
        )

    def _read_or(self, name: str, kind: Any, default: _Kept) -> _Kept:
        if not (self.folder / name).exists():
            return default
        found: _Kept = self._read(name, kind)
        return found

    def _write(self, name: str, value: object) -> None:
        self._write_bytes(name, _encode(value))

    def _write_bytes(self, name: str, content: bytes) -> None:
        try:
            write_private(self.folder / name, content)
        except OSError as error:
            raise UsageError(
                f"cannot write {self.folder / name}: {error.strerror or error}; make the folder"
                " writable"
            ) from None


class _Lock(FileLock):
    """The lock of a network's files; another that holds it for too long is a usage error."""

    def __enter__(self) -> "_Lock":
        try:
            super().__enter__()
        except Timeout:
            raise UsageError(
                f"another process has held {self.lock_file} for {self.timeout:g} s; end it"
            ) from None
        except OSError as error:
            raise UsageError(f"cannot lock {self.lock_file}: {error.strerror or error}") from None
        return self


def has_joined(state: Path) -> bool:
    """Whether a state folder is that of a member of a private network."""
    try:
        return (state / _FOLDER / _MEMBER).exists()
    except OSError as error:
        raise UsageError(
            f"cannot look into {state}: {error.strerror or error}; run dmoa as the user who made"
            " it, or give another folder by --state"
        ) from None


def _encode(value: object) -> bytes:
    return msgspec.json.format(msgspec.json.encode(value), indent=1)
