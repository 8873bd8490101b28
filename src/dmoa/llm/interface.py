"""What dmoa asks of an LLM, whichever it is."""

from collections.abc import AsyncGenerator, Sequence
from typing import Any, Protocol, runtime_checkable

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
    """A piece of the response as it comes.

    Attributes:
        text: of the answer.
        tool_calls: parts of calls. Each call has an index of its own, counted from 0; its
            first part has its id, type and name, later ones only more of the arguments.
        reasoning: what the model thinks; never part of the answer.
        recants: the text of all earlier tokens was thought too: move it there. A model whose
            prompt opens its thought shows that only by closing it, the first time.
    """

    text: str
    tool_calls: list[ToolCallPart] | None = None
    reasoning: str = ""
    recants: bool = False


class Alive(Token, frozen=True):
    """No token, but a sign of life: the server sent something, or is waited for.

    Attributes:
        note: what goes on, for people; empty for a mere sign.
        waiting: the server has not begun with this request: it loads a model or is full.
    """

    text: str = ""
    note: str = ""
    waiting: bool = False


class End(msgspec.Struct, frozen=True):
    """The last item of a stream.

    Attributes:
        finish_reason: `tool_calls` whenever there were calls.
        notes: what was changed on the way to the model, in sentences: images that it does not
            take, a `max_tokens` that was lowered, parameters that it does not know.
        stopped_by: the stop that ended it, where the server says which.
    """

    finish_reason: FinishReason
    usage: Usage
    notes: list[str] = []
    stopped_by: str | None = None


class Capabilities(msgspec.Struct, frozen=True):
    """What a model can do; None where nobody says.

    Attributes:
        vision: reads images.
        audio: hears.
        tools: calls functions.
        thinking: thinks before it answers.
        formats: keeps to a JSON schema.
    """

    vision: bool | None = None
    audio: bool | None = None
    tools: bool | None = None
    thinking: bool | None = None
    formats: bool | None = None


class ModelInfo(msgspec.Struct, frozen=True):
    """What an LLM says of itself.

    Its speed is not asked for but measured, in the same way for every LLM (`device/meter.py`).

    Attributes:
        name: what it is called.
        context_length: tokens that its window holds.
        capabilities: what it can do beside text.
    """

    name: str
    context_length: int
    capabilities: Capabilities = Capabilities()


class LLM(Protocol):
    """A language model on this device.

    Cancelling is closing the stream (`aclose`): no more tokens are made after that. Deadlines
    are the caller's: an LLM may be silent for as long as it likes.
    """

    pack: Pack
    """How drafts are put into a prompt for this model."""

    @property
    def info(self) -> ModelInfo:
        """Name, context length in tokens, capabilities; may change between inferences."""

    def stream(
        self,
        messages: Sequence[Message],
        sampling: Sampling,
        constraints: Constraints | None = None,
    ) -> AsyncGenerator[Token | End, None]:
        """Tokens of the response with signs of life between them, then one `End`.

        An answer without a token is one too. Look for `Alive` before `Token`, which it is one
        of, so that callers who only want text need not know it.

        Raises:
            RequestRefused: the request is wrong; another LLM of the kind would say so too.
            ContextExceeded: the prompt does not fit; `info` has the window that the server
                stated, if it stated one.
            LLMUnavailable: the LLM cannot be reached.
            LLMBusy: it was loading or full for too long.
            LLMBroken: it sent nonsense or died in the middle.
            LLMError: it failed otherwise.
        """

    async def count_tokens(
        self, messages: Sequence[Message], constraints: Constraints | None = None
    ) -> int:
        """Tokens of a prompt, template and tools included; exact where the LLM can count.

        Otherwise an estimate that errs on the large side; `estimate_tokens` gives one at once.
        """

    async def close(self) -> None:
        """Free what the LLM holds; streams that still run are ended."""


class Embedded(msgspec.Struct, frozen=True):
    """Vectors of texts.

    Attributes:
        vectors: one for each text, in their order; in base64 if that was asked for.
        prompt_tokens: tokens read.
    """

    vectors: list[list[float] | str]
    prompt_tokens: int = 0


@runtime_checkable
class Embedder(Protocol):
    """What an LLM can do beside, if its server can."""

    async def embed(self, request: dict[str, Any]) -> Embedded:
        """Vectors of texts.

        Args:
            request: OpenAI's, for embeddings; the model in it is set here.

        Raises:
            RequestRefused: the request is wrong, or the server makes no embeddings.
            LLMError: it failed otherwise.
        """
