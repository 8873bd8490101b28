"""What the API answers: OpenAI's objects, with the `dmoa` object added, and how they are made."""

import time
from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType

from dmoa.api.writing import as_json
from dmoa.protocol.conversation import FinishReason, FunctionPart, ToolCallPart
from dmoa.protocol.events import Event, Finished
from dmoa.protocol.records import PromptRecord


class TokenDetails(msgspec.Struct, frozen=True):
    """How many of the tokens were thought."""

    reasoning_tokens: int


class TokenUsage(msgspec.Struct, frozen=True):
    """All tokens that were spent on a prompt, on every device."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    completion_tokens_details: TokenDetails | UnsetType = UNSET


class Function(msgspec.Struct):
    """A function that is called, its arguments as JSON."""

    name: str = ""
    arguments: str = ""


class ToolCall(msgspec.Struct):
    """A whole call of a tool."""

    id: str = ""
    type: Literal["function"] = "function"
    function: Function = msgspec.field(default_factory=Function)


class AnswerMessage(msgspec.Struct, frozen=True):
    """The answer; `content` is null when there are only calls of tools.

    `reasoning_content` is what a model thought before, for those that think aloud.
    """

    content: str | None
    role: Literal["assistant"] = "assistant"
    tool_calls: list[ToolCall] | UnsetType = UNSET
    reasoning_content: str | UnsetType = UNSET


class Choice(msgspec.Struct, frozen=True):
    """The one answer of a completion."""

    message: AnswerMessage
    finish_reason: FinishReason
    index: int = 0
    logprobs: None = None


class ChatCompletion(msgspec.Struct, frozen=True):
    """A whole answer."""

    id: str
    created: int
    model: str
    choices: list[Choice]
    usage: TokenUsage
    dmoa: PromptRecord
    object: Literal["chat.completion"] = "chat.completion"


class ToolCallDelta(msgspec.Struct, frozen=True, omit_defaults=True):
    """A piece of a tool call; `index` says of which."""

    index: int
    id: str | None = None
    type: str | None = None
    function: FunctionPart | None = None


class Delta(msgspec.Struct, frozen=True):
    """What is new in a chunk."""

    content: str | UnsetType | None = UNSET
    reasoning_content: str | UnsetType = UNSET
    role: Literal["assistant"] | UnsetType = UNSET
    tool_calls: list[ToolCallDelta] | UnsetType = UNSET


class ChunkChoice(msgspec.Struct, frozen=True):
    """The one answer of a chunk."""

    delta: Delta
    finish_reason: FinishReason | None = None
    index: int = 0


class ChatCompletionChunk(msgspec.Struct, frozen=True):
    """A piece of a streamed answer; the last one with a choice has the `dmoa` object."""

    id: str
    created: int
    model: str
    choices: list[ChunkChoice]
    usage: TokenUsage | UnsetType = UNSET
    dmoa: PromptRecord | UnsetType = UNSET
    object: Literal["chat.completion.chunk"] = "chat.completion.chunk"


class ProgressChunk(msgspec.Struct, frozen=True):
    """An event of a prompt on its way, for clients that have asked for `progress`."""

    id: str
    created: int
    model: str
    dmoa: Event
    choices: list[ChunkChoice] = []
    object: Literal["chat.completion.chunk"] = "chat.completion.chunk"


class Model(msgspec.Struct, frozen=True):
    """A model that can be asked for."""

    id: str
    created: int
    object: Literal["model"] = "model"
    owned_by: str = "dmoa"


class ModelList(msgspec.Struct, frozen=True):
    """The models that can be asked for; `dmoa-mM-kK` exists for other M and k as well."""

    data: list[Model]
    object: Literal["list"] = "list"


class Healthy(msgspec.Struct, frozen=True):
    """The device makes tokens."""

    status: Literal["ok"] = "ok"


def usage(record: PromptRecord) -> TokenUsage:
    """All tokens that were spent on a prompt."""
    spent = record.usage
    read, written, thought = spent.prompt_tokens, spent.completion_tokens, spent.reasoning_tokens
    return TokenUsage(read, written, read + written, TokenDetails(thought) if thought else UNSET)


def completion(model: str, finished: Finished) -> ChatCompletion:
    """A whole answer."""
    calls = whole_calls(finished.tool_calls or [])
    message = AnswerMessage(
        finished.text or None if calls else finished.text,
        tool_calls=calls or UNSET,
        reasoning_content=finished.reasoning or UNSET,
    )
    return ChatCompletion(
        id=finished.record.id,
        created=int(time.time()),
        model=model,
        choices=[Choice(message, finished.finish_reason)],
        usage=usage(finished.record),
        dmoa=finished.record,
    )


class ChunkWriter:
    """Chunks of one streamed answer, as JSON."""

    def __init__(self, prompt_id: str, model: str) -> None:
        self._id = prompt_id
        self._created = int(time.time())
        self._model = model
        self._begun = False

    def piece(
        self, text: str, tool_calls: list[ToolCallPart] | None = None, reasoning: str = ""
    ) -> str:
        """New text, parts of tool calls, or what the model thinks."""
        role: Literal["assistant"] | UnsetType = UNSET if self._begun else "assistant"
        self._begun = True
        calls = [ToolCallDelta(p.index, p.id, p.type, p.function) for p in tool_calls or []]
        content = UNSET if reasoning and not text else text
        delta = Delta(content, reasoning or UNSET, role, calls or UNSET)
        return self._chunk([ChunkChoice(delta)])

    def end(self, finished: Finished) -> str:
        """The last chunk with a choice; it carries the `dmoa` object."""
        return self._chunk([ChunkChoice(Delta(), finished.finish_reason)], dmoa=finished.record)

    def usage(self, finished: Finished) -> str:
        """The chunk that `stream_options.include_usage` asks for."""
        return self._chunk([], usage=usage(finished.record))

    def progress(self, event: Event) -> str:
        """An event, for clients that asked for them."""
        return as_json(ProgressChunk(self._id, self._created, self._model, event))

    def _chunk(
        self,
        choices: list[ChunkChoice],
        *,
        usage: TokenUsage | UnsetType = UNSET,
        dmoa: PromptRecord | UnsetType = UNSET,
    ) -> str:
        return as_json(
            ChatCompletionChunk(self._id, self._created, self._model, choices, usage, dmoa)
        )


def whole_calls(parts: list[ToolCallPart]) -> list[ToolCall]:
    """Streamed parts of tool calls, put together by their index, in order of their coming."""
    calls: dict[int, ToolCall] = {}
    for part in parts:
        call = calls.setdefault(part.index, ToolCall())
        call.id = part.id or call.id
        function = part.function or FunctionPart()
        call.function.name += function.name or ""
        call.function.arguments += function.arguments or ""
    return list(calls.values())
