"""Goodput, latency and refusals above the limit: tail-drop, cancellation, admission at the door.

    python -m benchmarks.overload

n = 8, M = 2, k = 3, alpha = 1 s, T_target = 25 s; goodput is service seconds of answered
prompts over what the devices had. Unequal users: one asks for half of everything. Unequal
devices: alpha 0.5 to 2 at the same total speed.
"""

import json
from typing import Any

from dmoa.simulation.study import simulate

SEED = 6
TARGET = 25.0
DEVICES = 8


def run(offered: float, **changes: dict[str, Any]) -> dict[str, float]:
    """One scenario at so many times the limit of Theorem 1."""
    tables: dict[str, dict[str, Any]] = {
        "network": {"devices": DEVICES, "alpha": 1.0, "rate": offered / 9},
        "protocol": {"layers": 2, "proposers": 3},
        "run": {"prompts": 30_000, "replications": 6, "seed": SEED},
    }
    for name, values in changes.items():
        tables[name] = {**tables.get(name, {}), **values}
    outcome = simulate(tables)
    goodput, answered = outcome.outcomes["goodput"], outcome.outcomes["answered"]
    found = {
        "goodput": goodput.mean,
        "goodput_half_width": goodput.half_width,
        "answered": answered.mean,
        "p95": outcome.latency.p95,
        "longest": outcome.queue.max,
    }
    if "mean_rung" in outcome.outcomes:
        found["mean_rung"] = outcome.outcomes["mean_rung"].mean
    return {name: round(value, 4) for name, value in found.items()}


def main() -> None:
    """Print each scenario, and one JSON line."""
    door = {"target": TARGET}
    ladder = {"target": TARGET, "ladder": True}
    found: dict[str, Any] = {"benchmark": "overload", "seed": SEED, "target": TARGET}
    for offered in (1.5, 3.0):
        one_busy = [offered / 9 * DEVICES / 2] + [offered / 9 * DEVICES / 14] * 7
        mixed = [0.5, 0.75, 1.0, 1.0, 1.0, 1.25, 1.5, 2.0]
        cases: dict[str, dict[str, dict[str, Any]]] = {
            "tail_drop": {"queue": {"bound": 20}},
            "tail_drop_cancel": {"queue": {"bound": 20, "cancel": True}},
            "door": {"admission": door},
            "ladder": {"admission": ladder},
            "door_backlog": {"admission": door, "protocol": {"policy": "backlog"}},
            "ladder_backlog": {"admission": ladder, "protocol": {"policy": "backlog"}},
            "door_owner_first": {"admission": door, "protocol": {"discipline": "owner-first"}},
            "door_unequal_users": {"admission": door, "network": {"rate": one_busy}},
            "ladder_unequal_users": {"admission": ladder, "network": {"rate": one_busy}},
            "door_unequal_devices": {"admission": door, "network": {"alpha": mixed}},
            "ladder_unequal_devices": {"admission": ladder, "network": {"alpha": mixed}},
            "door_unequal_devices_backlog": {
                "admission": door,
                "network": {"alpha": mixed},
                "protocol": {"policy": "backlog"},
            },
        }
        for name, changes in cases.items():
            found[f"{name}_{offered:g}"] = run(offered, **changes)
            print(f"{name} at {offered:g}", found[f"{name}_{offered:g}"], flush=True)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
