"""What experiments found: as tables, and as a picture of accuracy against inferences."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dmoa.report.simulation import number

if TYPE_CHECKING:
    from rich.table import Table

    from dmoa.evaluation.findings import Findings, RowFindings
    from dmoa.evaluation.intervals import Interval
    from dmoa.evaluation.recorded_study import RecordedFindings

BASELINES = {
    "own": "own",
    "own, greedy": "greedy",
    "best": "best",
    "best, greedy": "greedy",
    "own, voted": "own × C",
    "best, voted": "best × C",
    "all, voted": "all × C",
    "self-moa": "Self-MoA",
}
"""Baselines of a row and the heads of their columns."""


def percent(values: "Interval") -> str:
    """A percentage and its interval."""
    return f"{values.mean:.1f} [{values.low:.1f}, {values.high:.1f}]"


def difference(values: "Interval") -> str:
    """A difference in points and its interval, marked where that excludes zero."""
    text = f"{values.mean:+.1f} [{values.low:+.1f}, {values.high:+.1f}]"
    if values.low > 0:
        return f"[green]{text}[/]"
    return f"[red]{text}[/]" if values.high < 0 else text


def short_difference(values: "Interval") -> str:
    """As `difference`, with half the width of the interval."""
    text = f"{values.mean:+.1f}±{(values.high - values.low) / 2:.1f}"
    if values.low > 0:
        return f"[green]{text}[/]"
    return f"[red]{text}[/]" if values.high < 0 else text


def _table(title: str, caption: str, columns: Sequence[str]) -> "Table":
    from rich import box
    from rich.table import Table

    table = Table(
        title=title,
        caption=caption,
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        title_justify="left",
        caption_justify="left",
    )
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    return table


def name_of(row: "RowFindings") -> str:
    """Team, M and k of a row, and its method if it is not the paper's."""
    method = "" if row.method == "synthesise" else f" {row.method}"
    return f"{row.team} {row.layers}, {row.proposers}{method}"


def rows_table(found: "Findings") -> "Table":
    """Accuracy and cost of every row."""
    table = _table(
        f"PocketQA, {found.questions} held-out questions of seed {found.seed}"
        + (" (how sure drafts are is hidden)" if found.hidden else ""),
        "95 % bootstrap intervals over the questions; times as they were on this machine, which"
        " all devices shared; queue: waiting tasks per device",
        ("M, k", "inferences", "right, %", "drafts voted", "some right", "latency, ms",
         "queue", "tokens"),
    )  # fmt: skip
    for row in found.rows:
        drafts = row.drafts
        table.add_row(
            name_of(row),
            str(row.tasks),
            percent(row.accuracy),
            f"{drafts.plurality.accuracy.mean:.1f}" if drafts else "–",
            f"{drafts.some_right.accuracy.mean:.1f}" if drafts else "–",
            f"{1000 * row.latency:.0f}",
            number(row.queue, 2),
            f"{row.tokens:.0f}",
        )
    return table


def baselines_table(found: "Findings") -> "Table":
    """What each row has more than each baseline, in points."""
    table = _table(
        f"Points more than the baselines (best single LLM, in hindsight: {found.best})",
        "± half the width of the paired 95 % interval; own and best: one inference; × C: as many"
        " samples as the row has inferences, voted; all: the LLMs in turn; Self-MoA: the best as"
        " its own committee",
        ("M, k", *(f"{head}" for head in BASELINES.values())),
    )
    for row in found.rows:
        if row.against:
            cells = [short_difference(row.against[name].difference) for name in BASELINES]
            table.add_row(name_of(row), *cells)
    return table


def singles_table(found: "Findings") -> "Table":
    """Each LLM alone."""
    table = _table("Each LLM alone, %", "", ("LLM", "sampled", "greedy"))
    for llm, one in found.singles.items():
        table.add_row(llm, percent(one.accuracy), percent(one.greedy))
    return table


def steps_table(found: "Findings") -> "Table":
    """What one more proposer, one more layer, other LLMs bring."""
    table = _table(
        "What a step brings",
        "points, paired 95 % intervals",
        ("from", "to", "inferences", "points"),
    )
    for step in found.steps:
        table.add_row(step.before, step.after, f"{step.tasks:+d}", difference(step.difference))
    return table


def pareto_picture(path: Path, found: "Findings") -> None:
    """Accuracy against inferences spent: rows, and baselines at equal cost."""
    from dmoa.report.pictures import new_picture, save

    figure, axes = new_picture(7.5, 4.6)
    colours = {"same": "tab:blue", "diverse": "tab:red"}
    for team in dict.fromkeys(row.team for row in found.rows):
        for method in dict.fromkeys(row.method for row in found.rows):
            rows = [
                row for row in found.rows
                if (row.team, row.method) == (team, method)
            ]  # fmt: skip
            if not rows:
                continue
            mean = [row.accuracy.mean for row in rows]
            off = [
                [row.accuracy.mean - row.accuracy.low for row in rows],
                [row.accuracy.high - row.accuracy.mean for row in rows],
            ]
            axes.errorbar(
                [row.tasks for row in rows], mean, yerr=off, fmt=_MARKS[method], capsize=3,
                color=colours[team], label=team if method == "synthesise" else f"{team}, {method}",
            )  # fmt: skip
            for row in rows:
                axes.annotate(
                    f"{row.layers},{row.proposers}", (row.tasks, row.accuracy.mean),
                    textcoords="offset points", xytext=(5, 4), fontsize=8, color=colours[team],
                )  # fmt: skip
    compared = [row for row in found.rows if row.against]
    lines = {"all, voted": "all LLMs, voted", "best, voted": "best LLM, voted",
             "self-moa": "best LLM as its own committee"}  # fmt: skip
    for (name, label), style in zip(lines.items(), (":", "--", "-."), strict=True):
        points: dict[int, float] = {}
        for row in compared:  # M = 1 and M = 2 may cost the same
            baseline = row.against[name]
            highest = max(points.get(baseline.tasks, 0.0), baseline.accuracy.mean)
            points[baseline.tasks] = highest
        if points:
            axes.plot(*zip(*sorted(points.items()), strict=True), style, color="grey",
                      label=label, linewidth=1.2)  # fmt: skip
    for name, one in found.singles.items():
        if name == found.best:
            axes.plot([1], [one.greedy.mean], "*", color="black", markersize=9,
                      label="best LLM, greedy")  # fmt: skip
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.set_xlabel("inferences a question")
    axes.set_ylabel("right, % (95 % interval)")
    axes.set_title(f"PocketQA, {found.questions} questions; M, k beside each point", fontsize=10)
    axes.legend(fontsize=8)
    save(figure, path)


_MARKS = {"synthesise": "o", "select": "s", "vote": "^"}


def recorded_table(found: "RecordedFindings") -> "Table":
    """Win rates of recorded models, and of choosing among their drafts."""
    table = _table(
        f"AlpacaEval, {found.prompts} prompts; best single model: {found.best}",
        "win rates in percent against the files' baseline, not length-controlled; paired 95 %"
        " bootstrap intervals over prompts. The ranker that ships was fitted to these prompts if"
        " the models are FuseChat's: docs/selection.md has cross-validated figures",
        ("answer", "inferences", "win rate", "standard error", "points over the best"),
    )
    for row in found.rows:
        table.add_row(
            row.name,
            str(row.tasks),
            f"{row.win_rate:.2f}",
            f"{row.standard_error:.2f}",
            difference(row.difference) if row.name != found.best else "–",
        )
    return table
