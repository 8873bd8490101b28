"""The baseline `ladder`: M and k by pressure, and prompts refused at the door.

What the law replaced, kept to compare with. Refusing single tasks wastes the finished ones; here
a prompt is refused, or made cheaper, before any work is done for it. G is the mean over devices of
the work that admitted prompts still need, as gossip last told it. Pure functions.
"""

from dmoa.policies.proposers import Row

STEP_UP_SHARE = 0.8  # of a rung's threshold, below which the pressure must stay
STEP_UP_SERVICES = 10.0  # mean service times for which it must stay there
LADDER_START = 0.5  # share of theta at which the first step down is taken
OWN_QUEUE_SHARE = 2.0
FAIR_WORK_SHARE = 0.5
FAIR_PRESSURE = 1.5


def work_limit(target: float, layers: int, proposers: int) -> float:
    """Theta: the mean work per device, in seconds, at which latency reaches the target.

    T (C - (k+1) M / 2) / C: on average half of a prompt's layers are still to be done.
    """
    C = (proposers + 1) * layers + 1
    return target * (C - (proposers + 1) * layers / 2) / C


def admits(
    mean_work: float, own_work: float, own_queue: float, limit: float, target: float, layers: int
) -> bool:
    """Whether to take another prompt of the own user.

    Args:
        mean_work: G, seconds of work still to do per device, as gossip last told it.
        own_work: the same of the own user's prompts, exactly.
        own_queue: seconds of work in the own queue.
        limit: theta of `work_limit`.
        target: wanted latency, seconds.
        layers: M.
    """
    if own_queue > OWN_QUEUE_SHARE * target / (layers + 1):
        return False
    if mean_work <= limit:
        return True
    # A user with little in the network is not refused for the load that others make.
    return own_work <= FAIR_WORK_SHARE * mean_work and mean_work <= FAIR_PRESSURE * limit


def thresholds(rungs: int) -> list[float]:
    """Pressures G / theta at which a device leaves each rung downwards: 0.5 ... 1, equal steps."""
    if rungs < 2:
        return [1.0]
    return [LADDER_START + (1.0 - LADDER_START) * rung / (rungs - 1) for rung in range(rungs)]


def next_rung(
    rung: int,
    limits: Row[float],
    pressure: float,
    calm_since: float,
    now: float,
    alpha: float,
) -> tuple[int, float]:
    """Which rung to stand on now.

    Args:
        rung: where the device stands; 0 is the wanted (M, k).
        limits: of each rung, from `thresholds`.
        pressure: G / theta.
        calm_since: since when the pressure has been low enough to step up, seconds; negative
            if it is not.
        now: seconds.
        alpha: mean service time, seconds.

    Returns:
        The rung, and the new `calm_since`.
    """
    while rung < len(limits) - 1 and pressure > limits[rung]:
        rung += 1
        calm_since = -1.0
    if rung == 0 or pressure >= STEP_UP_SHARE * limits[rung - 1]:
        return rung, -1.0
    if calm_since < 0:
        return rung, now
    if now - calm_since >= STEP_UP_SERVICES * alpha:
        return rung - 1, now
    return rung, calm_since
