"""`dmoa eval attack`: what deceptive members cost, and what is left of it with the defences."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer


def attack(
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Recorded drafts, JSON lines, plain or .gz; without them PocketQA is asked.",
            metavar="[FILE]...",
        ),
    ] = None,
    attacks: Annotated[
        str, typer.Option(help="Kinds by commas; by default all there are.")
    ] = "all",
    questions: Annotated[int, typer.Option(min=4, help="Users' questions; PocketQA only.")] = 800,
    exams: Annotated[
        int, typer.Option(min=1, help="Questions that each device is examined by, at most.")
    ] = 80,
    seed: Annotated[
        int, typer.Option(min=0, help="Of the questions, and of all that is drawn.")
    ] = 7,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Deceptive members: accuracy of the others with and without them, and with the defences."""
    from msgspec import to_builtins

    from dmoa.cli.output import print_json
    from dmoa.cli.progress import bar
    from dmoa.cli.tables import print_table
    from dmoa.evaluation.attack.kinds import attacks_of
    from dmoa.evaluation.attack.study import attack_pocketqa, attack_recorded
    from dmoa.report.attacks import attacks_table
    from dmoa.simulation.extra import needed

    needed()
    wanted = attacks_of(attacks)
    with bar("networks") as tell:
        if files:
            work = attack_recorded(files, wanted, exams=exams, seed=seed, tell=tell)
        else:
            work = attack_pocketqa(wanted, exams=exams, asked=questions, seed=seed, tell=tell)
        found = asyncio.run(work)
    if as_json:
        print_json(to_builtins(found))
        return
    print_table(attacks_table(found))
