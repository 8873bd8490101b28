"""The user's side of a node: one prompt, whole or streamed, by the official OpenAI client."""

import asyncio
import os
from collections.abc import AsyncGenerator, Sequence
from typing import Any
from urllib.parse import urlsplit

import msgspec
import openai

from dmoa.errors import DmoaError, UsageError
from dmoa.llm.http import authorities, is_loopback
from dmoa.protocol.aggregation import Aggregation, Method
from dmoa.text import check_url

DEFAULT_NODE = "http://127.0.0.1:8765"
READ_SECONDS = 3600.0
SILENCE_SECONDS = 60.0  # a node that streams says something every five seconds
STATUS_SECONDS = 15.0


class Progress(msgspec.Struct, frozen=True):
    """An event of the layers, as `dmoa.protocol.events` writes it."""

    event: dict[str, Any]


class TextPiece(msgspec.Struct, frozen=True):
    """A piece of the answer."""

    text: str


class Thought(msgspec.Struct, frozen=True):
    """A piece of what the model thinks before it answers."""

    text: str


class Completion(msgspec.Struct, frozen=True):
    """A whole answer.

    Attributes:
        text: the answer.
        reasoning: what the model thought before, if it thinks aloud.
        dmoa: what happened layer by layer, see `dmoa.protocol.records.PromptRecord`.
        usage: tokens spent on all devices.
    """

    text: str
    dmoa: dict[str, Any]
    usage: dict[str, int]
    reasoning: str = ""


Conversation = str | Sequence[dict[str, str]]


def client(node: str, key: str | None) -> openai.AsyncOpenAI:
    """An OpenAI client for a node.

    Args:
        node: its URL, with or without `/v1`.
        key: its API key; by default that of `DMOA_API_KEY`.

    Raises:
        UsageError: the URL is none.
    """
    check_url(node)
    key = (key or os.environ.get("DMOA_API_KEY") or "").strip() or "none"
    if not key.isascii() or not key.isprintable():
        raise UsageError(
            "the API key has characters that no HTTP header carries; set DMOA_API_KEY to the key"
            " alone, without line ends"
        )
    root = node.rstrip("/").removesuffix("/v1")
    return openai.AsyncOpenAI(
        base_url=f"{root}/v1",
        api_key=key,
        max_retries=0,
        timeout=openai.Timeout(READ_SECONDS, connect=5.0),
        # A proxy has no way to this machine's loopback, only to its own.
        http_client=openai.DefaultAsyncHttpxClient(
            verify=authorities(), trust_env=not is_loopback(urlsplit(node).hostname or "")
        ),
    )


async def stream(
    conversation: Conversation,
    *,
    node: str = DEFAULT_NODE,
    model: str = "dmoa",
    key: str | None = None,
    aggregation: Aggregation | None = None,
    **parameters: Any,
) -> AsyncGenerator[Progress | Thought | TextPiece | Completion, None]:
    """Progress and pieces as they come, then the whole reply.

    Raises:
        DmoaError: the node cannot be reached, or refuses.
    """
    parts: list[str] = []
    thoughts: list[str] = []
    tree: dict[str, Any] = {}
    usage: dict[str, int] = {}
    async with client(node, key) as opened:
        try:
            chunks = await opened.chat.completions.create(
                model=model + (aggregation.suffix if aggregation else ""),
                messages=_messages(conversation),
                stream=True,
                stream_options={"include_usage": True},
                extra_body={"dmoa": {"progress": True}},
                timeout=openai.Timeout(SILENCE_SECONDS, connect=5.0),
                **parameters,
            )
            async with chunks:
                async for chunk in chunks:
                    told = (chunk.model_extra or {}).get("dmoa")
                    if chunk.usage:
                        usage = {k: v for k, v in chunk.usage.to_dict().items() if v is not None}
                    elif not chunk.choices and told:
                        yield Progress(told)
                    elif told:
                        tree = told
                    for choice in chunk.choices:
                        thought = (choice.delta.model_extra or {}).get("reasoning_content")
                        if thought:
                            thoughts.append(thought)
                            yield Thought(thought)
                        if choice.delta.content:
                            parts.append(choice.delta.content)
                            yield TextPiece(choice.delta.content)
        except UnicodeEncodeError:  # what the shell or stdin gave is kept in surrogates
            raise UsageError(
                "the prompt is not UTF-8; convert it first, as by iconv -f LATIN1 -t UTF-8"
            ) from None
        except openai.OpenAIError as error:
            raise as_dmoa_error(error, node) from None
    if not tree:
        raise DmoaError(f"{node} answers, but is no dmoa node")
    yield Completion("".join(parts), tree, usage, "".join(thoughts))


def as_dmoa_error(error: openai.OpenAIError, node: str) -> DmoaError:
    """What a client's error means for whoever asked."""
    match error:
        case openai.APITimeoutError():
            return DmoaError(f"{node} has said nothing for too long; see `dmoa status`")
        case openai.APIConnectionError():
            return DmoaError(f"no dmoa node answers at {node}; start one by `dmoa up`")
        case openai.APIStatusError():
            body = error.body if isinstance(error.body, dict) else {}
            return DmoaError(
                f"the node refuses ({error.status_code}): {body.get('message', error)}"
            )
        case openai.APIError():
            return DmoaError(f"the node failed: {error.message}")
        case _:
            return DmoaError(str(error))


async def ask_async(
    conversation: Conversation,
    *,
    node: str = DEFAULT_NODE,
    model: str = "dmoa",
    key: str | None = None,
    method: Method = "synthesise",
    early_stop: bool = False,
    fallback: bool = False,
    **parameters: Any,
) -> Completion:
    """Ask a node, and wait for the whole answer.

    Args:
        conversation: a prompt, or messages with `role` and `content`.
        node: URL of the node.
        model: `dmoa`, `dmoa-mM-kK`, or the node's own model.
        key: the node's API key, if it has one.
        method, early_stop, fallback: what is done with drafts, see `dmoa.protocol.aggregation`.
        parameters: more of OpenAI's parameters, such as `temperature` or `max_tokens`.

    Raises:
        DmoaError: the node cannot be reached, or refuses.
    """
    how = Aggregation(method, early_stop, fallback)
    items = stream(conversation, node=node, model=model, key=key, aggregation=how, **parameters)
    async for item in items:
        if isinstance(item, Completion):
            return item
    raise DmoaError(f"the node at {node} ended without an answer")


def ask(conversation: Conversation, **options: Any) -> Completion:
    """Like `ask_async`, for programs without an event loop."""
    return asyncio.run(ask_async(conversation, **options))


async def fetch_status(node: str, key: str | None = None) -> dict[str, Any]:
    """What a node says of itself and the devices it knows, see `dmoa.api.status`.

    Raises:
        DmoaError: it cannot be reached, or is no dmoa node.
    """
    return await _fetch("/status", node, key, "devices")


async def fetch_standings(node: str, key: str | None = None) -> dict[str, Any]:
    """What a node's examinations found, see `dmoa.api.standings`.

    Raises:
        DmoaError: it cannot be reached, or is no dmoa node.
    """
    return await _fetch("/v1/dmoa/standings", node, key, "devices")


async def add_questions(
    questions: Sequence[dict[str, Any]], node: str, key: str | None = None
) -> dict[str, Any]:
    """Give a node questions of the user's own for its examinations.

    Raises:
        DmoaError: it cannot be reached, or does not take them; then it has taken none.
    """
    body = {"questions": list(questions)}
    return await _fetch("/v1/dmoa/questions", node, key, "added", body)


async def _fetch(
    path: str, node: str, key: str | None, wanted: str, body: dict[str, Any] | None = None
) -> dict[str, Any]:
    async with client(node, key) as opened:
        url = str(opened.base_url).rstrip("/").removesuffix("/v1") + path
        options: Any = {"timeout": STATUS_SECONDS}
        try:
            if body is None:
                found = await opened.get(url, cast_to=object, options=options)
            else:
                found = await opened.post(url, cast_to=object, body=body, options=options)
        except openai.OpenAIError as error:
            raise as_dmoa_error(error, node) from None
    if not isinstance(found, dict) or wanted not in found:
        raise DmoaError(f"{node} answers, but is no dmoa node")
    return found


def _messages(conversation: Conversation) -> Any:
    if isinstance(conversation, str):
        return [{"role": "user", "content": conversation}]
    return list(conversation)
