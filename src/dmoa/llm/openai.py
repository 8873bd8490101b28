"""Any OpenAI-compatible server as a device's LLM: Ollama, LM Studio, llama.cpp, vLLM, ...

The servers differ in how they tell their context length and count tokens; `server.py` finds
that out once, when the LLM is connected.
"""

from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any

import msgspec
import openai
from openai.types.chat import ChatCompletionChunk

from dmoa.errors import ContextExceeded, LLMError, LLMUnavailable, UsageError
from dmoa.llm.interface import End, ModelInfo, Token
from dmoa.llm.server import NoServer, Server, find_out, list_models
from dmoa.protocol.conversation import (
    Constraints,
    Message,
    Sampling,
    ToolCallPart,
    Usage,
    finish_reason,
)
from dmoa.protocol.packing import Pack, pack
from dmoa.text import check_url

CONNECT_SECONDS = 5.0
READ_SECONDS = 900.0  # a slow device may read a long prompt for minutes; stalls are seen above


class OpenAICompatible:
    """An LLM behind `/v1/chat/completions`; see `LLM`.

    Args:
        client: the client, with the server's address and key.
        server: what was found out about the server.
        model: name of the model there.
        defaults: OpenAI's parameters for requests that leave them open.
        extra_body: parameters beyond OpenAI's, sent with each request.
    """

    def __init__(
        self,
        client: openai.AsyncOpenAI,
        server: Server,
        model: str,
        *,
        name: str | None = None,
        pack: Pack = pack,
        defaults: Mapping[str, Any] | None = None,
        extra_body: Mapping[str, Any] | None = None,
    ) -> None:
        self.pack = pack
        self._defaults = dict(defaults or {})
        self._client = client
        self._server = server
        self._model = model
        self._extra_body = dict(extra_body or {})
        self._info = ModelInfo(name or model, server.context_length)

    @classmethod
    async def connect(
        cls,
        base_url: str,
        model: str | None,
        *,
        api_key: str | None = None,
        context_length: int | None = None,
        name: str | None = None,
        pack: Pack = pack,
        defaults: Mapping[str, Any] | None = None,
        extra_body: Mapping[str, Any] | None = None,
    ) -> "OpenAICompatible":
        """Ask a server what it has.

        Args:
            base_url: ends in `/v1` for nearly all servers.
            model: one of its models; None takes its first.
            context_length: tokens, when the user knows better than the server says.

        Raises:
            LLMUnavailable: it cannot be reached, or wants another key.
            UsageError: it has no such model, or is a dmoa node itself.
        """
        check_url(base_url)
        client = openai.AsyncOpenAI(
            base_url=base_url,
            api_key=api_key or "none",
            max_retries=0,
            timeout=openai.Timeout(READ_SECONDS, connect=CONNECT_SECONDS),
        )
        try:
            model = await _choose(client, base_url, model)
            server = await find_out(client, model)
        except BaseException:  # also a cancelled start: the connection must not stay open
            await client.close()
            raise
        if context_length:
            server = msgspec.structs.replace(server, context_length=context_length)
        return cls(
            client,
            server,
            model,
            name=name,
            pack=pack,
            defaults=defaults,
            extra_body=extra_body,
        )

    @property
    def info(self) -> ModelInfo:
        """See `LLM.info`."""
        return self._info

    async def count_tokens(self, messages: Sequence[Message]) -> int:
        """See `LLM.count_tokens`; exact where the server can count."""
        return await self._server.count_tokens(self._client, self._model, messages)

    async def stream(
        self,
        messages: Sequence[Message],
        sampling: Sampling,
        constraints: Constraints | None = None,
    ) -> AsyncGenerator[Token | End, None]:
        """See `LLM.stream`."""
        told, usage, characters = None, None, 0
        try:
            stream = await self._create(self._request(messages, sampling, constraints))
            try:
                async for chunk in stream:
                    usage = _usage(chunk) or usage
                    for choice in chunk.choices or []:
                        told = choice.finish_reason or told
                        text = choice.delta.content or ""
                        calls = [_part(call.to_dict()) for call in choice.delta.tool_calls or []]
                        if text or calls:
                            characters += len(text)
                            yield Token(text, calls or None)
            finally:
                await stream.close()
        except openai.OpenAIError as error:
            raise self._translate(error) from None
        except (ValueError, TypeError, AttributeError, msgspec.MsgspecError) as error:
            # The client takes what a server sends as it comes.
            raise LLMError(f"{self._info.name} sent what is no chunk: {error}") from None
        if usage is None:  # an old server that does not count
            usage = Usage(await self.count_tokens(messages), max(1, characters // 4))
        yield End(finish_reason(told), usage)

    async def close(self) -> None:
        """See `LLM.close`."""
        await self._client.close()

    async def _create(self, request: dict[str, Any]) -> openai.AsyncStream[ChatCompletionChunk]:
        """Send a request, twice if need be: servers close idle connections at any moment."""
        create: Any = self._client.chat.completions.create
        try:
            stream = await create(**request)
        except openai.APITimeoutError:
            raise
        except openai.APIConnectionError:
            stream = await create(**request)
        assert isinstance(stream, openai.AsyncStream)
        return stream

    def _request(
        self, messages: Sequence[Message], sampling: Sampling, constraints: Constraints | None
    ) -> dict[str, Any]:
        request = {
            "model": self._model,
            "messages": msgspec.to_builtins(list(messages)),
            "stream": True,
            "stream_options": {"include_usage": True},
            "extra_body": self._extra_body,
            **self._defaults,
            **msgspec.to_builtins(sampling),
        }
        if constraints is not None:
            request |= msgspec.to_builtins(constraints)
        return request

    def _translate(self, error: openai.OpenAIError) -> LLMError:
        name = self._info.name
        match error:
            case openai.APITimeoutError():
                return LLMError(f"{name} did not answer in time")
            case openai.APIConnectionError():
                return LLMUnavailable(f"{name} cannot be reached at {self._client.base_url}")
            case openai.APIStatusError(status_code=400) if "context" in str(error).lower():
                window = self._info.context_length
                body = error.body if isinstance(error.body, dict) else {}
                told = body.get("n_ctx")
                # A server that only says "too long" is taken at three quarters of its word.
                window = told if isinstance(told, int) else window * 3 // 4
                self._info = msgspec.structs.replace(self._info, context_length=window)
                return ContextExceeded(None, window)
            case _:
                return LLMError(f"{name} failed: {str(error)[:300]}")


async def _choose(client: openai.AsyncOpenAI, base_url: str, model: str | None) -> str:
    """The model, which the server must have; see `OpenAICompatible.connect`."""
    try:
        names, is_dmoa = await list_models(client)
    except openai.AuthenticationError:
        raise LLMUnavailable(
            f"{base_url} refuses the key; set the right one in DMOA_LLM_KEY"
        ) from None
    except NoServer as error:
        raise LLMUnavailable(
            f"no OpenAI-compatible server answers at {base_url} ({error});"
            " start it, or give another address by --llm openai:URL#MODEL"
        ) from None
    if is_dmoa:
        raise UsageError(
            f"{base_url} is a dmoa node; a device needs an LLM of its own, so give the"
            " address of its LLM server, or --llm smollm2"
        )
    if model is None and not names:
        raise UsageError(f"{base_url} has no model; load one there first")
    if model is not None and names and model not in names:
        raise UsageError(
            f"{base_url} has no model {model!r}; it has {', '.join(sorted(names)[:20])}"
        )
    return model or names[0]


def _usage(chunk: ChatCompletionChunk) -> Usage | None:
    if chunk.usage is None:
        return None
    return Usage(max(chunk.usage.prompt_tokens or 0, 0), max(chunk.usage.completion_tokens or 0, 0))


def _part(call: dict[str, Any]) -> ToolCallPart:
    return msgspec.convert(call, ToolCallPart)
