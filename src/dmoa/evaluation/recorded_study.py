"""The study of selection on recorded models: published outputs and judgements, no API key.

Each device replays one real model. Nobody recorded what the models make of drafts, so there is
one layer, whose best draft is the answer (`select`). Every device's user asks every prompt, in
an order of their own; a device learns of its peers from its own user's prompts alone.
"""

import random
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from dmoa.errors import UsageError
from dmoa.evaluation.arena import Arena, MemoryArena
from dmoa.evaluation.experiment import Batch, Conditions, Experiment, Job
from dmoa.evaluation.grid import Row, Way
from dmoa.evaluation.intervals import Bootstrap, Interval
from dmoa.evaluation.outcomes import Outcomes
from dmoa.evaluation.winrate import win_rate
from dmoa.formats.alpacaeval import Annotation, read_annotations
from dmoa.llm.recorded import replay
from dmoa.protocol.reasoning import answer_alone


@dataclass(frozen=True)
class Recorded:
    """Judged outputs of several models for the same prompts, in one order.

    Attributes:
        prompts: the prompts.
        rows: of each model, by its name, one a prompt.
        paths: where they were read.
        passed_over: why other files of the folder are not used, a sentence each.
    """

    prompts: list[str]
    rows: dict[str, list[Annotation]]
    paths: dict[str, Path]
    passed_over: list[str]

    @property
    def models(self) -> tuple[str, ...]:
        """Names of the models."""
        return tuple(self.rows)


def read_folder(folder: Path, models: Sequence[str] | None = None) -> Recorded:
    """Read the recorded models of a folder.

    Args:
        folder: a file of outputs with judgements a model, in AlpacaEval's formats.
        models: those that are wanted; None for all that are judged.

    Raises:
        UsageError: there are fewer than two, they answer different prompts, or one that is
            wanted is not there or not judged.
    """
    if not folder.is_dir():
        raise UsageError(f"--recorded {folder} is no folder; give one with AlpacaEval outputs")
    files = sorted(p for p in folder.iterdir() if ".json" in p.suffixes or ".jsonl" in p.suffixes)
    found: dict[str, tuple[Path, list[Annotation]]] = {}
    for path in files:
        rows = read_annotations(path)
        found[rows[0].generator or path.name.split(".json")[0]] = (path, rows)
    for model in models or ():
        if model not in found:
            raise UsageError(
                f"--models: {folder} has no {model}; it has {', '.join(found) or 'no outputs'}"
            )
    used: dict[str, tuple[Path, list[Annotation]]] = {}
    passed_over = []
    for model in models or found:
        unjudged = sum(row.preference is None for row in found[model][1])
        if not unjudged:
            used[model] = found[model]
        elif models:
            raise UsageError(f"--models: {unjudged} outputs of {model} are not judged in {folder}")
        else:
            passed_over.append(f"{model} is left out: {unjudged} of its outputs are not judged")
    if len(used) < 2:
        raise UsageError(
            f"--recorded {folder} has {len(used)} models whose outputs are all judged; a committee"
            " needs two"
        )
    return _in_one_order(used, passed_over)


def _in_one_order(
    used: dict[str, tuple[Path, list[Annotation]]], passed_over: list[str]
) -> Recorded:
    first = next(iter(used))
    prompts = [row.instruction for row in used[first][1]]
    rows: dict[str, list[Annotation]] = {}
    for model, (path, mine) in used.items():
        by_prompt = {row.instruction: row for row in mine}
        if by_prompt.keys() != set(prompts) or len(mine) != len(prompts):
            raise UsageError(
                f"{path} does not answer the same prompts as {used[first][0]}, each once; leave"
                " one out by --models"
            )
        rows[model] = [by_prompt[prompt] for prompt in prompts]
    paths = {model: path for model, (path, _) in used.items()}
    return Recorded(prompts, rows, paths, passed_over)


class RecordedSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What a results file must agree with."""

    benchmark: str
    models: tuple[str, ...]
    prompts: int
    seed: int


class RecordedRow(msgspec.Struct, frozen=True):
    """Win rate in percent of one way to answer, and the points it has more than the best model."""

    name: str
    tasks: int
    win_rate: float
    standard_error: float | None
    interval: Interval
    difference: Interval


class RecordedFindings(RecordedSettings, frozen=True, kw_only=True):
    """Win rates of the rows and of what they are compared with; `best` is the best model."""

    best: str
    rows: list[RecordedRow]


@dataclass(frozen=True)
class RecordedStudy:
    """What is measured: rows of one layer, and the seed of draws and orders."""

    recorded: Recorded
    rows: tuple[Row, ...]
    seed: int

    def settings(self) -> RecordedSettings:
        """What a results file must agree with."""
        return RecordedSettings(
            benchmark="alpacaeval",
            models=self.recorded.models,
            prompts=len(self.recorded.prompts),
            seed=self.seed,
        )

    @property
    def ways(self) -> list[Way]:
        """One a row."""
        return [Way(row, "select") for row in self.rows]

    def batches(self) -> list[Batch]:
        """Every user asks everything."""
        models = self.recorded.models
        batches = []
        for way in self.ways:
            jobs = []
            for device, model in enumerate(models):
                order = list(range(len(self.recorded.prompts)))
                random.Random(f"{self.seed} {model}").shuffle(order)
                jobs += [Job(model, way, prompt, device) for prompt in order]
            batches.append(Batch(models, jobs))
        return batches


def check_rows(rows: Sequence[Row]) -> tuple[Row, ...]:
    """The rows, if recorded models can do them.

    Raises:
        UsageError: a row has more or fewer layers than one.
    """
    for row in rows:
        if row.layers != 1:
            raise UsageError(
                f"--rows: m{row.layers}-k{row.proposers} has {row.layers} layers, but nothing is"
                " recorded of what models make of drafts; take m1-kK"
            )
    return tuple(rows)


async def measure_recorded(
    study: RecordedStudy, outcomes: Outcomes, tell: Callable[[float], None] = lambda share: None
) -> None:
    """Ask what has not been asked; `tell` is told the share that is done."""
    recorded, batches = study.recorded, study.batches()
    total, done = sum(len(batch.jobs) for batch in batches), 0

    def count() -> None:
        nonlocal done
        done += 1
        tell(done / total)

    async def open_arena(models: Sequence[str]) -> Arena:
        return await MemoryArena.open([replay(recorded.paths[model]) for model in models])

    conditions = Conditions(recorded.prompts, lambda question, text: None, study.seed)
    experiment = Experiment(conditions, outcomes, open_arena, count)
    try:
        await experiment.run(batches)
    finally:
        await experiment.close()


def findings_recorded(study: RecordedStudy, outcomes: Outcomes) -> RecordedFindings:
    """Win rates of the rows and of what they are compared with."""
    recorded, bootstrap = study.recorded, Bootstrap(len(study.recorded.prompts), study.seed)
    n = range(len(recorded.prompts))
    wins = {
        model: [(row.preference or 1.0) - 1 for row in rows]
        for model, rows in recorded.rows.items()
    }
    best = max(wins, key=lambda model: statistics.fmean(wins[model]))

    def entry(name: str, mine: Sequence[float], tasks: int) -> RecordedRow:
        score = win_rate(value + 1 for value in mine)
        assert score.win_rate is not None  # every output is judged
        return RecordedRow(
            name=name,
            tasks=tasks,
            win_rate=score.win_rate,
            standard_error=score.standard_error,
            interval=bootstrap.percent(mine),
            difference=bootstrap.percent([a - b for a, b in zip(mine, wins[best], strict=True)]),
        )

    found = [entry(model, wins[model], 1) for model in recorded.models]
    everybody = len(recorded.models)
    found.append(
        entry("random draft", [statistics.fmean(wins[m][i] for m in wins) for i in n], everybody)
    )
    for way in study.ways:
        owners = [chosen(study, outcomes, way, owner) for owner in recorded.models]
        mine = [
            statistics.fmean((row.preference or 1.0) - 1 for row in rows)
            for rows in zip(*owners, strict=True)
        ]
        found.append(entry(f"dmoa-{way.name}", mine, way.tasks))
    found.append(entry("oracle", [max(wins[m][i] for m in wins) for i in n], everybody))
    return RecordedFindings(**msgspec.structs.asdict(study.settings()), best=best, rows=found)


def chosen(study: RecordedStudy, outcomes: Outcomes, way: Way, owner: str) -> list[Annotation]:
    """What the user of a device got for each prompt: a model's output, with its judgement."""
    found = []
    for number, prompt in enumerate(study.recorded.prompts):
        text = outcomes[owner, way.name, number].answer
        row = next(
            rows[number]
            for rows in study.recorded.rows.values()
            if answer_alone(rows[number].output) == text
        )
        found.append(
            Annotation(
                prompt, row.output, f"dmoa-{way.name}", row.preference, row.dataset,
                row.baseline_output, row.baseline,
            )
        )  # fmt: skip
    return found
