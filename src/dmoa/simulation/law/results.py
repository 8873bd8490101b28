"""What a simulated network with plans found, beside the bound of theory."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from dmoa.simulation.events.engine import PlannedReplication
from dmoa.simulation.fcfs.engine import Replication
from dmoa.simulation.scenario import Scenario
from dmoa.simulation.statistics import estimate
from dmoa.simulation.study import SimulationResult
from dmoa.theory.fluid import Plan, fluid_quality
from dmoa.theory.network import QueueingNetwork

_SHOWN_USERS = 100


@dataclass(frozen=True)
class LawResult(SimulationResult):
    """What a simulation with plans found besides.

    Attributes:
        quality: mean over offered prompts; refused ones count 0.
        answered: share of the offered prompts.
        fluid_quality: what no rule can exceed in the long run.
        plans: in the order of the scenario, each with its share of the answered prompts.
        users: quality per offered prompt of each user; empty for more than a hundred.
        loads: share of time that each device is busy; empty for more than a hundred.
    """

    quality: float = math.nan
    answered: float = math.nan
    fluid_quality: float = math.nan
    plans: list[dict[str, Any]] = field(default_factory=list)
    users: list[float | None] = field(default_factory=list)
    loads: list[float] = field(default_factory=list)


def with_law(
    found: SimulationResult,
    scenario: Scenario,
    network: QueueingNetwork,
    replications: Sequence[Replication],
) -> LawResult:
    """Put together what replications with plans measured."""
    measured = [r for r in replications if isinstance(r, PlannedReplication)]
    shares = np.mean([r.plans for r in measured], axis=0)
    users: list[float | None] = []
    loads: list[float] = []
    if network.size <= _SHOWN_USERS:
        totals = np.array([r.users for r in measured])
        users = [
            float(known.mean()) if len(known := row[np.isfinite(row)]) else None for row in totals.T
        ]
        loads = [float(load) for load in np.mean([r.loads for r in measured], axis=0)]
    outcomes = {**found.outcomes, "quality": estimate([r.quality for r in measured])}
    base = {f.name: getattr(found, f.name) for f in fields(SimulationResult)}
    return LawResult(
        **{**base, "outcomes": outcomes},
        quality=outcomes["quality"].mean,
        answered=outcomes["answered"].mean,
        fluid_quality=fluid_quality(
            network.alphas, network.rates, plans_of(scenario), network.slots
        ),
        plans=[
            {**plan.model_dump(exclude_none=True), "share": float(share)}
            for plan, share in zip(scenario.plans, shares, strict=True)
        ],
        users=users,
        loads=loads,
    )


def plans_of(scenario: Scenario) -> list[Plan]:
    """The plans of a scenario, in the terms of the theory."""
    return [Plan(p.quality, p.layers, p.proposers, p.device) for p in scenario.plans]
