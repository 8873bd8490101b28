"""Error of the latency approximation against simulation, over a grid of networks.

    python -m benchmarks.latency_error [--quick]

Prints a table by group, and one JSON line: mean and worst relative error of the mean latency,
the 95th percentile and the queue, with the largest half width of a simulated interval, which
bounds how much of an error may be the simulation's own.
"""

import argparse
import json
import statistics
from typing import Any

from dmoa.simulation.study import simulate
from dmoa.theory.latency import predict

SIZES = (4, 6, 8, 20, 100)
SHAPES = ((1, 1), (1, 3), (2, 1), (2, 3), (3, 2), (2, 5))
LOADS = (0.3, 0.6, 0.8, 0.9)
VARIATIONS = (0.0, 1.0, 1.5)
SEED = 4


def cells(quick: bool) -> list[dict[str, Any]]:
    """All networks of the grid that are possible."""
    found = [
        {"n": n, "M": M, "k": k, "load": load, "cv": cv}
        for n in SIZES
        for M, k in SHAPES
        for load in LOADS
        for cv in VARIATIONS
        if k <= n - 1
    ]
    return found[::20] if quick else found


def errors(cell: dict[str, Any], prompts: int) -> dict[str, float]:
    """Relative errors of one cell's predictions; and the half width of its simulation."""
    n, M, k, cv = cell["n"], cell["M"], cell["k"], cell["cv"]
    rate = cell["load"] / ((k + 1) * M + 1)
    guess = predict(n, 1.0, rate, M, k, cv)
    laws = {0.0: {"law": "deterministic"}, 1.0: {"law": "exponential"}}
    outcome = simulate(
        {
            "network": {"devices": n, "alpha": 1.0, "rate": rate},
            "protocol": {"layers": M, "proposers": k},
            "service": laws.get(cv, {"law": "lognormal", "cv": cv}),
            "run": {"prompts": prompts, "replications": 6, "seed": SEED},
        }
    )
    latency, queue = outcome.latency, outcome.queue
    return {
        "mean": guess.latency_mean / latency.mean - 1,
        "p95": guess.latency_p95 / latency.p95 - 1,
        "queue": guess.queue_mean / queue.mean - 1,
        "half_width": latency.half_width / latency.mean,
    }


def summary(rows: list[dict[str, Any]]) -> dict[str, float]:
    """Mean and worst absolute errors in percent."""
    found: dict[str, float] = {"cells": len(rows)}
    for name in ("mean", "p95", "queue"):
        values = [100 * abs(row[name]) for row in rows]
        found[f"{name}_mean_error"] = round(statistics.fmean(values), 2)
        found[f"{name}_worst_error"] = round(max(values), 2)
    found["largest_half_width"] = round(100 * max(row["half_width"] for row in rows), 2)
    return found


def main() -> None:
    """Run the grid."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a twentieth of the grid")
    parser.add_argument("--prompts", type=int, default=60_000, help="of each replication")
    arguments = parser.parse_args()
    rows = [{**cell, **errors(cell, arguments.prompts)} for cell in cells(arguments.quick)]
    for name in ("n", "M", "k", "load", "cv"):
        for value in sorted({row[name] for row in rows}):
            part = summary([row for row in rows if row[name] == value])
            print(f"{name:>5} = {value:<5}", *(f"{k} {v}" for k, v in part.items()))
    worst = sorted(rows, key=lambda row: -abs(row["mean"]))[:5]
    print("worst", [{k: round(v, 3) for k, v in row.items()} for row in worst])
    worst = sorted(rows, key=lambda row: -abs(row["p95"]))[:5]
    print("worst p95", [{k: round(v, 3) for k, v in row.items()} for row in worst])
    print(json.dumps({"benchmark": "latency_error", "seed": SEED, **summary(rows)}))


if __name__ == "__main__":
    main()
