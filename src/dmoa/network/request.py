"""A request on its way: who hears its replies, and how it ended."""

import asyncio

from dmoa.errors import PeerGone, PeerSilent
from dmoa.network.interface import Hear


class OpenRequest:
    """The asker's side of one request, for implementations of `Network`.

    Args:
        device: who is asked.
        hear: is given each reply, see `Network.ask`.
        silence: seconds without a reply after which nobody listens any more.
    """

    def __init__(self, device: str, hear: Hear, silence: float) -> None:
        self._device = device
        self._hear = hear
        self._silence = silence
        self._loop = asyncio.get_running_loop()
        self._finished: asyncio.Future[None] = self._loop.create_future()
        self._heard: float | None = None
        self._timer: asyncio.TimerHandle
        self.ended = False
        """Whether the other side has ended."""

    async def listen(self) -> None:
        """Wait until no more replies are heard.

        Raises:
            PeerGone, PeerSilent, Exception: see `Network.ask`.
        """
        self._timer = self._loop.call_later(self._silence, self._check)
        try:
            await self._finished
        finally:
            self._timer.cancel()

    def take(self, reply: bytes) -> None:
        """A reply has come."""
        if self._finished.done():
            return
        self._heard = self._loop.time()
        try:
            if self._hear(reply):
                self._finished.set_result(None)
        except Exception as error:  # noqa: BLE001 - whoever asked gets it
            self._finished.set_exception(error)

    def end(self) -> None:
        """The other side has ended, or is gone."""
        self.ended = True
        if self._finished.done():
            return
        if self._heard is not None:
            self._finished.set_result(None)
        else:
            self._fail(PeerGone(f"device {self._device} disappeared or was not there"))

    def _fail(self, error: Exception) -> None:
        if not self._finished.done():
            self._finished.set_exception(error)

    def _check(self) -> None:
        # The timer is not set anew by each reply: it looks when the last one came.
        left = 0.0
        if self._heard is not None:
            left = self._heard + self._silence - self._loop.time()
        if left > 0:
            self._timer = self._loop.call_later(left, self._check)
        else:
            self._fail(
                PeerSilent(f"device {self._device} has said nothing for {self._silence:.0f} s")
            )
