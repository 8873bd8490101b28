"""How a command that has started devices ends: in order, whatever ends it."""

import asyncio
import os
import signal
from collections.abc import Callable, Coroutine
from typing import Any

LOOK_SECONDS = 1.0


async def until_ended(work: Coroutine[Any, Any, None]) -> bool:
    """Run `work`; SIGTERM, SIGHUP, or the end of whoever started this process, cancel it.

    Ctrl-C does so by `asyncio.run`. In a background job of a shell it is ignored, and stays so:
    it is meant for the job in front.

    Returns:
        Whether the work came to its own end.
    """
    loop = asyncio.get_running_loop()
    working = loop.create_task(work)
    ended = False

    def end() -> None:
        nonlocal ended
        if not ended:  # a second cancel would break off what the first has begun to clean up
            ended = True
            working.cancel()

    for name in ("SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            number = getattr(signal, name)
            signal.signal(number, lambda *_: loop.call_soon_threadsafe(end))
    watching = loop.create_task(_at_the_end_of_the_parent(end))
    try:
        await working
    except asyncio.CancelledError:
        if not ended:  # Ctrl-C, which asyncio.run tells
            raise
        return False
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
    return True


async def _at_the_end_of_the_parent(end: Callable[[], None]) -> None:
    # Nothing portable tells of it, but an orphan has another parent.
    parent = os.getppid()
    while os.getppid() == parent:
        await asyncio.sleep(LOOK_SECONDS)
    end()
