"""The law: how many inferences a prompt is worth now, from what work costs at each device.

Work has a price that rises with backlog. A plan is worth its quality, times the user's patience,
less the price of the work that it puts on devices. The plan with the largest worth is taken; a
prompt is refused when no plan is worth more than nothing. No queue then grows beyond a bound
that does not depend on the load, and the quality is close to the best that any rule can reach:
docs/theory.md has the theorems and what is only measured.

Pure functions of numbers, lists or arrays: plain Python on a device, compiled in the simulator.
Backlogs are in service times: seconds of work over the mean service time of the network.

    prices = [price(own, V), price(seen_backlog(theirs, mean, age, in_flight), V)]
    chosen = choose_plan([0.53, 0.84], [0, 1, 3], [0, 0, 1], [1.0, 2.0, 3.0], prices, V)
"""

import math
from collections.abc import Sequence

from dmoa.policies.proposers import Row

PATIENCE = 60.0  # V: what a surely right answer may cost, in work times price
LEAST_PATIENCE, MOST_PATIENCE = 1.0, 1000.0  # of what a user may ask for
REACH = 0.40  # backlog at which a unit of work costs a right answer, as a share of V
STEEPNESS = 2.5  # how much later than in proportion the price rises; 0 would be in proportion
MEMORY = 6.0  # service times after which what a peer said is worth 1/e
AVOIDANCE = 6.0  # service times that a task of one's own there counts for, if news are old
CAUTION = 0.35  # of an old mean backlog is left out: plans are chosen where it is least
OLD_SPARE = 3  # others looked at beyond those wanted, if news are old
FAIR_SHARE = 0.8  # of an even share of all devices' time, beyond which patience shrinks
USE_MEMORY = 100.0  # service times over which a user's use is averaged
SPREAD = 8.0  # how far from the median a mean service time is believed


_FARTHEST = 200.0  # reaches; a price beyond could not be told from infinite


def price(backlog: float, patience: float) -> float:
    """What a service time of work costs at a device, in the same units as patience.

    Nothing on an idle device, all of the patience at a backlog of `REACH` times the patience,
    exponential in between: cheap where queueing is nearly free, dear before a queue is long.

    Args:
        backlog: seconds queued, in service or promised there, over the mean service time;
            NaN or negative for a device that says nothing usable: its price is infinite.
        patience: V, more than 0.
    """
    if not backlog >= 0.0:
        return math.inf
    share = min(backlog / (REACH * patience), _FARTHEST)
    return patience * math.expm1(STEEPNESS * share) / math.expm1(STEEPNESS)


def backlog_at(wanted: float, patience: float) -> float:
    """The backlog at which work has a price: the inverse of `price`, service times."""
    return REACH * patience / STEEPNESS * math.log1p(wanted / patience * math.expm1(STEEPNESS))


def seen_backlog(published: float, mean: float, age: float, in_flight: float) -> float:
    """What to believe of a peer's backlog, given what it said some time ago.

    Old news are worth less: the estimate goes from what was said towards the mean, and from
    there to the devices to which one has not sent anything oneself. All in service times.

    Args:
        published: what the peer said; NaN or negative if nothing usable.
        mean: of what peers said, those of no use left out.
        age: since it was said.
        in_flight: tasks of one's own that the peer has not answered.
    """
    if not published >= 0.0:
        return math.nan
    fresh = math.exp(-age / MEMORY)
    expected = mean + (min(published, 1e6) - mean) * fresh
    return expected * (1.0 - CAUTION * (1.0 - fresh)) + AVOIDANCE * in_flight * (1.0 - fresh)


def looked_at(sample: int, k: int, age: float) -> int:
    """How many others to look at for k proposers, of a sample drawn uniformly.

    All of it while news are fresh. When they are old, the best of many is the one whose news
    are most wrong, and everybody sends there; the best of few is not.

    Args:
        sample: the most to look at.
        k: proposers wanted.
        age: of the oldest news, service times.
    """
    few = min(k + OLD_SPARE, sample)
    return few + int((sample - few) * math.exp(-age / MEMORY))


def fair_patience(patience: float, used: float, share: float) -> float:
    """The patience of a user who takes so much of the network.

    Args:
        patience: V of the network.
        used: seconds of service that the user's prompts took lately, per second.
        share: what an even split would give: all slots over all users.
    """
    if used <= FAIR_SHARE * share:
        return patience
    return patience * FAIR_SHARE * share / used


def choose_plan(
    qualities: Row[float],
    first: Row[int],
    places: Row[int],
    seconds: Row[float],
    prices: Row[float],
    patience: float,
) -> int:
    """The plan with the largest worth, or -1: refuse.

    Plan p puts `seconds[i]` of work on the device with `prices[places[i]]`, for i from
    `first[p]` to before `first[p + 1]`. O(length of places). The earlier of equals is taken.

    Args:
        qualities: expected quality of each plan's answer, 0 to 1, shape (plans,).
        first: where each plan's entries begin, shape (plans + 1,).
        places: of the prices, shape (entries,).
        seconds: of work, over the mean service time of the network, shape (entries,).
        prices: from `price`, shape (any,).
        patience: V, as `fair_patience` left it.
    """
    best, chosen = 0.0, -1
    for plan in range(len(qualities)):
        worth = patience * qualities[plan]
        for entry in range(first[plan], first[plan + 1]):
            worth -= seconds[entry] * prices[places[entry]]
        if worth > best:
            best, chosen = worth, plan
    return chosen


def largest_backlog(quality: float, seconds: float, patience: float) -> float:
    """Beyond this backlog no plan of that quality puts so much work on a device, service times.

    With the work of one prompt it is the bound of every queue.

    Args:
        quality: the best of all plans.
        seconds: the least work that a plan puts on a device it uses, over the mean service time.
        patience: V.
    """
    return backlog_at(patience * quality / seconds, patience)


def retry_after(
    qualities: Row[float],
    first: Row[int],
    places: Row[int],
    seconds: Row[float],
    backlogs: Sequence[float],
    patience: float,
) -> float:
    """Service times until some plan is worth its price, if nothing more comes meanwhile.

    Arguments as of `choose_plan`, with backlogs for prices. Infinite when no plan is worth
    anything on idle devices.
    """
    ceiling = _FARTHEST * REACH * patience
    prices = [0.0] * len(backlogs)

    def is_worth_it(wait: float) -> bool:
        for place, backlog in enumerate(backlogs):
            left = max(min(backlog, ceiling) - wait, 0.0) if backlog >= 0.0 else backlog
            prices[place] = price(left, patience)
        return choose_plan(qualities, first, places, seconds, prices, patience) >= 0

    if is_worth_it(0.0):
        return 0.0
    if not is_worth_it(ceiling):
        return math.inf
    low, high = 0.0, ceiling
    for _ in range(50):
        middle = 0.5 * (low + high)
        if is_worth_it(middle):
            high = middle
        else:
            low = middle
    return high


def mean_service(alphas: Sequence[float]) -> float:
    """The mean service time of a network, seconds, of what its devices say.

    None is believed to be further than a factor from the median, so that one that says
    something absurd moves the mean no more than one that is slow; unusable ones are left out.

    Raises:
        ValueError: nobody says anything usable.
    """
    said = sorted(alpha for alpha in alphas if 0.0 < alpha < math.inf)
    if not said:
        raise ValueError(f"no mean service time is a positive number: {list(alphas)!r:.80}")
    median = said[len(said) // 2]
    return sum(min(max(alpha, median / SPREAD), median * SPREAD) for alpha in said) / len(said)
