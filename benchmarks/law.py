"""The law against the bound of theory and its rivals: quality, latency, longest queue.

    python -m benchmarks.law [--prompts 40000]

Eight devices. Equal ones with the qualities of PocketQA at nine loads, under the law (fresh
news, and news up to 10 service times old; owner-first too), the ladder, the paper's fixed
M = 1, k = 3 and tail-drop; unequal ones that answer alone at six rates; and one user with half of
the load. Prints tables on the way and one JSON line at the end.
"""

import argparse
import json
from typing import Any

from dmoa.simulation.study import simulate
from dmoa.theory.fluid import Plan, fluid_quality

LOADS = (0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 0.8, 1.2, 2.0)
RATES = (0.02, 0.05, 0.1, 0.2, 0.4, 0.8)
QUALITIES = {(2, 3): 0.873, (1, 3): 0.843, (1, 2): 0.772, (1, 1): 0.671, (0, 0): 0.532}
COMMITTEES = [{"layers": M, "proposers": k, "quality": q} for (M, k), q in QUALITIES.items()]
SKILLS = (0.783, 0.783, 0.362, 0.362, 0.362, 0.171, 0.171, 0.171)
ALONE = [{"device": d, "quality": q} for d, q in enumerate(SKILLS)]
EQUAL = [1.0] * 8
UNEQUAL = [3.0, 3.0, 1.0, 1.0, 1.0, 0.3, 0.3, 0.3]
CASES: dict[str, tuple[dict[str, Any], str]] = {
    "law": ({}, "fcfs"),
    "news 10 old": ({"age": 10.0}, "fcfs"),
    "owner-first": ({}, "owner-first"),
    "ladder": ({"kind": "ladder"}, "fcfs"),
    "fixed": ({"kind": "fixed"}, "fcfs"),
    "tail-drop": ({"kind": "tail-drop"}, "fcfs"),
}


# Networks that no constant was chosen on: mean service times, plans, service times.
OTHERS: dict[str, tuple[list[float], Any, dict[str, Any]]] = {
    "4 equal, small gains": ([1.0] * 4, [
        {"layers": 2, "proposers": 2, "quality": 0.74}, {"layers": 1, "proposers": 2,
        "quality": 0.70}, {"layers": 0, "proposers": 0, "quality": 0.62}], {}),
    "20 equal, large gains": ([1.0] * 20, [
        {"layers": 2, "proposers": 5, "quality": 0.95}, {"layers": 1, "proposers": 4,
        "quality": 0.80}, {"layers": 0, "proposers": 0, "quality": 0.30}], {}),
    "12, half twice as slow": ([2.0] * 6 + [1.0] * 6, [
        {"layers": 1, "proposers": 3, "quality": 0.85}, {"layers": 1, "proposers": 1,
        "quality": 0.72}, {"layers": 0, "proposers": 0, "quality": 0.55}], {}),
    "5, one strong": ([2.0] + [1.0] * 4, [
        {"device": d, "quality": q} for d, q in enumerate((0.9, 0.5, 0.4, 0.3, 0.2))], {}),
    "6, strong ones are fast": ([0.5, 0.5, 1.0, 1.0, 2.0, 2.0], [
        {"device": d, "quality": q} for d, q in enumerate((0.8, 0.8, 0.6, 0.6, 0.3, 0.3))], {}),
    "10, alone or together": ([4.0] + [1.0] * 9, [
        {"layers": 1, "proposers": 2, "quality": 0.66},
        *({"device": d, "quality": 0.88 if d == 0 else 0.45} for d in range(10))], {}),
    "8 equal, deterministic": (EQUAL, COMMITTEES, {"law": "deterministic"}),
    "8 unequal, lognormal of cv 2": (UNEQUAL, ALONE, {"law": "lognormal", "cv": 2.0}),
}  # fmt: skip
SHARES = (0.1, 0.25, 0.5, 0.9, 1.5)  # of the load at which one inference a prompt fills all


def measure(
    law: dict[str, Any],
    discipline: str,
    alphas: list[float],
    rates: Any,
    plans: Any,
    prompts: int,
    service: dict[str, Any] | None = None,
    seed: int = 3,
) -> dict[str, Any]:
    """One network; latencies in mean service times."""
    found = simulate(
        {
            "network": {"alpha": alphas, "rate": rates},
            "service": service or {},
            "protocol": {"discipline": discipline},
            "law": law,
            "plans": plans,
            "run": {"prompts": prompts, "replications": 2, "seed": seed},
        }
    ).to_dict()
    p95 = found["latency"]["p95"]
    mean = sum(alphas) / len(alphas)
    return {
        "quality": round(found["quality"], 4),
        "of_bound": round(found["quality"] / found["fluid_quality"], 4),
        "answered": round(found["answered"], 4),
        "p95": None if p95 is None else round(p95 / mean, 2),
        "longest": found["queue"]["max"],
        "users": found["users"],
    }


def shown(name: str, rows: list[dict[str, Any]]) -> None:
    """A line of a table: percent of the bound / p95 / longest queue."""
    cells = [
        f"{100 * r['of_bound']:.1f} / {r['p95'] or float('nan'):.0f} / {r['longest']}" for r in rows
    ]
    print(f"| {name} | {' | '.join(cells)} |", flush=True)


def half_to_one(rate: float, alphas: list[float], plans: Any, prompts: int) -> dict[str, Any]:
    """The worst-off user against an even split: an eighth of each device's time, or demand."""
    rates = [4 * rate] + [4 * rate / 7] * 7
    # An eighth of eight devices, or of each of them.
    split = [
        fluid_quality([8 * a for a in alphas], [r, *[0.0] * 7], [
            Plan(p["quality"], device=p["device"]) for p in plans
        ]) if "device" in plans[0] else fluid_quality([1.0], [r * 1.0], [
            # On one device the whole committee is its own work.
            Plan(p["quality"], (p["proposers"] + 1) * p["layers"]) for p in plans
        ])
        for r in rates
    ]  # fmt: skip
    row: dict[str, Any] = {"rate": rate}
    for name, law in (("fair", {}), ("unfair", {"fair": False})):
        users = measure(law, "fcfs", alphas, rates, plans, prompts)["users"]
        row[name] = round(min(u / s for u, s in zip(users, split, strict=True)), 3)
    return row


def main() -> None:
    """All of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prompts", type=int, default=40_000)
    prompts = parser.parse_args().prompts
    found: dict[str, Any] = {}
    for name, (law, discipline) in CASES.items():
        plans = COMMITTEES
        if name in ("fixed", "tail-drop"):
            plans = [COMMITTEES[1]]
        rows = []
        for load in LOADS:
            row = measure(law, discipline, EQUAL, load, plans, prompts)
            bound = fluid_quality(EQUAL, [load] * 8, [Plan(q, *s) for s, q in QUALITIES.items()])
            rows.append({**row, "load": load, "of_bound": round(row["quality"] / bound, 4)})
        found[name] = rows
        shown(name, rows)
    for name in ("law", "news 10 old", "owner-first"):
        law, discipline = CASES[name]
        rows = [
            {"rate": rate, **measure(law, discipline, UNEQUAL, rate, ALONE, prompts)}
            for rate in RATES
        ]
        found[f"unequal, {name}"] = rows
        shown(f"unequal, {name}", rows)
    for network, (alphas, plans, service) in OTHERS.items():
        whole = sum(1 / a for a in alphas) / len(alphas)
        for name, (law, discipline) in CASES.items():
            taken = plans[:1] if name in ("fixed", "tail-drop") else plans
            if "device" in plans[0] and name in ("ladder", "fixed", "tail-drop"):
                continue  # M and k are what these choose, or have
            rows = []
            for share in SHARES:
                rate = share * whole
                row = measure(law, discipline, alphas, rate, taken, prompts // 2, service, seed=11)
                options = [
                    Plan(p["quality"], p.get("layers", 0), p.get("proposers", 0), p.get("device"))
                    for p in plans
                ]
                bound = fluid_quality(alphas, [rate] * len(alphas), options)
                rows.append({**row, "load": share, "of_bound": round(row["quality"] / bound, 4)})
            found[f"{network}, {name}"] = rows
            shown(f"{network}, {name}", rows)
    for kind, alphas, plans, rates in (
        ("equal", EQUAL, COMMITTEES, LOADS), ("unequal", UNEQUAL, ALONE, RATES),
    ):  # fmt: skip
        split = [half_to_one(rate, alphas, plans, prompts) for rate in rates]
        found[f"one user with half, {kind}"] = split
        print(kind, split, flush=True)
    for rows in found.values():
        for row in rows:
            row.pop("users", None)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
