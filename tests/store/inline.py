"""A store whose thread is the test's own, so that it fits virtual time."""

from collections.abc import AsyncGenerator, Callable
from concurrent.futures import Executor, Future
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from dmoa.store.database import Database


class Inline(Executor):
    """Does at once what it is asked."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


@asynccontextmanager
async def database(
    path: Path, said: list[str] | None = None, **options: Any
) -> AsyncGenerator[Database, None]:
    """An open database; what it says goes into `said`."""
    opened = Database(path, (said if said is not None else []).append, executor=Inline(), **options)
    await opened.open()
    try:
        yield opened
    finally:
        await opened.close()
