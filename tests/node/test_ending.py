"""A demo that is broken off takes its devices along, however it ends and whatever is ignored."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import psutil
import pytest

from tests import leftovers

pytestmark = pytest.mark.processes

DEMO = ["demo", "--llm", "scripted:deterministic,mean=0.1", "--devices", "2", "--keep", "Why?"]
# The shell that starts it, in front or behind.
IN_FRONT = "import signal, subprocess, sys; signal.signal(signal.SIGINT, signal.SIG_DFL);"
BEHIND = "import signal, subprocess, sys; signal.signal(signal.SIGINT, signal.SIG_IGN);"
START = "sys.exit(subprocess.call([sys.executable, '-m', 'dmoa', *sys.argv[1:]]))"


class Demo:
    """A demo of two devices that stays up, below a starter."""

    def __init__(self, folder: Path, *, ignores_interrupts: bool) -> None:
        self._folder = folder
        self._start = (BEHIND if ignores_interrupts else IN_FRONT) + START

    async def start(self) -> None:
        """Start it, and wait until it has shown all it has."""
        self.starter = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", self._start, *DEMO),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env={**os.environ, "TMPDIR": str(self._folder), "PYTHONUNBUFFERED": "1"},
        )
        assert self.starter.stdout is not None
        async with asyncio.timeout(60):
            while b"or point any OpenAI client" not in await self.starter.stdout.readline():
                pass
        (self.process,) = psutil.Process(self.starter.pid).children()
        self.devices = self.process.children()
        assert len(self.devices) == 2

    async def ends(self) -> None:
        """Wait until nothing of it runs, and nothing lies about."""
        async with asyncio.timeout(30):
            while left := leftovers.left_behind():
                await asyncio.sleep(0.1)
        assert not left
        assert not list(self._folder.iterdir())


@pytest.mark.parametrize("ignores_interrupts", [False, True])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_a_broken_off_demo_leaves_nothing_behind(
    tmp_path: Path, number: signal.Signals, ignores_interrupts: bool
) -> None:
    demo = Demo(tmp_path, ignores_interrupts=ignores_interrupts)
    await demo.start()
    demo.process.send_signal(number)
    if number == signal.SIGINT and ignores_interrupts:
        # A job behind does not hear it; twice, because the second must not break the first off.
        demo.process.terminate()
        demo.process.terminate()
    async with asyncio.timeout(30):
        assert await demo.starter.wait() == 130
    await demo.ends()


async def test_a_demo_ends_with_whoever_started_it(tmp_path: Path) -> None:
    demo = Demo(tmp_path, ignores_interrupts=True)
    await demo.start()
    demo.starter.kill()
    await demo.starter.wait()
    await demo.ends()
