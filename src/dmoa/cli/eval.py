"""`dmoa eval`: how good the answers of a network are, and what they cost."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dmoa.cli.attack import attack

if TYPE_CHECKING:
    from dmoa.evaluation.committees import Study
    from dmoa.evaluation.findings import Findings

evaluate = typer.Typer(
    name="eval",
    help="How good the answers of a network are, and what they cost.",
    no_args_is_help=True,
)
evaluate.command()(attack)

Json = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]


@evaluate.command()
def pocketqa(
    questions: Annotated[int, typer.Option(min=1, help="How many questions.")] = 200,
    seed: Annotated[
        int, typer.Option(min=0, help="Of the questions, and of all that is drawn.")
    ] = 7,
    rows: Annotated[
        str, typer.Option(help="M and k: paper (all of the paper's tables), or m1-k3,m2-k3.")
    ] = "paper",
    teams: Annotated[
        str,
        typer.Option(help="same (every device has the asked one's LLM), diverse (one each), both."),
    ] = "same,diverse",
    method: Annotated[
        str, typer.Option(help="What is done with drafts: synthesise, select, vote; or several.")
    ] = "synthesise",
    baselines: Annotated[
        bool,
        typer.Option(help="Measure single LLMs, votes and Self-MoA too, at equal inferences."),
    ] = True,
    hide_confidence: Annotated[
        bool, typer.Option("--hide-confidence", help="Drafts do not say how sure they are.")
    ] = False,
    rate: Annotated[
        float | None,
        typer.Option(
            help="Prompts/s per user, Poisson; by default each user asks when answered.",
            min=1e-6,
        ),
    ] = None,
    exams: Annotated[
        int,
        typer.Option(
            min=0,
            help="Also the row dmoa: what devices decide that were examined by so many questions.",
        ),
    ] = 0,
    live: Annotated[
        bool, typer.Option("--live", help="Real processes (`dmoa up`) instead of in memory.")
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the outcomes, the result and the picture; continued if there."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Accuracy on PocketQA by M and k, with baselines at equal numbers of inferences."""
    from msgspec import to_builtins

    from dmoa.cli.output import print_json
    from dmoa.cli.tables import print_table
    from dmoa.errors import UsageError
    from dmoa.evaluation.committees import TEAMS, Study
    from dmoa.evaluation.grid import methods_of, one_of, rows_of
    from dmoa.llm.pocket import NAMES
    from dmoa.report import quality
    from dmoa.report.drafts import decided_table
    from dmoa.simulation.extra import needed

    needed()
    if live and hide_confidence:
        raise UsageError("--hide-confidence changes the LLMs of this process; leave out --live")
    study = Study(
        questions=questions,
        seed=seed,
        rows=tuple(rows_of(rows, len(NAMES))),
        teams=tuple(one_of(teams, TEAMS, "--teams")),
        methods=tuple(methods_of(method)),
        baselines=baselines,
        hidden=hide_confidence,
        live=live,
        rate=rate,
    )
    found = run_study(study, out or default_folder(study), exams)
    if as_json:
        print_json(to_builtins(found))
        return
    print_table(quality.rows_table(found))
    if isinstance(found.dmoa, dict):
        print_table(decided_table(found.dmoa))
    if study.baselines:
        print_table(quality.baselines_table(found))
        print_table(quality.singles_table(found))
    if found.steps:
        print_table(quality.steps_table(found))


def default_folder(study: "Study") -> Path:
    """Where the outcomes of a study go: studies that differ in what an answer is go apart."""
    from dmoa.folders import cache_folder

    marks = [
        *(["hidden"] if study.hidden else []),
        *(["live"] if study.live else []),
        *([f"rate{study.rate:g}"] if study.rate is not None else []),
    ]
    return cache_folder() / "eval" / "-".join(["pocketqa", f"seed{study.seed}", *marks])


def run_study(study: "Study", folder: Path, exams: int = 0) -> "Findings":
    """Measure what is missing, and write result and picture beside the outcomes."""
    import json

    from msgspec import structs, to_builtins

    from dmoa.cli.output import say
    from dmoa.cli.progress import bar
    from dmoa.evaluation.committees import measure
    from dmoa.evaluation.decided import Decided, Examined
    from dmoa.evaluation.devices import pocket_devices
    from dmoa.evaluation.findings import findings
    from dmoa.evaluation.outcomes import opened
    from dmoa.report.quality import pareto_picture

    with opened(folder / "outcomes.jsonl", study.settings()) as outcomes:
        if before := len(outcomes):
            say(f"note: {outcomes.path} has {before} answers, which are not asked for again")
        devices = pocket_devices(live=study.live, hidden=study.hidden)
        with bar("questions") as tell:
            best = asyncio.run(measure(study, outcomes, devices, tell))
        found = findings(study, outcomes, best)
        if exams:
            asked = Examined(**to_builtins(study.settings()))
            with opened(folder / "examinations.jsonl", asked) as examined:
                decided = Decided(study, exams, examined, outcomes, devices)
                asyncio.run(decided.run())
            found = structs.replace(found, dmoa=decided.findings())
    printed = json.dumps(to_builtins(found), indent=1)
    (folder / "result.json").write_text(printed + "\n", encoding="utf-8")
    pareto_picture(folder / "pareto.svg", found)
    say(f"note: outcomes, result and picture are in {folder}")
    return found


@evaluate.command()
def alpacaeval(
    recorded: Annotated[
        Path, typer.Option(help="Folder of judged outputs in AlpacaEval's formats, a file a model.")
    ],
    models: Annotated[
        str | None, typer.Option(help="Models, by commas; by default all that are judged.")
    ] = None,
    rows: Annotated[
        str | None, typer.Option(help="k, as m1-k1,m1-k3; by default every k there can be.")
    ] = None,
    seed: Annotated[
        int, typer.Option(min=0, help="Of the proposers, the orders and the intervals.")
    ] = 0,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder of outcomes, result and outputs in AlpacaEval's format."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Win rates of choosing among published outputs of real models, one model a device."""
    import json

    from msgspec import to_builtins

    from dmoa.cli.output import print_json, say
    from dmoa.cli.progress import bar
    from dmoa.cli.tables import print_table
    from dmoa.evaluation import recorded_study as study_of
    from dmoa.evaluation.grid import Row, rows_of
    from dmoa.evaluation.outcomes import opened
    from dmoa.folders import cache_folder
    from dmoa.formats import alpacaeval as files
    from dmoa.report.quality import recorded_table
    from dmoa.simulation.extra import needed

    needed()
    read = study_of.read_folder(recorded, models.split(",") if models else None)
    for sentence in read.passed_over:
        say(f"note: {sentence}")
    devices = len(read.models)
    wanted = rows_of(rows, devices) if rows else [Row(1, k) for k in range(1, devices)]
    study = study_of.RecordedStudy(read, study_of.check_rows(wanted), seed)
    folder = out or cache_folder() / "eval" / f"alpacaeval-{devices}-models-seed{seed}"
    with opened(folder / "outcomes.jsonl", study.settings()) as outcomes:
        with bar("prompts") as tell:
            asyncio.run(study_of.measure_recorded(study, outcomes, tell))
        found = study_of.findings_recorded(study, outcomes)
        for way in study.ways:
            for owner in read.models:
                files.write_outputs(
                    folder / f"{way.name}-{owner}.json",
                    study_of.chosen(study, outcomes, way, owner),
                )
    printed = to_builtins(found)
    (folder / "result.json").write_text(json.dumps(printed, indent=1) + "\n", encoding="utf-8")
    say(f"note: outcomes, result and outputs are in {folder}")
    if as_json:
        print_json(printed)
        return
    print_table(recorded_table(found))


@evaluate.command()
def recorded(
    files: Annotated[
        list[Path],
        typer.Argument(help="Recorded drafts, JSON lines, plain or .gz.", metavar="FILE"),
    ],
    exams: Annotated[
        int, typer.Option(min=1, help="Questions that each device is examined by, at most.")
    ] = 60,
    seed: Annotated[int, typer.Option(min=0, help="Of which questions are asked.")] = 0,
    as_json: Json = False,
) -> None:
    """What `dmoa` decides, and is right in, on recorded drafts of real LLMs, one a device."""
    from dmoa.cli.output import print_json
    from dmoa.cli.tables import print_table
    from dmoa.evaluation.recorded_drafts import read_rows, replay
    from dmoa.report.drafts import drafts_table

    found = replay(read_rows(files), exams, seed)
    if as_json:
        print_json(found)
        return
    print_table(drafts_table(found))
