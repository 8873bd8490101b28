"""What `/v1/messages` answers: Anthropic's objects and events, with the `dmoa` object added."""

from typing import Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from dmoa.protocol.conversation import Usage
from dmoa.protocol.records import PromptRecord

StopReason = Literal["end_turn", "max_tokens", "stop_sequence", "tool_use", "refusal"]


class TextBlock(msgspec.Struct, frozen=True, tag="text"):
    """What is said."""

    text: str
    citations: None = None


class ThinkingBlock(msgspec.Struct, frozen=True, tag="thinking"):
    """What is thought; nobody has signed it."""

    thinking: str
    signature: str = ""


class ToolUseBlock(msgspec.Struct, frozen=True, tag="tool_use"):
    """A tool that is used."""

    id: str
    name: str
    input: dict[str, Any] = {}


AnswerBlock = TextBlock | ThinkingBlock | ToolUseBlock


class ThinkingTokens(msgspec.Struct, frozen=True):
    """How many of the tokens were thought."""

    thinking_tokens: int = 0


class MessageUsage(msgspec.Struct, frozen=True):
    """All tokens that were spent on a prompt, on every device."""

    input_tokens: int = 0
    output_tokens: int = 0
    cache_creation_input_tokens: int = 0
    cache_read_input_tokens: int = 0
    output_tokens_details: ThinkingTokens = ThinkingTokens()

    @classmethod
    def of(cls, spent: Usage) -> "MessageUsage":
        """What was spent."""
        thought = ThinkingTokens(spent.reasoning_tokens)
        return cls(spent.prompt_tokens, spent.completion_tokens, output_tokens_details=thought)


class MessageObject(msgspec.Struct, frozen=True, kw_only=True):
    """An answer."""

    id: str
    model: str
    content: list[AnswerBlock] = []
    stop_reason: StopReason | None = None
    stop_sequence: str | None = None
    usage: MessageUsage = MessageUsage()
    dmoa: PromptRecord | UnsetType = UNSET
    role: Literal["assistant"] = "assistant"
    type: Literal["message"] = "message"


class TokensCount(msgspec.Struct, frozen=True):
    """Tokens of a prompt, for the device's own LLM."""

    input_tokens: int


class TextDelta(msgspec.Struct, frozen=True, tag="text_delta"):
    """More text."""

    text: str


class ThinkingDelta(msgspec.Struct, frozen=True, tag="thinking_delta"):
    """More of a thought."""

    thinking: str


class SignatureDelta(msgspec.Struct, frozen=True, tag="signature_delta"):
    """A thought is whole; nobody has signed it."""

    signature: str = ""


class InputJsonDelta(msgspec.Struct, frozen=True, tag="input_json_delta"):
    """More of a tool's input, as JSON."""

    partial_json: str


class MessageEnd(msgspec.Struct, frozen=True):
    """How the message ends."""

    stop_reason: StopReason
    stop_sequence: str | None = None


class MessageStart(msgspec.Struct, frozen=True, tag="message_start"):
    """The message begins."""

    message: MessageObject


class Ping(msgspec.Struct, frozen=True, tag="ping"):
    """A sign of life."""


class BlockStart(msgspec.Struct, frozen=True, tag="content_block_start"):
    """A block begins."""

    index: int
    content_block: AnswerBlock


class BlockDelta(msgspec.Struct, frozen=True, tag="content_block_delta"):
    """More of a block."""

    index: int
    delta: TextDelta | ThinkingDelta | SignatureDelta | InputJsonDelta


class BlockStop(msgspec.Struct, frozen=True, tag="content_block_stop"):
    """A block is whole."""

    index: int


class MessageDelta(msgspec.Struct, frozen=True, tag="message_delta"):
    """The message is whole; what was spent in all."""

    delta: MessageEnd
    usage: MessageUsage
    dmoa: PromptRecord


class MessageStop(msgspec.Struct, frozen=True, tag="message_stop"):
    """The stream is over."""


EVENTS = (MessageStart, Ping, BlockStart, BlockDelta, BlockStop, MessageDelta, MessageStop)
