"""What commands say: results on stdout, everything else on stderr."""

import contextlib
import errno
import functools
import io
import json
import os
import sys
from typing import TYPE_CHECKING, Any

from dmoa.errors import UsageError

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
    """The one object of `--json`; where stdout knows no Unicode, JSON's own escapes do."""
    unicode = (sys.stdout.encoding or "").lower().replace("-", "").startswith("utf")
    sys.stdout.write(json.dumps(value, ensure_ascii=not unicode) + "\n")
    sys.stdout.flush()


def read_input() -> str:
    """All of stdin.

    Raises:
        UsageError: it is not in the encoding that it should be in.
    """
    try:
        return sys.stdin.read()
    except UnicodeDecodeError as error:
        raise not_decoded(error) from None


def not_decoded(error: UnicodeDecodeError) -> UsageError:
    """What is wrong with an input, and how to mend it."""
    return UsageError(
        f"the input is not {error.encoding}: byte {error.object[error.start]:#04x} at place"
        f" {error.start}; convert it first, as by iconv -f LATIN1 -t UTF-8"
    )


def prepare_streams() -> None:
    """Make the standard streams take any text, and be there even where they were closed.

    What the terminal's encoding lacks is replaced; other commands go on to write it.
    """
    for name in ("stdin", "stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # closed by whoever started us
            mode = "r" if name == "stdin" else "w"
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115
        elif name != "stdin" and isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def finish_output() -> str | None:
    """Write what is left in stdout; says why that was not possible.

    A reader that has gone, like `head`, has read all it wants.
    """
    try:
        sys.stdout.flush()
    except OSError as error:
        return give_up_output(error)
    return None


def is_of_output(error: OSError) -> bool:
    """Whether an error is about a stream that takes no more."""
    return error.filename is None and error.errno in (
        errno.EPIPE,
        errno.ENOSPC,
        errno.EIO,
        errno.EBADF,
    )


def give_up_output(error: OSError) -> str | None:
    """Write nothing more; says why, unless the reader has gone."""
    # Whatever is still in the buffer must not fail once more when the interpreter ends.
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if isinstance(error, BrokenPipeError):
        return ""
    return f"cannot write the output: {error.strerror}"
