"""Async generators that must not keep their consumer waiting."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TypeVar

T = TypeVar("T")


class _End:
    """How a source ended."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error


async def with_heartbeat(
    source: AsyncGenerator[T, None], interval: float
) -> AsyncGenerator[T | None, None]:
    """Items of `source`, and None whenever it has yielded nothing for `interval` seconds.

    The source keeps running while None is yielded; closing this closes it.
    """
    # One task and one timer for the whole stream: tokens come by the dozen per second, and
    # a task and a timer for each of them would be half of what a node does.
    loop = asyncio.get_running_loop()
    timer: asyncio.TimerHandle
    items: asyncio.Queue[T | _End | None] = asyncio.Queue()
    heard = loop.time()

    async def pump() -> None:
        nonlocal heard
        error: BaseException | None = None
        try:
            async with aclosing(source):
                async for item in source:
                    heard = loop.time()
                    items.put_nowait(item)
        except BaseException as raised:
            error = raised
            if isinstance(raised, asyncio.CancelledError):
                raise
        finally:
            items.put_nowait(_End(error))

    def tick() -> None:
        nonlocal timer, heard
        silent = loop.time() - heard
        if silent >= 0.999 * interval:  # timers may be a clock's tick early
            heard += silent
            items.put_nowait(None)
        timer = loop.call_at(heard + interval, tick)

    timer = loop.call_at(heard + interval, tick)
    pumping = asyncio.create_task(pump())
    try:
        while not isinstance(item := await items.get(), _End):
            yield item
        if item.error is not None:
            raise item.error
    finally:
        timer.cancel()
        pumping.cancel()
        await asyncio.gather(pumping, return_exceptions=True)
