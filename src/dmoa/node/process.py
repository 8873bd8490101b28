"""A device as a process: everything that `dmoa up` starts, and ends again."""

import asyncio
import contextlib
import random
import signal
from collections.abc import AsyncGenerator, Callable, Generator
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from dmoa.api.app import make_app
from dmoa.api.making import PromptDefaults
from dmoa.api.server import ApiServer, bind
from dmoa.api.unattended import Unattended
from dmoa.device.committee import Committees
from dmoa.device.device import Device
from dmoa.device.examinations import Examinations
from dmoa.device.queue import DeviceQueue
from dmoa.errors import UsageError
from dmoa.folders import state_folder, user_folder
from dmoa.llm.interface import LLM
from dmoa.llm.specification import make_llm
from dmoa.network.addresses import is_loopback, link_address, parse
from dmoa.network.messages import Card
from dmoa.network.probe import default_endpoints
from dmoa.network.sealed import SealedNetwork
from dmoa.network.zenoh import ZenohNetwork
from dmoa.node.identity import load_identity
from dmoa.node.known import KnownPeers
from dmoa.node.membership import OPEN_WARNING, NodeNetwork, choose_network
from dmoa.node.settings import Settings
from dmoa.node.storage import storage
from dmoa.node.upkeep import Upkeep
from dmoa.protocol.experience import Experience
from dmoa.standings.examiner import Examiner

Say = Callable[[str], None]

START_SECONDS = 60.0


async def serve(settings: Settings, llm: str, say: Say, until: asyncio.Event | None = None) -> None:
    """Run a device until a signal, or `until`, ends it.

    Prints `ready URL` on stdout when it can serve.

    Args:
        settings: the settings.
        llm: its LLM, see `llm.specification`.
        say: is told what goes on, for stderr.
        until: ends the device when it is set.

    Raises:
        UsageError: a setting cannot be used.
        LLMUnavailable: the LLM cannot be reached.
    """
    stop = until or asyncio.Event()
    with contextlib.ExitStack() as signals:
        async with _running(settings, llm, say) as (device, url):
            # While it starts, Ctrl-C and SIGTERM do what they do to any program; from here on
            # they ask for an end in order, until all is closed.
            signals.enter_context(_signals(stop))
            print(f"ready {url}", flush=True)
            await stop.wait()
            say("ending: what was accepted is finished first")
            await device.drain(settings.drain_seconds)


@contextlib.asynccontextmanager
async def _running(
    settings: Settings, llm_name: str, say: Say
) -> AsyncGenerator[tuple[Device, str], None]:
    host, port = settings.api_address()
    keys = settings.api_keys()
    if not keys and not is_loopback(host):
        raise UsageError(
            f"--api {settings.api} is reachable from other machines; protect it by a key:"
            " set DMOA_API_KEY or give --api-key-file FILE"
        )
    state = settings.state or state_folder(settings.name)
    async with contextlib.AsyncExitStack() as stack:
        identity = load_identity(state)
        member = choose_network(settings, identity, state)
        stack.enter_context(_only_user_of(state))
        stored = await stack.enter_async_context(storage(state, say))
        if settings.open:
            say(f"warning: {OPEN_WARNING}")
        name = member.device_name(settings.name)
        if name != settings.name:
            say(f"note: network {member.name} calls this device {name}, not {settings.name}")
        listener = bind(host, port)
        stack.callback(listener.close)
        llm = await make_llm(
            llm_name,
            name,
            context_length=settings.context,
            threads=settings.threads,
            wait_seconds=settings.llm_wait_seconds,
            say=say,
        )
        stack.push_async_callback(llm.close)
        known = KnownPeers(state / "peers.json", leaves_machine=member.leaves_machine)

        def joined(card: Card) -> None:
            say(f"{card.name} is there ({card.model})")
            known.meet(card)

        async with _choosing_ports():
            transport = _transport(settings, member, known, say)
            network = SealedNetwork(transport, member.holder)
            device = _device(
                settings, name, llm, network, joined, say, experience=stored.experience
            )
            stack.push_async_callback(device.close)
            await device.start()
        configured = [link_address(address) for address in settings.connect]
        upkeep = Upkeep(transport, network, known, configured, say, member.private)
        stack.push_async_callback(upkeep.close)
        upkeep.start(device.peer_links)
        examiner = Examiner(identity.id, stored.examinations, settings.budget)
        examinations = Examinations(device, examiner, save=stored.save_examinations)
        stack.push_async_callback(examinations.close)
        if settings.exams and not settings.local_only:
            examinations.start()
        unattended = Unattended(stored.prompts, device)
        stack.push_async_callback(unattended.close)
        app = make_app(
            device,
            committees=Committees(
                device,
                layers=settings.layers,
                proposers=settings.proposers,
                aggregation=settings.default_aggregation,
                examinations=examinations,
                local_only=settings.local_only,
                patience=settings.patience,
            ),
            defaults=PromptDefaults(
                policy=settings.policy,
                background=settings.background,
                draft_tokens=settings.draft_tokens,
                aggregator=settings.aggregator,
            ),
            keys=keys,
            problems=lambda: upkeep.problems,
            network=member.status,
            origins=settings.api_origins,
            hosts=settings.api_hosts,
            unattended=unattended,
        )
        unattended.start()
        server = ApiServer(app, listener)
        server.start()
        stack.push_async_callback(server.close)
        say(
            f"{name} runs {llm.info.name} ({llm.info.context_length} tokens of context)"
            f" and listens on {', '.join(network.addresses())} for {_shown(member)}"
        )
        shown = f"[{host}]" if ":" in host else host
        yield device, f"http://{shown}:{listener.getsockname()[1]}/v1"


def _device(
    settings: Settings,
    name: str,
    llm: LLM,
    network: SealedNetwork,
    joined: Callable[[Card], None],
    say: Say,
    *,
    experience: Experience,
) -> Device:
    return Device(
        network.holder.device,
        name,
        llm,
        network,
        queue=DeviceQueue(
            slots=settings.slots,
            max_tasks=settings.queue_tasks,
            max_bytes=settings.queue_bytes,
            discipline=settings.discipline,
        ),
        random_generator=random.Random(),
        prompt_deadline=settings.prompt_deadline,
        first_token_seconds=settings.first_token_seconds,
        stall_seconds=settings.stall_seconds,
        silence_seconds=settings.silence_seconds,
        experience=experience,
        joined=joined,
        vanished=lambda card: say(f"{card.name} has left"),
    )


def _shown(member: NodeNetwork) -> str:
    return "this user's devices" if member.kind == "personal" else f"network {member.name}"


def _transport(
    settings: Settings, member: NodeNetwork, known: KnownPeers, say: Say
) -> ZenohNetwork:
    listen, connect = settings.listen, [*settings.connect, *member.addresses]
    for text in [*listen, *connect]:
        if parse(text).protocol != parse(link_address(text)).protocol:
            say(f"note: {text} leaves this machine, so it is {link_address(text)}")
        if parse(text).protocol == "tls":
            say(f"warning: {text} is TLS over TCP: when two devices vanish without a word, links"
                " to the others can stall; use it only where no UDP gets through")  # fmt: skip
    if not listen:
        default, neighbours = default_endpoints(open_network=member.leaves_machine)
        listen = [default]
        connect = [*connect, *neighbours]
    return ZenohNetwork(
        listen,
        list(dict.fromkeys(connect)),
        credentials=member.holder.credentials(),
        known=lambda: [address for found in known.addresses().values() for address in found],
        multicast=settings.multicast,
        name=member.holder.root.fingerprint,
    )


@contextlib.asynccontextmanager
async def _choosing_ports() -> AsyncGenerator[None]:
    """Two devices that start at the same moment must not choose the same free port."""
    # Waiting for it is a thread's, and it is given back by this one.
    lock = FileLock(user_folder() / "ports.lock", thread_local=False)
    try:
        user_folder().mkdir(parents=True, exist_ok=True)
        await asyncio.to_thread(lock.acquire, timeout=START_SECONDS)
    except Timeout:
        raise UsageError(
            f"another device has been starting for {START_SECONDS:.0f} s and holds"
            f" {lock.lock_file}; end it, and start this one again"
        ) from None
    except OSError as error:
        raise UsageError(
            f"cannot lock {lock.lock_file}: {error.strerror or error}; make its folder writable,"
            " or set DMOA_HOME to another one"
        ) from None
    try:
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def _only_user_of(state: Path) -> Generator[None, None, None]:
    """Two processes with one identity would be one device in two places."""
    lock = FileLock(state / "lock", timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise UsageError(
            f"the state folder {state} is in use by another running device;"
            " give this one another --name or --state"
        ) from None
    except OSError as error:
        raise UsageError(
            f"cannot lock the state folder {state}: {error.strerror}; give another one by --state"
        ) from None
    try:
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def _signals(stop: asyncio.Event) -> Generator[None, None, None]:
    """SIGTERM and Ctrl-C set `stop`; a second Ctrl-C ends at once."""
    loop = asyncio.get_running_loop()
    before: dict[signal.Signals, Any] = {}

    def ask(number: int, _: object) -> None:
        if stop.is_set() and number == signal.SIGINT:
            raise KeyboardInterrupt
        loop.call_soon_threadsafe(stop.set)

    for number in (signal.SIGINT, signal.SIGTERM):
        before[number] = signal.signal(number, ask)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
