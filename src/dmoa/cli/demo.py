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

    from dmoa.cli.output import say, stdout
    from dmoa.demo import prompts, quiz
    from dmoa.llm import builtin

    if llm in builtin.MODELS:  # once, before several devices want it
        builtin.get(llm, say)

    async def acts() -> None:
        await prompts.run(stdout(), llm, devices, prompt or [], keep)
        if not prompt:
            await quiz.run(stdout())
        stdout().print(
            "Next: [bold]dmoa demo --keep[/] leaves the devices up to play with;"
            " [bold]dmoa up[/] on each of your\nmachines makes a real network;"
            " [bold]dmoa --help[/] shows the rest."
        )

    asyncio.run(acts())
