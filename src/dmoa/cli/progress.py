"""A progress bar on stderr, for work that tells its share of what is done."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from dmoa.cli.output import stderr


@contextmanager
def bar(what: str) -> Iterator[Callable[[float], None]]:
    """Show a bar while the block runs; the block calls what it gets with shares, 0 to 1.

    Without a terminal there is nobody to look at it.
    """
    if not sys.stderr.isatty():
        yield lambda share: None
        return
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=stderr(), transient=True) as progress:
        task = progress.add_task(what, total=1.0)
        yield lambda share: progress.update(task, completed=share)
