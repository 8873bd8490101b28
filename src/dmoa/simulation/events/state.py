"""What the detailed kernel works on: rules, the network as it is now, results, coming events."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dmoa.simulation.compiled import compiled

# what becomes of a prompt
OPEN, ANSWERED, REFUSED, FAILED, LOST = range(5)
# kinds of events
TASK_END, DEVICE_FAILS, DEVICE_RETURNS, GOSSIP = range(4)
# states of a task; one that is over is kept until its layer ends, since its device was asked
FREE, WAITING, SERVING, OVER = range(4)
# how a slice of a run ends
DONE, FULL, PAUSED = range(3)
# columns of a task
PROMPT, LAYER, DEVICE, STATE, NEXT, BEFORE, SIBLING, VERSION = range(8)
# places in `counts`
FREE_TASK, FREE_TASKS, EVENTS, SERIAL, QUEUED, SERVED, NEXT_PROMPT, UNMEASURED = range(8)
# places in `totals`
WAITED, BUSY, LONGEST, TASKS = range(4)


class Rules(NamedTuple):
    """What a plain scenario does not have; off where said.

    Attributes:
        owner_first: the owner's tasks before guests', guests in turn.
        quorum: responses that end a layer; 0 for all.
        bound: tasks that may wait at a device, 0 for any number; one more fails its prompt.
        cancel: whether tasks that nobody needs any more leave queues and slots at once.
        mean_up: seconds, 0 for no failures.
        mean_down: seconds.
        target: wanted latency of admission at the door, seconds; 0 for none.
        limit: theta, seconds.
        age: seconds between two rounds of gossip.
        rungs: the ladder's (M, k), shape (rungs, 2); one row without a ladder.
        thresholds: at which its rungs are left, shape (rungs,).
    """

    owner_first: bool
    quorum: int
    bound: int
    cancel: bool
    mean_up: float
    mean_down: float
    target: float
    limit: float
    age: float
    rungs: NDArray[np.int64]
    thresholds: NDArray[np.float64]


class Results(NamedTuple):
    """What is found, by prompt, and over the window.

    Attributes:
        latencies: seconds, NaN without an answer, shape (prompts,).
        fates: see the constants, shape (prompts,).
        rungs: of the ladder on which it was admitted, shape (prompts,).
        spent: service seconds, shape (prompts,).
        closed: when it was answered or given up, shape (prompts,).
        totals: see the constants, shape (4,).
        queues: waiting tasks of each device at half of the arrivals and at the last, (2, n).
    """

    latencies: NDArray[np.float64]
    fates: NDArray[np.int8]
    rungs: NDArray[np.int8]
    spent: NDArray[np.float64]
    closed: NDArray[np.float64]
    totals: NDArray[np.float64]
    queues: NDArray[np.int64]


class Live(NamedTuple):
    """The network as it is now; `tasks` has a row a task, `lists` its first free row.

    Attributes:
        tasks: columns as above, shape (tasks, 8).
        seconds: service times, shape (tasks,).
        heads: first waiting task of each device, -1 for none, shape (n,).
        tails: last one, shape (n,).
        waiting: how many wait, shape (n,).
        serving: how many are in service, shape (n,).
        up: whether a device is there, shape (n,).
        served: when a device last served each origin, as a serial number, shape (n, n or 0).
        work: tasks still to do for the open prompts of each owner, shape (n,).
        layer: current layer of each prompt, shape (prompts,).
        pending: its tasks not done in that layer, shape (prompts,).
        missing: tasks that may still be out when the layer ends, shape (prompts,).
        left: tasks still to do for it, shape (prompts,).
        first: its first task in the current layer, -1 for none; with the siblings these are
            all that the layer has asked for, shape (prompts,).
        chain: the next prompt that a failed device worked for, shape (prompts,).
        times: of events, a heap, shape (events,).
        events: kind, subject, version of each, shape (events, 3).
        counts: see the constants, shape (8,).
        clock: seconds so far, and G as gossip last told it, shape (2,).
        rung: on the ladder, of each device, shape (n,).
        calm: since when it might step up, seconds, negative if not, shape (n,).
        candidates: scratch, shape (n,).
        costs: scratch, shape (n,).
        uniforms: scratch, shape (n,).
    """

    tasks: NDArray[np.int64]
    seconds: NDArray[np.float64]
    heads: NDArray[np.int64]
    tails: NDArray[np.int64]
    waiting: NDArray[np.int64]
    serving: NDArray[np.int64]
    up: NDArray[np.bool_]
    served: NDArray[np.int64]
    work: NDArray[np.int64]
    layer: NDArray[np.int64]
    pending: NDArray[np.int64]
    missing: NDArray[np.int64]
    left: NDArray[np.int64]
    first: NDArray[np.int64]
    chain: NDArray[np.int64]
    times: NDArray[np.float64]
    events: NDArray[np.int64]
    counts: NDArray[np.int64]
    clock: NDArray[np.float64]
    rung: NDArray[np.int64]
    calm: NDArray[np.float64]
    candidates: NDArray[np.int32]
    costs: NDArray[np.float64]
    uniforms: NDArray[np.float64]


@compiled()
def add_event(live, time, kind, subject, version):
    """Put an event into the heap; there is room."""
    times, events = live.times, live.events
    hole = live.counts[EVENTS]
    live.counts[EVENTS] += 1
    while hole > 0:
        parent = (hole - 1) >> 1
        if times[parent] <= time:
            break
        times[hole] = times[parent]
        for column in range(3):
            events[hole, column] = events[parent, column]
        hole = parent
    times[hole] = time
    events[hole, 0], events[hole, 1], events[hole, 2] = kind, subject, version


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
        for column in range(3):
            events[hole, column] = events[child, column]
        hole = child
        child = 2 * hole + 1
    times[hole] = time
    for column in range(3):
        events[hole, column] = events[size, column]
