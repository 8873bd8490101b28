"""LLM servers that run on this machine, on the ports where they usually listen."""

import asyncio
from dataclasses import dataclass

from dmoa.errors import LLMUnavailable, UsageError
from dmoa.llm import connecting
from dmoa.llm.choosing import candidates
from dmoa.llm.dialects import dialects

PROBE_SECONDS = 4.0


@dataclass(frozen=True)
class Found:
    """A server that answered; its models that can chat, the one to take first."""

    program: str
    url: str
    models: list[str]

    @property
    def specification(self) -> str:
        """What `--llm` says for its first model."""
        return f"openai:{self.url}#{self.models[0]}"


async def find_servers(ports: dict[str, int] | None = None) -> list[Found]:
    """Servers with at least one model that can chat; dmoa nodes are none.

    Args:
        ports: where to look, by program; by default where each dialect usually listens.
    """
    if ports is None:
        ports = {d.program: d.port for d in dialects() if d.port is not None}
    found = await asyncio.gather(*(_probe(port) for port in dict.fromkeys(ports.values())))
    return [server for server in found if server is not None]


async def _probe(port: int) -> Found | None:
    url = f"http://127.0.0.1:{port}/v1"
    try:
        async with asyncio.timeout(PROBE_SECONDS):
            found = await connecting.find(url, None, wait_seconds=0.0, say=lambda line: None)
            try:
                first, _ = await connecting.choose(found, None)
            finally:
                await found.server.close()
    except (LLMUnavailable, UsageError, TimeoutError):
        return None  # nobody there, somebody else, or no model
    others = [model.name for model in candidates(found.models) if model.name != first.name]
    return Found(found.dialect.program, url, [first.name, *others])
