"""Which plan wins: a sweep of load against how uneven the devices are.

Eight equally fast devices. At unevenness 0 all know as much, but different things: the figures
of PocketQA, where a committee is right far more often than its members. At unevenness 1 the best
is far ahead: the figures measured on three real LLMs of 1.5 B, 0.5 B and 135 M weights, where a
committee is worse than its best member. In between, qualities are interpolated: the ends are
measured, the middle is an assumption.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dmoa.simulation.fcfs.engine import Progress
from dmoa.simulation.study import simulate

DEVICES = 8
LOADS = (0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.65, 0.8, 1.0, 1.25, 1.6, 2.0)
UNEVENNESS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
EVEN = {(2, 3): 0.873, (1, 3): 0.843, (1, 2): 0.772, (1, 1): 0.671, (0, 0): 0.532}
# Alone, best to worst, and the committee of M = 1, k = 2: the mean over its owners.
SKILLS = (0.783, 0.783, 0.362, 0.362, 0.362, 0.171, 0.171, 0.171)
COMMITTEE = 0.43


@dataclass(frozen=True)
class Point:
    """One simulated network.

    Attributes:
        load: inferences of one a prompt, over what the devices can do.
        unevenness: 0 to 1.
        quality, fluid_quality: as of `LawResult`.
        shares: of the offered prompts: one device alone, own or another's; a committee of one
            layer; of two layers; refused.
    """

    load: float
    unevenness: float
    quality: float
    fluid_quality: float
    shares: dict[str, float]


def plans(unevenness: float) -> list[dict[str, Any]]:
    """The plans of a network, interpolated between what was measured at both ends."""

    def between(even: float, uneven: float) -> float:
        return (1 - unevenness) * even + unevenness * uneven

    committees = [
        {"layers": M, "proposers": k, "quality": between(quality, COMMITTEE)}
        for (M, k), quality in EVEN.items()
        if M
    ]
    alone = [
        {"device": device, "quality": between(EVEN[0, 0], skill)}
        for device, skill in enumerate(SKILLS)
    ]
    return committees + alone


def sweep_phases(
    loads: Sequence[float] = LOADS,
    unevenness: Sequence[float] = UNEVENNESS,
    prompts: int = 10_000,
    seed: int = 0,
    progress: Progress | None = None,
) -> list[Point]:
    """Simulate the law at every load and unevenness."""
    grid = list(itertools.product(loads, unevenness))
    found = []
    for place, (load, uneven) in enumerate(grid):
        result = simulate(
            {
                "network": {"devices": DEVICES, "alpha": 1.0, "rate": load},
                "law": {},
                "plans": plans(uneven),
                "run": {"prompts": prompts, "replications": 1, "seed": seed},
            }
        ).to_dict()
        names = {0: "one device", 1: "one layer", 2: "two layers"}
        shares = dict.fromkeys([*names.values()], 0.0)
        for plan in result["plans"]:
            shares[names[plan["layers"]]] += plan["share"] * result["answered"]
        shares["refused"] = 1 - result["answered"]
        found.append(Point(load, uneven, result["quality"], result["fluid_quality"], shares))
        if progress:
            progress((place + 1) / len(grid))
    return found
