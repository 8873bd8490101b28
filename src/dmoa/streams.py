"""Async generators that must not keep their consumer waiting."""

import asyncio
from collections.abc import AsyncGenerator
from typing import TypeVar

T = TypeVar("T")


async def with_heartbeat(
    source: AsyncGenerator[T, None], interval: float
) -> AsyncGenerator[T | None, None]:
    """Items of `source`, and None whenever it has yielded nothing for `interval` seconds.

    The source keeps running while None is yielded; closing this closes it.
    """
    following: asyncio.Task[T] | None = None
    try:
        while True:
            if following is None:
                following = asyncio.ensure_future(anext(source))
            done, _ = await asyncio.wait({following}, timeout=interval)
            if not done:
                yield None
                continue
            finished, following = following, None
            try:
                item = finished.result()
            except StopAsyncIteration:
                return
            yield item
    finally:
        if following is not None:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
        await source.aclose()
