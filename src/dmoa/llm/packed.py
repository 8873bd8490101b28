"""Bytes that came packed, unpacked as they come and in small pieces, so that callers can count."""

import zlib
from collections.abc import Iterator
from typing import Any

PIECE_BYTES = 64 * 1024


class Unpacker:
    """Unpacks gzip, of several members as well, or deflate.

    Proxies and parallel packers write members one after the other; they are one text.

    Attributes:
        whole: what has come so far ends where a member ends.
    """

    def __init__(self) -> None:
        self.whole = False
        self._member: Any = None

    def feed(self, data: bytes) -> Iterator[bytes]:
        """What the next bytes hold, in pieces of at most `PIECE_BYTES`.

        Raises:
            zlib.error: they are not packed so.
        """
        more = False
        while data or more:
            if self._member is None:
                if self.whole and not (data := data.lstrip(b"\0")):  # padding
                    return
                # 32: gzip and zlib tell which they are.
                self._member, self.whole = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32), False
            piece = self._member.decompress(data, PIECE_BYTES)
            data, more = self._member.unconsumed_tail, len(piece) == PIECE_BYTES
            if self._member.eof:
                data, more = self._member.unused_data, False
                self._member, self.whole = None, True
            if piece:
                yield piece
