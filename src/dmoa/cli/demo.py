"""`dmoa demo`: see it work."""

from typing import Annotated

import typer

ENDED = 130  # as a shell has it for Ctrl-C


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
    import sys

    from dmoa.cli.ending import until_ended
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

    if not asyncio.run(until_ended(acts())):
        raise typer.Exit(ENDED)
