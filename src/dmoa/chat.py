"""What a conversation is made of: messages, sampling parameters, token usage."""

from typing import Any, Literal

import msgspec

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


class Sampling(msgspec.Struct, frozen=True, omit_defaults=True):
    """How tokens are drawn; None leaves the choice to the LLM."""

    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    stop: list[str] = []
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None

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


class Usage(msgspec.Struct, frozen=True):
    """Tokens read and written."""

    prompt_tokens: int = 0
    completion_tokens: int = 0

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
        )
