"""Requests for chat completions: read, checked, and turned into prompts."""

import asyncio
from typing import Annotated, Any

import msgspec
from msgspec import Meta
from starlette.requests import ClientDisconnect, Request

from dmoa.api.errors import ApiError
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

BODY_SECONDS = 30.0


Instruction = Annotated[str, Meta(min_length=1, max_length=LIMITS.instruction_characters)]


class Part(msgspec.Struct):
    """A part of a message's content; only text is understood."""

    type: str
    text: str = ""
    refusal: str = ""


class ChatMessage(msgspec.Struct):
    """A message as OpenAI's clients write it."""

    role: Role
    content: str | list[Part] | None = None
    name: str | None = None
    tool_calls: list[dict[str, Any]] | None = None
    tool_call_id: str | None = None


class StreamOptions(msgspec.Struct):
    """Whether a final chunk with the usage is wanted."""

    include_usage: bool | None = None


class Extension(msgspec.Struct, forbid_unknown_fields=True):
    """dmoa's own part of a request.

    Attributes:
        progress: also stream events as chunks without choices, for clients that show them.
        instruction: replaces the aggregation instruction.
    """

    progress: bool = False
    instruction: (
        Annotated[str, Meta(min_length=1, max_length=LIMITS.instruction_characters)] | None
    ) = None


class ChatRequest(msgspec.Struct):
    """The body of a request; what dmoa does not know is ignored, as OpenAI's servers do."""

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
    dmoa: Extension | None = None

    def conversation(self) -> list[Message]:
        """The messages, as plain text.

        Raises:
            ApiError: a message has a part that is no text, or more than an answer is asked for.
        """
        if self.n not in (None, 1):
            raise ApiError(400, f"n = {self.n}; a committee writes one answer, so leave n out")
        if self.logprobs:
            raise ApiError(400, "logprobs are not known of a committee's answer; leave them out")
        return [_message(number, message) for number, message in enumerate(self.messages)]

    def sampling(self) -> Sampling:
        """How tokens are drawn."""
        stop = [self.stop] if isinstance(self.stop, str) else self.stop or []
        return Sampling(
            temperature=self.temperature,
            top_p=self.top_p,
            max_tokens=self.max_completion_tokens or self.max_tokens,
            stop=stop,
            seed=self.seed,
            presence_penalty=self.presence_penalty,
            frequency_penalty=self.frequency_penalty,
        )

    def constraints(self) -> Constraints | None:
        """What the answer must look like."""
        if not self.tools and self.response_format is None:
            return None
        return Constraints(self.tools or None, self.tool_choice, self.response_format)


def _message(number: int, message: ChatMessage) -> Message:
    content = message.content
    if isinstance(content, list):
        for part in content:
            if part.type not in ("text", "refusal"):
                raise ApiError(
                    400,
                    f"messages[{number}] has a part of type {part.type!r}; devices only read text",
                )
        content = "\n".join(part.text or part.refusal for part in content)
    return Message(
        role=message.role,
        content=content or "",
        name=message.name,
        tool_calls=message.tool_calls,
        tool_call_id=message.tool_call_id,
    )


_decoder = msgspec.json.Decoder(ChatRequest)


async def read_chat_request(request: Request) -> ChatRequest:
    """Read and check a body.

    Raises:
        ApiError: 408 when it does not come, 413 when it is too long, 400 when it is wrong.
    """
    body = await _read(request)
    try:
        return _decoder.decode(body)
    except msgspec.ValidationError as error:
        raise ApiError(400, f"the request is not understood: {error}") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ApiError(400, f"the body is no JSON in UTF-8: {error}") from None
    except RecursionError:
        raise ApiError(400, "the body is nested too deeply") from None


async def _read(request: Request) -> bytes:
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for chunk in request.stream():
                body += chunk
                if len(body) > LIMITS.body_bytes:
                    raise ApiError(
                        413,
                        f"the body is longer than {LIMITS.body_bytes // 2**20} MiB; shorten it",
                    )
    except ClientDisconnect:
        raise ApiError(499, "the client went away in the middle of its body") from None
    except TimeoutError:
        raise ApiError(408, f"the body did not come in {BODY_SECONDS:.0f} s") from None
    return bytes(body)
