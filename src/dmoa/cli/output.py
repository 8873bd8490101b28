"""What commands say: results on stdout, everything else on stderr."""

import functools
import json
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console


@functools.cache
def stderr() -> "Console":
    """The console of progress, warnings and errors."""
    from rich.console import Console

    return Console(stderr=True, highlight=False)


@functools.cache
def stdout() -> "Console":
    """The console of results."""
    from rich.console import Console

    return Console(highlight=False)


def say(line: str) -> None:
    """A line on stderr."""
    from dmoa.text import printable

    stderr().print(
        printable(line), markup=False, style="yellow" if line.startswith("warning") else None
    )


def print_json(value: Any) -> None:
    """The one object of `--json`."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False) + "\n")
    sys.stdout.flush()
