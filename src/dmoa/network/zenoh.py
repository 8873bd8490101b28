"""A network of Zenoh peers: gossip discovery from any one known peer, liveliness, queries.

Keys, under `dmoa/NETWORK/`: `ask/DEVICE` answers requests; `alive/DEVICE/INCARNATION` is a
liveliness token that exists while the device does. Zenoh calls back on threads of its own;
everything here happens on the event loop that opened the network.
"""

import asyncio
import contextlib
import functools
import json
import logging
import os
import secrets
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import zenoh

from dmoa.errors import PeerGone, UsageError
from dmoa.network.addresses import parse, reachable
from dmoa.network.interface import Hear, Serve
from dmoa.network.request import OpenRequest
from dmoa.policies.limits import LIMITS

# Zenoh reads this when it is first used. One thread receives, and another sends, so that links
# are kept alive whatever a callback waits for; by default there are five kinds, and every
# message wakes several.
os.environ.setdefault(
    "ZENOH_RUNTIME", "(rx: (handover: net), acc: (handover: net), app: (handover: net))"
)

log = logging.getLogger(__name__)

LEASE_SECONDS = 3.0
# The layers of the protocol have deadlines of their own; this only frees a forgotten query.
QUERY_SECONDS = 24 * 3600.0
FINAL_SECONDS = 2.0
END_SECONDS = 0.02
SMALL_BYTES = 32 * 1024
LARGE_THREADS, SMALL_THREADS = 8, 64


class ZenohNetwork:
    """One device's Zenoh session; see `Network`.

    Args:
        listen: endpoints to listen on.
        connect: endpoints of known peers; they are tried again until they are there.
        multicast: also find peers of the local network without knowing any.
        name: name of the network; others are not seen.
    """

    def __init__(
        self,
        listen: list[str],
        connect: list[str],
        *,
        multicast: bool = False,
        name: str = "open",
    ) -> None:
        for endpoint in [*listen, *connect]:
            parse(endpoint)
        self._listen = listen
        self._connect = [endpoint for endpoint in connect if endpoint not in listen]
        self._multicast = multicast
        self._prefix = f"dmoa/{name}"
        self._tokens: dict[str, list[str]] = {}  # device -> its incarnations, oldest first
        self._serving: set[asyncio.Task[None]] = set()
        self._end_soon = _Chores(END_SECONDS)
        self._cancel_later = _Chores(FINAL_SECONDS)
        self._sending = 0  # large messages under way
        # A stopped peer blocks a thread for each message until its link is given up.
        self._large = ThreadPoolExecutor(LARGE_THREADS, "dmoa-large")
        self._small = ThreadPoolExecutor(SMALL_THREADS, "dmoa-small")
        self._sends: set[asyncio.Task[None]] = set()  # replies under way
        self._actions: deque[Callable[[], None]] = deque()
        self._woken = False  # whether the loop has been told of them
        self._session: zenoh.Session | None = None
        self._token: zenoh.LivelinessToken | None = None

    async def open(self, device: str, serve: Serve, changed: Callable[[], None]) -> None:
        """Open the session, answer requests, and become visible."""
        self._loop = asyncio.get_running_loop()
        self._device, self._serve, self._changed = device, serve, changed
        await self._join()

    async def _join(self) -> None:
        try:
            session = await asyncio.to_thread(zenoh.open, self._config())
        except zenoh.ZError:
            raise UsageError(
                f"cannot listen on {', '.join(self._listen)}: the address is taken or not of"
                f" this machine; give another one by --listen"
            ) from None
        self._session = session
        session.declare_queryable(
            f"{self._prefix}/ask/{self._device}", _direct(self._on_query), complete=True
        )
        session.liveliness().declare_subscriber(
            f"{self._prefix}/alive/*/*", _direct(self._on_liveliness), history=True
        )
        self._token = session.liveliness().declare_token(
            f"{self._prefix}/alive/{self._device}/{secrets.token_hex(8)}"
        )

    async def reconnect(self, endpoints: list[str]) -> None:
        """Close the session and open it anew, with more known peers.

        Requests that are open end as if the network had failed.
        """
        self._connect += [e for e in endpoints if e not in self._connect]
        await self._leave()
        self._changed()
        while True:  # until this network is closed, which cancels whoever waits here
            try:
                return await self._join()
            except UsageError:  # the old socket is still going, or another program was quicker
                await asyncio.sleep(1.0)

    def configured(self) -> list[str]:
        """The endpoints of known peers."""
        return list(self._connect)

    def linked(self) -> set[str]:
        """The endpoints that this device has dialled with success."""
        if self._session is None:
            return set()
        return {str(link.dst).partition("?")[0] for link in self._session.info.links()}

    def _config(self) -> zenoh.Config:
        config = zenoh.Config()
        settings: dict[str, Any] = {
            "mode": "peer",
            "listen/endpoints": self._listen,
            "connect/endpoints": self._connect,
            "scouting/multicast/enabled": self._multicast,
            "transport/link/tx/lease": int(LEASE_SECONDS * 1000),
            "transport/link/rx/max_message_size": 2 * LIMITS.message_bytes,
            "transport/shared_memory/enabled": False,
        }
        for key, value in settings.items():
            config.insert_json5(key, json.dumps(value))
        return config

    # --- who is there ---------------------------------------------------------------------

    def alive(self) -> Mapping[str, str]:
        """Devices with a liveliness token.

        Of several tokens the oldest counts: whoever claims the id of a device that is there
        must not make it look restarted.
        """
        return {device: tokens[0] for device, tokens in self._tokens.items()}

    def addresses(self) -> list[str]:
        """The endpoints that this device listens on, as others can dial them."""
        return [reachable(endpoint) for endpoint in self._listen]

    def _on_liveliness(self, sample: zenoh.Sample) -> None:
        device, incarnation = str(sample.key_expr).split("/")[-2:]
        here = sample.kind == zenoh.SampleKind.PUT
        self._on_loop(lambda: self._seen(device, incarnation, here))

    def _seen(self, device: str, incarnation: str, here: bool) -> None:
        if device == self._device:
            return
        tokens = self._tokens.setdefault(device, [])
        if here and incarnation not in tokens:
            tokens.append(incarnation)
        elif not here and incarnation in tokens:
            tokens.remove(incarnation)
        if not tokens:
            del self._tokens[device]
        self._changed()

    # --- asking ---------------------------------------------------------------------------

    async def ask(self, device: str, payload: bytes, hear: Hear, silence: float) -> None:
        """Query the device's key; see `Network.ask`."""
        if self._session is None or len(payload) > LIMITS.message_bytes:
            raise PeerGone(f"device {device} cannot be asked")
        request = OpenRequest(device, hear, silence)

        def receive(reply: zenoh.Reply) -> None:
            if reply.ok is not None:
                data = reply.ok.payload.to_bytes()
                self._on_loop(lambda: request.take(data))

        def cancel() -> None:
            if not request.ended:
                # Blocks until a callback that runs now is through, so not on this loop.
                self._loop.run_in_executor(None, cancellation.cancel)

        def send() -> None:
            try:
                session.get(
                    f"{self._prefix}/ask/{device}",
                    _direct(receive, lambda: self._on_loop(request.end)),
                    payload=payload,
                    timeout=QUERY_SECONDS,
                    consolidation=zenoh.ConsolidationMode.NONE,
                    congestion_control=zenoh.CongestionControl.BLOCK,
                    express=True,
                    cancellation_token=cancellation,
                )
            except zenoh.ZError:  # the session is being closed
                self._on_loop(request.end)

        session, cancellation = self._session, zenoh.CancellationToken()
        sending: asyncio.Task[None] | None = None
        if self._goes_at_once(len(payload)):
            send()
        else:
            sending = asyncio.create_task(self._send_by_thread(send, len(payload)))
        try:
            await request.listen()
        finally:
            if sending is not None:
                sending.cancel()
            self._cancel_later.do(cancel)  # mostly the other side ends the query by itself

    async def _send_by_thread(self, send: Callable[[], object], size: int) -> None:
        """Hand a message to Zenoh, which blocks while the link is full."""
        if size < SMALL_BYTES:
            await asyncio.wrap_future(self._small.submit(send))
            return
        self._sending += 1
        job = self._large.submit(send)
        # Also when nobody waits for it any more, the link is full until the thread comes back.
        job.add_done_callback(lambda _: self._on_loop(self._sent))
        await asyncio.wrap_future(job)

    def _sent(self) -> None:
        self._sending -= 1

    def _goes_at_once(self, size: int) -> bool:
        """Whether a message needs no thread.

        A stopped peer fills its link with the first large message, so these, and all others
        while one is under way, are sent by a thread.
        """
        return size < SMALL_BYTES and not self._sending

    # --- answering ------------------------------------------------------------------------

    def _on_query(self, query: zenoh.Query) -> None:
        payload = b"" if query.payload is None else query.payload.to_bytes()
        self._on_loop(lambda: self._answer_later(query, payload))

    def _answer_later(self, query: zenoh.Query, payload: bytes) -> None:
        if len(self._serving) >= LIMITS.requests:
            query.drop()
            return
        task = asyncio.create_task(self._answer(query, payload))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def _answer(self, query: zenoh.Query, payload: bytes) -> None:
        key = f"{self._prefix}/ask/{self._device}"
        sending: asyncio.Task[None] | None = None

        def reply(data: bytes) -> None:
            nonlocal sending
            send = functools.partial(_reply, query, key, data)
            if sending is None and self._goes_at_once(len(data)):
                send()
            else:
                sending = asyncio.create_task(self._send_after(sending, send, len(data)))
                self._sends.add(sending)
                sending.add_done_callback(self._sends.discard)

        try:
            await self._serve(payload, reply)
        finally:
            # The asker knows the last reply by its content. The end of the query would cost
            # both sides their time just when the next layer begins.
            if sending is None or sending.done():
                self._end_soon.do(query.drop)
            else:
                sending.add_done_callback(lambda _: self._end_soon.do(query.drop))

    async def _send_after(
        self, before: asyncio.Task[None] | None, send: Callable[[], object], size: int
    ) -> None:
        if before is not None:
            await before
        await self._send_by_thread(send, size)

    # --- ending ---------------------------------------------------------------------------

    async def retire(self) -> None:
        """Take the liveliness token back."""
        if self._token is not None:
            self._token.undeclare()
            self._token = None

    async def close(self) -> None:
        """End open requests and close the session."""
        await self._leave()
        self._large.shutdown(wait=False, cancel_futures=True)
        self._small.shutdown(wait=False, cancel_futures=True)

    async def _leave(self) -> None:
        await self.retire()
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)
        if self._sends:
            await asyncio.wait(self._sends, timeout=FINAL_SECONDS)
        self._end_soon.do_all()
        session, self._session = self._session, None
        if session is not None:
            try:
                await asyncio.to_thread(session.close)
            except zenoh.ZError as error:  # a link to a stopped peer; it is given up anyway
                log.warning("the Zenoh session did not close in order: %s", error)
        self._tokens.clear()

    def _on_loop(self, action: Callable[[], None]) -> None:
        """Run an action of one of Zenoh's threads on the event loop, in order."""
        self._actions.append(action)
        if not self._woken:  # waking the loop is a system call: once for all that is there
            self._woken = True
            with contextlib.suppress(RuntimeError):  # the loop has ended, and who could be told
                self._loop.call_soon_threadsafe(self._act)

    def _act(self) -> None:
        self._woken = False  # before looking: what is added from here on wakes the loop again
        while self._actions:
            try:
                self._actions.popleft()()
            except Exception:  # the rest would wait for ever
                log.exception("an event of the network")


class _Chores:
    """Calls that are made together some time later: one timer for all of them."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._calls: list[Callable[[], object]] = []

    def do(self, call: Callable[[], object]) -> None:
        """Make this call at most the seconds from now."""
        if not self._calls:
            asyncio.get_running_loop().call_later(self._seconds, self.do_all)
        self._calls.append(call)

    def do_all(self) -> None:
        """Make all calls now."""
        calls, self._calls = self._calls, []
        for call in calls:
            call()


def _reply(query: zenoh.Query, key: str, data: bytes) -> None:
    # The query is dropped by now when the network is being closed.
    with contextlib.suppress(zenoh.ZError):
        query.reply(key, data, express=True)


def _direct(call: Callable[[Any], None], drop: Callable[[], None] | None = None) -> Any:
    """A callback that Zenoh calls on its own thread; by default each has a new Python thread."""
    return zenoh.handlers.Callback(call, drop, indirect=False)
