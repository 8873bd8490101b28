"""A device as a process: everything that `dmoa up` starts, and ends again."""

import asyncio
import contextlib
import random
import signal
import sys
from collections.abc import AsyncGenerator, Callable, Generator
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from dmoa.api.app import make_app
from dmoa.api.models import CommitteeSize
from dmoa.api.server import ApiServer, bind
from dmoa.config import Settings
from dmoa.device import Device
from dmoa.errors import UsageError
from dmoa.folders import state_folder
from dmoa.llm.detect import find_servers
from dmoa.llm.specification import make_llm
from dmoa.network.addresses import default_endpoints, is_loopback, require_loopback
from dmoa.network.identity import load_identity
from dmoa.network.known import KnownPeers
from dmoa.network.messages import Card
from dmoa.network.upkeep import Upkeep
from dmoa.network.zenoh import ZenohNetwork
from dmoa.queue import DeviceQueue

Say = Callable[[str], None]


async def serve(settings: Settings, say: Say, until: asyncio.Event | None = None) -> None:
    """Run a device until a signal, or `until`, ends it.

    Prints `ready URL` on stdout when it can serve.

    Args:
        settings: the settings.
        say: is told what goes on, for stderr.
        until: ends the device when it is set.

    Raises:
        UsageError: a setting cannot be used.
        LLMUnavailable: the LLM cannot be reached.
    """
    stop = until or asyncio.Event()
    with _signals(stop):
        async with _running(settings, say) as (device, url):
            print(f"ready {url}", flush=True)
            await stop.wait()
            say("ending: what was accepted is finished first")
            await device.drain(settings.drain_seconds)


@contextlib.asynccontextmanager
async def _running(settings: Settings, say: Say) -> AsyncGenerator[tuple[Device, str], None]:
    host, port = settings.api_address()
    keys = settings.api_keys()
    if not keys and not is_loopback(host):
        raise UsageError(
            f"--api {settings.api} is reachable from other machines; protect it by a key:"
            " set DMOA_API_KEY or give --api-key-file FILE"
        )
    require_loopback([*settings.listen, *settings.connect], open_network=settings.open)
    if settings.open:
        say(
            "warning: --open lets every device that reaches this one use its LLM and read the"
            " prompts that are sent around; use it only on a network that you trust"
        )
    if settings.multicast and not settings.open:
        raise UsageError("--multicast looks for devices of other machines; it needs --open")
    state = settings.state or state_folder(settings.name)
    async with contextlib.AsyncExitStack() as stack:
        device_id = load_identity(state)
        stack.enter_context(_only_user_of(state))
        listener = bind(host, port)
        stack.callback(listener.close)
        llm = await make_llm(
            settings.llm or await _found(say),
            settings.name,
            context_length=settings.context,
            threads=settings.threads,
            say=say,
        )
        stack.push_async_callback(llm.close)
        known = KnownPeers(state / "peers.json")
        network = _network(settings, known, say)
        upkeep = Upkeep(network, known, say)

        def joined(card: Card) -> None:
            say(f"{card.name} is there ({card.model})")
            known.meet(card)

        device = Device(
            device_id,
            settings.name,
            llm,
            network,
            queue=DeviceQueue(
                slots=settings.slots,
                max_tasks=settings.queue_tasks,
                max_bytes=settings.queue_bytes,
                discipline=settings.discipline,
            ),
            random_generator=random.Random(),
            max_prompts=settings.max_prompts,
            prompt_deadline=settings.prompt_deadline,
            stall_seconds=settings.stall_seconds,
            silence_seconds=settings.silence_seconds,
            joined=joined,
        )
        stack.push_async_callback(device.close)
        await device.start()
        stack.push_async_callback(upkeep.close)
        upkeep.start(
            device.peer_links, busy=lambda: bool(device.open_prompts or device.service.running)
        )
        app = make_app(
            device,
            default=CommitteeSize(
                settings.layers, settings.proposers, settings.default_aggregation
            ),
            policy=settings.policy,
            keys=keys,
            problems=lambda: upkeep.problems,
        )
        server = ApiServer(app, listener)
        server.start()
        stack.push_async_callback(server.close)
        say(
            f"{settings.name} runs {llm.info.name} ({llm.info.context_length} tokens of context)"
            f" and listens on {', '.join(network.addresses())}"
        )
        shown = f"[{host}]" if ":" in host else host
        yield device, f"http://{shown}:{listener.getsockname()[1]}/v1"


def _network(settings: Settings, known: KnownPeers, say: Say) -> ZenohNetwork:
    listen, connect = settings.listen, settings.connect
    if not listen:
        default, neighbours = default_endpoints()
        listen = [default]
        connect = [*connect, *neighbours]
    reachable = [a for a in known.addresses() if settings.open or _is_local(a)]
    if reachable:
        say(f"{len(reachable)} devices are known from before")
    return ZenohNetwork(
        listen, list(dict.fromkeys([*connect, *reachable])), multicast=settings.multicast
    )


def _is_local(address: str) -> bool:
    try:
        require_loopback([address], open_network=False)
    except UsageError:
        return False
    return True


async def _found(say: Say) -> str:
    """The LLM server of this machine, or the user's word that the built-in model is wanted."""
    servers = await find_servers()
    for server in servers:
        shown = ", ".join(server.models[:8])
        say(f"found {server.program} at {server.url} with {shown}")
    if servers:
        chosen = servers[0].specification
        say(f"using {chosen}; another one by --llm")
        return chosen
    offer = "no LLM server runs here on the usual ports of Ollama, LM Studio, llama.cpp or vLLM"
    if sys.stdin is not None and sys.stdin.isatty():
        say(f"{offer}. Use the small built-in model smollm2 (98 MB, fetched once)? [Y/n]")
        answer = await asyncio.to_thread(sys.stdin.readline)
        if answer.strip().lower() in ("", "y", "yes"):
            return "smollm2"
    raise UsageError(f"{offer}; start one, or take the small built-in model by --llm smollm2")


@contextlib.contextmanager
def _only_user_of(state: Path) -> Generator[None, None, None]:
    """Two processes with one identity would be one device in two places."""
    try:
        with FileLock(state / "lock", timeout=0):
            yield
    except Timeout:
        raise UsageError(
            f"the state folder {state} is in use by another running device;"
            " give this one another --name or --state"
        ) from None


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
