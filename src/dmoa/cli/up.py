"""`dmoa up`: run this device."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from dmoa.cli.from_model import given, options_from

if TYPE_CHECKING:
    from dmoa.node.settings import Settings


def _settings() -> "type[Settings]":
    from dmoa.node.settings import Settings

    return Settings


# A key on a command line is seen by everybody on the machine.
UpCommand = options_from(_settings, left_out=("api_key",))


def up(
    ctx: typer.Context,
    with_parent: Annotated[
        bool, typer.Option("--with-parent", hidden=True, help="End when stdin closes.")
    ] = False,
) -> None:
    """Run this device: join the network and serve the OpenAI API.

    Everything here can also be set in dmoa.toml or by DMOA_... in the environment.
    """
    import asyncio

    from dmoa.cli.output import say
    from dmoa.node.process import serve
    from dmoa.node.settings import load_settings

    settings = load_settings(given(ctx))
    chosen = settings.llm or _choose_llm()

    async def run() -> None:
        until = asyncio.Event()
        if with_parent:
            _end_with_parent(until)
        await serve(settings, chosen, say, until)

    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(run())


def loop_factory() -> Any:
    """The faster event loop, where there is one; None for Python's own."""
    try:
        import uvloop
    except ImportError:  # Windows
        return None
    return uvloop.new_event_loop


def _choose_llm() -> str:
    """The LLM server of this machine, or the user's word that the built-in model is wanted."""
    import asyncio
    import sys

    from dmoa.cli.output import say
    from dmoa.errors import UsageError
    from dmoa.llm.detect import find_servers

    servers = asyncio.run(find_servers())
    for server in servers:
        say(f"found {server.program} at {server.url} with {', '.join(server.models[:8])}")
    if servers:
        say(f"using {servers[0].specification}; another one by --llm")
        return servers[0].specification
    offer = "no LLM server runs here on the usual ports of Ollama, LM Studio, llama.cpp or vLLM"
    if sys.stdin.isatty():
        say(f"{offer}. Use the small built-in model smollm2 (98 MB, fetched once)? [Y/n]")
        if input().strip().lower() in ("", "y", "yes"):
            return "smollm2"
    raise UsageError(f"{offer}; start one, or take the small built-in model by --llm smollm2")


def _end_with_parent(until: Any) -> None:
    """Set `until` when stdin closes: a starter that dies in any way takes its devices along."""
    import asyncio
    import os
    import threading

    loop = asyncio.get_running_loop()

    def wait() -> None:
        # Not sys.stdin, whose lock this thread would still hold when the interpreter ends.
        while os.read(0, 1024):
            pass
        loop.call_soon_threadsafe(until.set)

    threading.Thread(target=wait, daemon=True).start()
