"""Those whom a device has met: who they have proved to be, and who is refused, and why."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from dmoa.policies.limits import LIMITS
from dmoa.trust.register import Member
from dmoa.trust.sealing import Channel

# A device that was killed is to be seen beside its next run until its link is given up.
DOUBLE_SECONDS = 10.0


@dataclass
class Acquaintance:
    """Who was met at an address.

    Attributes:
        name: what the authority calls it; None when it names itself.
        complete: whether it has proved that the key of its run is its own.
        barred: why it is a member no more; empty while it is one.
        renew_at: when half of the time of its proof is over, in seconds since 1970.
    """

    address: str
    member: Member
    channel: Channel
    name: str | None = None
    complete: bool = False
    barred: str = ""
    renew_at: float = 0.0


class Acquaintances:
    """The acquaintances of a device, by address.

    Args:
        now: seconds since 1970.
    """

    def __init__(self, now: Callable[[], int]) -> None:
        self._now = now
        self._met: dict[str, Acquaintance] = {}
        self._since: dict[str, float] = {}  # address that is there -> when it came
        self._places: dict[str, str] = {}  # device -> address
        self.refused: dict[str, str] = {}
        self.twins: set[str] = set()

    def see(self, here: Iterable[str], moment: float) -> None:
        """Note which addresses are there."""
        self._since = {address: self._since.get(address, moment) for address in here}
        self.twins &= set(self._since)
        for address in [a for a in self.refused if a not in self._since]:
            del self.refused[address]

    def get(self, address: str) -> Acquaintance | None:
        """Who was met at an address."""
        return self._met.get(address)

    def add(self, known: Acquaintance) -> None:
        """Note who was met; of too many those are forgotten who are not there."""
        self._met[known.address] = known
        if len(self._met) > 2 * LIMITS.peers:
            gone = [a for a in self._met if a not in self._since and a != known.address]
            for address in gone or [next(iter(self._met))]:
                del self._met[address]

    def members(self) -> list[Acquaintance]:
        """All who are not barred, also those who have still to prove who they are."""
        return [known for known in self._met.values() if not known.barred]

    def complete(self) -> list[Acquaintance]:
        """Those who have proved who they are, and are members."""
        return [known for known in self.members() if known.complete]

    def is_due(self, address: str) -> bool:
        """Whether to meet there (again): half of the time of a proof is over, or there is none."""
        known = self._met.get(address)
        if known is not None and known.barred:
            return False
        return known is None or not self._counts(known) or self._now() >= known.renew_at

    def alive(self, here: Mapping[str, str]) -> dict[str, str]:
        """The members that are there, each with its incarnation; of two runs the older one."""
        self._places = {}
        for address in here:
            known = self._met.get(address)
            if known is not None and self._counts(known):
                self._places.setdefault(known.member.device, address)
        return {device: here[address] for device, address in self._places.items()}

    def of(self, device: str) -> Acquaintance | None:
        """Where a device is asked: where it is, or was last, as one that ends still answers."""
        known = self._met.get(self._places.get(device, ""))
        if known is not None and self._counts(known):
            return known
        last = [k for k in self._met.values() if k.member.device == device and self._counts(k)]
        return last[-1] if last else None

    def name(self, device: str) -> str | None:
        """What the authority calls a device."""
        known = self.of(device)
        return None if known is None else known.name

    def refuse(self, address: str, why: str) -> None:
        """Note why somebody who is there is no member."""
        if len(self.refused) < LIMITS.peers:
            self.refused[address] = why

    def bar(self, known: Acquaintance, why: str) -> None:
        """End a membership."""
        known.barred = why
        self.refuse(known.address, f"{known.name or known.member.device} is refused: {why}")

    def problems(self, own: str, moment: float) -> list[str]:
        """What is wrong with them, for people."""
        found = [f"device {address[:8]}: {why}" for address, why in sorted(self.refused.items())]
        if self.twins:
            found.append(
                f"another device has the identity of this one ({own}), as on a copied disk;"
                " remove device.key from the state folder of one of them, and in a private"
                " network revoke it and invite both again"
            )
        long = {a for a, since in self._since.items() if moment - since >= DOUBLE_SECONDS}
        places: dict[str, list[str]] = {}
        for address in long:
            known = self._met.get(address)
            if known is not None and self._counts(known):
                places.setdefault(known.member.device, []).append(address)
        found += [
            f"device {self.name(device) or device} is there twice, as on a copied disk: two"
            " machines have its keys; revoke it and invite both again"
            for device, addresses in sorted(places.items())
            if len(addresses) > 1
        ]
        return found

    def _counts(self, known: Acquaintance) -> bool:
        return known.complete and not known.barred and known.member.ends > self._now()
