"""A transport of Zenoh peers: gossip discovery from any one known peer, liveliness, queries.

It proves nothing of who asks and who answers: `sealed.py` does.

Keys, under `dmoa/NETWORK/`: `ask/DEVICE` answers requests; `alive/DEVICE/INCARNATION` is a
liveliness token that exists while the device does. Zenoh calls back on threads of its own;
everything here happens on the event loop that opened the network.
"""

import asyncio
import base64
import contextlib
import functools
import json
import logging
import secrets
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import zenoh

from dmoa.errors import PeerGone, UsageError
from dmoa.network.addresses import is_loopback, link_address, parse
from dmoa.network.interface import Hear, Serve
from dmoa.network.probe import listenable, reachable
from dmoa.network.request import OpenRequest
from dmoa.policies.limits import LIMITS
from dmoa.trust.credentials import Credentials

log = logging.getLogger(__name__)

LEASE_SECONDS = 3.0
DIAL_SECONDS = 4.0
# The layers of the protocol have deadlines of their own; this only frees a forgotten query.
QUERY_SECONDS = 24 * 3600.0
FINAL_SECONDS = 2.0
END_SECONDS = 0.02
INTRODUCTION_SECONDS = 0.5
SMALL_BYTES = 32 * 1024
TOKENS = 8  # that are kept for one device
LARGE_THREADS, SMALL_THREADS = 8, 64


class ZenohNetwork:
    """One device's Zenoh session; see `Network`.

    Args:
        listen: addresses to listen on.
        connect: addresses of devices to join; they are tried again until they are there.
        credentials: of this device; only those of the same authority get a link.
        known: gives addresses of more devices, which are not dialled.
        multicast: also find peers of the local network without knowing any.
        name: name of the network; others are not seen.
    """

    def __init__(
        self,
        listen: list[str],
        connect: list[str],
        credentials: Credentials,
        *,
        known: Callable[[], list[str]] = list,
        multicast: bool = False,
        name: str = "local",
    ) -> None:
        self._wanted = [link_address(endpoint) for endpoint in listen]
        self._listen = self._wanted  # where it really listens
        self._connect = [e for e in map(link_address, connect) if e not in self._wanted]
        self._credentials = credentials
        self._multicast = multicast
        self._known = known
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
            session = await asyncio.to_thread(zenoh.open, self._config(self._listen, self._connect))
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
        incarnation = secrets.token_hex(8)
        self._token = session.liveliness().declare_token(
            f"{self._prefix}/alive/{self._device}/{incarnation}"
        )

    async def move(self) -> None:
        """Listen where this device can be reached now: its addresses have changed.

        Requests that are open end as if the network had failed.
        """
        await self._leave()
        self._changed()
        while True:  # until this network is closed, which cancels whoever waits here
            self._listen = [listenable(endpoint, self._neighbours()) for endpoint in self._wanted]
            try:
                return await self._join()
            except UsageError:  # the old socket is still going, or another program was quicker
                await asyncio.sleep(1.0)

    def must_move(self) -> bool:
        """Whether it should listen elsewhere than it does."""
        return self._listen != [listenable(e, self._neighbours()) for e in self._wanted]

    async def introduce(self, endpoint: str, seconds: float) -> None:
        """Get a link to a device again.

        Zenoh dials the peers that it was started with for ever, but those that it has learnt by
        gossip only once, and it cannot be given new ones. A session that lives for a moment and
        is linked to this device and to the other one makes each known to the other, and disturbs
        no link that is there.

        Args:
            endpoint: where the other one listens.
            seconds: how long it may take.
        """
        ours = self._introduction(endpoint)
        if ours is None:
            return
        try:
            session = await asyncio.to_thread(zenoh.open, self._config([], [ours, endpoint]))
        except zenoh.ZError as error:
            log.info("no introduction to %s: %s", endpoint, error)
            return
        try:
            until = self._loop.time() + seconds
            while self._loop.time() < until and len(list(session.info.peers_zid())) < 2:
                await asyncio.sleep(0.1)
            await asyncio.sleep(INTRODUCTION_SECONDS)  # for the link between the two
        finally:
            await asyncio.to_thread(session.close)

    def _introduction(self, endpoint: str) -> str | None:
        """Where this device's own session can be dialled by one of this process."""
        for text in self._listen:
            if text != endpoint:
                return reachable(text, self._neighbours())
        return None

    def _neighbours(self) -> list[str]:
        """Hosts of devices that this one knows: the way to them is the one that counts."""
        hosts = [parse(endpoint).host for endpoint in [*self._connect, *self._known()]]
        return [host for host in hosts if not is_loopback(host)]

    def linked(self) -> set[str]:
        """The addresses that this device has dialled with success."""
        if self._session is None:
            return set()
        dialled = {str(link.dst).partition("?")[0] for link in self._session.info.links()}
        return {address.replace("tls/", "tcp/", 1) for address in dialled}

    def _config(self, listen: list[str], connect: list[str]) -> zenoh.Config:
        config = zenoh.Config()
        settings: dict[str, Any] = {
            "mode": "peer",
            "listen/endpoints": [_secured(address) for address in listen],
            "connect/endpoints": [_secured(address) for address in connect],
            "scouting/multicast/enabled": self._multicast and bool(listen),
            # A dial that began while the other one was cut off must not outlast the cut for long.
            "connect/retry": {
                "period_init_ms": 500,
                "period_max_ms": 2000,
                "period_increase_factor": 2,
            },
            "transport/unicast/open_timeout": int(DIAL_SECONDS * 1000),
            "transport/link/tx/lease": int(LEASE_SECONDS * 1000),
            "transport/link/rx/max_message_size": 2 * LIMITS.message_bytes,
            "transport/link/protocols": ["tls", "quic"],
            "transport/shared_memory/enabled": False,
        }
        if not listen:  # an introduction makes no links of its own
            settings["scouting/gossip/autoconnect"] = {"router": [], "peer": []}
        settings |= _certificates(self._credentials)
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

    def certified_name(self, device: str) -> str | None:
        """Nothing here is certified."""
        return None

    def addresses(self) -> list[str]:
        """The addresses that this device listens on, as others can dial them."""
        return [reachable(endpoint, self._neighbours()) for endpoint in self._listen]

    def _on_liveliness(self, sample: zenoh.Sample) -> None:
        device, incarnation = str(sample.key_expr).split("/")[-2:]
        here = sample.kind == zenoh.SampleKind.PUT
        self._on_loop(lambda: self._seen(device, incarnation, here))

    def _seen(self, device: str, incarnation: str, here: bool) -> None:
        if device == self._device or (device not in self._tokens and self._is_full()):
            return
        tokens = self._tokens.setdefault(device, [])
        if here and incarnation not in tokens:
            tokens.append(incarnation)
        elif not here and incarnation in tokens:
            tokens.remove(incarnation)
        del tokens[TOKENS:]
        if not tokens:
            del self._tokens[device]
        self._changed()

    def _is_full(self) -> bool:
        return len(self._tokens) >= 2 * LIMITS.peers

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
                    # A session that says that it answers there, too, must not keep it from the
                    # one that is meant.
                    target=zenoh.QueryTarget.ALL,
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
            await self._serve("", payload, reply)
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


def _secured(address: str) -> str:
    """An address as Zenoh writes it: what we call TCP has certificates, too."""
    return address.replace("tcp/", "tls/", 1) if address.startswith("tcp/") else address


def _certificates(credentials: Credentials) -> dict[str, Any]:
    """Both sides of a link show a certificate of the same authority.

    Names are not compared with addresses, which change; with names, a link would fail in silence.
    """

    def text(pem: bytes) -> str:
        return base64.b64encode(pem).decode()

    tls = "transport/link/tls"
    return {
        f"{tls}/root_ca_certificate_base64": text(credentials.authority),
        f"{tls}/listen_certificate_base64": text(credentials.certificate),
        f"{tls}/connect_certificate_base64": text(credentials.certificate),
        f"{tls}/listen_private_key_base64": text(credentials.key),
        f"{tls}/connect_private_key_base64": text(credentials.key),
        f"{tls}/enable_mtls": True,
        f"{tls}/verify_name_on_connect": False,
    }


def _direct(call: Callable[[Any], None], drop: Callable[[], None] | None = None) -> Any:
    """A callback that Zenoh calls on its own thread; by default each has a new Python thread."""
    return zenoh.handlers.Callback(call, drop, indirect=False)
