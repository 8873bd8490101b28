"""Tool calls, put together from the parts that servers send.

OpenAI counts calls by `index` and gives each an id in its first part. Servers send indexes that
are null or always 0, ids again and again or never, names in every part, arguments as objects,
and whole calls in one part. What leaves here is as OpenAI has it: see `Token.tool_calls`.
"""

import secrets
from dataclasses import dataclass, field
from typing import Any

import msgspec

from dmoa.llm.events import parse
from dmoa.llm.surrogates import SurrogateJoiner, whole
from dmoa.protocol.conversation import FunctionPart, ToolCallPart

MAX_CALLS = 256


@dataclass
class _Call:
    """A call as far as it is known."""

    number: int
    index: int | None
    id: str | None
    name: str = ""
    arguments: str = ""
    said: bool = False  # its first part has gone out
    touched: int = 0  # the chunk that last added to it
    joiner: SurrogateJoiner = field(default_factory=SurrogateJoiner)

    def is_whole(self) -> bool:
        """Whether its arguments are a JSON object, so that nothing can follow."""
        text = self.arguments.rstrip()
        return text.endswith("}") and isinstance(parse(text.encode("utf-8", "replace")), dict)


class CallReader:
    """Puts the calls of one stream together."""

    def __init__(self) -> None:
        self._calls: list[_Call] = []
        self._chunk = 0

    def __bool__(self) -> bool:
        """Whether there was any call."""
        return bool(self._calls)

    def read(self, parts: Any) -> list[ToolCallPart]:
        """The parts of one chunk, as they should have been."""
        self._chunk += 1
        if isinstance(parts, dict):
            parts = [parts]
        if not isinstance(parts, list):
            return []
        said = [self._part(part) for part in parts if isinstance(part, dict)]
        return [part for part in said if part is not None]

    def end(self) -> list[ToolCallPart]:
        """What calls still lack: arguments are a JSON object even where there are none."""
        last = []
        for call in self._calls:
            more = call.joiner.end() or ("" if call.arguments else "{}")
            if call.said and more:
                part = ToolCallPart(index=call.number, function=FunctionPart(arguments=more))
                last.append(part)
        return last

    def _part(self, part: dict[str, Any]) -> ToolCallPart | None:
        function = part.get("function")
        if not isinstance(function, dict):
            function = part  # some send name and arguments beside the id
        name, arguments = _text(function.get("name")), _arguments(function.get("arguments"))
        index, told = _index(part, function), _text(part.get("id")) or None
        call = self._find(index, told, name, arguments)
        if call is None:
            if len(self._calls) >= MAX_CALLS or not (name or arguments or told):
                return None
            call = _Call(len(self._calls), index, told)
            self._calls.append(call)
        call.id = call.id or told
        call.touched = self._chunk
        before = call.name
        if name and name != call.name and not call.arguments:
            call.name += name
        arguments = call.joiner.feed(arguments)
        call.arguments += arguments
        if not call.name:
            return None  # its name comes later
        if not call.said:
            return self._first(call, call.arguments)
        more = call.name[len(before) :]
        if not (arguments or more):
            return None
        return ToolCallPart(
            index=call.number, function=FunctionPart(name=more or None, arguments=arguments or None)
        )

    def _first(self, call: _Call, arguments: str) -> ToolCallPart:
        call.said = True
        taken = {other.id for other in self._calls if other is not call}
        if not call.id or call.id in taken:
            # Nine letters and digits are what Mistral's models take for an id.
            call.id = secrets.token_hex(5)[:9]
        return ToolCallPart(
            index=call.number,
            id=call.id,
            type="function",
            function=FunctionPart(name=call.name, arguments=arguments),
        )

    def _find(self, index: int | None, told: str | None, name: str, arguments: str) -> _Call | None:
        """The call that a part goes on with; None for a new one."""
        if told is not None:
            same = [call for call in self._calls if call.id == told]
            # One id for all calls happens too: another index or name tells them apart.
            same = [c for c in same if not (name and index not in (None, c.index))]
            if same:
                return None if self._is_new(same[-1], name, arguments) else same[-1]
            nameless = [c for c in self._calls if c.index == index and c.id is None]
            if nameless and not (name and nameless[-1].name):
                return nameless[-1]
            return None
        same = [call for call in self._calls if index is None or call.index in (index, None)]
        if not same or self._is_new(same[-1], name, arguments):
            return None
        return same[-1]

    def _is_new(self, call: _Call, name: str, arguments: str) -> bool:
        """Whether a part with a name begins another call than the one at its place."""
        if not name:
            return False
        if name != call.name:
            return bool(call.arguments) or (call.touched == self._chunk and bool(call.name))
        begins = arguments.lstrip().startswith("{")
        return (begins and call.is_whole()) or (call.touched == self._chunk and begins)


def _index(part: dict[str, Any], function: dict[str, Any]) -> int | None:
    for value in (part.get("index"), function.get("index")):
        if isinstance(value, int | float) and not isinstance(value, bool) and value >= 0:
            return int(value)
        if isinstance(value, str) and value.isdigit():
            return int(value)
    return None


def _text(value: Any) -> str:
    return whole(value) if isinstance(value, str) else "" if value is None else str(value)


def _arguments(value: Any) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    try:
        return msgspec.json.encode(value).decode()
    except (TypeError, ValueError, UnicodeEncodeError):
        return ""
