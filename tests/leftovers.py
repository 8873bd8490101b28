"""Every process that a test starts is found again and ended, whoever its parent is by then.

The session writes a name of its own into the environment, which every process below it inherits:
a device whose demo was killed is still known by it. This also holds where a signal is ignored,
as SIGINT is in the background jobs of a shell.
"""

import contextlib
import os
import secrets
from collections.abc import Iterable

import psutil

OWNER = "TESTS_OWNED_BY"
END_SECONDS = 10.0
# Python's own, started once where processes share anything; it ends with this one.
TRACKER = "multiprocessing.resource_tracker"


def own_processes() -> None:
    """From now on, processes that are started below this one are known as its own."""
    os.environ[OWNER] = f"{os.getpid()}-{secrets.token_hex(8)}"


def left_behind() -> list[psutil.Process]:
    """The processes that were started below this one, and run."""
    owner = os.environ[OWNER]
    return [
        process
        for process in psutil.process_iter()
        if process.pid != os.getpid()
        and _environment(process).get(OWNER) == owner
        and TRACKER not in _command(process)
    ]


def end(processes: Iterable[psutil.Process]) -> list[str]:
    """End processes, by force where they do not end when asked; returns what they were."""
    processes = list(processes)
    commands = [_command(process) for process in processes]
    for send in ("terminate", "kill"):
        for process in processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                getattr(process, send)()
        _, processes = psutil.wait_procs(processes, timeout=END_SECONDS)
    return commands


def _environment(process: psutil.Process) -> dict[str, str]:
    try:
        if process.status() == psutil.STATUS_ZOMBIE:
            return {}  # has ended, and waits to be told so
        return dict(process.environ())
    except (psutil.AccessDenied, psutil.NoSuchProcess, OSError):
        return {}  # another user's, or gone in this moment


def _command(process: psutil.Process) -> str:
    try:
        return f"{process.pid} {' '.join(process.cmdline())[:300]}"
    except psutil.NoSuchProcess:
        return str(process.pid)
