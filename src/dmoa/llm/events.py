"""Events of a stream, read from its bytes as liberally as servers write them.

Two forms are one here: server-sent events (`data: {...}`), and a JSON object a line, as Ollama
streams. Of each line only what it holds counts, not the empty lines around it: servers forget
them, and proxies add some.
"""

import json
from typing import Any

import msgspec

from dmoa.errors import LLMBroken

LINE_BYTES = 16 * 2**20
"""A whole answer in one line, escaped, is shorter."""
_PARTS = 1000  # lines of one object that is written over several

_decode = msgspec.json.Decoder().decode
_FIELDS = (b"data", b"event", b"id", b"retry", b"error")


class Event(msgspec.Struct, frozen=True):
    """A JSON object of a stream.

    Attributes:
        data: the object.
        name: of the event, `error` for one; empty for most.
    """

    data: dict[str, Any]
    name: str = ""


class EventReader:
    """Turns the bytes of a stream into events.

    Attributes:
        done: `[DONE]` came.
    """

    def __init__(self) -> None:
        self.done = False
        self._rest = b""
        self._name = ""
        self._parts: list[bytes] = []
        self._first = True
        self._after_return = False

    def feed(self, data: bytes) -> list[Event]:
        """The events that end in the next bytes.

        Raises:
            LLMBroken: a line is no JSON object, or has no end.
        """
        if self._after_return and data[:1] == b"\n":  # a CR LF in two pieces
            data = data[1:]
        if data:
            self._after_return = data.endswith(b"\r")
        self._rest += data
        if b"\r" in self._rest:
            self._rest = self._rest.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        *lines, self._rest = self._rest.split(b"\n")
        if len(self._rest) > LINE_BYTES:
            raise LLMBroken(f"a line of its stream is longer than {LINE_BYTES} bytes")
        events: list[Event] = []
        for line in lines:
            self._line(line, events)
        return events

    def end(self) -> list[Event]:
        """The events of a last line without an end.

        Raises:
            LLMBroken: it is no JSON object.
        """
        rest, self._rest = self._rest, b""
        events: list[Event] = []
        self._line(rest, events)
        self._line(b"", events)
        return events

    def _line(self, line: bytes, events: list[Event]) -> None:
        if self._first:
            line = line.removeprefix(b"\xef\xbb\xbf")
            self._first = False
        if not line.strip():
            if self._parts:
                parts, self._parts = self._parts, []
                events.append(self._event(b"\n".join(parts)))
            self._name = ""
            return
        if line.startswith(b":"):
            return
        name, colon, value = line.partition(b":")
        if not colon or name not in _FIELDS:
            value, name = line, b"data"  # no field: JSON by itself, as Ollama's, or an error
        value = value.strip()
        if name == b"event":
            self._name = value.decode("utf-8", "replace")
        elif name in (b"data", b"error") and value:
            if name == b"error":
                self._name = "error"  # llama.cpp once wrote errors so
            self._data(value, events)

    def _data(self, value: bytes, events: list[Event]) -> None:
        if value == b"[DONE]":
            self.done = True
        elif self._parts or not value.endswith((b"}", b'"')):
            # An object over several lines is whole when an empty one comes.
            self._parts.append(value)
            if len(self._parts) > _PARTS:
                raise LLMBroken(f"an event of its stream has more than {_PARTS} lines")
        else:
            try:
                events.append(self._event(value))
            except LLMBroken:
                self._parts.append(value)

    def _event(self, value: bytes) -> Event:
        data = parse(value)
        if isinstance(data, str) and self._name == "error":
            data = {"error": data}
        if not isinstance(data, dict):
            if self._name == "error":
                data = {"error": value.decode("utf-8", "replace")}
            else:
                raise LLMBroken(
                    f"it sent what is no chunk: {value[:80].decode('utf-8', 'replace')}"
                )
        return Event(data, self._name)


def parse(value: bytes) -> Any:
    """JSON, as liberally as there is any: halves of surrogate pairs and NaN are read too.

    Returns:
        None for what is no JSON, which no server means by it.
    """
    try:
        return _decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass
    try:
        return json.loads(value.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return None
