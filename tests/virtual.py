"""Coroutines on virtual time: a day passes in milliseconds, and always in the same way."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

import looptime

T = TypeVar("T")


def run_virtual(work: Coroutine[Any, Any, T], *, at_most: float = 1e6) -> T:
    """Run to the end; more than `at_most` virtual seconds is a failure, and so is a task left."""
    # Not an asyncio.Runner, which would take the thread's event loop away from pytest-asyncio.
    loop = looptime.new_event_loop(start=0)
    try:
        result: T = loop.run_until_complete(asyncio.wait_for(work, at_most))
        left = asyncio.all_tasks(loop)
        loop.run_until_complete(loop.shutdown_asyncgens())
        for task in left:
            task.cancel()
        if left:
            loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        assert not left, f"tasks were left running: {left}"
        return result
    finally:
        loop.close()
