"""`dmoa score`: win rates from AlpacaEval annotations, or from a live judge."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from dmoa.llm.annotations import Annotation


def score(
    file: Annotated[
        Path, typer.Argument(help="Annotations or outputs: official JSON, or JSON lines (.gz).")
    ],
    baseline: Annotated[
        Path | None,
        typer.Option(help="The baseline's outputs: checks the prompts, allows length control."),
    ] = None,
    gamed: Annotated[
        Path | None,
        typer.Option(help="alpaca-eval's df_gamed.csv, instead of fetching it from the hub."),
    ] = None,
    judge: Annotated[
        str | None,
        typer.Option(help="Judge now: openai:URL#MODEL; the key is DMOA_JUDGE_KEY."),
    ] = None,
    results: Annotated[
        Path | None,
        typer.Option(help="The judge's replies; what is in it is not asked again."),
    ] = None,
    annotations: Annotated[
        Path | None, typer.Option(help="Write the judge's annotations here.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Score AlpacaEval annotations: win rate, standard error, length-controlled win rate."""
    from dmoa.cli.output import print_json, say
    from dmoa.evaluation import alpacaeval, winrate
    from dmoa.llm.annotations import read_annotations

    rows = read_annotations(file)
    if baseline is not None:
        rows = alpacaeval.with_baseline(rows, read_annotations(baseline))
    if judge is not None:
        rows = _judged(rows, judge, results or file.with_name(f"{file.name}.judge.jsonl"))
        if annotations is not None:
            alpacaeval.write_annotations(annotations, rows, judge)
    for complaint in alpacaeval.complaints(rows):
        say(f"note: {complaint}")

    result = winrate.win_rate(row.preference for row in rows)
    controlled = None
    try:
        controlled = winrate.length_controlled_win_rate(rows, gamed)
    except winrate.NoLengthControl as reason:
        say(f"note: no length-controlled win rate: {reason}")

    if json:
        print_json(
            {
                "win_rate": result.win_rate,
                "standard_error": result.standard_error,
                "n": result.n,
                "length_controlled_win_rate": controlled,
            }
        )
        return
    if result.win_rate is None:
        typer.echo(f"{file}: no prompt is judged")
        return
    error = "" if result.standard_error is None else f" ± {result.standard_error:.2f}"
    typer.echo(f"win rate {result.win_rate:.2f} %{error} (standard error) over {result.n} prompts")
    if controlled is not None:
        typer.echo(f"length-controlled {controlled:.2f} %")


def _judged(rows: "list[Annotation]", judge: str, results: Path) -> "list[Annotation]":
    import asyncio
    import os

    from dmoa.cli.output import say, stderr
    from dmoa.errors import UsageError
    from dmoa.evaluation.judges import Judge

    kind, _, rest = judge.partition(":")
    url, _, model = rest.partition("#")
    if kind != "openai" or not url.startswith(("http://", "https://")) or not model:
        raise UsageError(f"--judge {judge!r} is not understood; write openai:URL#MODEL")
    asked = Judge(url, model, api_key=os.environ.get("DMOA_JUDGE_KEY"))
    with stderr().status("judging ...") as status:
        verdicts = asyncio.run(
            asked.annotate(
                rows, results, lambda done, of: status.update(f"judged {done} of {of} questions")
            )
        )
    say(
        f"note: {verdicts.calls} calls, {verdicts.input_tokens} + {verdicts.output_tokens} tokens;"
        f" the replies are in {results}"
    )
    for outcome, times in verdicts.unjudged.most_common():
        say(f"note: {times} questions have no verdict: {outcome}; run again to ask once more")
    return verdicts.annotations
