"""Requests for messages."""

from typing import Any

import msgspec

from dmoa.api.anthropic.conversation import Block, Turn, conversation
from dmoa.api.errors import ApiError
from dmoa.api.reading import left_out, only_functions, switches
from dmoa.protocol.conversation import (
    Constraints,
    Message,
    Sampling,
    Share,
    Stops,
    Temperature,
    TokenCount,
)

_THEIRS = frozenset(
    {"cache_control", "inference_geo", "metadata", "service_tier", "speed", "user_profile_id"}
)
_CHOICES = {"auto": "auto", "any": "required", "none": "none"}


class ToolChoice(msgspec.Struct):
    """Whether a tool is used, and which."""

    type: str
    name: str | None = None
    disable_parallel_tool_use: bool | None = None


class OutputConfig(msgspec.Struct):
    """What the answer must look like."""

    format: dict[str, Any] | None = None
    effort: str | None = None


class CountRequest(msgspec.Struct, kw_only=True):
    """What a prompt is made of."""

    model: str
    messages: list[Turn]
    system: str | list[Block] | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: ToolChoice | None = None
    output_config: OutputConfig | None = None

    def conversation(self) -> list[Message]:
        """The messages.

        Raises:
            ApiError: there are none, or one makes no sense.
        """
        if not self.messages:
            raise ApiError(400, "messages is empty; send at least one")
        return conversation(self.system, self.messages)

    def constraints(self) -> Constraints | None:
        """What the answer must look like, in the words of chat completions.

        Raises:
            ApiError: a tool, choice or format is not known.
        """
        only_functions(self.tools, ("custom",))
        wanted = self._format()
        if not self.tools:
            return Constraints(response_format=wanted) if wanted else None
        return Constraints([_function(tool) for tool in self.tools], self._choice(), wanted)

    def _choice(self) -> Any:
        choice = self.tool_choice
        if choice is None:
            return None
        if choice.type == "tool" and choice.name:
            return {"type": "function", "function": {"name": choice.name}}
        if choice.type not in _CHOICES:
            raise ApiError(
                400,
                f"tool_choice {choice.type[:60]!r} is not known; send auto, any, none, or tool"
                " with a name",
            )
        return _CHOICES[choice.type]

    def _format(self) -> dict[str, Any] | None:
        given = self.output_config.format if self.output_config else None
        if given is None:
            return None
        if given.get("type") != "json_schema" or not isinstance(given.get("schema"), dict):
            raise ApiError(400, "output_config.format is of type json_schema, with a schema")
        schema = {"name": "answer", "schema": given["schema"], "strict": True}
        return {"type": "json_schema", "json_schema": schema}


class MessagesRequest(CountRequest, kw_only=True):
    """The body of a request."""

    max_tokens: TokenCount
    stream: bool | None = None
    temperature: Temperature | None = None
    top_p: Share | None = None
    top_k: int | None = None
    stop_sequences: Stops | None = None
    thinking: dict[str, Any] | None = None
    unknown: dict[str, Any] = {}

    def notes(self) -> list[str]:
        """What is left out, but for what only concerns Anthropic's own servers."""
        return left_out({n: v for n, v in self.unknown.items() if n not in _THEIRS})

    def sampling(self) -> Sampling:
        """How tokens are drawn."""
        single = self.tool_choice is not None and self.tool_choice.disable_parallel_tool_use
        effort = self.output_config.effort if self.output_config else None
        thinking, extra = switches(
            {
                "top_k": self.top_k,
                "thinking": self.thinking,
                "reasoning_effort": effort,
                "parallel_tool_calls": False if single and self.tools else None,
            }
        )
        return Sampling(
            temperature=self.temperature,
            top_p=self.top_p,
            max_tokens=self.max_tokens,
            stop=self.stop_sequences or [],
            thinking=thinking,
            extra=extra,
        )


def _function(tool: dict[str, Any]) -> dict[str, Any]:
    function = {
        "name": tool.get("name"),
        "description": tool.get("description"),
        "parameters": tool.get("input_schema"),
        "strict": tool.get("strict"),
    }
    known = {name: value for name, value in function.items() if value is not None}
    return {"type": "function", "function": known}
