"""What simulations found: as a table, a file, a picture."""

import csv
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dmoa.errors import UsageError

if TYPE_CHECKING:
    from rich.table import Table

    from dmoa.simulation.statistics import Estimate
    from dmoa.simulation.study import SimulationResult
    from dmoa.simulation.sweep import SweepPoint

FILE_KINDS = (".parquet", ".csv", ".json")
PICTURE_KINDS = (".png", ".svg", ".pdf")


def check_kind(path: Path | None, kinds: Sequence[str], flag: str) -> None:
    """Raise UsageError, before anything runs, when a file could not be written later."""
    if path is None:
        return
    if path.suffix not in kinds:
        raise UsageError(f"{flag} is {path}; use a name that ends in {', '.join(kinds)}")
    if not path.parent.is_dir():
        raise UsageError(f"{flag} is {path}, but there is no folder {path.parent}; make it first")


def flatten(outcome: Mapping[str, Any]) -> dict[str, Any]:
    """One row of a file: nested names become `latency_mean` and so on."""
    row: dict[str, Any] = {}
    for name, value in outcome.items():
        if isinstance(value, Mapping):
            row.update({f"{name}_{inner}": v for inner, v in flatten(value).items()})
        else:
            row[name] = value
    return row


def write_rows(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows of results to a Parquet, CSV or JSON file, by its ending."""
    flat = [flatten(row) for row in rows]
    names = list(dict.fromkeys(name for row in flat for name in row))
    if path.suffix == ".json":
        path.write_text(json.dumps(list(rows), indent=1) + "\n", encoding="utf-8")
    elif path.suffix == ".csv":
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, names)
            writer.writeheader()
            writer.writerows(flat)
    else:
        import pyarrow
        from pyarrow import parquet

        columns = {name: [row.get(name) for row in flat] for name in names}
        parquet.write_table(pyarrow.table(columns), path)


def number(value: float | None, digits: int = 4) -> str:
    """A number for a table; a dash where there is none."""
    return "–" if value is None or math.isnan(value) else f"{value:.{digits}g}"


def with_interval(found: "Estimate") -> str:
    """A mean with the half width of its interval."""
    mean, half = found.mean, found.half_width
    return number(mean) if math.isnan(half) else f"{number(mean)} ± {number(half, 2)}"


def outcome_table(outcome: "SimulationResult") -> "Table":
    """The numbers of one simulation."""
    from rich.table import Table

    from dmoa.simulation.law.results import LawResult

    table = Table(caption="± half width of the 95 % interval over replications", show_header=False)
    table.add_column(style="dim")
    table.add_column(justify="right")
    verdict = "[green]stable[/]" if outcome.stable else "[red]not stable: no steady state[/]"
    table.add_row("load", f"{number(outcome.load)}  {verdict}")
    latency, queue = outcome.latency, outcome.queue
    if outcome.stable:
        table.add_row("latency, mean (s)", with_interval(latency))
        quantiles = " / ".join(map(number, (latency.p50, latency.p95, latency.p99)))
        table.add_row("latency, p50 / p95 / p99 (s)", quantiles)
        table.add_row("queue, mean (tasks waiting)", with_interval(queue))
    else:
        growth = number(outcome.growth_per_second)
        table.add_row("growth of the fastest-growing queue (tasks/s)", growth)
    table.add_row("queue, longest", str(queue.max))
    table.add_row("utilisation", number(outcome.utilisation))
    for name, values in outcome.outcomes.items():
        table.add_row(name.replace("_", " "), with_interval(values))
    if isinstance(outcome, LawResult):
        table.add_row("quality that no rule exceeds", number(outcome.fluid_quality))
        for plan in outcome.plans:
            named = ", ".join(f"{k} {v}" for k, v in plan.items() if k != "share")
            table.add_row(f"answered by {named}", f"{100 * plan['share']:.1f} %")
    table.add_row("tasks simulated", f"{outcome.tasks:,}")
    table.add_row("tasks per second", f"{outcome.tasks_per_second:,.0f}")
    return table


def sweep_table(points: Sequence["SweepPoint"]) -> "Table":
    """The points of a sweep, one a row."""
    from rich import box
    from rich.table import Table

    caption = "seconds; ± half width of the 95 % interval over replications"
    table = Table(caption=caption, box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in points[0].values:
        table.add_column(name.split(".")[-1], justify="right", no_wrap=True)
    growing = any(not point.result.stable for point in points)
    for name in ("load", "latency", "p95", "queue", "longest", *(["growth/s"] if growing else [])):
        table.add_column(name, justify="right", no_wrap=True)
    for point in points:
        found = point.result
        table.add_row(
            *(str(value) for value in point.values.values()),
            number(found.load, 3) if found.stable else f"[red]{number(found.load, 3)}[/]",
            with_interval(found.latency),
            number(found.latency.p95, 3),
            with_interval(found.queue),
            str(found.queue.max),
            *([number(found.growth_per_second, 3)] if growing else []),
        )
    return table


def histogram(path: Path, latencies: Any, mean: float) -> None:
    """A picture of the latencies of one simulation.

    Args:
        path: where to write it.
        latencies: seconds, shape (prompts,).
        mean: seconds.
    """
    import numpy as np

    from dmoa.report.pictures import new_picture, save

    figure, axes = new_picture()
    axes.hist(latencies, bins=80, color="tab:blue", alpha=0.75)
    marks = [("mean", mean, "black"), ("p95", float(np.quantile(latencies, 0.95)), "tab:red")]
    for name, value, colour in marks:
        axes.axvline(value, color=colour, linestyle="--", label=f"{name} {value:.3g} s")
    axes.set_xlabel("latency of a prompt (s)")
    axes.set_ylabel("prompts")
    axes.legend()
    save(figure, path)


def sweep_picture(path: Path, points: Sequence["SweepPoint"]) -> None:
    """Latency over the first swept value that is a number, one line for each other value."""
    from dmoa.report.pictures import new_picture, save

    first = points[0].values
    numeric = [n for n in first if isinstance(first[n], int | float)]
    across = max(numeric, key=lambda n: len({p.values[n] for p in points}), default=None)
    figure, axes = new_picture()
    lines: dict[str, list[tuple[float, SimulationResult]]] = {}
    for place, point in enumerate(points):
        others = ", ".join(
            f"{n.split('.')[-1]} {v}" for n, v in point.values.items() if n != across
        )
        x = point.values[across] if across else place
        lines.setdefault(others, []).append((x, point.result))
    for label, line in lines.items():
        known = [(x, found) for x, found in sorted(line, key=lambda p: p[0]) if found.stable]
        axes.errorbar(
            [x for x, _ in known],
            [found.latency.mean for _, found in known],
            yerr=[found.latency.half_width for _, found in known],
            marker="o", markersize=4, capsize=2, label=label or None,
        )  # fmt: skip
        for x, found in line:
            if not found.stable:
                axes.axvline(x, color="tab:red", alpha=0.15)
    axes.set_xlabel(across or "point")
    axes.set_ylabel("mean latency (s), 95 % interval")
    axes.set_ylim(bottom=0)
    if any(lines):
        axes.legend()
    save(figure, path)
