"""`dmoa replay`: the published script's trace, with its figures and the true ones."""

from pathlib import Path
from typing import Annotated

import typer


def replay(
    trace: Annotated[Path, typer.Argument(help="A trace as the published script writes it.")],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Replay a published trace: latency and queue as published, and the true ones."""
    from dataclasses import asdict

    from dmoa.cli.output import print_json
    from dmoa.cli.tables import print_table
    from dmoa.simulation.published.replay import replay as replayed

    found = replayed(trace)
    if as_json:
        print_json(asdict(found))
        return
    from rich.table import Table

    table = Table(caption="the published queue figure is biased; see docs/simulation.md")
    for name in ("", "latency, mean (s)", "queue, mean (tasks waiting)"):
        table.add_column(name, justify="right")
    for name, figures in (("published", found.published), ("true", found.true)):
        table.add_row(name, f"{figures.latency:.6g}", f"{figures.queue:.6g}")
    print_table(table)
