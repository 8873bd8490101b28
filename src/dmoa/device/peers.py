"""The other devices: who they are, and asking them for inferences, in typed messages."""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec

from dmoa.errors import (
    ContextExceeded,
    DmoaError,
    LLMError,
    MessageError,
    PeerError,
    PeerGone,
    PeerRefused,
    PeerSilent,
    QueueFull,
    RequestRefused,
)
from dmoa.network.interface import Network
from dmoa.network.messages import (
    AskReport,
    Cancel,
    Card,
    DeviceReport,
    Failed,
    Hello,
    Infer,
    Refused,
    Reply,
    Request,
    Welcome,
    decode_reply,
    encode,
)
from dmoa.policies.limits import DEFAULTS, LIMITS
from dmoa.protocol.tasks import Answer, Piece, Say, Task, Waiting, Working
from dmoa.text import printable

MAX_RECEIVED = LIMITS.answer_characters + 2**16  # the last token may pass the bound
PIECE_COST = 4  # characters that an empty piece counts for, so that they end as well
CONFIRMATIONS = 60
RENEWALS = 5
# Pauses between greetings of a device that does not answer: the first, and the longest.
GREETING_SECONDS = 0.4
LONGEST_GREETING_SECONDS = 30.0


class Peers:
    """The other devices of the network that speak our version.

    A device that the network sees is asked who it is before it counts as a peer, again after
    each restart.

    Args:
        network: the network, not yet open.
        own_id: id of this device.
        card: who this device is, made when its addresses are known.
        silence_seconds: a peer that says nothing for so long in the middle of a request is
            taken for hung.
        joined: is called with the card of each new peer.
        vanished: is called with the card of each peer that is not to be seen any more; it may
            drain, and still wait for what it has asked.
        gone: is called with the id of each device that is gone for good, or began anew: it
            waits for nothing that it has asked.
        news_for: what a device that is spoken to anyway is told of how this one is doing.
        heard: is called with what a device says of how it is doing.
    """

    def __init__(
        self,
        network: Network,
        own_id: str,
        card: Callable[[], Card],
        *,
        silence_seconds: float = DEFAULTS.silence_seconds,
        joined: Callable[[Card], None] = lambda card: None,
        vanished: Callable[[Card], None] = lambda card: None,
        gone: Callable[[str], None] = lambda device: None,
        news_for: Callable[[str], DeviceReport | None] = lambda device: None,
        heard: Callable[[str, DeviceReport | None], None] = lambda device, report: None,
    ) -> None:
        self._news_for = news_for
        self._heard = heard
        self._network = network
        self._own_id = own_id
        self._card = card
        self.silence_seconds = silence_seconds
        self._joined = joined
        self._vanished = vanished
        self._gone = gone
        self._cards: dict[str, Card] = {}
        self._seen: dict[str, str] = {}  # device -> incarnation that was greeted
        self.strangers: dict[str, str] = {}  # device -> why it is no peer
        self._background: set[asyncio.Task[None]] = set()
        self._closed = False
        self._confirming: set[str] = set()
        self._asking: set[str] = set()  # devices that are asked for their card once more

    def cards(self) -> dict[str, Card]:
        """The peers that are there now, by id in a fixed order."""
        alive = self._network.alive()
        return {device: self._cards[device] for device in sorted(self._cards) if device in alive}

    def card(self, device: str) -> Card | None:
        """Who a peer says it is, None for one that is not known."""
        return self._cards.get(device)

    def changed(self) -> None:
        """The network's `alive` is another: greet who came, forget who left."""
        if self._closed:
            return
        alive = self._network.alive()
        for device in [d for d in self._seen if d not in alive]:
            del self._seen[device]
            if card := self._cards.pop(device, None):
                self._vanished(card)
            self.strangers.pop(device, None)
            if device not in self._confirming:
                self._confirming.add(device)
                self._spawn(self._confirm_gone(device))
        for device, incarnation in alive.items():
            if self._seen.get(device) == incarnation or len(self._seen) >= LIMITS.peers:
                continue
            if device in self._seen:  # it restarted: what it had of ours is gone
                self._cards.pop(device, None)
                self._gone(device)
            self._seen[device] = incarnation
            self._spawn(self._greet(device, incarnation))

    def greet_again(self) -> None:
        """Tell every peer who this device is: it has another address."""
        for device, incarnation in self._seen.items():
            if device not in self._asking:
                self._asking.add(device)
                self._spawn(self._ask_again(device, incarnation))

    def welcome(self, card: Card) -> None:
        """A device says who it is; what it says of one that is known, that one is asked itself."""
        known = self._cards.get(card.device)
        incarnation = self._seen.get(card.device)
        if known is None:
            self._learn(card)
        elif incarnation and known.addresses != card.addresses and card.device not in self._asking:
            self._asking.add(card.device)
            self._spawn(self._ask_again(card.device, incarnation))

    def _learn(self, card: Card) -> None:
        known = self._cards.get(card.device)
        if card.device not in self._seen or (known and known.addresses == card.addresses):
            return
        # Names are shown on terminals, and a stranger chose them.
        card = msgspec.structs.replace(
            card,
            name=printable(self._network.certified_name(card.device) or card.name).strip() or "?",
            model=printable(card.model),
        )
        self._cards[card.device] = card
        self.strangers.pop(card.device, None)
        self._joined(card)

    async def _confirm_gone(self, device: str) -> None:
        """A device that drains is not to be seen any more, but still waits for its answers."""
        try:
            for _ in range(CONFIRMATIONS):
                await self.report(device, self.silence_seconds)
                await asyncio.sleep(self.silence_seconds)
                if device in self._seen:
                    return
        except PeerError:
            pass  # gone indeed
        finally:
            self._confirming.discard(device)
        self._gone(device)

    async def _greet(self, device: str, incarnation: str) -> None:
        """Greet a device that is new, as long as it is to be seen: one that hangs may go on."""
        pause = GREETING_SECONDS
        while not await self._exchange_cards(device, incarnation):
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_GREETING_SECONDS)
            if device in self._cards:
                return  # it has greeted us

    async def _ask_again(self, device: str, incarnation: str) -> None:
        """Exchange cards with a device that is known, because one of them has changed."""
        try:
            for attempt in range(1, RENEWALS + 1):
                if await self._exchange_cards(device, incarnation):
                    return
                await asyncio.sleep(attempt * GREETING_SECONDS)
        finally:
            self._asking.discard(device)

    async def _exchange_cards(self, device: str, incarnation: str) -> bool:
        """Say hello; whether there is nothing more to be had of it."""
        try:
            reply = await self._one(device, Hello(self._card()), timeout=self.silence_seconds)
        except PeerError as error:
            if self._seen.get(device) != incarnation:
                return True
            if device not in self._cards:
                self.strangers[device] = f"it does not answer a greeting: {error}"
            return False
        if self._seen.get(device) != incarnation:
            return True
        if isinstance(reply, Welcome) and reply.card.device == device:
            self._learn(reply.card)
        else:
            detail = reply.detail if isinstance(reply, Refused) else "it is someone else"
            self.strangers[device] = printable(f"it cannot work here: {detail}", 300)
        return True

    async def infer(self, device: str, task: Task, say: Say) -> Answer:
        """Ask a peer for an inference.

        Cancelling this, or any failure, sends the peer a `Cancel`.

        Raises:
            PeerGone, PeerSilent, PeerRefused, QueueFull, ContextExceeded, LLMError: it did
                not answer.
        """
        finished = False
        received = 0
        answers: list[Answer] = []

        def hear(reply: Reply) -> bool:
            nonlocal finished, received
            match reply:
                case Waiting() | Working():
                    say(reply)
                case Piece():
                    received += PIECE_COST + reply.size()
                    say(reply)
                case DeviceReport():
                    received += PIECE_COST  # so that they end as well
                    self._heard(device, reply)
                case Answer():
                    finished = True
                    if reply.size() > MAX_RECEIVED:
                        raise PeerRefused("too long", "its answer is too long")
                    answers.append(reply)
                case Refused() | Failed():
                    finished = True
                    raise _as_error(reply)
                case _:
                    raise PeerRefused("garbage", f"it sent a {type(reply).__name__}")
            if received > MAX_RECEIVED:
                raise PeerRefused("too long", "its answer has no end")
            return finished

        try:
            request = Infer(task, self._news_for(device))
            await self._ask(device, request, self.silence_seconds, hear)
            if not answers:
                raise PeerGone(f"{self._name(device)} disappeared")
        except PeerGone:
            finished = True
            raise
        finally:
            if not finished:
                self._spawn(self._cancel(device, task.id))
        return answers[0]

    def _name(self, device: str) -> str:
        card = self._cards.get(device)
        return f"device {device}" if card is None else card.name

    async def report(self, device: str, timeout: float) -> DeviceReport:
        """Ask a peer how it is doing.

        Raises:
            PeerError: it does not say within `timeout` seconds.
        """
        try:
            reply = await self._one(device, AskReport(), timeout)
        except PeerError:
            self._heard(device, None)
            raise
        if isinstance(reply, DeviceReport):
            self._heard(device, reply)
            return reply
        raise PeerRefused("garbage", f"it sent a {type(reply).__name__}")

    async def close(self) -> None:
        """End what still runs in the background, and begin nothing more."""
        self._closed = True
        for task in self._background:
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)

    async def _cancel(self, device: str, task: str) -> None:
        with contextlib.suppress(PeerError):  # a peer that is gone runs nothing of ours any more
            await self._one(device, Cancel(task), self.silence_seconds)

    async def _one(self, device: str, request: Request, timeout: float) -> Reply:
        replies: list[Reply] = []

        def hear(reply: Reply) -> bool:
            replies.append(reply)
            return True

        await self._ask(device, request, timeout, hear)
        return replies[0]

    async def _ask(
        self, device: str, request: Request, silence: float, hear: Callable[[Reply], bool]
    ) -> None:
        """Ask, and hear replies until one is the last, or nothing comes for too long."""

        def read(payload: bytes) -> bool:
            try:
                return hear(decode_reply(payload))
            except MessageError as error:
                raise PeerRefused("garbage", str(error)) from None

        try:
            await self._network.ask(device, encode(request), read, silence)
        except PeerSilent:
            raise PeerSilent(f"{self._name(device)} has said nothing for {silence:.0f} s") from None

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        if self._closed:
            work.close()
            return
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)


def _as_error(reply: Refused | Failed) -> DmoaError:
    match reply:
        case Failed(detail=detail):
            return LLMError(printable(detail, 500))
        case Refused(reason="busy", detail=detail, retry_after=retry_after):
            return QueueFull(printable(detail, 500), retry_after)
        case Refused(reason="request", status=status, detail=detail):
            return RequestRefused(max(status, 400), printable(detail, LIMITS.detail_characters))
        case Refused(reason="context", window=window):
            return ContextExceeded(None, window)
        case _:
            return PeerRefused(reply.reason, printable(reply.detail, 500))
