"""Requests for responses."""

from typing import Any, Literal

import msgspec

from dmoa.api.errors import ApiError
from dmoa.api.openai_responses.items import InputItem
from dmoa.api.reading import only_functions, switches
from dmoa.protocol.conversation import Constraints, Sampling, Share, Temperature, TokenCount


class TextOptions(msgspec.Struct):
    """What the text must look like."""

    format: dict[str, Any] | None = None
    verbosity: str | None = None


class ReasoningOptions(msgspec.Struct):
    """How much is thought."""

    effort: str | None = None
    summary: str | None = None


class ResponsesRequest(msgspec.Struct):
    """The body of a request; what dmoa does not know goes to the own LLM as it is."""

    model: str
    input: str | list[InputItem] = []
    instructions: str | None = None
    previous_response_id: str | None = None
    store: bool | None = None
    stream: bool | None = None
    temperature: Temperature | None = None
    top_p: Share | None = None
    max_output_tokens: TokenCount | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    text: TextOptions | None = None
    reasoning: ReasoningOptions | None = None
    metadata: dict[str, Any] | None = None
    truncation: Literal["auto", "disabled"] | None = None
    top_logprobs: int | None = None
    background: bool | None = None
    conversation: Any = None
    prompt: Any = None
    # What only concerns OpenAI's own servers.
    client_metadata: Any = None
    context_management: Any = None
    include: Any = None
    max_tool_calls: Any = None
    prompt_cache_key: Any = None
    prompt_cache_options: Any = None
    prompt_cache_retention: Any = None
    safety_identifier: Any = None
    service_tier: Any = None
    stream_options: Any = None
    user: Any = None
    unknown: dict[str, Any] = {}

    def check(self) -> None:
        """Refuse what cannot be done.

        Raises:
            ApiError: something is asked for that there is not.
        """
        if not self.input and self.previous_response_id is None:
            raise ApiError(400, "input is empty; send a text or items")
        if self.background and self.store is False:
            raise ApiError(400, "a background response is kept to be fetched; leave store out")
        if self.background and self.stream:
            raise ApiError(
                400,
                "a background response is not streamed here; fetch it by its id until it is over",
            )
        for name in ("conversation", "prompt"):
            if getattr(self, name) is not None:
                raise ApiError(
                    400, f"{name}s are kept at OpenAI's; send previous_response_id, or all items"
                )
        if self.top_logprobs:
            raise ApiError(400, "logprobs are not known of a committee's answer; leave them out")
        only_functions(self.tools, ("function",))

    def sampling(self) -> Sampling:
        """How tokens are drawn.

        Raises:
            ApiError: the parameters that dmoa does not know are too long.
        """
        beside: dict[str, Any] = dict(self.unknown)
        if self.reasoning is not None:
            beside["reasoning_effort"] = self.reasoning.effort
        if self.text is not None:
            beside["verbosity"] = self.text.verbosity
        beside["parallel_tool_calls"] = self.parallel_tool_calls if self.tools else None
        thinking, extra = switches(beside)
        return Sampling(
            temperature=self.temperature,
            top_p=self.top_p,
            max_tokens=self.max_output_tokens,
            thinking=thinking,
            extra=extra,
        )

    def constraints(self) -> Constraints | None:
        """What the answer must look like, in the words of chat completions.

        Raises:
            ApiError: a choice or format is not known.
        """
        wanted = self._format()
        if not self.tools:
            return Constraints(response_format=wanted) if wanted else None
        tools, choice = self.tools, self.tool_choice
        if isinstance(choice, dict):
            match choice.get("type"):
                case "function":
                    choice = {"type": "function", "function": {"name": _name(choice)}}
                case "allowed_tools":
                    tools = _allowed(tools, choice.get("tools"))
                    choice = choice.get("mode", "auto")
                case kind:
                    raise ApiError(
                        400,
                        f"tool_choice of type {str(kind)[:60]!r} is not known; send auto, none,"
                        " required, a function or allowed_tools",
                    )
        return Constraints([_function(tool) for tool in tools], choice, wanted)

    def _format(self) -> dict[str, Any] | None:
        given = (self.text and self.text.format) or {}
        match given.get("type", "text"):
            case "text":
                return None
            case "json_object":
                return {"type": "json_object"}
            case "json_schema":
                schema = {name: value for name, value in given.items() if name != "type"}
                return {"type": "json_schema", "json_schema": schema}
            case kind:
                raise ApiError(
                    400,
                    f"text.format.type {str(kind)[:60]!r} is not known; send text, json_object or"
                    " json_schema",
                )


def _name(tool: dict[str, Any]) -> Any:
    return _fields(tool).get("name")


def _allowed(tools: list[dict[str, Any]], given: Any) -> list[dict[str, Any]]:
    if not isinstance(given, list) or not all(isinstance(tool, dict) for tool in given):
        raise ApiError(400, "tool_choice.tools is a list of objects with a type and a name")
    names = [_name(tool) for tool in given]
    return [tool for tool in tools if _name(tool) in names]


def _fields(tool: dict[str, Any]) -> dict[str, Any]:
    """A function's fields, which stand in the tool itself, or inside as chat completions do it."""
    function = tool.get("function")
    return function if isinstance(function, dict) else tool


def _function(tool: dict[str, Any]) -> dict[str, Any]:
    names = ("name", "description", "parameters", "strict")
    fields = {name: value for name, value in _fields(tool).items() if name in names}
    function = {name: value for name, value in fields.items() if value is not None}
    return {"type": "function", "function": function}
