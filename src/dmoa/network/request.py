"""A request on its way: who hears its replies, and how it ended."""

import asyncio

from dmoa.errors import PeerGone
from dmoa.network.interface import Hear


class Request:
    """The asker's side of one request, for implementations of `Network`.

    Args:
        device: who is asked.
        hear: is given each reply, see `Network.ask`.
    """

    def __init__(self, device: str, hear: Hear) -> None:
        self.finished: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done when no more replies are heard, with what `hear` raised, or `PeerGone`."""
        self.ended = False
        """Whether the other side has ended."""
        self._device = device
        self._hear = hear
        self._heard = False

    def take(self, reply: bytes) -> None:
        """A reply has come."""
        self._heard = True
        if self.finished.done():
            return
        try:
            if self._hear(reply):
                self.finished.set_result(None)
        except Exception as error:  # noqa: BLE001 - whoever asked gets it
            self.finished.set_exception(error)

    def end(self) -> None:
        """The other side has ended, or is gone."""
        self.ended = True
        if self.finished.done():
            return
        if self._heard:
            self.finished.set_result(None)
        else:
            self.finished.set_exception(
                PeerGone(f"device {self._device} disappeared or was not there")
            )
