"""What `dmoa` decides on recorded drafts, as a table."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.table import Table

    from dmoa.evaluation.decided import DecidedTeam


def drafts_table(found: Mapping[str, Any]) -> "Table":
    """Each owner's own LLM, and what its device decided, on recorded drafts."""
    from rich.table import Table

    best = found["best_single"]
    table = Table(
        title=f"{found['questions']} recorded questions; best LLM alone: {best['model']},"
        f" {best['accuracy']:.1f} % right",
        caption=f"right in percent with 95 % intervals, after {found['exam_questions']} examination"
        f" questions a device; some LLM is right in {found['some_right']:.1f} %",
    )
    heads = ("owner", "own LLM", "dmoa", "points over the best", "inferences", "plans")
    for head in heads:
        table.add_column(head, overflow="fold")
    for owner, row in found["owners"].items():
        against = row["against_best"]
        table.add_row(
            owner,
            f"{row['own']:.1f}",
            f"{row['dmoa']:.1f} ± {row['dmoa_half_width']:.1f}",
            f"{against['mean']:+.1f} ± {against['half_width']:.1f}",
            f"{row['inferences']:.2f}",
            ", ".join(f"{name} {100 * share:.0f} %" for name, share in row["plans"].items()),
        )
    return table


def decided_table(found: "Mapping[str, DecidedTeam]") -> "Table":
    """PocketQA as `dmoa` decides, a row a team."""
    from rich.table import Table

    table = Table(title="dmoa: what devices decide that examined each other")
    for head in ("team", "right, %", "inferences", "plans", "examination questions", "why"):
        table.add_column(head, overflow="fold")
    for team, row in found.items():
        table.add_row(
            team,
            f"{row.accuracy.mean:.1f} [{row.accuracy.low:.1f}, {row.accuracy.high:.1f}]",
            f"{row.inferences:.2f}",
            ", ".join(f"{name} {100 * share:.0f} %" for name, share in row.plans.items()),
            str(row.exam_questions),
            row.why,
        )
    return table
