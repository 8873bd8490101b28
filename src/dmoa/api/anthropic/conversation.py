"""Anthropic's messages, whose content is made of blocks, in the words of chat completions."""

from typing import Any, Literal

import msgspec

from dmoa.api.errors import ApiError
from dmoa.api.reading import message
from dmoa.protocol.conversation import Message

Part = dict[str, Any]


class Block(msgspec.Struct):
    """A block of content; `type` says which fields it has.

    Attributes:
        type: `text`, `image`, `document`, `tool_use`, `tool_result`, `thinking` or
            `redacted_thinking`.
        text: of a text.
        source, title: of an image or document.
        id, name, input: of a use of a tool.
        tool_use_id, content, is_error: of a tool's result.
        thinking: what the model thought.
    """

    type: str
    text: str | None = None
    source: dict[str, Any] | None = None
    title: str | None = None
    id: str | None = None
    name: str | None = None
    input: dict[str, Any] | None = None
    tool_use_id: str | None = None
    content: Any = None
    is_error: bool | None = None
    thinking: str | None = None


class Turn(msgspec.Struct):
    """A message."""

    role: Literal["user", "assistant", "system"]
    content: str | list[Block]


def conversation(system: str | list[Block] | None, turns: list[Turn]) -> list[Message]:
    """The messages.

    Raises:
        ApiError: a block makes no sense, or is of a kind that is not known here.
    """
    messages = []
    told = system if isinstance(system, str) else "\n".join(b.text or "" for b in system or [])
    if told:
        messages.append(message("system", told))
    for number, turn in enumerate(turns):
        where = f"messages.{number}.content"
        if isinstance(turn.content, str):
            messages.append(message(turn.role, turn.content))
        elif turn.role == "assistant":
            messages.append(_assistant(where, turn.content))
        else:
            messages += _told(where, turn)
    return messages


def _assistant(where: str, blocks: list[Block]) -> Message:
    said: list[Part] = []
    thought: list[str] = []
    calls = []
    for i, block in enumerate(blocks):
        match block.type:
            case "thinking":
                thought.append(block.thinking or "")
            case "redacted_thinking":
                pass  # nobody here can read it
            case "tool_use" if block.id and block.name:
                arguments = msgspec.json.encode(block.input or {}).decode()
                function = {"name": block.name, "arguments": arguments}
                calls.append({"id": block.id, "type": "function", "function": function})
            case _:
                said.append(_part(f"{where}.{i}", block))
    return message(
        "assistant",
        said or ("" if not calls else None),
        tool_calls=calls or None,
        reasoning_content="\n\n".join(filter(None, thought)) or None,
    )


def _told(where: str, turn: Turn) -> list[Message]:
    """What the user says, and before it what tools gave: results follow their calls."""
    results: list[Message] = []
    said: list[Part] = []
    for i, block in enumerate(turn.content):
        assert isinstance(block, Block)
        here = f"{where}.{i}"
        if block.type != "tool_result":
            said.append(_part(here, block))
        elif block.tool_use_id:
            results.append(_result(here, block))
        else:
            raise ApiError(400, f"{here}: a tool_result needs its tool_use_id")
    return [*results, message(turn.role, said)] if said or not results else results


def _result(where: str, block: Block) -> Message:
    content = block.content
    if content is None or isinstance(content, str):
        parts = [_text(content or "")]
    else:
        try:
            blocks = msgspec.convert(content, list[Block])
        except msgspec.ValidationError as error:
            raise ApiError(400, f"{where}.content is not understood: {error}") from None
        parts = [_part(f"{where}.content.{i}", b) for i, b in enumerate(blocks)]
    if block.is_error:
        parts.insert(0, _text("Error:"))
    return message("tool", parts, tool_call_id=block.tool_use_id)


def _part(where: str, block: Block) -> Part:
    source = block.source or {}
    match block.type, source.get("type"):
        case "text", _:
            return _text(block.text or "")
        case "image", "base64" if isinstance(source.get("data"), str):
            return {"type": "image_url", "image_url": {"url": _data_url(source)}}
        case "image", "url" if isinstance(source.get("url"), str):
            return {"type": "image_url", "image_url": {"url": source["url"]}}
        case "document", "base64" if isinstance(source.get("data"), str):
            file = {"filename": block.title or "document", "file_data": _data_url(source)}
            return {"type": "file", "file": file}
        case "document", "text" if isinstance(source.get("data"), str):
            return _text("\n".join(filter(None, (block.title, source["data"]))))
        case (("image" | "document"), kind):
            raise ApiError(
                400,
                f"{where}: the source {str(kind)[:60]!r} of an {block.type} cannot be read here;"
                " send its data in base64",
            )
    raise ApiError(
        400,
        f"{where}: a block of type {block.type[:60]!r} is not known here, or lacks a field; known"
        " are text, image, document, tool_use, tool_result and thinking",
    )


def _data_url(source: dict[str, Any]) -> str:
    return f"data:{source.get('media_type') or 'application/octet-stream'};base64,{source['data']}"


def _text(text: str) -> Part:
    return {"type": "text", "text": text}
