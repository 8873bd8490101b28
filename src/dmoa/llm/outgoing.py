"""A conversation as it goes to a model: arranged for its template, with what it can take."""

from collections.abc import Sequence
from typing import Any

import msgspec

from dmoa.llm.habits import Habits
from dmoa.protocol.conversation import (
    Constraints,
    Message,
    Sampling,
    part_kind,
    part_text,
    placeholder,
)


class Outgoing(msgspec.Struct):
    """A request, before a dialect writes it.

    Attributes:
        model: its name at the server.
        messages: arranged.
        sampling: with the `max_tokens` that is to be sent.
        constraints: tools and format, if any.
        habits: what the server takes.
        window: tokens to make room for, where the server lets a request say so.
        defaults: parameters for what `sampling` leaves open.
        always: parameters sent with each request.
        notes: what was changed, in sentences; a dialect adds its own.
    """

    model: str
    messages: list[Message]
    sampling: Sampling
    constraints: Constraints | None = None
    habits: Habits = Habits()
    window: int | None = None
    defaults: dict[str, Any] = {}
    always: dict[str, Any] = {}
    notes: list[str] = []

    def note(self, note: str) -> None:
        """Say once what was changed."""
        if note not in self.notes:
            self.notes.append(note)


def openai_request(outgoing: Outgoing) -> dict[str, Any]:
    """The body of a chat completion in OpenAI's format."""
    sampling, habits = outgoing.sampling, outgoing.habits
    own = msgspec.to_builtins(
        msgspec.structs.replace(sampling, thinking={}, extra={}, max_tokens=None)
    )
    limit = sampling.max_tokens or outgoing.defaults.get("max_tokens")
    request = {
        **outgoing.defaults,
        **own,
        **outgoing.always,
        **sampling.thinking,
        **sampling.extra,
        "model": outgoing.model,
        "messages": [openai_message(message, outgoing) for message in outgoing.messages],
        "stream": True,
    }
    request.pop("max_tokens", None)
    if limit is not None:
        request[habits.limit_name] = limit
    if habits.stream_options:
        request.setdefault("stream_options", {"include_usage": True})
    if outgoing.constraints is not None:
        request |= msgspec.to_builtins(outgoing.constraints)
    return request


def openai_message(message: Message, outgoing: Outgoing) -> dict[str, Any]:
    """A message with all that OpenAI's schema requires; `content` is never left out."""
    written: dict[str, Any] = {"role": message.role, "content": content(message, outgoing)}
    if message.content_is_null and not message.content:
        written["content"] = None
    for name in ("name", "tool_calls", "tool_call_id", "reasoning_content"):
        if (value := getattr(message, name)) is not None:
            written[name] = value
    return written


def content(message: Message, outgoing: Outgoing) -> str | list[dict[str, Any]]:
    """A message's parts as far as the model takes them, as text where only text is left."""
    if not message.parts:
        return message.content
    shown: list[dict[str, Any]] = []
    for part in message.parts:
        if takes(part_kind(part), outgoing.habits):
            shown.append(part)
        else:
            stands = placeholder(part)
            shown.append({"type": "text", "text": stands})
            outgoing.note(stands.strip("[]"))
    texts = [part_text(part) for part in shown]
    if all(text is not None for text in texts):
        return "\n".join(text or "" for text in texts)
    return shown


def takes(kind: str, habits: Habits) -> bool:
    """Whether a model takes a kind of part; what is not known is tried."""
    match kind:
        case "image":
            return habits.images is not False
        case "audio":
            return habits.audio is not False
        case "file":
            return not (habits.images is False and habits.audio is False)
        case _:
            return True


def thinking_is_off(switches: dict[str, Any]) -> bool:
    """Whether switches for thinking, in whatever words, say not to think."""
    values = list(switches.values())
    for value in switches.values():
        if isinstance(value, dict):
            values += value.values()
    return any(value is False or value in ("none", "disabled", "off") for value in values)


def arrange(messages: Sequence[Message], habits: Habits) -> list[Message]:
    """The messages as a model's template takes them; no text is lost.

    Nobody but OpenAI's own models tells `developer` from `system`, many templates drop it
    without a word, and theirs take both.
    """
    arranged = [
        msgspec.structs.replace(message, role="system") if message.role == "developer" else message
        for message in messages
    ]
    if habits.system != "anywhere":
        arranged = _gather_system(arranged, habits)
    return _in_turns(arranged) if habits.alternate else arranged


def _gather_system(messages: list[Message], habits: Habits) -> list[Message]:
    system = [message for message in messages if message.role == "system"]
    if not system:
        return messages
    rest = [message for message in messages if message.role != "system"]
    if habits.system == "first":
        return [_joined(system), *rest]
    gathered = msgspec.structs.replace(_joined(system), role="user", name=None)
    for i, message in enumerate(rest):
        if message.role == "user":
            return [*rest[:i], _joined([gathered, message]), *rest[i + 1 :]]
    return [gathered, *rest]


def _in_turns(messages: list[Message]) -> list[Message]:
    turns: list[Message] = []
    for message in messages:
        last = turns[-1] if turns else None
        same = last is not None and last.role == message.role in ("user", "assistant")
        if last is not None and same and not (last.tool_calls or message.tool_calls):
            turns[-1] = _joined([last, message])
        else:
            turns.append(message)
    return turns


def _joined(messages: Sequence[Message]) -> Message:
    """Messages of one role as one; the last one's name and kind stand."""
    if len(messages) == 1:
        return messages[0]
    text = "\n\n".join(message.content for message in messages if message.content)
    parts: list[dict[str, Any]] | None = None
    if any(message.parts for message in messages):
        parts = []
        for message in messages:
            parts += message.parts or [{"type": "text", "text": message.content}]
    return msgspec.structs.replace(
        messages[-1], content=text, parts=parts, content_is_null=not text and not parts
    )
