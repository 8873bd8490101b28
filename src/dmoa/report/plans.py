"""Plans as a table, a sentence, and a picture of latency against load."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dmoa.report.simulation import number
from dmoa.simulation.planner import SIMULATION, Plan, largest, plan

if TYPE_CHECKING:
    from rich.table import Table

_LOADS = (0.05, 0.2, 0.4, 0.55, 0.7, 0.8, 0.87, 0.92, 0.95)


def plan_table(plans: Sequence[Plan], memory: Sequence[float | None]) -> "Table":
    """One (M, k) a row.

    Args:
        plans: the rows.
        memory: bytes of the mean queue of each.
    """
    from rich import box
    from rich.table import Table

    methods = {plan.method for plan in plans if plan.latency_mean is not None}
    source = "a simulation" if SIMULATION in methods else "formulas (approximations)"
    caption = f"limits in prompts/s per user; seconds; latency and queue by {source}"
    table = Table(caption=caption, box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in (
        "M", "k", "tasks", "load", "verdict", "limit", "chosen",
        "latency", "p95", "queue", "kB", "growth/s",
    ):  # fmt: skip
        table.add_column(name, justify="right", no_wrap=True)
    for row, taken in zip(plans, memory, strict=True):
        table.add_row(
            str(row.layers),
            str(row.proposers),
            str(row.tasks_per_prompt),
            number(row.load, 3),
            "[green]stable[/]" if row.stable else "[red]unstable[/]",
            number(row.rate_limit, 3),
            number(row.rate_limit_selected, 3),
            number(row.latency_mean, 3),
            number(row.latency_p95, 3),
            "–" if row.queue_mean is None else f"{row.queue_mean:.2f}",
            "–" if taken is None else f"{taken / 1000:.1f}",
            number(row.growth_per_second, 3),
        )
    return table


def verdict(
    plans: Sequence[Plan],
    *,
    latency: float | None = None,
    p95: float | None = None,
    queue: float | None = None,
) -> str:
    """What these devices can afford, in a sentence."""
    best = largest(plans, latency=latency, p95=p95, queue=queue)
    bounds = [
        f"{name} at most {value:g}{unit}"
        for name, value, unit in (
            ("mean latency", latency, " s"), ("p95", p95, " s"), ("mean queue", queue, " tasks"),
        )
        if value is not None
    ]  # fmt: skip
    wanted = " with " + ", ".join(bounds) if bounds else ""
    if best is None:
        limit = max(p.rate_limit for p in plans)
        return (
            f"Nothing here is stable{wanted}; the rate would have to be below"
            f" {limit:.3g} prompts/s per user, or the bounds wider."
        )
    return f"The most that is stable{wanted}: M = {best.layers}, k = {best.proposers}."


def plan_picture(
    path: Path,
    plans: Sequence[Plan],
    *,
    alpha: float | Sequence[float],
    rate: float | Sequence[float],
    devices: int | None,
    cv: float,
) -> None:
    """Mean latency against load for each (M, k), the load now, and the stability limit."""
    from dmoa.report.pictures import new_picture, save

    figure, axes = new_picture()
    rates = [float(rate)] if isinstance(rate, int | float) else [float(r) for r in rate]
    highest = 0.0
    # A few shapes that span the table; all lines of a large grid would hide one another.
    chosen = [p for p in plans if p.layers == 0 or (p.layers <= 2 and p.proposers in {1, 3})]
    for found in chosen if len(plans) > 1 else plans:
        if found.load <= 0:
            continue
        points = []
        for load in _LOADS:
            scaled = [r * load / found.load for r in rates]
            there = plan(
                alpha=alpha, rate=scaled if len(scaled) > 1 else scaled[0], devices=devices,
                layers=found.layers, proposers=found.proposers, cv=cv,
            )  # fmt: skip
            points.append(there.latency_mean or 0.0)
        (line,) = axes.plot(_LOADS, points, label=f"M = {found.layers}, k = {found.proposers}")
        highest = max(highest, points[-2])
        if found.latency_mean is not None:
            axes.plot(found.load, found.latency_mean, "o", color=line.get_color())
    axes.axvline(1.0, color="tab:red", linestyle="--", label="stability limit")
    axes.set_xlim(0, 1.05)
    axes.set_ylim(0, highest * 1.1 or 1.0)
    axes.set_xlabel("load of the busiest device (dot: at the rate that was asked for)")
    axes.set_ylabel("mean latency (s)")
    axes.legend(fontsize=8)
    save(figure, path)
