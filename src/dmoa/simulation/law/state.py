"""What the compiled network with plans knows, and what it finds."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dmoa.simulation.compiled import compiled

PRICE, LADDER, FIXED, TAIL_DROP = range(4)
# what becomes of a prompt
OPEN, ANSWERED, REFUSED, FAILED = range(4)
# columns of a waiting task
PROMPT, FOLLOWING = range(2)
# columns of an event, the end of a service
DEVICE, OF_PROMPT = range(2)
# places in `counts`
EVENTS, FREE_TASK, FREE_TASKS, NEXT_PROMPT, UNMEASURED, QUEUED, SERVED, GUESTS, GOSSIP = range(9)
# places in `totals`
WAITED, BUSY, LONGEST, TASKS = range(4)
# places in `clock`
NOW, PRESSURE = range(2)


class Setting(NamedTuple):
    """What does not change.

    Attributes:
        alphas: mean service times, seconds, shape (n,).
        slots: of each device, shape (n,).
        kind: one of PRICE, LADDER, FIXED, TAIL_DROP.
        owner_first: the owner's tasks before guests', guests in turn.
        patience: V, service times.
        age: seconds between two publications.
        sample: other devices that are looked at.
        fair: whether patience shrinks with use.
        share: slots over users.
        mean: service time, seconds.
        bound: of tail-drop, tasks.
        layers, proposers: of each plan, shape (plans,).
        devices: that answer alone, -1 for committees, shape (plans,).
        qualities: shape (plans,).
        first: see `policies.law.choose_plan`, shape (plans + 1,).
        places: 0 for the owner, 1 to k for proposers, k + 1 + d for device d.
        times: inferences of each entry, shape (entries,).
        limit: theta of the ladder, seconds.
        target: its wanted latency, seconds.
        thresholds: of its rungs, shape (plans,).
        law, parameter, samples: of the service times.
    """

    alphas: NDArray[np.float64]
    slots: NDArray[np.int64]
    kind: int
    owner_first: bool
    patience: float
    age: float
    sample: int
    fair: bool
    share: float
    mean: float
    bound: int
    layers: NDArray[np.int64]
    proposers: NDArray[np.int64]
    devices: NDArray[np.int64]
    qualities: NDArray[np.float64]
    first: NDArray[np.int64]
    places: NDArray[np.int64]
    times: NDArray[np.float64]
    limit: float
    target: float
    thresholds: NDArray[np.float64]
    law: int
    parameter: float
    samples: NDArray[np.float64]


class Live(NamedTuple):
    """The network as it is now.

    Attributes:
        tasks: waiting ones, in linked lists, shape (rows, 2).
        heads, tails: first and last waiting task of each device, -1 for none, shape (n,).
        waiting, serving: tasks of each device, shape (n,).
        current: prompt of the task that each device began last, shape (n,).
        promised: own tasks of later layers of the prompts of each owner, shape (n,).
        published: waiting, served and promised as last said, shape (n,).
        said: number of the publication, shape (n,).
        phases: when each device publishes, a share of the age, shape (n,).
        recent: origins as each device last served them, the longest ago first, (n, r or 0).
        used: seconds of service that each user's prompts took, fading, shape (n,).
        used_at: when that was, seconds, shape (n,).
        open_tasks: of each owner's prompts, still to do, shape (n,).
        layer, left: current layer of each prompt and its tasks not done, shape (prompts,).
        times: of ends of services, a heap, shape (slots of all,).
        events: device and prompt of each, shape (slots of all, 2).
        counts, clock: see the constants.
        rung, calm: of each owner on the ladder, shape (n,).
        candidates: distances to other devices, scratch, shape (n - 1,).
        costs, uniforms: scratch, shape (sample,).
        prices: scratch, shape (1 + k + n or 0,).
        seconds: scratch, shape (entries,).
    """

    tasks: NDArray[np.int32]
    heads: NDArray[np.int32]
    tails: NDArray[np.int32]
    waiting: NDArray[np.int32]
    serving: NDArray[np.int32]
    current: NDArray[np.int32]
    promised: NDArray[np.int32]
    published: NDArray[np.int32]
    said: NDArray[np.int64]
    phases: NDArray[np.float64]
    recent: NDArray[np.int32]
    used: NDArray[np.float64]
    used_at: NDArray[np.float64]
    open_tasks: NDArray[np.int64]
    layer: NDArray[np.int8]
    left: NDArray[np.int16]
    times: NDArray[np.float64]
    events: NDArray[np.int32]
    counts: NDArray[np.int64]
    clock: NDArray[np.float64]
    rung: NDArray[np.int64]
    calm: NDArray[np.float64]
    candidates: NDArray[np.int32]
    costs: NDArray[np.float64]
    uniforms: NDArray[np.float64]
    prices: NDArray[np.float64]
    seconds: NDArray[np.float64]


class Results(NamedTuple):
    """What is found.

    Attributes:
        latencies: seconds, NaN without an answer, shape (prompts,).
        fates: see the constants, shape (prompts,).
        plans: taken, -1 for none, shape (prompts,).
        totals: see the constants, shape (4,).
        queues: waiting tasks of each device at two marks, shape (2, n).
    """

    latencies: NDArray[np.float64]
    fates: NDArray[np.int8]
    plans: NDArray[np.int16]
    totals: NDArray[np.float64]
    queues: NDArray[np.int64]


@compiled()
def add_event(live, time, device, prompt):
    """Put the end of a service into the heap; there is room for one a slot."""
    times, events = live.times, live.events
    hole = live.counts[EVENTS]
    live.counts[EVENTS] += 1
    while hole > 0:
        parent = (hole - 1) >> 1
        if times[parent] <= time:
            break
        times[hole] = times[parent]
        events[hole, 0], events[hole, 1] = events[parent, 0], events[parent, 1]
        hole = parent
    times[hole] = time
    events[hole, DEVICE], events[hole, OF_PROMPT] = device, prompt


@compiled()
def remove_first_event(live):
    """Take the first event out of the heap."""
    times, events = live.times, live.events
    size = live.counts[EVENTS] - 1
    live.counts[EVENTS] = size
    time = times[size]
    hole, child = 0, 1
    while child < size:
        if child + 1 < size and times[child + 1] < times[child]:
            child += 1
        if times[child] >= time:
            break
        times[hole] = times[child]
        events[hole, 0], events[hole, 1] = events[child, 0], events[child, 1]
        hole = child
        child = 2 * hole + 1
    times[hole] = time
    events[hole, 0], events[hole, 1] = events[size, 0], events[size, 1]
