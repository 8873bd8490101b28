"""`dmoa up`: run this device."""

from pathlib import Path
from typing import Annotated, Any

import typer

Opt = typer.Option


def up(
    name: Annotated[str | None, Opt(help="What people call this device.")] = None,
    llm: Annotated[
        str | None,
        Opt(
            help="smollm2, pocket:NAME, a path or hf: name of a GGUF file, or openai:URL#MODEL (its"
            " key in DMOA_LLM_KEY). By default a server on this machine is looked for."
        ),
    ] = None,
    listen: Annotated[
        list[str] | None,
        Opt(help="Where other devices reach this one, as tcp/127.0.0.1:7447; may repeat."),
    ] = None,
    connect: Annotated[
        list[str] | None, Opt(help="A device that is known; one is enough; may repeat.")
    ] = None,
    api: Annotated[
        str | None, Opt(help="Host and port of the OpenAI API.  (default 127.0.0.1:8765)")
    ] = None,
    state: Annotated[Path | None, Opt(help="Folder of the device's identity.")] = None,
    discipline: Annotated[
        str | None, Opt(help="Order of the queue: fcfs or owner-first.  (default fcfs)")
    ] = None,
    open_network: Annotated[
        bool, Opt("--open", help="Let devices of other machines in, without protection.")
    ] = False,
    multicast: Annotated[
        bool, Opt("--multicast", help="Find devices of the local network; needs --open.")
    ] = False,
    api_key_file: Annotated[
        Path | None, Opt(help="Keys of which clients must show one, one a line.")
    ] = None,
    context: Annotated[int | None, Opt(help="Tokens of the context window.")] = None,
    threads: Annotated[int | None, Opt(help="CPU threads of a model in this process.")] = None,
    slots: Annotated[
        int | None, Opt(help="Inferences at once, for servers that batch.  (default 1)")
    ] = None,
    layers: Annotated[
        int | None, Opt(help="M of the model dmoa. (default 1, or 0 where all LLMs are the same)")
    ] = None,
    proposers: Annotated[int | None, Opt(help="k of the model dmoa.  (default 3)")] = None,
    aggregation: Annotated[
        str | None,
        Opt(help="What dmoa does with drafts: synthesise, select or vote. (default synthesise)"),
    ] = None,
    early_stop: Annotated[
        bool, Opt("--early-stop", help="Stop dmoa's layers when drafts agree.")
    ] = False,
    fallback: Annotated[
        bool, Opt("--fallback", help="Answer alone while others' drafts are hardly ever better.")
    ] = False,
    with_parent: Annotated[
        bool, Opt("--with-parent", hidden=True, help="End when stdin closes.")
    ] = False,
) -> None:
    """Run this device: join the network and serve the OpenAI API.

    Everything here, and more, can also be set in dmoa.toml or by DMOA_... in the environment.
    """
    import asyncio

    from dmoa.cli.output import say
    from dmoa.node.process import serve
    from dmoa.node.settings import load_settings

    flags: dict[str, Any] = {
        "name": name,
        "llm": llm,
        "listen": listen,
        "connect": connect,
        "api": api,
        "state": state,
        "discipline": discipline,
        "open": open_network or None,
        "multicast": multicast or None,
        "api_key_file": api_key_file,
        "context": context,
        "threads": threads,
        "slots": slots,
        "layers": layers,
        "proposers": proposers,
        "aggregation": aggregation,
        "early_stop": early_stop or None,
        "fallback": fallback or None,
    }
    settings = load_settings(flags)
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
