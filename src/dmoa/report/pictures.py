"""How all pictures look, and how they are written."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def new_picture(width: float = 7.0, height: float = 4.2) -> tuple["Figure", Any]:
    """A figure with one pair of axes, in inches; needs no display."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots()
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def save(figure: "Figure", path: Path) -> None:
    """Write a figure; the ending of its name says how."""
    figure.savefig(path, dpi=150)
