"""LiteLLM's proxy as a process, from the environment that `make clients` makes for it."""

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

from dmoa.node.local import free_ports

LITELLM = Path(__file__).parents[1] / ".venv-clients" / "litellm" / "bin" / "litellm"


@contextlib.asynccontextmanager
async def process(*command: str, **options: Any) -> AsyncGenerator[asyncio.subprocess.Process]:
    """A program that ends with the block."""
    started = await asyncio.create_subprocess_exec(*command, **options)
    try:
        yield started
    finally:
        with contextlib.suppress(ProcessLookupError):
            started.terminate()
        await started.wait()


@contextlib.asynccontextmanager
async def litellm_proxy(api: str, model: str) -> AsyncGenerator[int | None]:
    """The port of LiteLLM's proxy before a server's model; None where it is not installed."""
    if not LITELLM.exists():
        yield None
        return
    (port,) = free_ports(1)
    with tempfile.TemporaryDirectory() as folder:
        settings = Path(folder) / "config.yaml"
        settings.write_text(
            f"model_list:\n  - model_name: {model}\n    litellm_params:\n"
            f"      model: openai/{model}\n"
            f"      api_base: {api}\n      api_key: none\n"
        )
        quiet = asyncio.subprocess.DEVNULL
        command = (
            str(LITELLM),
            "--config",
            str(settings),
            "--host",
            "127.0.0.1",
            "--port",
            str(port),
        )
        async with process(*command, stdout=quiet, stderr=quiet, cwd=folder):
            async with asyncio.timeout(90):
                while True:
                    try:
                        _, writer = await asyncio.open_connection("127.0.0.1", port)
                    except OSError:
                        await asyncio.sleep(0.2)
                    else:
                        writer.close()
                        break
            yield port
