"""What the law will do, as sentences and a table."""

from typing import TYPE_CHECKING

from dmoa.report.simulation import number
from dmoa.simulation.law.outlook import Outlook

if TYPE_CHECKING:
    from rich.table import Table


def device_table(found: Outlook) -> "Table":
    """One device a row: its load, what its user gets, what it answers alone."""
    from rich import box
    from rich.table import Table

    table = Table(caption="by a simulation of the law", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in ("device", "load", "its user's quality", "answers alone"):
        table.add_column(name, justify="right", no_wrap=True)
    alone = {plan["device"]: plan["share"] for plan in found.plans if "device" in plan}
    for device, (load, quality) in enumerate(zip(found.loads, found.users, strict=True)):
        table.add_row(
            str(device), number(load, 3), number(quality, 3), f"{100 * alone[device]:.1f} %"
        )
    return table


def sentences(found: Outlook) -> str:
    """Quality, latency, committees, and what one more device would bring."""
    lines = [
        f"Quality {found.quality:.3f} per prompt of at most {found.fluid_quality:.3f};"
        f" {100 * found.answered:.1f} % are answered, in {number(found.latency_mean, 3)} s on"
        f" average, 95 % within {number(found.latency_p95, 3)} s; at most {found.queue_max} wait."
    ]
    lines += [
        f"M = {plan['layers']}, k = {plan['proposers']} answers {100 * plan['share']:.1f} %."
        for plan in found.plans
        if "device" not in plan
    ]
    more = found.one_more
    lines.append(
        f"One more device like the best (skill {more.skill:.3f}, {number(more.alpha, 3)} s) would"
        f" make it {more.quality:.3f} in {number(more.latency_mean, 3)} s."
    )
    return "\n".join(lines)
