"""`dmoa chat`: a conversation."""

from typing import TYPE_CHECKING, Annotated

import typer

from dmoa.cli.options import (
    EarlyStop,
    Fallback,
    How,
    Key,
    MaxTokens,
    Model,
    Node,
    Temperature,
)

if TYPE_CHECKING:
    from rich.console import Console

HELP = (
    "An empty line or Ctrl-D ends, /new begins anew, /model NAME changes the model, /thoughts"
    " shows what the last answer's model thought."
)


def chat(
    node: Node = "http://127.0.0.1:8765",
    model: Model = "dmoa",
    system: Annotated[str | None, typer.Option(help="A system message.")] = None,
    max_tokens: MaxTokens = None,
    temperature: Temperature = None,
    key: Key = None,
    method: How = "synthesise",
    early_stop: EarlyStop = False,
    fallback: Fallback = False,
) -> None:
    """Chat with a running node, turn by turn; Ctrl-C cancels an answer."""
    import asyncio
    import sys

    from dmoa.cli.options import aggregation, parameters
    from dmoa.cli.output import stderr
    from dmoa.client import stream
    from dmoa.errors import DmoaError
    from dmoa.report.layers import describe_end, show
    from dmoa.text import printable

    how = aggregation(method, early_stop, fallback)
    start = [{"role": "system", "content": system}] if system else []
    messages = list(start)
    thoughts = ""
    console = stderr()
    console.print(HELP, style="dim", markup=False)

    def write(piece: str) -> None:
        sys.stdout.write(piece)
        sys.stdout.flush()

    while True:
        command = _read_line(console)
        if not command:
            return
        if command == "/new":
            messages = list(start)
            continue
        if command.startswith("/model "):
            model = command.removeprefix("/model ").strip()
            continue
        if command == "/thoughts":
            console.print(thoughts or "nothing was thought aloud", style="dim italic", markup=False)
            continue
        if command.startswith("/"):
            console.print(HELP, style="yellow", markup=False)
            continue
        messages.append({"role": "user", "content": command})
        items = stream(
            messages,
            node=node,
            model=model,
            key=key,
            aggregation=how,
            **parameters(max_tokens, temperature),
        )
        try:
            reply = asyncio.run(show(items, console, write))
        except KeyboardInterrupt:
            console.print("\ncancelled", style="yellow")
            messages.pop()
            continue
        except DmoaError as error:
            # One failed turn ends no conversation.
            console.print(f"error: {error}", style="red", markup=False)
            messages.pop()
            continue
        write("\n")
        thoughts = printable(reply.reasoning)
        messages.append({"role": "assistant", "content": reply.text})
        for note in reply.dmoa.get("notes", []):
            console.print(f"note: {note}", markup=False, style="yellow")
        console.print(describe_end(reply.dmoa, reply.usage), style="dim", markup=False)


def _read_line(console: "Console") -> str:
    """The next line of the user, edited with the usual keys on a terminal; empty at the end."""
    import contextlib
    import sys

    from dmoa.cli.output import not_decoded

    with contextlib.suppress(ImportError):
        import readline  # noqa: F401 - gives `input` its keys, where there is one
    console.print("\n[bold cyan]you[/] ", end="")
    try:
        return input().strip() if sys.stdin.isatty() else sys.stdin.readline().strip()
    except EOFError:
        return ""
    except UnicodeDecodeError as error:
        raise not_decoded(error) from None
