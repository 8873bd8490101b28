"""Which load a network can carry: the paper's Theorem 1 and Remark 1, and generalisations.

Assumptions of all: each device serves first come, first served, whatever the laws of arrivals
and services; proposers are drawn uniformly (for other rules see `selection`). "Stable" means
that no queue grows for ever. Simulation agrees on both sides of load 1 (`dmoa reproduce
theorem`), but no theorem known to us covers FCFS queues with forks, so the sufficient half is
validated, not proved here.
"""

from collections.abc import Sequence

from dmoa.theory.checks import check_not_negative, check_positive, check_shape
from dmoa.theory.network import QueueingNetwork, spread, tasks_per_prompt


def load(alpha: float, rate: float, layers: int, proposers: int) -> float:
    """Load of every device of an equal network: alpha ((k+1) M + 1) lambda (Theorem 1).

    Args:
        alpha: mean service time, seconds.
        rate: lambda, prompts per second per user.
        layers: M.
        proposers: k.

    Returns:
        The share of time that a device is busy if it is below 1. The queues are stable if and
        only if it is below 1 (at exactly 1, periodic arrivals may be stable as well).
    """
    check_positive("alpha", alpha)
    check_not_negative("rate", rate)
    return alpha * tasks_per_prompt(layers, proposers) * rate


def is_stable(alpha: float | Sequence[float], rate: float, layers: int, proposers: int) -> bool:
    """Theorem 1, for equal devices or, with one alpha a device, Remark 1."""
    return rate < rate_limit(alpha, layers, proposers)


def rate_limit(alpha: float | Sequence[float], layers: int, proposers: int) -> float:
    """Largest stable arrival rate, prompts per second per user (Theorem 1 and Remark 1).

    1 / (((k+1) M + 1) max alpha), for users of equal rates: the slowest device decides.
    """
    alphas = spread("alpha", alpha, None)
    for d, value in enumerate(alphas):
        check_positive(f"alpha of device {d}", value)
    if len(alphas) > 1:
        check_shape(len(alphas), layers, proposers)
    return 1.0 / (tasks_per_prompt(layers, proposers) * max(alphas))


def task_rates(network: QueueingNetwork) -> tuple[list[float], list[float], list[float]]:
    """Rates at which tasks come to each device, by kind, when the network is stable.

    A direct generalisation of the sums in the proof of Theorem 1: device i gets the tasks of
    its own user, and those of each user j that may ask it, with probability k / degree(j).

    Returns:
        Three lists of n rates, tasks per second: first, refining and aggregating tasks.
    """
    n, k = network.size, network.proposers
    per_layer = list(network.rates)
    if network.neighbours:
        for owner, others in enumerate(network.neighbours):
            for device in others:
                per_layer[device] += network.rates[owner] * k / len(others)
    elif n > 1:
        total = sum(network.rates)
        for i in range(n):
            per_layer[i] += (total - network.rates[i]) * k / (n - 1)
    if network.layers == 0:
        return [0.0] * n, [0.0] * n, list(network.rates)
    refining = [rate * (network.layers - 1) for rate in per_layer]
    return per_layer, refining, list(network.rates)


def device_loads(network: QueueingNetwork) -> list[float]:
    """Load of each device: task rates times task lengths times alpha, over its slots.

    Reduces to `load` for equal devices. The load of device i is alpha_i [first F_i +
    refining (M-1) F_i + aggregating lambda_i] / slots_i with F_i its tasks of one layer.
    """
    first, refining, aggregating = task_rates(network)
    lengths = network.lengths
    slots = network.slots or (1,) * network.size
    return [
        alpha
        * (first[i] * lengths.first + refining[i] * lengths.refining
           + aggregating[i] * (lengths.aggregating if network.layers else lengths.first))
        / slots[i]
        for i, alpha in enumerate(network.alphas)
    ]  # fmt: skip


def network_load(network: QueueingNetwork) -> float:
    """Load of the busiest device; the network is stable below 1."""
    return max(device_loads(network))


def network_rate_limit(network: QueueingNetwork) -> float:
    """Largest mean rate per user at which the network is stable.

    The users' rates keep their proportions. Infinite if nobody sends prompts.
    """
    busiest = network_load(network)
    mean = sum(network.rates) / network.size
    return mean / busiest if busiest > 0 else float("inf")
