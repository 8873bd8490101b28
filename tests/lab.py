"""A laboratory of network namespaces: devices on a switch, whose links can be cut.

    with Lab(4) as lab:
        lab.cut(3)          # no FIN, no RST: packets are lost from here on
        lab.heal(3)

Nothing of the machine's own network is touched: the switch has a namespace, too. What a lab has
made it removes.
"""

import asyncio
import contextlib
import ctypes
import http.client
import json
import os
import secrets
import shutil
import subprocess
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any, Self

from dmoa.node.local import NAMES, DeviceProcess

API_PORT = 8765
LINK_PORT = 7447
_NEW_NETWORK = 0x40000000  # CLONE_NEWNET


@cache
def unavailable() -> str | None:
    """Why there can be no lab here; None if there can."""
    if shutil.which("ip") is None:
        return "there is no `ip` command"
    name = f"dmoa-{secrets.token_hex(3)}"
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True, check=False)
    if made.returncode:
        return f"no network namespaces: {made.stderr.strip()}"
    try:
        bridge = ["ip", "-n", name, "link", "add", "br0", "type", "bridge"]
        done = subprocess.run(bridge, capture_output=True, text=True, check=False)
        return f"no bridges: {done.stderr.strip()}" if done.returncode else None
    finally:
        subprocess.run(["ip", "netns", "del", name], check=False)


class Lab:
    """Places for devices, numbered from 1, each with a namespace and a link to one switch."""

    def __init__(self, places: int) -> None:
        self.places = places
        self._tag = f"dmoa-{secrets.token_hex(3)}"

    def __enter__(self) -> Self:
        try:
            self._make()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for name in [self._switch, *(self.namespace(i + 1) for i in range(self.places))]:
            subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)

    @property
    def _switch(self) -> str:
        return f"{self._tag}-switch"

    def namespace(self, place: int) -> str:
        """Name of a place's namespace."""
        return f"{self._tag}-{place}"

    @staticmethod
    def address(place: int) -> str:
        """The first address of a place."""
        return f"10.88.0.{place}"

    def _make(self) -> None:
        _ip("netns", "add", self._switch)
        _ip("-n", self._switch, "link", "add", "br0", "type", "bridge")
        _ip("-n", self._switch, "link", "set", "br0", "up")
        for place in range(1, self.places + 1):
            inside = self.namespace(place)
            _ip("netns", "add", inside)
            _ip("-n", inside, "link", "set", "lo", "up")
            end = ("peer", "name", "eth0", "netns", inside)
            _ip("-n", self._switch, "link", "add", f"port{place}", "type", "veth", *end)
            _ip("-n", self._switch, "link", "set", f"port{place}", "master", "br0", "up")
            _ip("-n", inside, "link", "set", "eth0", "up")
            self.give_address(place, self.address(place))

    def cut(self, *places: int) -> None:
        """Lose all packets from and to these places."""
        for place in places:
            _ip("-n", self._switch, "link", "set", f"port{place}", "down")

    def heal(self, *places: int) -> None:
        """Carry their packets again."""
        for place in places:
            _ip("-n", self._switch, "link", "set", f"port{place}", "up")

    def part(self, *places: int) -> None:
        """Let these places reach each other and nobody else: a second switch takes them."""
        _ip("-n", self._switch, "link", "add", "br1", "type", "bridge")
        _ip("-n", self._switch, "link", "set", "br1", "up")
        for place in places:
            _ip("-n", self._switch, "link", "set", f"port{place}", "master", "br1")

    def join(self, *places: int) -> None:
        """Undo `part`."""
        for place in places:
            _ip("-n", self._switch, "link", "set", f"port{place}", "master", "br0")
        _ip("-n", self._switch, "link", "del", "br1")

    def give_address(self, place: int, address: str) -> None:
        """Give a place this address and no other, as a new lease does."""
        inside = self.namespace(place)
        _ip("-n", inside, "addr", "flush", "dev", "eth0", "scope", "global")
        _ip("-n", inside, "addr", "add", f"{address}/24", "dev", "eth0")

    def device(
        self, place: int, folder: Path, llm: str, *, everywhere: bool = False
    ) -> "LabDevice":
        """A `dmoa up --open` at a place; the first place is the one that all others know.

        It listens on the address of its place, or on all that it has.
        """
        return LabDevice(self, place, folder, llm, everywhere=everywhere)


class LabDevice:
    """One device of a lab, and a client beside it in its namespace."""

    def __init__(self, lab: Lab, place: int, folder: Path, llm: str, *, everywhere: bool) -> None:
        self.place = place
        self.name = NAMES[place - 1]
        seed = [] if place == 1 else ["--connect", f"{lab.address(1)}:{LINK_PORT}"]
        listen = [] if everywhere else ["--listen", f"{lab.address(place)}:{LINK_PORT}"]
        self.process = DeviceProcess(
            self.name,
            folder,
            [
                *("--llm", llm, "--open", *listen, *seed),
                *("--api", f"127.0.0.1:{API_PORT}"),
            ],
            prefix=("ip", "netns", "exec", lab.namespace(place)),
        )
        # Sockets belong to the namespace of the thread that makes them.
        namespace = lab.namespace(place)
        self._looking = ThreadPoolExecutor(1, initializer=_enter, initargs=(namespace,))
        self._asking = ThreadPoolExecutor(4, initializer=_enter, initargs=(namespace,))

    async def close(self) -> None:
        """End it."""
        await self.process.stop()
        self._looking.shutdown(wait=False, cancel_futures=True)
        self._asking.shutdown(wait=False, cancel_futures=True)

    async def sees(self) -> set[str]:
        """Names of the devices that it says are there, its own included."""
        status = await self._call(self._looking, "GET", "/status", None, 10.0)
        return {device["name"] for device in status["devices"] if device["alive"]}

    async def ask(self, model: str, seconds: float = 60.0) -> dict[str, Any]:
        """The answer to a prompt, as OpenAI's API gives it."""
        body = {"model": model, "messages": [{"role": "user", "content": "Why?"}]}
        return await self._call(self._asking, "POST", "/v1/chat/completions", body, seconds)

    async def _call(
        self,
        threads: ThreadPoolExecutor,
        method: str,
        path: str,
        body: dict[str, Any] | None,
        seconds: float,
    ) -> dict[str, Any]:
        def call() -> dict[str, Any]:
            connection = http.client.HTTPConnection("127.0.0.1", API_PORT, timeout=seconds)
            with contextlib.closing(connection):
                data = None if body is None else json.dumps(body)
                connection.request(method, path, data, {"Content-Type": "application/json"})
                found: dict[str, Any] = json.loads(connection.getresponse().read())
                return found

        return await asyncio.get_running_loop().run_in_executor(threads, call)


class Watch:
    """Looks all the time at what each device sees, and knows when that changed.

    Attributes:
        history: for each device's name, (seconds, names it sees) whenever that is new.
    """

    EVERY = 0.25

    def __init__(self, devices: Sequence[LabDevice]) -> None:
        self._devices = devices
        self.history: dict[str, list[tuple[float, frozenset[str]]]] = {d.name: [] for d in devices}
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        self._tasks = [asyncio.create_task(self._look(device)) for device in self._devices]
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _look(self, device: LabDevice) -> None:
        history = self.history[device.name]
        while True:
            begun = time.monotonic()
            try:
                seen = frozenset(await device.sees())
            except (OSError, http.client.HTTPException, KeyError, ValueError):
                seen = frozenset()  # it was killed
            if not history or history[-1][1] != seen:
                history.append((time.monotonic(), seen))
            await asyncio.sleep(max(0.0, begun + self.EVERY - time.monotonic()))

    async def until(self, expected: dict[str, set[str]], seconds: float) -> float:
        """Wait until each named device sees just what is expected; returns how long it took.

        Raises:
            AssertionError: it did not come about in time; says what was seen.
        """
        begun = time.monotonic()
        while True:
            wrong = {
                name: sorted(self._now(name))
                for name in expected
                if self._now(name) != expected[name]
            }
            if not wrong:
                return time.monotonic() - begun
            assert time.monotonic() - begun < seconds, f"after {seconds} s: {wrong}"
            await asyncio.sleep(0.05)

    def _now(self, name: str) -> frozenset[str]:
        return self.history[name][-1][1] if self.history[name] else frozenset()

    def losses(self, since: float, among: set[str]) -> list[str]:
        """Who of `among` has lost sight of whom of them since a moment; nobody should."""
        return [
            f"{name} lost {', '.join(sorted(among - seen))} after {when - since:.1f} s"
            for name in sorted(among)
            for when, seen in self.history[name]
            if when > since and among - seen
        ]


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


def _enter(namespace: str) -> None:
    """Move this thread into a namespace."""
    descriptor = os.open(f"/run/netns/{namespace}", os.O_RDONLY)
    try:
        if ctypes.CDLL(None, use_errno=True).setns(descriptor, _NEW_NETWORK):
            raise OSError(ctypes.get_errno(), f"cannot enter {namespace}")
    finally:
        os.close(descriptor)
