"""Memberships that the authority has taken back.

Each is signed for itself and none is ever undone, so what two devices know is merged by taking
all of it: no order of arrival, no restored backup and no second copy of the authority's key can
bring a revoked device back. The number of revocations only grows.
"""

import hashlib
import time
from collections.abc import Iterable, Iterator
from typing import Self

import msgspec
from cryptography.exceptions import InvalidSignature

from dmoa.policies.limits import LIMITS
from dmoa.trust.authority import Authority, Root

_CONTEXT = b"dmoa revocation 1\x00"


class Revocation(msgspec.Struct, frozen=True, order=True):
    """The authority's word that a membership has ended.

    Attributes:
        serial: of the membership.
        when: seconds since 1970.
    """

    serial: str
    when: int
    signature: bytes

    @classmethod
    def sign(cls, authority: Authority, serial: str, when: int | None = None) -> Self:
        """Take a membership back."""
        moment = int(time.time()) if when is None else when
        return cls(serial, moment, authority.sign(_words(authority, serial, moment)))

    def is_of(self, root: Root) -> bool:
        """Whether the authority has signed it."""
        try:
            root.public.verify(self.signature, _words(root, self.serial, self.when))
        except InvalidSignature:
            return False
        return True


class Revocations:
    """All that a device knows of.

    Args:
        root: the authority that must have signed them.
    """

    def __init__(self, root: Root) -> None:
        self._root = root
        self._known: dict[str, Revocation] = {}

    def __contains__(self, serial: str) -> bool:
        return serial in self._known

    def __iter__(self) -> Iterator[Revocation]:
        return iter(sorted(self._known.values()))

    def __len__(self) -> int:
        return len(self._known)

    def of(self, serial: str) -> Revocation | None:
        """The revocation of a membership."""
        return self._known.get(serial)

    def digest(self) -> bytes:
        """Equal for those who know the same."""
        return hashlib.sha256("".join(sorted(self._known)).encode()).digest()[:16]

    def merge(self, others: Iterable[Revocation]) -> bool:
        """Learn what others know; whether any of it is new. What is not signed counts nothing."""
        before = len(self._known)
        for other in others:
            if other.serial in self._known or len(self._known) >= LIMITS.revocations:
                continue
            if other.is_of(self._root):
                self._known[other.serial] = other
        return len(self._known) > before


def _words(root: Root, serial: str, when: int) -> bytes:
    return _CONTEXT + f"{root.fingerprint} {serial} {when}".encode()
