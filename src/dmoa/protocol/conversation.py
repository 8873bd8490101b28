"""What a conversation is made of: messages, sampling parameters, token usage."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from dmoa.policies.limits import LIMITS

Role = Literal["system", "developer", "user", "assistant", "tool"]


class Message(msgspec.Struct, frozen=True, omit_defaults=True):
    """One message of a conversation, with OpenAI's field names; `content` is plain text."""

    role: Role
    content: str = ""
    name: str | None = None
    tool_calls: list[dict[str, Any]] | None = None
    tool_call_id: str | None = None

    def size(self) -> int:
        """Bytes of text, as queues count them."""
        calls = len(msgspec.json.encode(self.tool_calls)) if self.tool_calls else 0
        return len(self.content.encode()) + calls


Temperature = Annotated[float, Meta(ge=0, le=2)]
Share = Annotated[float, Meta(ge=0, le=1)]
TokenCount = Annotated[int, Meta(ge=1, le=2**20)]
Seed = Annotated[int, Meta(ge=-(2**62), le=2**62)]
Penalty = Annotated[float, Meta(ge=-2, le=2)]
Stop = Annotated[str, Meta(max_length=LIMITS.stop_characters)]
Stops = Annotated[list[Stop], Meta(max_length=LIMITS.stops)]


class Sampling(msgspec.Struct, frozen=True, omit_defaults=True):
    """How tokens are drawn; None leaves the choice to the LLM."""

    temperature: Temperature | None = None
    top_p: Share | None = None
    max_tokens: TokenCount | None = None
    stop: Stops = []
    seed: Seed | None = None
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None

    def for_inference(self, index: int) -> "Sampling":
        """The same parameters for the `index`-th inference of a prompt.

        A fixed seed on equal LLMs would make all drafts of a layer the same text, so each
        inference gets a seed of its own that follows from the prompt's.
        """
        if self.seed is None:
            return self
        return msgspec.structs.replace(self, seed=(self.seed + 7919 * index) % 2**31)


class Constraints(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the answer must look like; proposers only advise, so the aggregator alone gets it."""

    tools: list[dict[str, Any]] | None = None
    tool_choice: Any = None
    response_format: dict[str, Any] | None = None


class FunctionPart(msgspec.Struct, frozen=True, omit_defaults=True):
    """A piece of a call's name or arguments."""

    name: str | None = None
    arguments: str | None = None


class ToolCallPart(msgspec.Struct, frozen=True, omit_defaults=True):
    """A piece of a tool call, in OpenAI's streaming format; `index` says of which call."""

    index: Annotated[int, Meta(ge=0, le=1000)] = 0
    id: str | None = None
    type: str | None = None
    function: FunctionPart | None = None

    def size(self) -> int:
        """Characters of the call."""
        function = self.function or FunctionPart()
        return len(self.id or "") + len(function.name or "") + len(function.arguments or "")


FinishReason = Literal["stop", "length", "tool_calls", "content_filter"]


def finish_reason(told: str | None) -> FinishReason:
    """A finish reason of a server; what OpenAI's clients do not know counts as `stop`."""
    match told:
        case "length" | "tool_calls" | "content_filter":
            return told
        case _:
            return "stop"


Count = Annotated[int, Meta(ge=0, le=2**53)]


class Usage(msgspec.Struct, frozen=True):
    """Tokens read and written."""

    prompt_tokens: Count = 0
    completion_tokens: Count = 0

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
        )
