"""The phase diagram: which plan wins at which load and unevenness."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dmoa.report.pictures import new_picture, save

if TYPE_CHECKING:
    from rich.table import Table

    from dmoa.simulation.law.phase import Point

COLOURS = {
    "two layers": (0.17, 0.35, 0.63),
    "one layer": (0.45, 0.68, 0.82),
    "one device": (0.95, 0.75, 0.36),
    "refused": (0.75, 0.22, 0.17),
}


def phase_picture(path: Path, points: Sequence["Point"]) -> None:
    """Colours by what most prompts got, mixed by their shares; numbers are mean qualities."""
    import numpy as np
    from matplotlib.patches import Patch

    loads = sorted({p.load for p in points})
    unevenness = sorted({p.unevenness for p in points})
    image = np.zeros((len(unevenness), len(loads), 3))
    figure, axes = new_picture(8.4, 4.8)
    for point in points:
        row, column = unevenness.index(point.unevenness), loads.index(point.load)
        for name, share in point.shares.items():
            image[row, column] += share * np.array(COLOURS[name])
        axes.text(column, row, f"{100 * point.quality:.0f}", ha="center", va="center", fontsize=7)
    axes.imshow(np.clip(image, 0, 1), origin="lower", aspect="auto")
    axes.grid(visible=False)
    axes.set_xticks(range(len(loads)), [f"{load:g}" for load in loads])
    axes.set_yticks(range(len(unevenness)), [f"{u:g}" for u in unevenness])
    axes.set_xlabel("load: inferences asked for, were it one a prompt, over what devices can do")
    axes.set_ylabel("unevenness of the devices")
    handles = [Patch(color=colour, label=name) for name, colour in COLOURS.items()]
    axes.legend(handles=handles, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=4)
    save(figure, path)


def phase_table(points: Sequence["Point"]) -> "Table":
    """The winners, a row an unevenness."""
    from rich import box
    from rich.table import Table

    loads = sorted({p.load for p in points})
    table = Table(
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        caption="by load and unevenness: what most prompts got, and the mean quality in percent\n"
        "1: one device alone, L: a committee of one layer, LL: of two, x: refused",
    )
    marks = {"one device": "1", "one layer": "L", "two layers": "LL", "refused": "x"}
    table.add_column("", justify="right")
    for load in loads:
        table.add_column(f"{load:g}", justify="right", no_wrap=True)
    for uneven in sorted({p.unevenness for p in points}):
        row = {p.load: p for p in points if p.unevenness == uneven}
        cells = [
            f"{marks[max(row[x].shares, key=row[x].shares.__getitem__)]} {100 * row[x].quality:.0f}"
            for x in loads
        ]
        table.add_row(f"{uneven:g}", *cells)
    return table
