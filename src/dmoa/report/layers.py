"""The layers of a prompt as they run, drawn on stderr."""

from typing import TYPE_CHECKING, Any

from dmoa.text import printable

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

_MARKS = {
    "running": "[yellow]…[/]",
    "answered": "[green]✓[/]",
    "late": "[dim]–[/]",
    "cancelled": "[dim]–[/]",
}


_THOUGHT_CHARACTERS = 160


class LayersView:
    """What is known of a prompt's layers, from the events of its progress.

    Each event is a dictionary as `dmoa.protocol.events` writes it.
    """

    def __init__(self) -> None:
        self.layers: dict[int, dict[str, dict[str, Any]]] = {}
        self.count = 0
        self.aggregator: dict[str, Any] | None = None
        self.cause: str | None = None
        self.thoughts = ""
        self.thinking = False

    def think(self, text: str) -> None:
        """The model that answers thinks aloud."""
        self.thoughts += text
        self.thinking = True

    def tell(self, event: dict[str, Any]) -> None:
        """The next event."""
        match event["type"]:
            case "layer_started":
                self.count = event["layers"]
                proposers = {p["device"]: p for p in event["proposers"]}
                self.layers[event["layer"]] = proposers
            case "draft":
                self.layers[event["layer"]][event["proposer"]["device"]] = event["proposer"]
            case "proposer_failed":
                for proposer in (event["proposer"], event["instead"]):
                    if proposer is not None:
                        self.layers[event["layer"]][proposer["device"]] = proposer
            case "layer_finished":
                record = event["record"]
                self.layers[record["layer"]] = {p["device"]: p for p in record["proposers"]}
            case "aggregating":
                self.aggregator, self.cause = event["aggregator"], event["cause"]

    def render(self) -> "RenderableType":
        """A table: one row a proposer."""
        from rich.markup import escape
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 1))
        table.add_column(style="dim", min_width=9, no_wrap=True)
        table.add_column(min_width=1, no_wrap=True)
        table.add_column(min_width=3, no_wrap=True)
        table.add_column(justify="right", min_width=7, no_wrap=True)
        table.add_column()  # what is too wide is taken from here
        for layer, proposers in sorted(self.layers.items()):
            for i, proposer in enumerate(proposers.values()):
                mark = _MARKS.get(proposer["outcome"], "[red]✗[/]")
                seconds = proposer["seconds"]
                words = printable(proposer["detail"] or proposer["preview"])
                table.add_row(
                    f"layer {layer}/{self.count}" if i == 0 else "",
                    mark,
                    f"[bold]{escape(printable(proposer['name']))}[/]",
                    "" if seconds is None else f"{seconds:.1f} s",
                    Text(words, style="dim", no_wrap=True, overflow="ellipsis"),
                )
        if self.aggregator is not None:
            cause = "" if self.cause is None else f" ({escape(printable(self.cause))})"
            table.add_row(
                "answer",
                "",
                f"[bold]{escape(printable(self.aggregator['name']))}[/]",
                "",
                f"[dim]{cause}[/]",
            )
        if self.thoughts:
            # While it thinks its last words, then how many there were; `/thoughts` has them all.
            words = " ".join(printable(self.thoughts).split())
            shown = f"… {words[-_THOUGHT_CHARACTERS:]}" if self.thinking else ""
            count = f"{len(words.split())} words"
            table.add_row("thought", "", "", count, Text(shown, style="dim italic"))
        return table


def describe_end(tree: dict[str, Any], usage: dict[str, int]) -> str:
    """One line about a finished prompt."""
    parts = [
        f"M={tree['M']} k={tree['k']}",
        f"{tree['tasks']} inference{'s' if tree['tasks'] != 1 else ''}",
        f"{tree['seconds']:.1f} s" if tree.get("seconds") is not None else "",
        f"{usage.get('total_tokens', 0)} tokens",
        f"{tree['replacements']} replaced" if tree["replacements"] else "",
    ]
    return " · ".join(part for part in parts if part)


async def show(items: Any, console: "Console", write: Any) -> Any:
    """Draw progress until the answer begins, then hand its pieces to `write`.

    Args:
        items: what `dmoa.client.stream` yields.
        console: where progress is drawn.
        write: is called with each piece of the answer.

    Returns:
        The reply.
    """
    from contextlib import aclosing

    from rich.live import Live

    from dmoa.client import Completion, Progress, TextPiece, Thought

    view = LayersView()
    live = Live(console=console, refresh_per_second=8, transient=False)
    started = False
    try:
        async with aclosing(items):
            async for item in items:
                match item:
                    case Progress(event=event):
                        view.tell(event)
                        if view.layers or view.cause:
                            if not live.is_started and not started:
                                live.start()
                            live.update(view.render())
                    case Thought(text=text) if not started:
                        view.think(text)
                        if not live.is_started:
                            live.start()
                        live.update(view.render())
                    case TextPiece(text=text):
                        if not started:
                            if view.thinking:
                                view.thinking = False
                                live.update(view.render())
                            live.stop()
                            started = True
                            if not console.is_terminal:
                                console.print()  # a file has no line of its own for the table
                        write(text)
                    case Completion():
                        return item
    finally:
        live.stop()
    return None
