"""Chat completions and their chunks as JSON in OpenAI's format, with the `dmoa` object added."""

import time
from typing import Any

import msgspec

from dmoa.protocol.conversation import FunctionPart, ToolCallPart
from dmoa.protocol.events import Finished
from dmoa.protocol.records import PromptRecord


def usage(record: PromptRecord) -> dict[str, int]:
    """All tokens that were spent on a prompt, on every device."""
    spent = record.usage
    return {
        "prompt_tokens": spent.prompt_tokens,
        "completion_tokens": spent.completion_tokens,
        "total_tokens": spent.prompt_tokens + spent.completion_tokens,
    }


def completion(model: str, finished: Finished) -> str:
    """A whole answer as JSON."""
    message: dict[str, Any] = {"role": "assistant", "content": finished.text}
    if finished.tool_calls:
        message["tool_calls"] = _whole_calls(finished.tool_calls)
        message["content"] = finished.text or None
    return as_json(
        {
            "id": finished.record.id,
            "object": "chat.completion",
            "created": int(time.time()),
            "model": model,
            "choices": [
                {
                    "index": 0,
                    "message": message,
                    "finish_reason": finished.finish_reason,
                    "logprobs": None,
                }
            ],
            "usage": usage(finished.record),
            "dmoa": finished.record,
        }
    )


def as_json(value: Any) -> str:
    """A value, records included, as JSON."""
    return msgspec.json.encode(value).decode()


class ChunkWriter:
    """Chunks of one streamed answer, as JSON."""

    def __init__(self, prompt_id: str, model: str) -> None:
        self._common = {
            "id": prompt_id,
            "object": "chat.completion.chunk",
            "created": int(time.time()),
            "model": model,
        }
        self._begun = False

    def piece(self, text: str | None, tool_calls: list[ToolCallPart] | None = None) -> str:
        """New text, or parts of tool calls."""
        delta: dict[str, Any] = {"content": text}
        if not self._begun:
            delta["role"] = "assistant"
            self._begun = True
        if tool_calls:
            delta["tool_calls"] = [_whole_part(part) for part in tool_calls]
        return self._chunk(choices=[{"index": 0, "delta": delta, "finish_reason": None}])

    def end(self, finished: Finished) -> str:
        """The last chunk with a choice; it carries the `dmoa` object."""
        return self._chunk(
            choices=[{"index": 0, "delta": {}, "finish_reason": finished.finish_reason}],
            dmoa=finished.record,
        )

    def usage(self, finished: Finished) -> str:
        """The chunk that `stream_options.include_usage` asks for."""
        return self._chunk(choices=[], usage=usage(finished.record))

    def progress(self, event: Any) -> str:
        """An event, for clients that asked for them."""
        return self._chunk(choices=[], dmoa=event)

    def _chunk(self, **fields: Any) -> str:
        return as_json(self._common | fields)


def _whole_part(part: ToolCallPart) -> dict[str, Any]:
    # On the wire between devices an index of 0 is left out; clients count on it.
    return {"index": part.index, **msgspec.to_builtins(part)}


def _whole_calls(parts: list[ToolCallPart]) -> list[dict[str, Any]]:
    """Streamed parts of tool calls, put together by their index."""
    calls: dict[int, dict[str, Any]] = {}
    for part in parts:
        call = calls.setdefault(
            part.index,
            {"id": "", "type": "function", "function": {"name": "", "arguments": ""}},
        )
        call["id"] = part.id or call["id"]
        function = part.function or FunctionPart()
        call["function"]["name"] += function.name or ""
        call["function"]["arguments"] += function.arguments or ""
    return list(calls.values())
