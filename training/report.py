"""The published table: from the saved bits of all seeds, with intervals.

    python -m training.report training/runs/seed* > table.md

Accuracies are means over the four owners. Intervals are 95 % bootstrap intervals over the
questions, the same for all owners and seeds, so that every comparison is paired; the spread
is over training seeds.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from training.evaluate import Bits, load

RESAMPLES = 2000


class Runs:
    """The outcomes of several training seeds on the same questions."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self.names = [f.name for f in folders]
        self._bits: list[Bits] = [load(str(f / "outcomes.npz")) for f in folders]
        n = next(iter(self._bits[0].values())).shape[1]
        self.questions = n
        rng = np.random.default_rng(0)
        self._draws = rng.integers(0, n, (RESAMPLES, n))

    def row(self, name: str, seed: int) -> NDArray[np.float64]:
        """Per question, the share of owners that were right."""
        bits = self._bits[seed]
        if name.startswith("best "):
            return self._best(bits, name.removeprefix("best "))
        same_net = name.replace("diverse", "same") if name.endswith("k=0") else name
        row = bits[name] if name in bits else bits[same_net.replace("diverse", "same")]
        share: NDArray[np.float64] = row.mean(0)
        return share

    @staticmethod
    def _best(bits: Bits, name: str) -> NDArray[np.float64]:
        """The owner that did best on these very questions: an optimistic baseline."""
        best: NDArray[np.float64] = bits[name][int(bits[name].mean(1).argmax())].astype(float)
        return best

    def shown(self, name: str, minus: str | None = None) -> str:
        """Mean over seeds, its interval over questions, and each seed's figure."""
        rows = [self.row(name, s) for s in range(len(self.names))]
        if minus:
            rows = [r - self.row(minus, s) for s, r in enumerate(rows)]
        mean = np.mean(rows, axis=0)
        low, high = np.quantile(mean[self._draws].mean(1), (0.025, 0.975))
        sign = "+" if minus else ""
        seeds = ", ".join(f"{100 * r.mean():{sign}.1f}" for r in rows)
        return (
            f"{100 * mean.mean():{sign}.1f} [{100 * low:{sign}.1f}, {100 * high:{sign}.1f}]"
            f" ({seeds})"
        )

    def worst(self, name: str, minus: str) -> float:
        """The lowest lower end of the paired intervals of single seeds."""
        ends = []
        for s in range(len(self.names)):
            difference = self.row(name, s) - self.row(minus, s)
            ends.append(np.quantile(difference[self._draws].mean(1), 0.025))
        return float(100 * min(ends))


def table(runs: Runs) -> list[str]:
    """All the tables, as Markdown."""
    lines = [
        f"{runs.questions} questions, {len(runs.names)} training seeds: mean"
        " [95 % interval] (each seed).",
        "",
        "| | accuracy % |",
        "|---|---|",
    ]
    singles = (
        ("own LLM alone, T=0.7", "alone T=0.7"),
        ("own LLM alone, greedy", "alone T=0.0"),
        ("best single member, T=0.7", "best alone T=0.7"),
        ("best single member, greedy", "best alone T=0.0"),
        ("Self-MoA: best member on all devices, M=1 k=3", "best same M=1 k=3 T=0.7"),
    )
    lines += [f"| {title} | {runs.shown(name)} |" for title, name in singles]
    for hidden, final, title in (
        ("", 0.7, "T=0.7 throughout"),
        ("", 0.0, "the last answer greedy"),
        ("hidden ", 0.7, "confidence hidden, T=0.7"),
    ):
        lines += ["", f"**{title}**", "", "| | k=0 | k=1 | k=2 | k=3 |", "|---|---|---|---|---|"]
        for net in ("same", "diverse"):
            for layers in (1, 2):
                cells = [runs.shown(f"{hidden}{net} M={layers} k={k} T={final}") for k in range(4)]
                lines.append(f"| {net}, M={layers} | {' | '.join(cells)} |")
    lines += ["", "**Rules on the same drafts (M=1)**", ""]
    lines += ["| | k=1 | k=2 | k=3 |", "|---|---|---|---|"]
    for net in ("same", "diverse"):
        for name in ("plurality", "sure plurality", "some right"):
            cells = [runs.shown(f"{name} {net} k={k}") for k in (1, 2, 3)]
            lines.append(f"| {net}: {name} | {' | '.join(cells)} |")
    best = "diverse M=1 k=3 T=0.7"
    lines += ["", "**Paired differences**", "", "| | difference | lowest end of a seed |"]
    lines += ["|---|---|---|"]
    for title, name, minus in (
        ("diverse M=1 k=3 − own LLM", best, "alone T=0.7"),
        ("diverse M=1 k=3 − best single member", best, "best alone T=0.7"),
        ("diverse M=1 k=3 − best single member, greedy", best, "best alone T=0.0"),
        ("diverse M=1 k=3 − Self-MoA of the best member", best, "best same M=1 k=3 T=0.7"),
        ("diverse M=1 k=3 − plurality", best, "plurality diverse k=3"),
        ("diverse M=1 k=3 − plurality of the sure", best, "sure plurality diverse k=3"),
        ("diverse M=1 k=2 − k=1", "diverse M=1 k=2 T=0.7", "diverse M=1 k=1 T=0.7"),
        ("diverse M=1 k=3 − k=2", best, "diverse M=1 k=2 T=0.7"),
        ("diverse k=3: M=2 − M=1", "diverse M=2 k=3 T=0.7", best),
        ("same M=1 k=3 − own LLM", "same M=1 k=3 T=0.7", "alone T=0.7"),
        ("same M=1 k=3 − own LLM, greedy", "same M=1 k=3 T=0.7", "alone T=0.0"),
        (
            "hidden: diverse M=1 k=3 − plurality",
            "hidden diverse M=1 k=3 T=0.7",
            "plurality diverse k=3",
        ),
        (
            "hidden: diverse M=2 k=3 − plurality",
            "hidden diverse M=2 k=3 T=0.7",
            "plurality diverse k=3",
        ),
    ):
        lines.append(f"| {title} | {runs.shown(name, minus)} | {runs.worst(name, minus):+.1f} |")
    return lines


def main() -> None:
    """Print the tables."""
    print("\n".join(table(Runs([Path(p) for p in sys.argv[1:]]))))


if __name__ == "__main__":
    main()
