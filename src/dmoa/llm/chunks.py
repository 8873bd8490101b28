"""What a chunk of a stream says, whichever server wrote it."""

from typing import Any

import msgspec

from dmoa.protocol.conversation import Usage

_COUNT_LIMIT = 2**53
REASONING_FIELDS = ("reasoning_content", "reasoning", "thinking", "reasoning_text")


class Chunk(msgspec.Struct):
    """A chunk.

    Attributes:
        text: of the answer, marks of thoughts still in it.
        reasoning: what the server says was thought.
        calls: parts of tool calls, as they were sent.
        finish: why the answer ends, if it ends.
        stopped_by: the stop that ended it, where the server says which (vLLM, SGLang).
        usage: tokens, if they are told.
        note: how far the server is, for people.
        error: the object that says what went wrong.
    """

    text: str = ""
    reasoning: str = ""
    calls: Any = None
    finish: str | None = None
    stopped_by: str | None = None
    usage: Usage | None = None
    note: str = ""
    error: Any = None


def openai_chunk(data: dict[str, Any], name: str = "") -> Chunk:
    """A chunk of a chat completion in OpenAI's format, or a whole completion."""
    chunk = Chunk(usage=read_usage(data.get("usage")))
    if data.get("error") or name == "error" or data.get("object") == "error":
        chunk.error = data
    choices = data.get("choices")
    for choice in choices if isinstance(choices, list) else []:
        if not isinstance(choice, dict) or choice.get("index") not in (None, 0):
            continue
        if finish := choice.get("finish_reason"):
            chunk.finish = str(finish)
            # Numbers are ids of tokens: the model's own end, or one that it may not write.
            named = choice.get("stop_reason") or choice.get("matched_stop")
            chunk.stopped_by = named if isinstance(named, str) else None
        delta = choice.get("delta")
        if not isinstance(delta, dict):
            delta = choice.get("message")  # a whole answer in one chunk
        if not isinstance(delta, dict):
            chunk.text += _text(choice.get("text"))
            continue
        _read_content(delta.get("content"), chunk)
        chunk.text += _text(delta.get("refusal"))
        _read_reasoning(delta, chunk)
        calls = delta.get("tool_calls")
        if not calls and isinstance(delta.get("function_call"), dict):
            calls = [{"index": 0, "function": delta["function_call"]}]  # OpenAI's older form
        chunk.calls = calls or chunk.calls
    progress = data.get("prompt_progress")
    if isinstance(progress, dict) and count(progress.get("total")):
        done, total = count(progress.get("processed")), count(progress.get("total"))
        chunk.note = f"has read {done} of {total} tokens of the prompt"
    return chunk


def ollama_chunk(data: dict[str, Any]) -> Chunk:
    """A line of Ollama's own `/api/chat`."""
    chunk = Chunk(error=data if data.get("error") else None)
    message = data.get("message")
    if isinstance(message, dict):
        _read_content(message.get("content"), chunk)
        _read_reasoning(message, chunk)
        chunk.calls = message.get("tool_calls")
    # `load` tells of the model, not of the answer.
    if data.get("done") is True and data.get("done_reason") != "load":
        chunk.finish = str(data.get("done_reason") or "stop")
        chunk.usage = Usage(count(data.get("prompt_eval_count")), count(data.get("eval_count")))
    return chunk


def read_usage(told: Any) -> Usage | None:
    """Token counts, also as strings or floats; None where there are none."""
    if not isinstance(told, dict):
        return None
    details = told.get("completion_tokens_details")
    reasoning = details.get("reasoning_tokens") if isinstance(details, dict) else None
    if reasoning is None:
        reasoning = told.get("reasoning_tokens")
    usage = Usage(
        count(told.get("prompt_tokens")), count(told.get("completion_tokens")), count(reasoning)
    )
    return usage if usage.prompt_tokens or usage.completion_tokens else None


def count(value: Any) -> int:
    """A number of tokens, however written; 0 for what is none."""
    if isinstance(value, bool):
        return 0
    try:
        number = float(value)
        return min(max(int(number), 0), _COUNT_LIMIT)
    except (TypeError, ValueError, OverflowError):
        return 0


def _read_content(content: Any, chunk: Chunk) -> None:
    if isinstance(content, str):
        chunk.text += content
        return
    for part in content if isinstance(content, list) else [content]:
        if isinstance(part, str):
            chunk.text += part
        elif isinstance(part, dict):
            # Mistral's API has {"type": "thinking", "thinking": [{"type": "text", ...}]}.
            if part.get("type") in ("thinking", "reasoning"):
                chunk.reasoning += _nested(part)
            else:
                chunk.text += _nested(part)


def _nested(part: dict[str, Any]) -> str:
    for name in ("text", "thinking", "reasoning", "content", "refusal"):
        value = part.get(name)
        if isinstance(value, str):
            return value
        if isinstance(value, list):
            return "".join(_nested(p) if isinstance(p, dict) else _text(p) for p in value)
        if isinstance(value, dict):
            return _text(value.get("value"))
    return ""


def _read_reasoning(delta: dict[str, Any], chunk: Chunk) -> None:
    """One field counts: some servers send the same thought under two names."""
    for name in REASONING_FIELDS:
        value = delta.get(name)
        if isinstance(value, str) and value:
            chunk.reasoning += value
            return
        if isinstance(value, dict):
            chunk.reasoning += _nested(value)
            return
    details = delta.get("reasoning_details")
    for part in details if isinstance(details, list) else []:
        if isinstance(part, dict):
            chunk.reasoning += _text(part.get("text") or part.get("summary"))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
