"""Vectors of texts, by a server's endpoint for embeddings."""

import re
from typing import Any

from dmoa.errors import LLMBroken, RequestRefused
from dmoa.llm.chunks import count
from dmoa.llm.dialect import entries
from dmoa.llm.events import parse
from dmoa.llm.faults import ServerRefused
from dmoa.llm.http import Server
from dmoa.llm.interface import Embedded

MOST_BYTES = 128 * 2**20
"""Of an answer; 2048 vectors of 4096 numbers have about 100 MB."""
_NO_ENDPOINT = (404, 405, 501)
_UNSUPPORTED = re.compile(
    r"(?:not|n't) support(?:ed)?\b.*embedding|embedding.*(?:not|n't) support", re.I
)


async def embed(server: Server, path: str, request: dict[str, Any], name: str) -> Embedded:
    """Ask a server for vectors.

    Args:
        server: the server.
        path: of its endpoint, under the root.
        request: OpenAI's.
        name: what the model is called here.

    Raises:
        ServerRefused: it answers with an error.
        RequestRefused: it makes no embeddings.
        LLMUnavailable: nobody answers.
        LLMBroken: it sent nonsense.
    """
    data = bytearray()
    try:
        async with server.stream(path, request) as chunks:
            async for chunk in chunks:
                data += chunk
                if len(data) > MOST_BYTES:
                    raise LLMBroken(f"{name}: its embeddings are longer than {MOST_BYTES} bytes")
    except ServerRefused as refused:
        fault = refused.fault
        if fault.status in _NO_ENDPOINT or _UNSUPPORTED.search(fault.words):
            raise RequestRefused(400, no_embeddings(name, fault.words)) from None
        raise
    answer = parse(bytes(data))
    found = entries(answer, "data")
    if not found or not all(_is_vector(entry.get("embedding")) for entry in found):
        raise LLMBroken(f"{name}: the answer of {server.url} holds no embeddings")
    usage = answer.get("usage") if isinstance(answer, dict) else None
    tokens = count(usage.get("prompt_tokens")) if isinstance(usage, dict) else 0
    return Embedded([entry["embedding"] for entry in found], tokens)


def no_embeddings(name: str, words: str = "") -> str:
    """What is said of a model that makes none, and what to do."""
    said = f" ({words})" if words else ""
    return (
        f"{name} makes no embeddings here{said}; run a model that does on an LLM server (llama.cpp"
        " with --embeddings, Ollama, vLLM), and give it to a device by --llm openai:URL#MODEL"
    )


def _is_vector(value: Any) -> bool:
    if isinstance(value, str):
        return True
    return isinstance(value, list) and all(isinstance(number, int | float) for number in value)
