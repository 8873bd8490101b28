"""What dmoa asks of an LLM, whichever it is."""

from collections.abc import AsyncGenerator, Sequence
from typing import Protocol

import msgspec

from dmoa.protocol.conversation import (
    Constraints,
    FinishReason,
    Message,
    Sampling,
    ToolCallPart,
    Usage,
)
from dmoa.protocol.packing import Pack


class Token(msgspec.Struct, frozen=True):
    """A piece of the response as it comes."""

    text: str
    tool_calls: list[ToolCallPart] | None = None


class End(msgspec.Struct, frozen=True):
    """The last item of a stream."""

    finish_reason: FinishReason
    usage: Usage


class ModelInfo(msgspec.Struct, frozen=True):
    """What an LLM says of itself: its name, and the tokens that its window holds.

    Its speed is not asked for but measured, in the same way for every LLM (`device/meter.py`).
    """

    name: str
    context_length: int


class LLM(Protocol):
    """A language model on this device.

    Cancelling is closing the stream (`aclose`): no more tokens are made after that.
    """

    pack: Pack
    """How drafts are put into a prompt for this model."""

    @property
    def info(self) -> ModelInfo:
        """Name, and context length in tokens."""

    def stream(
        self,
        messages: Sequence[Message],
        sampling: Sampling,
        constraints: Constraints | None = None,
    ) -> AsyncGenerator[Token | End, None]:
        """Tokens of the response, then one `End`.

        Raises:
            ContextExceeded: the prompt does not fit.
            LLMUnavailable: the LLM cannot be reached.
            LLMError: it failed otherwise.
        """

    async def count_tokens(self, messages: Sequence[Message]) -> int:
        """Tokens of a prompt, template included; an estimate that errs on the large side."""

    async def close(self) -> None:
        """Free what the LLM holds; streams that still run are ended."""
