"""What the event kernel works on: what does not change, and the network as it is now."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dmoa.simulation.fcfs.kernel import Arrivals, Model

# Numbers that are arguments are no literals: Numba would compile a function for each.
NOBODY, ONE_FEWER, FIRST = np.int64(-1), np.int64(-1), np.int64(0)
# how a plan is chosen for a prompt
PRICE, LADDER, FIXED = range(3)
# what becomes of a prompt
OPEN, ANSWERED, REFUSED, FAILED, LOST = map(np.int64, range(5))
# kinds of events
TASK_END, DEVICE_FAILS, DEVICE_RETURNS = map(np.int64, range(3))
# states of a task; one that is over is kept until its layer ends, since its device was asked
FREE, WAITING, SERVING, OVER = range(4)
# how a slice of a run ends
DONE, FULL, PAUSED = range(3)
# places in `counts`
FREE_TASK, FREE_TASKS, EVENTS, QUEUED, SERVED, NEXT_PROMPT, UNMEASURED, LONGEST, TASKS, GOSSIP = (
    range(10)
)
# places in `sums`, seconds
NOW, WAITED, BUSY, PRESSURE = range(4)

DEVICE = np.dtype(
    [
        ("head", np.int64),  # first waiting task, -1 for none
        ("tail", np.int64),  # last one
        ("waiting", np.int64),  # tasks
        ("serving", np.int64),
        ("current", np.int64),  # the task that was begun last
        ("promised", np.int64),  # own tasks of later layers of the owner's prompts
        ("still_to_do", np.int64),  # tasks of the owner's open prompts, anywhere
        ("published", np.int64),  # waiting, serving and promised as last said
        ("said", np.int64),  # number of that publication
        ("phase", np.float64),  # when the device publishes, as a share of the age
        ("used", np.float64),  # seconds of service that the owner's prompts took, fading
        ("used_at", np.float64),  # when that was, seconds
        ("busy", np.float64),  # seconds of service within the window
        ("calm", np.float64),  # since when its rung might be left upwards; negative if not
        ("rung", np.int64),  # of the ladder
        ("up", np.bool_),
    ],
    align=True,
)
TASK = np.dtype(
    [
        ("seconds", np.float64),
        ("prompt", np.int64),
        ("device", np.int64),
        ("following", np.int64),  # of those that wait there, or of the free rows
        ("before", np.int64),
        ("sibling", np.int64),  # of the same layer
        ("version", np.int64),  # counts up whenever an event of the row becomes nobody's
        ("layer", np.int8),  # -1 if nobody wants it any more
        ("state", np.int8),
    ],
    align=True,
)
PROMPT = np.dtype(
    [
        ("latency", np.float64),  # seconds, NaN without an answer
        ("closed", np.float64),  # when it was answered or given up
        ("spent", np.float64),  # service seconds
        ("first", np.int64),  # first task of the current layer, -1 for none
        ("chain", np.int64),  # next prompt that a failed device worked for
        ("plan", np.int16),  # -1 for none
        ("pending", np.int16),  # tasks not done in the current layer
        ("missing", np.int16),  # that may still be out when the layer ends
        ("left", np.int16),  # tasks still to do for it
        ("layer", np.int8),  # -1 before the first, -2 when closed
        ("fate", np.int8),
    ],
    align=True,
)
EVENT = np.dtype(
    [
        ("time", np.float64),
        ("kind", np.int64),
        ("subject", np.int64),
        ("version", np.int64),
    ],
    align=True,
)


class Rules(NamedTuple):
    """How prompts are planned and queues are served; off where said.

    Attributes:
        kind: one of PRICE, LADDER, FIXED.
        owner_first: the owner's tasks before guests', guests in turn.
        quorum: responses that end a layer; 0 for all.
        bound: tasks that may wait at a device, 0 for any number; one more fails its prompt.
        cancel: whether tasks that nobody needs any more leave queues and slots at once.
        mean_up: seconds, 0 for no failures.
        mean_down: seconds.
        patience: V, service times.
        age: seconds between two publications of a device, or two rounds of the ladder's gossip.
        sample: other devices that are looked at.
        fair: whether patience shrinks with use.
        share: slots over users.
        mean: service time, seconds.
        limit: theta of the ladder, seconds.
        target: its wanted latency, seconds.
        thresholds: of its rungs, shape (plans,).
        layers: M of each plan, shape (plans,).
        proposers: k of each plan, shape (plans,).
        devices: that answer alone, -1 for committees, shape (plans,).
        qualities: shape (plans,).
        most: the largest k.
        first: see `policies.law.choose_plan`, shape (plans + 1,).
        places: 0 for the owner, 1 to k for proposers, k + 1 + d for device d.
        inferences: of each entry, shape (entries,).
    """

    kind: int
    owner_first: bool
    quorum: int
    bound: int
    cancel: bool
    mean_up: float
    mean_down: float
    patience: float
    age: float
    sample: int
    fair: bool
    share: float
    mean: float
    limit: float
    target: float
    thresholds: NDArray[np.float64]
    layers: NDArray[np.int64]
    proposers: NDArray[np.int64]
    devices: NDArray[np.int64]
    qualities: NDArray[np.float64]
    most: int
    first: NDArray[np.int64]
    places: NDArray[np.int64]
    inferences: NDArray[np.float64]


class Setting(NamedTuple):
    """What does not change: the network, its rules, what comes, and when it is measured.

    Attributes:
        window: measured from, to, seconds, shape (2,).
        marks: two prompts at whose arrival the queues are noted, shape (2,).
        wanted: how many prompts, the first ones, are wanted.
    """

    model: Model
    rules: Rules
    arrivals: Arrivals
    window: NDArray[np.float64]
    marks: NDArray[np.int64]
    wanted: int


class Live(NamedTuple):
    """The network as it is now, and what was found so far; records are described above.

    Attributes:
        devices: shape (n,).
        prompts: shape (prompts,).
        tasks: rows of tasks, in linked lists, shape (rows,).
        events: a heap by time, shape (events,).
        recent: guests as each device last served them, the longest ago first, (n, r or 0).
        queues: waiting tasks of each device at the two marks, shape (2, n).
        counts, sums: see the constants.
        random: the stream, shape (4,).
        distances: to other devices, scratch, shape (n - 1,).
        chosen: devices that propose, scratch, shape (n,).
        costs, uniforms: scratch, shape (n,) or the most that are looked at.
        prices: scratch, shape (1 + k + n or 0,).
        work: scratch, shape (entries,).
    """

    devices: NDArray[np.void]
    prompts: NDArray[np.void]
    tasks: NDArray[np.void]
    events: NDArray[np.void]
    recent: NDArray[np.int32]
    queues: NDArray[np.int64]
    counts: NDArray[np.int64]
    sums: NDArray[np.float64]
    random: NDArray[np.uint64]
    distances: NDArray[np.int32]
    chosen: NDArray[np.int32]
    costs: NDArray[np.float64]
    uniforms: NDArray[np.float64]
    prices: NDArray[np.float64]
    work: NDArray[np.float64]
