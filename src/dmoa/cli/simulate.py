"""`dmoa simulate`: what a network does, by simulation."""

import math
from pathlib import Path
from typing import Annotated, Any

import typer

from dmoa.cli.from_model import Source
from dmoa.errors import UsageError

Option = typer.Option


def tables() -> list[Source]:
    """The tables of a scenario, whose keys are flags."""
    from dmoa.simulation.scenario import Scenario, Table

    fields = Scenario.model_fields.items()
    kinds = [(name, field.annotation) for name, field in fields]
    return [
        Source(kind, name)
        for name, kind in kinds
        if isinstance(kind, type) and issubclass(kind, Table)
    ]


def simulate(
    context: typer.Context,
    scenario: Annotated[
        Path | None, typer.Argument(help="A scenario file (TOML); flags change single values.")
    ] = None,
    vary: Annotated[
        list[str] | None,
        Option("--vary", help="Sweep: TABLE.KEY=V1,V2,...; may repeat. E.g. network.rate=0.05,0.1"),
    ] = None,
    output: Annotated[
        Path | None, Option(help="Write results to a .parquet, .csv or .json file.")
    ] = None,
    picture: Annotated[Path | None, Option(help="Write a picture (.png, .svg or .pdf).")] = None,
    results: Annotated[
        Path | None, Option(help="Keep finished points of a sweep here and go on from them.")
    ] = None,
    cluster: Annotated[
        str | None, Option(help="Run a sweep on the Dask cluster at this address.")
    ] = None,
    threads: Annotated[int | None, Option(help="Replications at once; all cores.")] = None,
    as_json: Annotated[bool, Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Simulate a network: latency, queues and their intervals."""
    if threads is not None and threads < 1:
        raise UsageError(f"threads is {threads}; use 1 or more")
    from dmoa.report.simulation import FILE_KINDS, PICTURE_KINDS, check_kind
    from dmoa.simulation.extra import needed

    needed()
    check_kind(output, FILE_KINDS, "--output")
    check_kind(picture, PICTURE_KINDS, "--picture")
    chosen, text = _tables(scenario, context.obj)
    chosen.setdefault("sweep", {}).update(_parse_vary(vary or []))
    if chosen["sweep"]:
        _sweep(chosen, text, output, picture, results, cluster, threads, as_json)
        return
    if cluster or results:
        raise UsageError("--cluster and --results are for sweeps; add --vary or a [sweep] table")
    _single(chosen, text, output, picture, threads, as_json)


def _tables(path: Path | None, given: dict[str, dict[str, Any]]) -> tuple[dict[str, Any], str]:
    """The scenario's tables, flags over file, and the file's text."""
    from dmoa.simulation.scenario import read_tables

    tables, text = read_tables(path) if path else ({}, "")
    for name, chosen in given.items():
        old = tables.get(name, {})
        if name == "service" and chosen.get("law", old.get("law")) != old.get("law"):
            old = {}  # another law has other parameters
        tables[name] = {**old, **chosen}
        text = ""  # a fault may be a flag's: name no line of the file
    if path is None:
        for table, keys in (("network", ("alpha", "rate")), ("protocol", ("layers", "proposers"))):
            for key in keys:
                if key not in tables.get(table, {}):
                    raise UsageError(f"--{key} is missing; give it, or a scenario file")
    return tables, text


def _parse_vary(flags: list[str]) -> dict[str, list[Any]]:
    """`network.rate=0.05,0.1` as a sweep of a scenario."""
    import tomllib

    sweep: dict[str, list[Any]] = {}
    for flag in flags:
        key, equals, values = flag.partition("=")
        if not equals or key.count(".") != 1:
            raise UsageError(f"--vary is {flag!r}; use TABLE.KEY=V1,V2, e.g. network.rate=0.05,0.1")
        try:
            sweep[key] = tomllib.loads(f"values = [{values}]")["values"]
        except tomllib.TOMLDecodeError:
            sweep[key] = values.split(",")  # words
    return sweep


def _single(
    tables: dict[str, Any],
    text: str,
    output: Path | None,
    picture: Path | None,
    threads: int | None,
    as_json: bool,
) -> None:
    from dmoa.cli.output import print_json, say
    from dmoa.cli.progress import bar
    from dmoa.cli.tables import print_table
    from dmoa.report.simulation import histogram, outcome_table, write_rows
    from dmoa.simulation.scenario import scenario_of
    from dmoa.simulation.study import put_together, run_replications

    scenario = scenario_of(tables, text)
    with bar("simulating") as tell:
        run = run_replications(scenario, threads=threads, progress=tell)
    outcome = put_together(run)
    if not outcome.stable:
        say(
            f"not stable: load is {outcome.load:.4g}, so there is no steady state; the"
            f" longest queue grows by {outcome.growth_per_second:.4g} tasks/s"
        )
    elif not outcome.warmup.settled:
        say("warning: the run is too short to leave the warm-up behind; use more --prompts")
    if output:
        write_rows(output, [outcome.to_dict()])
    if picture:
        if math.isnan(outcome.latency.mean):
            raise UsageError("there are no latencies to draw; lower the rate, or leave --picture")
        import numpy as np

        latencies = np.concatenate([r.latencies for r in run.replications])
        histogram(picture, latencies[np.isfinite(latencies)], outcome.latency.mean)
    if as_json:
        print_json(outcome.to_dict())
    else:
        print_table(outcome_table(outcome))


def _sweep(
    tables: dict[str, Any],
    text: str,
    output: Path | None,
    picture: Path | None,
    results: Path | None,
    cluster: str | None,
    threads: int | None,
    as_json: bool,
) -> None:
    from dmoa.cli.output import print_json
    from dmoa.cli.progress import bar
    from dmoa.cli.tables import print_table
    from dmoa.report.simulation import sweep_picture, sweep_table, write_rows
    from dmoa.simulation.scenario import scenario_of
    from dmoa.simulation.sweep import sweep

    scenario = scenario_of(tables, text)
    with bar("sweeping") as tell:
        points = sweep(scenario, results=results, cluster=cluster, threads=threads, progress=tell)
    if output:
        write_rows(output, [point.to_dict() for point in points])
    if picture:
        sweep_picture(picture, points)
    if as_json:
        print_json({"points": [point.to_dict() for point in points]})
    else:
        print_table(sweep_table(points))
