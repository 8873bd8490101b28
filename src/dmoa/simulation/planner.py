"""Which M and k a set of devices can afford: the verb `plan` and its grid.

Equal devices are planned by formula. Unequal ones have exact limits too, but their latency and
queue come from a seeded simulation; that is why the planner is here and not with the theory.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from dmoa.errors import DmoaError, UsageError
from dmoa.theory.checks import check_not_negative
from dmoa.theory.growth import growth_per_second
from dmoa.theory.network import QueueingNetwork, spread
from dmoa.theory.selection import rate_limit_selected
from dmoa.theory.stability import network_load, network_rate_limit

FORMULAS, SIMULATION, LIMITS = "formulas", "simulation", "limits only"
_PROMPTS, _REPLICATIONS, _SEED = 20_000, 4, 0


@dataclass(frozen=True)
class Plan:
    """What one (M, k) costs; seconds, and prompts per second per user.

    Attributes:
        layers: M.
        proposers: k.
        stable: whether queues stay bounded.
        load: of the busiest device.
        rate_limit: Theorem 1 with Remark 1.
        rate_limit_selected: the limit when proposers may be chosen among all other devices.
        latency_mean: None when unstable or not asked for.
        latency_p95: likewise.
        queue_mean: tasks that wait at a device; likewise.
        growth_per_second: tasks/s of the fastest-growing queue, 0.0 when stable.
        tasks_per_prompt: C = (k+1) M + 1.
        method: how latency and queue were found.
    """

    layers: int
    proposers: int
    stable: bool
    load: float
    rate_limit: float
    rate_limit_selected: float
    latency_mean: float | None
    latency_p95: float | None
    queue_mean: float | None
    growth_per_second: float
    tasks_per_prompt: int
    method: str

    def to_dict(self) -> dict[str, Any]:
        """Plain types, for JSON."""
        return asdict(self)

    def fits(self, latency: float | None, p95: float | None, queue: float | None) -> bool:
        """Whether it is stable and keeps the bounds that are given."""
        bounds = ((self.latency_mean, latency), (self.latency_p95, p95), (self.queue_mean, queue))
        return self.stable and all(
            bound is None or (value is not None and value <= bound) for value, bound in bounds
        )


def plan(
    *,
    alpha: float | Sequence[float],
    rate: float | Sequence[float],
    layers: int,
    proposers: int,
    devices: int | None = None,
    cv: float = 1.0,
    latencies: bool = True,
) -> Plan:
    """What (M, k) costs on these devices under this load.

    Args:
        alpha: mean service time in seconds; one, or one a device.
        rate: prompts per second per user; one, or one a user.
        layers: M.
        proposers: k.
        devices: their number, when alpha and rate are single values.
        cv: coefficient of variation of the service times: 0 deterministic, 1 exponential,
            others lognormal.
        latencies: whether latency and queue are wanted, which for unequal devices takes
            seconds.

    Raises:
        UsageError: a value makes no sense; names it.
    """
    check_not_negative("cv", cv)
    several = [v for v in (alpha, rate) if not isinstance(v, int | float)]
    if devices is None:
        if not several:
            raise UsageError("devices is missing; give a number, or one alpha a device")
        devices = len(several[0])
    network = QueueingNetwork(
        spread("alpha", alpha, devices), spread("rate", rate, devices), layers, proposers
    )
    load = network_load(network)
    stable = load < 1
    latency = p95 = queue = None
    method = FORMULAS if network.is_equal else LIMITS
    if stable and latencies:
        if network.is_equal:
            from dmoa.theory.latency import predict

            found = predict(devices, network.alphas[0], network.rates[0], layers, proposers, cv)
            latency, p95, queue = found.latency_mean, found.latency_p95, found.queue_mean
        elif sum(network.rates) > 0:
            latency, p95, queue = _simulated(network, cv)
            method = SIMULATION
    uniform = QueueingNetwork(network.alphas, (1.0,) * devices, layers, proposers)
    equal_users = len(set(network.rates)) == 1
    weights = None if equal_users else network.rates
    return Plan(
        layers=layers,
        proposers=proposers,
        stable=stable,
        load=load,
        rate_limit=network_rate_limit(uniform if equal_users else network),
        rate_limit_selected=rate_limit_selected(network.alphas, layers, proposers, weights=weights),
        latency_mean=latency,
        latency_p95=p95,
        queue_mean=queue,
        growth_per_second=growth_per_second(network),
        tasks_per_prompt=network.tasks_per_prompt,
        method=method,
    )


def plan_grid(
    *,
    alpha: float | Sequence[float],
    rate: float | Sequence[float],
    devices: int | None = None,
    cv: float = 1.0,
    max_layers: int = 3,
    max_proposers: int = 4,
    latencies: bool = True,
) -> list[Plan]:
    """Plans of M = 0 and of all M and k up to the given ones that the devices allow."""
    first = plan(
        alpha=alpha, rate=rate, devices=devices, cv=cv, layers=0, proposers=0, latencies=latencies
    )
    size = devices or max(len(v) for v in (alpha, rate) if not isinstance(v, int | float))
    grid = [
        (M, k) for M in range(1, max_layers + 1) for k in range(min(max_proposers, size - 1) + 1)
    ]
    return [first] + [
        plan(
            alpha=alpha,
            rate=rate,
            devices=size,
            cv=cv,
            layers=M,
            proposers=k,
            latencies=latencies,
        )
        for M, k in grid
    ]


def largest(
    plans: Sequence[Plan],
    *,
    latency: float | None = None,
    p95: float | None = None,
    queue: float | None = None,
) -> Plan | None:
    """The plan with the most inferences that keeps the bounds; of equal ones, the most layers."""
    fitting = [p for p in plans if p.fits(latency, p95, queue)]
    return max(fitting, key=lambda p: (p.tasks_per_prompt, p.layers), default=None)


@dataclass(frozen=True)
class MeasuredDevices:
    """What a running network has measured: seconds per inference, prompts/s, one a device."""

    alphas: tuple[float, ...]
    rates: tuple[float, ...]


def measured_devices(status: Mapping[str, Any]) -> MeasuredDevices:
    """The devices that can be planned for, of what a node's `/status` says.

    Devices that have not measured their service time yet, or are gone, are left out; a rate
    that is not measured yet counts as 0.

    Raises:
        DmoaError: no device has measured its service time.
    """
    found: list[tuple[float, float]] = []
    for device in status["devices"]:
        alpha = _measurement(device.get("alpha"))
        if alpha and device.get("alive", True):
            found.append((alpha, _measurement(device.get("lambda")) or 0.0))
    if not found:
        raise DmoaError(
            "the node knows no device that has measured its service time; send it some prompts"
        )
    alphas, rates = zip(*found, strict=True)
    return MeasuredDevices(alphas, rates)


def _measurement(value: object) -> float | None:
    valid = isinstance(value, int | float) and math.isfinite(value) and value >= 0
    return float(value) if valid else None  # type: ignore[arg-type]


def _simulated(
    network: QueueingNetwork, cv: float
) -> tuple[float | None, float | None, float | None]:
    """Latency, its 95th percentile and queue of unequal devices, from a fixed seed."""
    from dmoa.simulation.extra import needed
    from dmoa.simulation.study import simulate

    needed()
    laws: dict[float, dict[str, object]] = {
        0.0: {"law": "deterministic"},
        1.0: {"law": "exponential"},
    }
    outcome = simulate(
        {
            "network": {"alpha": list(network.alphas), "rate": list(network.rates)},
            "protocol": {"layers": network.layers, "proposers": network.proposers},
            "service": laws.get(cv, {"law": "lognormal", "cv": cv}),
            "run": {"prompts": _PROMPTS, "replications": _REPLICATIONS, "seed": _SEED},
        }
    )
    latency = outcome.latency
    if math.isnan(latency.mean):
        return None, None, outcome.queue.mean
    return latency.mean, latency.p95, outcome.queue.mean
