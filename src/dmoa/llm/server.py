"""What kind of LLM server answers: its context length, and how it counts tokens."""

from collections.abc import Sequence
from typing import Any, Literal

import msgspec
import openai

from dmoa.protocol.conversation import Message

Kind = Literal["llama.cpp", "vllm", "ollama", "lmstudio", "unknown"]

LIST_SECONDS = 10.0
ASSUMED_CONTEXT = 4096
"""Tokens, for a server that does not say; Ollama's default too."""


class Server(msgspec.Struct, frozen=True):
    """A server of a known kind."""

    kind: Kind
    context_length: int

    async def count_tokens(
        self, client: openai.AsyncOpenAI, model: str, messages: Sequence[Message]
    ) -> int:
        """Tokens of a prompt; exact for llama.cpp and vLLM, otherwise a careful estimate."""
        plain = msgspec.to_builtins(list(messages))
        try:
            if self.kind == "llama.cpp":
                prompt = await _call(client, "apply-template", {"messages": plain})
                tokens = await _call(
                    client, "tokenize", {"content": prompt["prompt"], "add_special": True}
                )
                return len(tokens["tokens"])
            if self.kind == "vllm":
                counted = await _call(client, "tokenize", {"model": model, "messages": plain})
                return int(counted["count"])
        except (openai.OpenAIError, KeyError, TypeError):
            pass  # it was only asked to be exact
        return estimate_tokens(messages)


def estimate_tokens(messages: Sequence[Message]) -> int:
    """More tokens than a prompt is likely to have, from its length alone.

    English has about four bytes a token with today's tokenizers; three leaves room for code
    and other languages.
    """
    return sum(message.size() // 3 + 8 for message in messages)


class NoServer(Exception):
    """What answers, if anything, is no OpenAI-compatible server; the message says why."""


async def list_models(client: openai.AsyncOpenAI) -> tuple[list[str], bool]:
    """Names of a server's models, and whether it is a dmoa node.

    Raises:
        openai.AuthenticationError: it wants another key.
        NoServer: it is none. Any web application may listen on a usual port and answer
            anything, which the client takes as it comes.
    """
    try:
        entries = [entry async for entry in client.models.list(timeout=LIST_SECONDS)]
        dmoa = any(entry.owned_by == "dmoa" for entry in entries)
        return [str(entry.id) for entry in entries if entry.id], dmoa
    except openai.AuthenticationError:
        raise
    except (openai.OpenAIError, ValueError, TypeError, AttributeError, OverflowError) as error:
        raise NoServer(str(error)[:200]) from None


async def find_out(client: openai.AsyncOpenAI, model: str) -> Server:
    """Ask a server, in the ways of each kind, how long a context it has."""
    props = await _try(client, "props")
    settings = props.get("default_generation_settings")
    if isinstance(settings, dict) and isinstance(settings.get("n_ctx"), int):
        return Server("llama.cpp", settings["n_ctx"])
    shown = await _try(client, "api/show", {"model": model})
    if shown:
        return Server("ollama", await _ollama_context(client, model, shown))
    for entry in _entries(await _try(client, "api/v0/models"), "data"):
        if entry.get("id") == model:
            length = entry.get("loaded_context_length") or entry.get("max_context_length")
            return Server("lmstudio", int(length or ASSUMED_CONTEXT))
    for entry in _entries(await _try(client, "v1/models"), "data"):
        if entry.get("id") == model and isinstance(entry.get("max_model_len"), int):
            return Server("vllm", entry["max_model_len"])
    return Server("unknown", ASSUMED_CONTEXT)


async def _ollama_context(client: openai.AsyncOpenAI, model: str, shown: dict[str, Any]) -> int:
    """Ollama cuts longer prompts silently, so what it really uses counts, not the model's best."""
    for running in _entries(await _try(client, "api/ps"), "models"):
        if running.get("model") == model and isinstance(running.get("context_length"), int):
            return int(running["context_length"])
    for line in str(shown.get("parameters") or "").splitlines():
        words = line.split()
        if len(words) == 2 and words[0] == "num_ctx" and words[1].isdigit():
            return int(words[1])
    return ASSUMED_CONTEXT


def _entries(answer: dict[str, Any], key: str) -> list[dict[str, Any]]:
    entries = answer.get(key)
    return [e for e in entries if isinstance(e, dict)] if isinstance(entries, list) else []


async def _try(
    client: openai.AsyncOpenAI, path: str, body: dict[str, Any] | None = None
) -> dict[str, Any]:
    try:
        return await _call(client, path, body)
    except (openai.OpenAIError, ValueError):
        return {}  # this server is of another kind


async def _call(
    client: openai.AsyncOpenAI, path: str, body: dict[str, Any] | None = None
) -> dict[str, Any]:
    """A request beside the OpenAI API, at the server's root."""
    root = str(client.base_url).rstrip("/").removesuffix("/v1")
    options: Any = {"timeout": 10.0}
    if body is None:
        answer = await client.get(f"{root}/{path}", cast_to=object, options=options)
    else:
        answer = await client.post(f"{root}/{path}", cast_to=object, body=body, options=options)
    return answer if isinstance(answer, dict) else {}
