"""Text of others: checked, and made safe to show."""

import re
from urllib.parse import urlsplit

from dmoa.errors import UsageError

# Control characters but for tab and new line, and what turns the direction of writing: on a
# terminal they move the cursor, set titles, and write to the clipboard.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def check_url(text: str) -> None:
    """Find out whether a text is a URL that can be asked.

    Raises:
        UsageError: it is none; says what one looks like.
    """
    try:
        parts = urlsplit(text)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port out of range, a bracket that is not closed
        good = False
    if not good:
        raise UsageError(f"{text!r} is no URL of a server; write it like http://127.0.0.1:8765")


def printable(text: str, limit: int | None = None) -> str:
    """A text without control characters, cut to `limit` characters."""
    shown = _CONTROL.sub("", text)
    if limit is not None and len(shown) > limit:
        return shown[: max(0, limit - 1)] + "…"
    return shown


def shortened(text: str, width: int = 60) -> str:
    """A text of any length as one quoted line, for messages."""
    line = " ".join(text.split())
    return repr(line if len(line) <= width else line[: width - 1] + "…")
