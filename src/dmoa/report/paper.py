"""The paper's figures next to ours, as tables and pictures."""

from pathlib import Path
from typing import TYPE_CHECKING

from dmoa.report.simulation import number, with_interval

if TYPE_CHECKING:
    from rich.table import Table

    from dmoa.evaluation.published import Beside
    from dmoa.simulation.published.paper import ReproducedTables, ReproducedTheorem
    from dmoa.simulation.published.paper import Table as PaperTable
    from dmoa.simulation.statistics import Spread


def _spread(values: "Spread", digits: int) -> str:
    mean, low, high = (f"{value:.{digits}f}" for value in (values.mean, values.p5, values.p95))
    return f"{mean} ({low}–{high})"


def burst_table(name: str, found: "PaperTable", draws: int) -> "Table":
    """One of the paper's tables: published, our bursts, our steady state."""
    from rich import box
    from rich.table import Table

    reload = f" + {found.reload:g} s a reload" if found.reload else ""
    table = Table(
        title=f"Table {name}: the paper's burst of 10 prompts; alpha {found.alpha:g} s{reload}",
        caption=(
            f"ours: mean and 90 % spread of {draws} draws of 10 prompts; RMS error of the"
            f" latency {100 * found.rms_latency_error:.1f} %"
        ),
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    for title in ("M, k", "load", "paper, s", "ours, s", "paper, queue", "same figure", "true"):
        table.add_column(title, justify="right", no_wrap=True)
    for row in found.rows:
        burst, published = row.burst, row.published
        table.add_row(
            f"{row.layers}, {row.proposers}",
            number(row.load, 3),
            f"{published.latency:.0f}",
            _spread(burst.latency, 0),
            f"{published.queue:.2f}",
            _spread(burst.published_queue, 1),
            f"{burst.queue.mean:.1f}",
        )
    return table


def steady_table(name: str, found: "PaperTable") -> "Table":
    """The steady state at the M and k of one of the paper's tables."""
    from rich import box
    from rich.table import Table

    table = Table(
        title=f"M and k of Table {name} in steady state: load 0.8, alpha {found.alpha:g} s",
        caption="± half width of the 95 % interval; exponential service",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )  # fmt: skip
    for title in ("M, k", "prompts/hour per user", "latency (s)", "p95 (s)", "queue"):
        table.add_column(title, justify="right", no_wrap=True)
    for row in found.rows:
        steady = row.steady
        table.add_row(
            f"{row.layers}, {row.proposers}",
            number(3600 * steady.rate, 3),
            with_interval(steady.latency),
            number(steady.latency.p95),
            with_interval(steady.queue),
        )
    return table


def accuracy_table(name: str, found: "Beside") -> "Table":
    """The paper's accuracy, latency and queue beside those of pocket LLMs on PocketQA."""
    from rich import box
    from rich.table import Table

    from dmoa.report.quality import percent
    from dmoa.simulation.statistics import Spread

    team = "the same LLM" if name == "I" else "four different LLMs"
    table = Table(
        title=f"Table {name} ({team}) beside ours on ANOTHER task, with pocket LLMs",
        caption=(
            "paper: AlpacaEval 2.0, 10 prompts, judged by GPT-4, large LLMs; ours: PocketQA,"
            f" {found.questions} questions of seed {found.seed}, exact answers. Compare how"
            " the columns change, not their level. Latency in mean service times, since a pocket"
            " LLM takes milliseconds (seconds where the paper's devices reload); ours: bursts of"
            " ten at the paper's load, with service times as measured, mean and 90 % spread;"
            " queue: waiting tasks per device"
        ),
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    for title in ("M, k", "paper, %", "ours, % right", "paper, latency", "ours, latency",
                  "paper, queue", "ours, queue"):  # fmt: skip
        table.add_column(title, justify="right", no_wrap=True)
    for row in found.same if name == "I" else found.diverse:
        published, seconds = row.published, row.burst.latency
        services = published.latency_in_services
        latency = Spread(*(s / row.service for s in (seconds.mean, seconds.p5, seconds.p95)))
        table.add_row(
            f"{row.layers}, {row.proposers}",
            f"{published.accuracy:.2f}",
            percent(row.accuracy),
            number(services, 3) if services else f"{published.latency:.0f} s",
            _spread(latency, 1),
            f"{published.queue:.2f}",
            _spread(row.burst.queue, 1),
        )
    return table


def burst_picture(path: Path, tables: "ReproducedTables") -> None:
    """Latencies of both tables: published, and the spread of our bursts."""
    from matplotlib.figure import Figure

    from dmoa.report.pictures import save

    figure = Figure(figsize=(10, 4.2), layout="constrained")
    both = figure.subplots(1, 2)
    for axes, name, found in zip(both, ("I", "II"), (tables.first, tables.second), strict=True):
        rows = found.rows
        ours = [row.burst.latency for row in rows]
        places = range(len(rows))
        means = [o.mean for o in ours]
        below = [o.mean - o.p5 for o in ours]
        above = [o.p95 - o.mean for o in ours]
        axes.errorbar(
            places, means, yerr=[below, above], fmt="o", capsize=4,
            label="ours: mean, 90 % of the draws",
        )  # fmt: skip
        axes.plot(places, [r.published.latency for r in rows], "x", color="tab:red",
                  markersize=9, markeredgewidth=2, label="paper")  # fmt: skip
        axes.set_xticks(list(places), [f"{r.layers}, {r.proposers}" for r in rows])
        axes.set_xlabel("M, k")
        axes.set_ylabel("mean latency of 10 prompts (s)")
        axes.set_title(f"Table {name}")
        axes.set_ylim(bottom=0)
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend()
    save(figure, path)


def theorem_table(found: "ReproducedTheorem") -> "Table":
    """Growth of the queues on both sides of load 1."""
    from rich import box
    from rich.table import Table

    table = Table(
        title="Theorem 1 by simulation: growth of the queues, tasks/s (alpha = 1 s)",
        caption="measured (formula); ✓ bounded below load 1, growing above",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    table.add_column("n, M, k", justify="right", no_wrap=True)
    for side in found.configurations[0].loads:
        table.add_column(f"load {side.load:g}", justify="right", no_wrap=True)
    for one in found.configurations:
        cells = [
            f"{side.growth:.4f}"
            + (f" ({side.predicted:.4f})" if side.predicted else "")
            + (" [green]✓[/]" if side.fits else " [red]✗[/]")
            for side in one.loads
        ]
        table.add_row(f"{one.devices}, {one.layers}, {one.proposers}", *cells)
    return table


def theorem_picture(path: Path, found: "ReproducedTheorem") -> None:
    """The mean queue over time, a panel for each configuration."""
    import math

    from matplotlib.figure import Figure

    from dmoa.report.pictures import save

    every = found.configurations
    columns = 4
    lines = math.ceil(len(every) / columns)
    figure = Figure(figsize=(12, 3 * lines), layout="constrained")
    panels = figure.subplots(lines, columns, squeeze=False).ravel()
    colours = ("tab:blue", "tab:cyan", "tab:orange", "tab:red")
    for axes, one in zip(panels, every, strict=False):
        for side, colour in zip(one.loads, colours, strict=True):
            axes.plot(side.path.time, side.path.queue, color=colour,
                      label=f"load {side.load:g}")  # fmt: skip
        axes.set_title(f"n = {one.devices}, M = {one.layers}, k = {one.proposers}",
                       fontsize=10)  # fmt: skip
        axes.set_xlabel("time (units of alpha)")
        axes.set_ylabel("mean queue (tasks)")
        axes.grid(alpha=0.25)
    panels[0].legend(fontsize=8)
    for axes in panels[len(every) :]:
        axes.set_visible(False)
    save(figure, path)
