"""`dmoa demo`: see it work."""

from typing import Annotated

import typer


def demo(
    prompt: Annotated[
        list[str] | None, typer.Argument(help="Prompts of your own, instead of the demo's.")
    ] = None,
    devices: Annotated[int, typer.Option(min=1, max=12, help="How many devices.")] = 4,
    llm: Annotated[str, typer.Option(help="The LLM of each device, as for dmoa up.")] = "smollm2",
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave the devices up until Ctrl-C.")
    ] = False,
) -> None:
    """Start a few devices on this machine and watch them answer prompts together."""
    import asyncio
    import signal
    import sys

    from dmoa.cli.output import say, stdout
    from dmoa.demo import prompts, quiz
    from dmoa.llm import builtin

    if llm in builtin.MODELS:  # once, before several devices want it
        builtin.get(llm, say)

    async def acts() -> None:
        await prompts.run(stdout(), llm, devices, prompt or [], keep)
        if not prompt:
            await quiz.run(stdout())
        command = sys.argv[0] if sys.argv[0].endswith("dmoa") else "dmoa"
        stdout().print(
            f"Next: [bold]{command} demo --keep[/] leaves the devices up to play with;"
            f" [bold]{command} up[/] on each of your machines makes a real network;"
            f" [bold]{command} --help[/] shows the rest."
        )

    # Ending the demo in any way ends its devices and removes their folder, as Ctrl-C does.
    for name in ("SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.default_int_handler)
    asyncio.run(acts())
