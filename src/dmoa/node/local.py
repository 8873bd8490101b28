"""Several devices as processes of this machine: for the demo, tests and benchmarks.

    async with LocalNetwork(4, llm="smollm2") as network:
        network.devices[0].url

Each device is a real `dmoa up` with a state folder of its own in a temporary folder. They end
with this process, whatever ends it.
"""

import asyncio
import contextlib
import os
import signal
import socket
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Literal, Self

from dmoa.client import fetch_status
from dmoa.errors import DmoaError

NAMES = ("ada", "bob", "cyd", "dan", "eve", "fay", "gus", "hal", "ivy", "jon", "kim", "leo")
READY_SECONDS = 120.0
JOIN_SECONDS = 30.0
END_SECONDS = 15.0


def free_ports(count: int) -> list[int]:
    """Ports of the loopback address that nobody uses now."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for taken in sockets:
            taken.bind(("127.0.0.1", 0))
        return [taken.getsockname()[1] for taken in sockets]


class DeviceProcess:
    """One `dmoa up`.

    Args:
        name: its name.
        folder: for its state and its log.
        arguments: of `dmoa up`, beyond name and state.
        environment: added to this process's.
        prefix: a command that runs it, such as `ip netns exec NAME`.
    """

    def __init__(
        self,
        name: str,
        folder: Path,
        arguments: Sequence[str],
        environment: dict[str, str] | None = None,
        prefix: Sequence[str] = (),
    ) -> None:
        self.name = name
        self.url = ""
        self.log = folder / f"{name}.log"
        self._arguments = [
            *("up", "--name", name, "--state", str(folder / name), "--with-parent"),
            *arguments,
        ]
        self._environment = environment or {}
        self._prefix = prefix
        self._process: asyncio.subprocess.Process | None = None
        self._log: IO[bytes] | None = None

    @property
    def listens(self) -> str:
        """The address of its links, as it was given."""
        return self._arguments[self._arguments.index("--listen") + 1]

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._process is not None
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """Its exit status; None while it runs."""
        return None if self._process is None else self._process.returncode

    async def start(self) -> None:
        """Start it, and wait until it can serve.

        Raises:
            DmoaError: it ended, or took too long; with the end of its log.
        """
        self._log = self.log.open("ab")
        self._process = await asyncio.create_subprocess_exec(
            *self._prefix,
            *(sys.executable, "-m", "dmoa"),
            *self._arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=self._log,
            # Ctrl-C goes to the starter alone, which ends its devices in order.
            start_new_session=os.name == "posix",
            env={**os.environ, **self._environment},
        )
        assert self._process.stdout is not None
        try:
            async with asyncio.timeout(READY_SECONDS):
                line = (await self._process.stdout.readline()).decode().split()
        except TimeoutError:
            line = []
        if len(line) != 2 or line[0] != "ready":
            await self.stop()
            raise DmoaError(f"device {self.name} did not start: {self.log_end()}")
        self.url = line[1].removesuffix("/v1")

    def log_end(self) -> str:
        """The last lines of its log."""
        return " | ".join(self.log.read_text(errors="replace").splitlines()[-5:])

    def kill(self) -> None:
        """End it without warning, as a power cut would."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(number)

    async def stop(self) -> int | None:
        """End it in order, or by force when it does not; returns its exit status."""
        if self._process is None:
            return None
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.terminate()
            try:
                async with asyncio.timeout(END_SECONDS):
                    await self._process.wait()
            except TimeoutError:
                self.kill()
                await self._process.wait()
        if self._process.stdin is not None:
            self._process.stdin.close()
        if self._log is not None:
            self._log.close()
        return self._process.returncode


class LocalNetwork:
    """Devices that know each other, as processes of this machine.

    Args:
        count: how many.
        llm: their `--llm`; one for all, or one each.
        arguments: more arguments of `dmoa up`.
        environment: added to the environment of each.
        protocol: of their links; `quic` is what links between machines use.
    """

    def __init__(
        self,
        count: int,
        llm: str | Sequence[str],
        arguments: Sequence[str] = (),
        environment: dict[str, str] | None = None,
        protocol: Literal["tcp", "quic"] = "tcp",
    ) -> None:
        llms = [llm] * count if isinstance(llm, str) else list(llm)
        names = [NAMES[i] if i < len(NAMES) else f"device{i}" for i in range(count)]
        self._scratch = tempfile.TemporaryDirectory(prefix="dmoa-", ignore_cleanup_errors=True)
        self.folder = Path(self._scratch.name)
        # A network of their own, which other devices of this machine are not part of.
        # Nor does it examine itself while it is measured, unless the environment says so.
        home = {"DMOA_HOME": str(self.home), "DMOA_EXAMS": "false"}
        ports = free_ports(2 * count)
        self.devices: list[DeviceProcess] = []
        for i, name in enumerate(names):
            network, api = ports[2 * i], ports[2 * i + 1]
            # One known device is enough; the others are found by gossip.
            known = ["--connect", f"{protocol}/127.0.0.1:{ports[0]}"] if i else []
            self.devices.append(
                DeviceProcess(
                    name,
                    self.folder,
                    [
                        *("--llm", llms[i], "--listen", f"{protocol}/127.0.0.1:{network}"),
                        *("--api", f"127.0.0.1:{api}", *known, *arguments),
                    ],
                    home | (environment or {}),
                )
            )

    @property
    def home(self) -> Path:
        """The folder of the authority that its devices share."""
        return self.folder / "home"

    async def __aenter__(self) -> Self:
        try:
            # The first alone, so that the others find it at once.
            await self.devices[0].start()
            async with asyncio.TaskGroup() as group:
                for device in self.devices[1:]:
                    group.create_task(device.start())
            await self.joined(len(self.devices))
        except BaseExceptionGroup as group:
            await self._end()
            raise group.exceptions[0] from None
        except BaseException:  # also Ctrl-C: no process may stay behind
            await self._end()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._end()

    async def joined(self, count: int, devices: Sequence[DeviceProcess] | None = None) -> None:
        """Wait until each of the devices sees `count` devices, itself included.

        Raises:
            DmoaError: they do not, in time.
        """
        for device in devices or self.devices:
            until = asyncio.get_running_loop().time() + JOIN_SECONDS
            while True:
                seen = (await fetch_status(device.url))["devices"]
                if len(seen) == count and all(d["alive"] for d in seen):
                    break
                if asyncio.get_running_loop().time() > until:
                    names = ", ".join(d["name"] for d in seen)
                    raise DmoaError(
                        f"{device.name} sees {names} instead of {count} devices: {device.log_end()}"
                    )
                await asyncio.sleep(0.1)

    async def _end(self) -> None:
        await asyncio.gather(*(device.stop() for device in self.devices))
        self._scratch.cleanup()
