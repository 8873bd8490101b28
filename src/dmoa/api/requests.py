"""Requests for chat completions: read, checked, and turned into prompts."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from dmoa.api.errors import ApiError
from dmoa.api.reading import message, switches
from dmoa.policies.law import LEAST_PATIENCE, MOST_PATIENCE
from dmoa.policies.limits import LIMITS
from dmoa.protocol.conversation import (
    Constraints,
    Message,
    Penalty,
    Role,
    Sampling,
    Seed,
    Share,
    Stop,
    Stops,
    Temperature,
    TokenCount,
)

Patience = Annotated[float, Meta(ge=LEAST_PATIENCE, le=MOST_PATIENCE)]
Instruction = Annotated[str, Meta(min_length=1, max_length=LIMITS.instruction_characters)]


class FunctionCall(msgspec.Struct):
    """A call as clients wrote it before there were tools."""

    name: str = ""
    arguments: Any = "{}"


class ChatMessage(msgspec.Struct):
    """A message as OpenAI's clients write it, today's and older ones."""

    role: Role | Literal["function"]
    content: str | list[str | dict[str, Any]] | None = None
    name: str | None = None
    tool_calls: list[dict[str, Any]] | None = None
    tool_call_id: str | None = None
    function_call: FunctionCall | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None

    def as_message(self) -> Message:
        """The message as devices read it."""
        calls, call_id = self.tool_calls or None, self.tool_call_id
        role = self.role
        if self.function_call is not None:
            calls = [_as_tool_call(self.function_call)]
        if role == "function":
            role, call_id = "tool", _call_id(self.name or "")
        content = self.content
        return message(
            role,
            [_part(part) for part in content] if isinstance(content, list) else content,
            name=self.name,
            tool_calls=calls,
            tool_call_id=call_id,
            reasoning_content=self.reasoning_content or self.reasoning,
        )


def _part(part: str | dict[str, Any]) -> dict[str, Any]:
    return {"type": "text", "text": part} if isinstance(part, str) else part


def _as_tool_call(call: FunctionCall) -> dict[str, Any]:
    arguments = call.arguments
    if not isinstance(arguments, str):
        arguments = msgspec.json.encode(arguments).decode()
    function = {"name": call.name, "arguments": arguments}
    return {"id": _call_id(call.name), "type": "function", "function": function}


def _call_id(function: str) -> str:
    """The id of a call that has none: a call and its result are told by the function's name."""
    return f"call_{function[:40]}"


class StreamOptions(msgspec.Struct):
    """Whether a final chunk with the usage is wanted."""

    include_usage: bool | None = None


class Extension(msgspec.Struct, forbid_unknown_fields=True):
    """dmoa's own part of a request.

    Attributes:
        progress: also stream events as chunks without choices, for clients that show them.
        instruction: replaces the aggregation instruction.
        draft_tokens: longest draft.
        aggregator: name or id of the device that writes the answer.
        local_only: nothing of the prompt leaves this device, whatever the model says.
        patience: mean service times that a surely right answer may cost, work times price.
        background: nobody waits: the prompt is kept on the disk, and its answer fetched later.
    """

    progress: bool = False
    instruction: (
        Annotated[str, Meta(min_length=1, max_length=LIMITS.instruction_characters)] | None
    ) = None
    draft_tokens: TokenCount | None = None
    aggregator: Annotated[str, Meta(min_length=1, max_length=LIMITS.name_characters)] | None = None
    local_only: bool = False
    patience: Patience | None = None
    background: bool = False


class ChatRequest(msgspec.Struct):
    """The body of a request; what dmoa does not know goes to the own LLM as it is."""

    model: str
    messages: Annotated[list[ChatMessage], Meta(min_length=1)]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    temperature: Temperature | None = None
    top_p: Share | None = None
    max_tokens: TokenCount | None = None
    max_completion_tokens: TokenCount | None = None
    stop: Stops | Stop | None = None
    seed: Seed | None = None
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None
    n: int | None = None
    logprobs: bool | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: Any = None
    response_format: dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    functions: list[dict[str, Any]] | None = None
    function_call: Any = None
    user: Any = None
    store: Any = None
    metadata: Any = None
    dmoa: Extension | None = None
    unknown: dict[str, Any] = {}

    def conversation(self) -> list[Message]:
        """The messages.

        Raises:
            ApiError: more than an answer is asked for.
        """
        if self.n not in (None, 1):
            raise ApiError(400, f"n = {self.n}; a committee writes one answer, so leave n out")
        if self.logprobs:
            raise ApiError(400, "logprobs are not known of a committee's answer; leave them out")
        return [said.as_message() for said in self.messages]

    def sampling(self) -> Sampling:
        """How tokens are drawn.

        Raises:
            ApiError: the parameters that dmoa does not know are too long.
        """
        stop = [self.stop] if isinstance(self.stop, str) else self.stop or []
        thinking, extra = switches(self.unknown)
        return Sampling(
            temperature=self.temperature,
            top_p=self.top_p,
            max_tokens=self.max_completion_tokens or self.max_tokens,
            stop=stop,
            seed=self.seed,
            presence_penalty=self.presence_penalty,
            frequency_penalty=self.frequency_penalty,
            thinking=thinking,
            extra=extra,
        )

    def constraints(self) -> Constraints | None:
        """What the answer must look like."""
        tools, choice = self.tools or None, self.tool_choice
        if tools is None and self.functions:
            tools = [{"type": "function", "function": function} for function in self.functions]
            choice = self.function_call
            if isinstance(choice, dict):
                choice = {"type": "function", "function": choice}
        if tools is None and self.response_format is None:
            return None
        if tools is None:
            return Constraints(response_format=self.response_format)
        return Constraints(tools, choice, self.response_format, self.parallel_tool_calls)
