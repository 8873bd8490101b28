"""Messages between two devices that nobody else can read, make, change or replay.

Both derive their keys from the keys of their runs, which their introductions have signed: a key a
direction and a kind, bound to both devices' ids. Zenoh carries a message to whoever says that it
answers at an address, and does not tell who sent it; so this, and not the link, is what binds a
message to a device.
"""

from collections.abc import Iterator
from itertools import count

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from dmoa.errors import NotTrusted

_KEY_BYTES = 32
_COUNTER_BYTES = 8
WINDOW = 4096
"""How far a message may be overtaken by others."""


class Counter:
    """Numbers of the messages of one run: none is used twice, whatever is forgotten of peers."""

    def __init__(self) -> None:
        self._numbers: Iterator[int] = count(1)

    def next(self) -> int:
        """A number that was not there before."""
        return next(self._numbers)


class Channel:
    """The keys of two devices.

    Args:
        network: fingerprint of the authority.
        own: private key of this run.
        own_device, other_device: public keys of the devices.
        other: public key of the other's run.
        counter: of this run, shared by its channels.

    Raises:
        NotTrusted: the other's key is none.
    """

    def __init__(
        self,
        network: str,
        own: X25519PrivateKey,
        own_device: bytes,
        other: bytes,
        other_device: bytes,
        counter: Counter,
    ) -> None:
        try:
            shared = own.exchange(X25519PublicKey.from_public_bytes(other))
        except ValueError:  # a point of small order
            raise NotTrusted("the key of its run is none") from None
        ours = own_device + own.public_key().public_bytes_raw()
        theirs = other_device + other
        low, high = sorted((ours, theirs))
        material = HKDF(SHA256(), 4 * _KEY_BYTES, network.encode(), b"dmoa 1" + low + high).derive(
            shared
        )
        keys = [material[i : i + _KEY_BYTES] for i in range(0, len(material), _KEY_BYTES)]
        if ours != low:
            keys = [*keys[2:], *keys[:2]]
        self._asks, self._replies, self._asked, self._replied = map(AESGCM, keys)
        self._counter = counter
        self._seen = _Seen()

    def seal_request(self, payload: bytes) -> tuple[int, bytes]:
        """A request's number and what travels."""
        number = self._counter.next()
        return number, self._asks.encrypt(_nonce(number), payload, None)

    def open_request(self, number: int, sealed: bytes) -> bytes:
        """What the other device asks.

        Raises:
            NotTrusted: it did not ask that, or it was heard before.
        """
        payload = _open(self._asked, number, sealed, b"")
        if not self._seen.add(number):
            raise NotTrusted("a message was sent twice")
        return payload

    def seal_reply(self, payload: bytes, place: bytes) -> tuple[int, bytes]:
        """A reply's number and what travels; `place` says of what it is the reply."""
        number = self._counter.next()
        return number, self._replies.encrypt(_nonce(number), payload, place)

    def open_reply(self, number: int, sealed: bytes, place: bytes) -> bytes:
        """What the other device replies.

        Raises:
            NotTrusted: it did not reply that, or not there.
        """
        return _open(self._replied, number, sealed, place)


class _Seen:
    """Which numbers have come, of the last `WINDOW`."""

    def __init__(self) -> None:
        self._highest = 0
        self._bits = 0  # bit i: whether number highest - i has come

    def add(self, number: int) -> bool:
        """Note a number; False when it has come before or is too old to tell."""
        if number > self._highest:
            shift = number - self._highest
            self._bits = (self._bits << shift if shift < WINDOW else 0) | 1
            self._bits &= (1 << WINDOW) - 1
            self._highest = number
            return True
        behind = self._highest - number
        if behind >= WINDOW or self._bits >> behind & 1:
            return False
        self._bits |= 1 << behind
        return True


def _nonce(number: int) -> bytes:
    return bytes(4) + number.to_bytes(_COUNTER_BYTES, "big")


def _open(key: AESGCM, number: int, sealed: bytes, place: bytes) -> bytes:
    try:
        return key.decrypt(_nonce(number), sealed, place)
    except (InvalidTag, OverflowError, ValueError):
        raise NotTrusted("a message is not of the device that it says") from None
