"""LLM servers that run on this machine, on the ports where they usually listen."""

import asyncio
from dataclasses import dataclass

import openai

from dmoa.llm.server import NoServer, list_models

USUAL_PORTS = {"Ollama": 11434, "LM Studio": 1234, "llama.cpp": 8080, "vLLM": 8000}
PROBE_SECONDS = 1.5


@dataclass(frozen=True)
class Found:
    """A server that answered."""

    program: str
    url: str
    models: list[str]

    @property
    def specification(self) -> str:
        """What `--llm` says for its first model."""
        return f"openai:{self.url}#{self.models[0]}"


async def find_servers(ports: dict[str, int] | None = None) -> list[Found]:
    """Servers with at least one model that can chat; dmoa nodes are none."""
    usual = USUAL_PORTS if ports is None else ports
    probes = [_probe(program, port) for program, port in usual.items()]
    return [found for found in await asyncio.gather(*probes) if found is not None]


async def _probe(program: str, port: int) -> Found | None:
    url = f"http://127.0.0.1:{port}/v1"
    client = openai.AsyncOpenAI(base_url=url, api_key="none", max_retries=0, timeout=PROBE_SECONDS)
    try:
        async with client:
            async with asyncio.timeout(2 * PROBE_SECONDS):
                models, is_dmoa = await list_models(client)
    except (NoServer, openai.AuthenticationError, TimeoutError):
        return None  # nobody there, or somebody else
    if is_dmoa:
        return None
    # Embedding models are listed beside the others and cannot chat.
    names = [name for name in models if "embed" not in name.lower()]
    return Found(program, url, names) if names else None
