"""What a conversation is made of: messages, sampling parameters, token usage."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from dmoa.policies.limits import LIMITS

Role = Literal["system", "developer", "user", "assistant", "tool"]


class Message(msgspec.Struct, frozen=True, omit_defaults=True):
    """One message of a conversation, with OpenAI's field names.

    Attributes:
        content: the text, as every model can read it; for `parts` their text, with a
            placeholder for each that is no text.
        parts: the content as OpenAI's list of parts, where it holds more than text (images,
            audio, files); models that take them get these instead of `content`.
        content_is_null: the content was `null` and not `""`, which some servers tell apart
            beside tool calls.
        reasoning_content: what the assistant thought; models that think between tool calls
            want it back.
    """

    role: Role
    content: str = ""
    name: str | None = None
    tool_calls: list[dict[str, Any]] | None = None
    tool_call_id: str | None = None
    parts: list[dict[str, Any]] | None = None
    content_is_null: bool = False
    reasoning_content: str | None = None

    def size(self) -> int:
        """Bytes of text, as queues count them."""
        size = len(self.content.encode()) + len((self.reasoning_content or "").encode())
        for beside in (self.tool_calls, self.parts):
            if beside:
                size += len(msgspec.json.encode(beside))
        return size


def text_of_parts(parts: list[dict[str, Any]]) -> str:
    """The text of OpenAI's content parts, with a placeholder for each that is no text."""
    return "\n".join(
        text if (text := part_text(part)) is not None else placeholder(part) for part in parts
    )


def part_text(part: dict[str, Any]) -> str | None:
    """The text of a part; None for what is no text."""
    for name in ("text", "refusal"):
        if isinstance(part.get(name), str):
            return str(part[name])
    return None


def part_kind(part: dict[str, Any]) -> str:
    """What a part holds: text, image, audio, file, or its own type."""
    if part_text(part) is not None:
        return "text"
    kind = str(part.get("type") or "part")[:32]
    return next((known for known in ("image", "audio", "file") if known in kind), kind)


def placeholder(part: dict[str, Any]) -> str:
    """What stands for a part that a model cannot take."""
    kind, name = part_kind(part), ""
    for value in part.values():
        told = value if isinstance(value, dict) else {"url": value}
        name = next(
            (
                str(told[key])
                for key in ("filename", "name", "url", "file_id", "format")
                if isinstance(told.get(key), str) and told[key] != part.get("type")
            ),
            name,
        )
    if name.startswith("data:"):
        name = name[5:].partition(";")[0]
    name = name.partition("?")[0].rstrip("/").rpartition("/")[2] if "://" in name else name
    named = f"{kind}: {name[:80]}" if name else kind
    return f"[{named} not shown: this model reads text only]"


EXTRA_BYTES = 64 * 1024
"""Bound of the parameters beyond OpenAI's common ones, as JSON; a `logit_bias` is the longest."""

THINKING_SWITCHES = frozenset(
    {
        "chat_template_kwargs",
        "enable_thinking",
        "include_reasoning",
        "reasoning",
        "reasoning_budget",
        "reasoning_effort",
        "reasoning_format",
        "think",
        "thinking",
        "thinking_budget",
        "thinking_budget_tokens",
        "verbosity",
    }
)
"""Parameters that say whether and how long a model thinks, in the words of all servers."""


def split_extra(fields: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Parameters that dmoa does not know itself, as `Sampling.thinking` and `Sampling.extra`.

    Raises:
        ValueError: they are too long, or no JSON; says which field is the longest.
    """
    given = {name: value for name, value in fields.items() if value is not None}
    _check_extra(given)
    return (
        {name: value for name, value in given.items() if name in THINKING_SWITCHES},
        {name: value for name, value in given.items() if name not in THINKING_SWITCHES},
    )


def _check_extra(fields: dict[str, Any]) -> None:
    sizes = {name: len(name) + len(msgspec.json.encode(value)) for name, value in fields.items()}
    if sum(sizes.values()) > EXTRA_BYTES:
        longest = max(sizes, key=lambda name: sizes[name])
        raise ValueError(
            f"the parameters beside the messages are {sum(sizes.values())} bytes of JSON, more than"
            f" {EXTRA_BYTES}; {longest[:64]!r} is the longest, shorten it"
        )


Temperature = Annotated[float, Meta(ge=0, le=2)]
Share = Annotated[float, Meta(ge=0, le=1)]
MOST_TOKENS = 2**20
"""Longer than any answer may be."""
TokenCount = Annotated[int, Meta(ge=1, le=MOST_TOKENS)]
Seed = Annotated[int, Meta(ge=-(2**62), le=2**62)]
Penalty = Annotated[float, Meta(ge=-2, le=2)]
Stop = Annotated[str, Meta(max_length=LIMITS.stop_characters)]
Stops = Annotated[list[Stop], Meta(max_length=LIMITS.stops)]


class Sampling(msgspec.Struct, frozen=True, omit_defaults=True):
    """How tokens are drawn; None leaves the choice to the LLM.

    Attributes:
        thinking: switches for thinking (`THINKING_SWITCHES`), passed to every LLM as they are.
        extra: other parameters that dmoa does not know (`top_k`, `min_p`, `logit_bias`, ...),
            for the own LLM only; see `for_others`.

    Raises:
        ValueError: `thinking` and `extra` are longer than `EXTRA_BYTES`.
    """

    temperature: Temperature | None = None
    top_p: Share | None = None
    max_tokens: TokenCount | None = None
    stop: Stops = []
    seed: Seed | None = None
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None
    thinking: dict[str, Any] = {}
    extra: dict[str, Any] = {}

    def __post_init__(self) -> None:
        if self.thinking or self.extra:
            _check_extra({**self.thinking, **self.extra})

    def for_others(self) -> "Sampling":
        """The same parameters for the LLM of another device, which may know other ones."""
        return msgspec.structs.replace(self, extra={}) if self.extra else self

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
    parallel_tool_calls: bool | None = None


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


_LENGTH = frozenset({"length", "max_tokens", "max_output_tokens", "model_length", "max_length"})


def finish_reason(told: str | None) -> FinishReason:
    """A finish reason of a server; what OpenAI's clients do not know counts as `stop`."""
    match (told or "").lower():
        case reason if reason in _LENGTH:
            return "length"
        case "tool_calls" | "function_call" | "tool_use":
            return "tool_calls"
        case "content_filter" | "safety":
            return "content_filter"
        case _:
            return "stop"


Count = Annotated[int, Meta(ge=0, le=2**53)]


class Usage(msgspec.Struct, frozen=True):
    """Tokens read and written; `reasoning_tokens` of the written ones were thought."""

    prompt_tokens: Count = 0
    completion_tokens: Count = 0
    reasoning_tokens: Count = 0

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
            self.reasoning_tokens + other.reasoning_tokens,
        )
