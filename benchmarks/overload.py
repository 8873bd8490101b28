"""Goodput, latency and refusals above the limit: tail-drop, cancellation, the ladder, the law.

    python -m benchmarks.overload

n = 8, alpha = 1 s, M = 2, k = 3 wanted; goodput is service seconds of answered prompts over what
the devices had, quality that of PocketQA. Unequal users: one asks for half of everything. Unequal
devices: alpha 0.5 to 2 at the same total speed.
"""

import json
from typing import Any

from benchmarks.law import COMMITTEES
from dmoa.simulation.study import simulate

SEED = 6
TARGET = 25.0
DEVICES = 8


def run(offered: float, law: dict[str, Any], **changes: dict[str, Any]) -> dict[str, float]:
    """One scenario at so many times the limit of Theorem 1."""
    one = law.get("kind") in ("fixed", "tail-drop")
    outcome = simulate(
        {
            "network": {
                "devices": DEVICES,
                "alpha": 1.0,
                "rate": offered / 9,
                **changes["network"],
            },
            "protocol": {"discipline": "fcfs", **changes["protocol"]},
            "queue": changes["queue"],
            "law": law,
            "plans": COMMITTEES[:1] if one else COMMITTEES,
            "run": {"prompts": 30_000, "replications": 3, "seed": SEED},
        }
    )
    found = {
        "goodput": outcome.outcomes["goodput"].mean,
        "answered": outcome.outcomes["answered"].mean,
        "quality": outcome.outcomes["quality"].mean,
        "p95": outcome.latency.p95,
        "longest": outcome.queue.max,
    }
    return {name: round(value, 4) for name, value in found.items()}


def main() -> None:
    """Print each scenario, and one JSON line."""
    drop = {"kind": "tail-drop", "bound": 20}
    laws: dict[str, dict[str, Any]] = {"ladder": {"kind": "ladder", "target": TARGET}, "law": {}}
    found: dict[str, Any] = {"benchmark": "overload", "seed": SEED, "target": TARGET}
    none: dict[str, dict[str, Any]] = {"network": {}, "protocol": {}, "queue": {}}
    for offered in (1.5, 3.0):
        one_busy = [offered / 9 * DEVICES / 2] + [offered / 9 * DEVICES / 14] * 7
        mixed = [0.5, 0.75, 1.0, 1.0, 1.0, 1.25, 1.5, 2.0]
        cases = {
            "tail_drop": (drop, none),
            "tail_drop_cancel": (drop, {**none, "queue": {"cancel": True}}),
        }
        for name, law in laws.items():
            cases |= {
                name: (law, none),
                f"{name}_owner_first": (law, {**none, "protocol": {"discipline": "owner-first"}}),
                f"{name}_unequal_users": (law, {**none, "network": {"rate": one_busy}}),
                f"{name}_unequal_devices": (law, {**none, "network": {"alpha": mixed}}),
            }
        for name, (law, changes) in cases.items():
            found[f"{name}_{offered:g}"] = run(offered, law, **changes)
            print(f"{name} at {offered:g}", found[f"{name}_{offered:g}"], flush=True)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
