"""The input of a response, item by item, as a conversation."""

import secrets
from collections.abc import Callable, Collection, Mapping
from typing import Any, Literal

import msgspec

from dmoa.api.errors import ApiError
from dmoa.api.reading import message
from dmoa.protocol.conversation import Message

Item = dict[str, Any]
"""An item as the API shows it; it has an id."""

_REFERENCE = "item_reference"
_PREFIXES = {"function_call": "fc", "function_call_output": "fco", "reasoning": "rs"}
_KINDS = "message, function_call, function_call_output, reasoning and item_reference"


class InputItem(msgspec.Struct):
    """One item; `type` says which fields it has.

    Attributes:
        type: `message` where it is left out, `function_call`, `function_call_output`,
            `reasoning`, or `item_reference`, which stands for the item of that id.
        role, content: of a message.
        call_id: of a call and of its output.
        name, arguments: of a call.
        output: of a call: text, or parts.
        summary: of reasoning: parts.
    """

    type: str | None = None
    role: Literal["user", "assistant", "system", "developer"] | None = None
    content: str | list[dict[str, Any]] | None = None
    call_id: str | None = None
    id: str | None = None
    name: str | None = None
    arguments: str | None = None
    output: str | list[dict[str, Any]] | None = None
    summary: list[dict[str, Any]] | None = None


def resolved(
    given: str | list[InputItem], find: Callable[[Collection[str]], Mapping[str, Item]]
) -> list[InputItem]:
    """An input item by item, with what is referred to in the places of references.

    Args:
        find: the items that are known, of some ids.

    Raises:
        ApiError: an item is not known any more.
    """
    if isinstance(given, str):
        return [InputItem("message", "user", given)]
    known = find({item.id for item in given if _refers(item) and item.id})
    items = []
    for number, item in enumerate(given):
        if not _refers(item):
            items.append(item)
        elif (referred := known.get(item.id or "")) is not None:
            items.append(msgspec.convert(referred, InputItem))
        else:
            raise ApiError(
                404,
                f"input[{number}]: item {str(item.id)[:100]!r} is none of the last ones that are"
                " kept here; send the item itself",
                code="item_not_found",
            )
    return items


def _refers(item: InputItem) -> bool:
    """Whether an item stands for another; its type may be left out."""
    return item.type == _REFERENCE or (item.type is None and item.role is None and bool(item.id))


def shown(items: list[InputItem]) -> list[Item]:
    """Items of an input as the API shows them: each with a type and an id."""
    made = []
    for item in items:
        fields = {name: value for name, value in msgspec.to_builtins(item).items() if value}
        kind = fields.setdefault("type", "message")
        fields.setdefault("id", f"{_PREFIXES.get(kind, 'msg')}_{secrets.token_hex(12)}")
        if kind == "message" and isinstance(content := fields.get("content", ""), str):
            said = "output_text" if item.role == "assistant" else "input_text"
            fields["content"] = [{"type": said, "text": content}]
        if kind == "function_call_output":
            fields.setdefault("output", "")
        if kind == "reasoning":
            fields.setdefault("summary", [])
        made.append({**fields, "status": "completed"})
    return made


def conversation(given: list[InputItem]) -> list[Message]:
    """The messages that an input stands for.

    What an assistant thinks, says and calls are items of their own there, and one message here.

    Raises:
        ApiError: an item makes no sense, or is of a kind that is not known here.
    """
    reader = _Reader()
    for number, item in enumerate(given):
        reader.add(number, item)
    reader.close()
    return reader.messages


class _Reader:
    """Messages so far, and the assistant's turn that is being put together."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self._thought: list[str] = []
        self._content: str | list[dict[str, Any]] | None = None
        self._calls: list[dict[str, Any]] = []

    def add(self, number: int, item: InputItem) -> None:
        kind = item.type or "message"
        match kind:
            case "message" if item.role is not None:
                content = _content(number, item.content)
                if item.role != "assistant":
                    self.close()
                    self.messages.append(message(item.role, content))
                    return
                if self._calls or self._content is not None:
                    self.close()
                self._content = content
            case "reasoning":
                if self._calls or self._content is not None:
                    self.close()
                content = item.content if isinstance(item.content, list) else []
                texts = [part.get("text") for part in content or item.summary or []]
                self._thought += [text for text in texts if isinstance(text, str)]
            case "function_call" if item.name and (item.call_id or item.id):
                function = {"name": item.name, "arguments": item.arguments or "{}"}
                name = item.call_id or item.id
                self._calls.append({"id": name, "type": "function", "function": function})
            case "function_call_output" if item.call_id:
                self.close()
                output = _content(number, item.output)
                self.messages.append(message("tool", output, tool_call_id=item.call_id))
            case "message" | "function_call" | "function_call_output":
                raise ApiError(
                    400,
                    f"input[{number}] lacks a field of a {kind}: a message has a role, a call a"
                    " name and a call_id, its output a call_id",
                )
            case _:
                raise ApiError(
                    400, f"input[{number}] is of type {kind[:60]!r}; known here are {_KINDS}"
                )

    def close(self) -> None:
        """End the assistant's turn, if there is one."""
        if self._calls or self._content is not None:
            thought = "\n\n".join(self._thought) or None
            self.messages.append(
                message(
                    "assistant",
                    self._content,
                    tool_calls=self._calls or None,
                    reasoning_content=thought,
                )
            )
        self._thought, self._content, self._calls = [], None, []


def _content(
    number: int, content: str | list[dict[str, Any]] | None
) -> str | list[dict[str, Any]] | None:
    """Parts in the words of chat completions."""
    if not isinstance(content, list):
        return content or ""
    return [_part(number, part) for part in content]


def _part(number: int, part: dict[str, Any]) -> dict[str, Any]:
    match part.get("type"):
        case "input_text" | "output_text" | "text" | "summary_text" | "reasoning_text":
            return {"type": "text", "text": str(part.get("text") or "")}
        case "refusal":
            return {"type": "text", "text": str(part.get("refusal") or "")}
        case "input_image" if isinstance(part.get("image_url"), str):
            image = {"url": part["image_url"]}
            if part.get("detail"):
                image["detail"] = part["detail"]
            return {"type": "image_url", "image_url": image}
        case "input_file" if part.get("file_data"):
            known = {name: part[name] for name in ("file_data", "filename") if part.get(name)}
            return {"type": "file", "file": known}
        case "input_audio" if isinstance(part.get("input_audio"), dict):
            return {"type": "input_audio", "input_audio": part["input_audio"]}
        case kind:
            raise ApiError(
                400,
                f"input[{number}] has a part of type {str(kind)[:60]!r} that cannot be read here:"
                " text, images by image_url, audio, and files by file_data can",
            )
