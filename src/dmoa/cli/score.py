"""`dmoa score`: win rates from AlpacaEval annotations."""

from pathlib import Path
from typing import Annotated

import typer


def score(
    file: Annotated[Path, typer.Argument(help="annotations: official JSON, or JSON lines (.gz)")],
    baseline: Annotated[
        Path | None,
        typer.Option(help="the baseline's outputs: checks the prompts, allows length control"),
    ] = None,
    gamed: Annotated[
        Path | None,
        typer.Option(help="alpaca-eval's df_gamed.csv, instead of fetching it from the hub"),
    ] = None,
    json_: Annotated[bool, typer.Option("--json", help="one JSON object on stdout")] = False,
) -> None:
    """Score AlpacaEval annotations: win rate, standard error, length-controlled win rate."""
    import json

    from dmoa.evaluation import alpacaeval, winrate

    annotations = alpacaeval.read_annotations(file)
    if baseline is not None:
        annotations = alpacaeval.with_baseline(annotations, alpacaeval.read_annotations(baseline))
    for complaint in alpacaeval.complaints(annotations):
        typer.echo(f"note: {complaint}", err=True)

    result = winrate.win_rate(a.preference for a in annotations)
    controlled = None
    try:
        controlled = winrate.length_controlled_win_rate(annotations, gamed)
    except winrate.NoLengthControl as reason:
        typer.echo(f"note: no length-controlled win rate: {reason}", err=True)

    if json_:
        typer.echo(
            json.dumps(
                {
                    "win_rate": result.win_rate,
                    "standard_error": result.standard_error,
                    "n": result.n,
                    "length_controlled_win_rate": controlled,
                }
            )
        )
        return
    if result.win_rate is None:
        typer.echo(f"{file}: no prompt is judged")
        return
    error = "" if result.standard_error is None else f" ± {result.standard_error:.2f}"
    typer.echo(f"win rate {result.win_rate:.2f} %{error} (standard error) over {result.n} prompts")
    if controlled is not None:
        typer.echo(f"length-controlled {controlled:.2f} %")
