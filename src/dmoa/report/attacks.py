"""What deceptive members cost, as a table."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table

    from dmoa.evaluation.attack.findings import Findings
    from dmoa.evaluation.intervals import Interval


def attacks_table(found: "Findings") -> "Table":
    """A row a network: accuracy and lost points of each rule, and when deceivers were found out."""
    from rich.table import Table

    table = Table(
        title=f"{found.benchmark}: one member ({found.member}) deceives; seed {found.seed}",
        caption=f"right in percent with 95 % intervals, after {found.exam_questions} examination"
        " questions a device; lost: points less than where nobody attacks, paired by question;"
        f" committee: {found.committee}",
    )
    heads = (
        "attack", "n", "committee", "lost", "standings", "lost", "dmoa", "lost", "second half",
        "found out after",
    )  # fmt: skip
    for head in heads:
        table.add_column(head, overflow="fold")
    for name, net in found.networks.items():
        committee, standings, dmoa = (net.rules[r] for r in ("committee", "standings", "dmoa"))
        after = ", ".join("never" if n is None else str(n) for n in net.found_after.values())
        table.add_row(
            name,
            str(net.n),
            _percent(committee.accuracy),
            _percent(committee.lost),
            _percent(standings.accuracy),
            _percent(standings.lost),
            _percent(dmoa.accuracy),
            _percent(dmoa.lost),
            _percent(dmoa.late_lost),
            "" if name in ("nobody", "absent") else after,
        )
    return table


def _percent(value: "Interval") -> str:
    return f"{value.mean:.1f} [{value.low:.1f}, {value.high:.1f}]"
