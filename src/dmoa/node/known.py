"""The devices that this one has met, kept for its next start.

Zenoh does not try again a link that it has learnt by gossip, so whoever is known and away is
looked for by `upkeep.py`.
"""

import json
from pathlib import Path

from dmoa.network.addresses import is_local, is_plain
from dmoa.network.messages import Card
from dmoa.policies.limits import LIMITS


class KnownPeers:
    """Addresses of devices, by device id, in a small file.

    A file that is absent or broken is an empty one: it only holds what can be learnt again.

    Args:
        path: the file.
        leaves_machine: whether addresses of other machines may be dialled. What a peer says of
            itself must not lead a device out of a network that its user kept at home.
    """

    def __init__(self, path: Path, *, leaves_machine: bool) -> None:
        self._path = path
        self._leaves = leaves_machine
        self._addresses: dict[str, list[str]] = {}
        try:
            read = json.loads(path.read_text(encoding="utf-8"))
            for device, addresses in read.items():
                self._addresses[str(device)] = [str(address) for address in addresses]
        except (OSError, ValueError, AttributeError, TypeError, RecursionError):
            self._addresses = {}

    def addresses(self) -> dict[str, list[str]]:
        """The addresses that may be dialled, of each device that has some, by its id."""
        good = {
            device: [address for address in addresses if self._good(address)]
            for device, addresses in self._addresses.items()
        }
        return {device: addresses for device, addresses in good.items() if addresses}

    def _good(self, address: str) -> bool:
        return is_plain(address) and (self._leaves or is_local(address))

    def meet(self, card: Card) -> None:
        """Remember a device; the longest unseen of too many is forgotten."""
        addresses = [address for address in card.addresses if self._good(address)]
        if not addresses:
            return
        changed = self._addresses.pop(card.device, None) != addresses
        self._addresses[card.device] = addresses
        while len(self._addresses) > LIMITS.known_peers:
            del self._addresses[next(iter(self._addresses))]
            changed = True
        if changed:
            self._save()

    def _save(self) -> None:
        aside = self._path.with_suffix(".new")
        try:
            aside.write_text(json.dumps(self._addresses, indent=1), encoding="utf-8")
            aside.replace(self._path)
        except OSError:
            aside.unlink(missing_ok=True)  # a full disk: the network works without
