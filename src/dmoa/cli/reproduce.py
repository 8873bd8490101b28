"""`dmoa reproduce`: the paper's tables and theorem, next to ours, and what the law does."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from dmoa.evaluation.findings import Findings

reproduce = typer.Typer(
    name="reproduce", help="The paper's tables and theorem, next to ours.", no_args_is_help=True
)

Picture = Annotated[Path | None, typer.Option(help="Write a picture (.png, .svg or .pdf).")]
Json = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]
Seed = Annotated[int, typer.Option(min=0, help="The result depends on it alone.")]


@reproduce.command()
def tables(
    draws: Annotated[int, typer.Option(min=2, help="Bursts of 10 prompts for each row.")] = 200,
    seed: Seed = 0,
    questions: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Measure the accuracy anew with so many PocketQA questions (200 take minutes,"
            " and can be continued); by default what was measured when dmoa was made.",
        ),
    ] = None,
    picture: Picture = None,
    as_json: Json = False,
) -> None:
    """Tables I and II: the paper's burst, a steady state, and what pocket LLMs get right."""
    from msgspec import to_builtins

    from dmoa.cli.output import print_json
    from dmoa.cli.progress import bar
    from dmoa.cli.tables import print_table
    from dmoa.evaluation.published import beside_the_paper, shipped
    from dmoa.report.paper import accuracy_table, burst_picture, burst_table, steady_table

    _check(picture)
    from dmoa.simulation.published.paper import reproduce_tables

    measured = shipped() if questions is None else _measure(questions, seed)
    with bar("bursts and steady states") as tell:
        found = reproduce_tables(draws, seed, tell)
    beside = beside_the_paper(found, measured)
    if picture:
        burst_picture(picture, found)
    if as_json:
        print_json({**to_builtins(found), "pocketqa": to_builtins(beside)})
        return
    for name, table in (("I", found.first), ("II", found.second)):
        print_table(burst_table(name, table, draws))
        print_table(steady_table(name, table))
        print_table(accuracy_table(name, beside))


def _measure(questions: int, seed: int) -> "Findings":
    """The paper's rows on PocketQA, through the real protocol."""
    from dmoa.cli.eval import default_folder, run_study
    from dmoa.evaluation.committees import Study

    study = Study(questions, seed, baselines=False)
    return run_study(study, default_folder(study))


@reproduce.command()
def theorem(
    prompts: Annotated[int, typer.Option(min=10_000, help="Prompts of each simulation.")] = 200_000,
    seed: Seed = 0,
    picture: Picture = None,
    as_json: Json = False,
) -> None:
    """Theorem 1: queues are bounded below load 1 and grow above it, in seven configurations."""
    from msgspec import to_builtins

    from dmoa.cli.output import print_json
    from dmoa.cli.progress import bar
    from dmoa.cli.tables import print_table
    from dmoa.report.paper import theorem_picture, theorem_table

    _check(picture)
    from dmoa.simulation.published.paper import reproduce_theorem

    with bar("both sides of load 1") as tell:
        found = reproduce_theorem(prompts, seed, tell)
    if picture:
        theorem_picture(picture, found)
    if as_json:
        printed = to_builtins(found)
        for one in printed["configurations"]:
            for side in one["loads"]:
                del side["path"]
        print_json(printed)
        return
    print_table(theorem_table(found))


@reproduce.command()
def phase(
    prompts: Annotated[int, typer.Option(min=1000, help="Prompts of each simulation.")] = 10_000,
    seed: Seed = 0,
    picture: Picture = None,
    as_json: Json = False,
) -> None:
    """Which plan wins under the law: load against how uneven the devices are."""
    from dataclasses import asdict

    from dmoa.cli.output import print_json
    from dmoa.cli.progress import bar
    from dmoa.cli.tables import print_table
    from dmoa.report.phase import phase_picture, phase_table

    _check(picture)
    from dmoa.simulation.law.phase import sweep_phases

    with bar("load against unevenness") as tell:
        points = sweep_phases(prompts=prompts, seed=seed, progress=tell)
    if picture:
        phase_picture(picture, points)
    if as_json:
        print_json({"points": [asdict(point) for point in points]})
        return
    print_table(phase_table(points))


def _check(picture: Path | None) -> None:
    """See to it that all will work, before anything runs."""
    from dmoa.report.simulation import PICTURE_KINDS, check_kind
    from dmoa.simulation.extra import needed

    needed()
    check_kind(picture, PICTURE_KINDS, "--picture")
