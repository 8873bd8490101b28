"""An answer as a message of Anthropic's API."""

import secrets
from collections.abc import Sequence

import msgspec

from dmoa.api.anthropic.objects import (
    AnswerBlock,
    BlockDelta,
    BlockStart,
    BlockStop,
    InputJsonDelta,
    MessageDelta,
    MessageEnd,
    MessageObject,
    MessageStart,
    MessageStop,
    MessageUsage,
    Ping,
    SignatureDelta,
    StopReason,
    TextBlock,
    TextDelta,
    ThinkingBlock,
    ThinkingDelta,
    ToolUseBlock,
)
from dmoa.api.calls import arguments_of
from dmoa.api.errors import ApiError, anthropic_error
from dmoa.api.responses import whole_calls
from dmoa.api.writing import ServerSentWriter, as_json, tagged
from dmoa.protocol.conversation import FinishReason, FunctionPart, ToolCallPart
from dmoa.protocol.events import Finished, Text
from dmoa.protocol.records import PromptRecord

_REASONS: dict[FinishReason, StopReason] = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "content_filter": "refusal",
}


class MessageWriter(ServerSentWriter):
    """Writes a message: blocks that follow one another, each with an index.

    Parts of calls may be mixed, blocks must not be: the first call goes out as it comes, and what
    comes beside or after it goes out when the answer is whole.

    Args:
        model: as the client called it.
        prompt_id: id of the prompt.
        stops: texts that the client wants an answer to end before.
    """

    def __init__(self, model: str, prompt_id: str, stops: Sequence[str] = ()) -> None:
        super().__init__()
        self._stops = frozenset(stops)
        self._message = MessageObject(id=f"msg_{prompt_id.rpartition('-')[2]}", model=model)
        self._block: AnswerBlock | None = None  # the open one
        self._blocks = 0
        self._call: int | None = None  # the call that is the open block
        self._later: list[ToolCallPart] = []
        self._after: list[Text] = []

    def whole(self, finished: Finished) -> MessageObject:
        """See `Writer.whole`."""
        content: list[AnswerBlock] = []
        if finished.reasoning:
            content.append(ThinkingBlock(finished.reasoning))
        if finished.text:
            content.append(TextBlock(finished.text))
        for call in whole_calls(finished.tool_calls or []):
            function = call.function
            content.append(ToolUseBlock(call.id or _id(), function.name, arguments_of(function)))
        end = self._end(finished)
        return msgspec.structs.replace(
            self._message,
            content=content,
            stop_reason=end.stop_reason,
            stop_sequence=end.stop_sequence,
            usage=MessageUsage.of(finished.record.usage),
            dmoa=finished.record,
        )

    def begin(self, record: PromptRecord) -> str:
        """See `Writer.begin`."""
        return tagged(MessageStart(self._message)) + tagged(Ping())

    def piece(self, text: Text) -> str:
        """See `Writer.piece`."""
        words = Text(text.text, reasoning=text.reasoning)
        lines = ""
        if self._call is None:
            lines += self._say(words)
        else:
            self._after.append(words)
        for part in text.tool_calls or []:
            if self._call in (None, part.index):
                lines += self._part(part)
            else:
                self._later.append(part)
        return lines

    def end(self, finished: Finished) -> str:
        """See `Writer.end`."""
        lines = self._close()
        for call in whole_calls(self._later):
            block = ToolUseBlock(call.id or _id(), call.function.name)
            lines += self._open(block) + self._delta(InputJsonDelta(call.function.arguments))
        lines += "".join(self._say(words) for words in self._after) + self._close()
        usage = MessageUsage.of(finished.record.usage)
        lines += tagged(MessageDelta(self._end(finished), usage, finished.record))
        return lines + tagged(MessageStop())

    def waiting(self) -> str:
        """See `Writer.waiting`."""
        return tagged(Ping())

    def broken(self, error: ApiError) -> str:
        """See `Writer.broken`."""
        return f"event: error\ndata: {as_json(anthropic_error(error))}\n\n"

    def _end(self, finished: Finished) -> MessageEnd:
        """How it ends; another device may say what it likes of what stopped it."""
        if finished.finish_reason == "stop" and finished.stopped_by in self._stops:
            return MessageEnd("stop_sequence", finished.stopped_by)
        return MessageEnd(_REASONS[finished.finish_reason])

    def _say(self, words: Text) -> str:
        lines = ""
        if words.reasoning:
            if not isinstance(self._block, ThinkingBlock):
                lines += self._open(ThinkingBlock(""))
            lines += self._delta(ThinkingDelta(words.reasoning))
        if words.text:
            if not isinstance(self._block, TextBlock):
                lines += self._open(TextBlock(""))
            lines += self._delta(TextDelta(words.text))
        return lines

    def _part(self, part: ToolCallPart) -> str:
        function = part.function or FunctionPart()
        lines = ""
        if self._call is None:
            lines += self._open(ToolUseBlock(part.id or _id(), function.name or ""))
            self._call = part.index
        if function.arguments:
            lines += self._delta(InputJsonDelta(function.arguments))
        return lines

    def _open(self, block: AnswerBlock) -> str:
        lines = self._close()
        self._block = block
        return lines + tagged(BlockStart(self._blocks, block))

    def _delta(self, delta: TextDelta | ThinkingDelta | SignatureDelta | InputJsonDelta) -> str:
        return tagged(BlockDelta(self._blocks, delta))

    def _close(self) -> str:
        """The open block is whole."""
        if self._block is None:
            return ""
        signed = isinstance(self._block, ThinkingBlock)
        lines = self._delta(SignatureDelta()) if signed else ""
        lines += tagged(BlockStop(self._blocks))
        self._block = None
        self._blocks += 1
        return lines


def _id() -> str:
    return f"toolu_{secrets.token_hex(12)}"
