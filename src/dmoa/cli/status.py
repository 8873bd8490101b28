"""`dmoa status`: the devices, and their load against the limit."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

import typer

from dmoa.cli.options import Key, Node

WATCH_SECONDS = 2.0


def status(
    node: Node = "http://127.0.0.1:8765",
    key: Key = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    watch: Annotated[
        bool, typer.Option("--watch", help="Go on until Ctrl-C; with --json a line each time.")
    ] = False,
) -> None:
    """Show the devices that a node knows: health, queue, measured rates, load."""
    import asyncio

    from dmoa.cli.output import print_json, say, stdout
    from dmoa.client import fetch_standings, fetch_status

    async def look() -> tuple[dict[str, Any], Any]:
        found = await fetch_status(node, key)
        if json:
            return found, None
        standings = await fetch_standings(node, key)
        return found, _table(found, {d["id"]: d for d in standings["devices"]})

    if watch:
        asyncio.run(_watch(look, json=json))
        return
    found, table = asyncio.run(look())
    if json:
        print_json(found)
        return
    stdout().print(table)
    for problem in found["problems"]:
        say(f"warning: {problem}")


async def _watch(look: Callable[[], Awaitable[tuple[dict[str, Any], Any]]], *, json: bool) -> None:
    """Show it again and again, on a terminal at one place."""
    import asyncio

    from rich.live import Live

    from dmoa.cli.output import print_json, stdout

    while json or not stdout().is_terminal:
        found, table = await look()
        if json:
            print_json(found)
        else:
            stdout().print(_page(found, table))
        await asyncio.sleep(WATCH_SECONDS)
    with Live(console=stdout(), auto_refresh=False) as live:
        while True:
            live.update(_page(*await look()), refresh=True)
            await asyncio.sleep(WATCH_SECONDS)


def _page(found: dict[str, Any], table: Any) -> Any:
    """The table, and under it what is wrong."""
    from rich.console import Group
    from rich.text import Text

    from dmoa.text import printable

    problems = [Text(printable(f"warning: {p}"), style="yellow") for p in found["problems"]]
    return Group(table, *problems)


def _table(found: dict[str, Any], standings: dict[str, Any]) -> Any:
    from rich.markup import escape
    from rich.table import Table

    from dmoa.text import printable

    table = Table(
        title=f"{found['name']}: devices: {len(found['devices'])};"
        f" dmoa means M = {found['layers']}, k = {found['proposers']}",
        caption=f"{_network(found['network'])}; load: share of an LLM's time that is taken;"
        " a queue stays bounded below 1",
    )
    columns = {
        "device": "left",
        "model": "left",
        "last token": "right",
        "queue": "right",
        "λ /s": "right",
        "α s": "right",
        "tokens/s": "right",
        "load": "right",
        "right": "right",
    }
    for column, justify in columns.items():
        table.add_column(column, justify=justify)  # type: ignore[arg-type]
    for device in found["devices"]:
        own = " (this one)" if device["own"] else ""
        since = device["seconds_since_token"]
        ago = "never" if since is None else f"{since:.0f} s ago"
        if not device["alive"]:
            ago = "[red]silent[/]"
        elif not device["healthy"]:
            ago = f"[red]{ago}[/]"
        table.add_row(
            f"[bold]{escape(printable(device['name']))}[/]{own}",
            escape(printable(device["model"])),
            ago,
            "–" if device["queue"] is None else str(device["queue"]),
            _number(device["lambda"], 3),
            _number(device["alpha"], 2),
            _number(device["tokens_per_second"], 0),
            _load(device["load"]),
            _right(standings.get(device["id"])),
        )
    return table


def _network(network: dict[str, Any] | None) -> str:
    from rich.markup import escape

    if network is None:
        return "network unknown"
    if network["kind"] == "open":
        return "[bold red]OPEN laboratory network: anybody may join, ask and read[/]"
    if network["kind"] == "personal":
        return "this user's devices on this machine"
    return f"private network [bold]{escape(network['name'])}[/]"


def _number(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def _right(standing: dict[str, Any] | None) -> str:
    """Of the examination questions that a device was asked."""
    if standing is None or not standing["asked"]:
        return "–"
    return f"{standing['right']} of {standing['asked']}"


def _load(load: float | None) -> str:
    if load is None:
        return "–"
    colour = "green" if load < 0.7 else "yellow" if load < 1 else "red"
    return f"[{colour}]{load:.2f}[/]"
