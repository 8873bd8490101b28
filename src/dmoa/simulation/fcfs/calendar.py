"""The list of coming events: a calendar whose open day is a heap.

Each event is the end of a layer, and belongs to one open prompt. Time is cut into days of equal
width; an event of a later day goes, unsorted, to one of `len(first)` lists, day modulo their
number; when a day opens, its events move into a small binary heap. Both steps take constant
time while a day holds a few events, and the worst case (all events in one day) is a heap.

Brown, "Calendar queues: a fast O(1) priority queue implementation" (1988), with lazy sorting as
in Ronngren et al. (1991).
"""

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from dmoa.simulation.compiled import kept

# columns of `records`
FOLLOWING = 0
# places in `counters`
DAY, LATER, TODAY, EMPTY_DAYS = range(4)


class Calendar(NamedTuple):
    """State of the event list.

    Attributes:
        times: when each open prompt's layer ends, shape (prompts,).
        records: of each open prompt the next one in the same list, -1 at its end, and three
            numbers of whoever uses the calendar, shape (prompts, 4): what is needed together
            lies together in memory.
        first: heads of the lists, shape (a power of two,).
        heap: prompts whose event is today, a binary heap by time, shape (prompts,).
        counters: the open day, events of later days, events of today, and days opened in a row
            that were empty; shape (4,).
        scale: days per second, shape (1,).
    """

    times: NDArray[np.float64]
    records: NDArray[np.int32]
    first: NDArray[np.int32]
    heap: NDArray[np.int32]
    counters: NDArray[np.int64]
    scale: NDArray[np.float64]


def new_calendar(capacity: int, day: float) -> Calendar:
    """An empty calendar for `capacity` open prompts with days of `day` seconds.

    In a large one days are longer and fewer, so that the heads of their lists fit a cache.
    """
    crowd = _crowd(capacity)
    day *= crowd
    days = (1 << max(6, int(capacity).bit_length())) // crowd
    return Calendar(
        np.zeros(capacity),
        np.full((capacity, 4), -1, np.int32),
        np.full(days, -1, np.int32),
        np.zeros(capacity, np.int32),
        np.zeros(4, np.int64),
        np.array([1.0 / day]),
    )


def _crowd(capacity: int) -> int:
    """How many times as long the days of a calendar are as it was asked for."""
    return 8 if capacity >= 1 << 17 else 1


def grown(old: Calendar, capacity: int) -> Calendar:
    """The same events in a calendar with room for more prompts, and shorter days."""
    size = len(old.times)
    day = float(1.0 / old.scale[0]) / _crowd(size) * size / capacity
    new = new_calendar(capacity, day)
    new.times[: len(old.times)] = old.times
    new.records[: len(old.times)] = old.records
    _copy_events(tuple(old), tuple(new))
    return new


@njit(inline="always")
def push(prompt, time, times, records, first, heap, counters, scale):
    """Add the event of `prompt`, which has none yet."""
    times[prompt] = time
    day = int(time * scale[0])
    if day > counters[DAY]:
        place = day & (len(first) - 1)
        records[prompt, FOLLOWING] = first[place]
        first[place] = prompt
        counters[LATER] += 1
    else:
        _push_today(prompt, time, times, heap, counters)


@njit(inline="always")
def pop_today(times, heap, counters):
    """Remove the first event of today, which there is, and return its prompt."""
    top = heap[0]
    size = counters[TODAY] - 1
    counters[TODAY] = size
    if size > 0:
        moved = heap[size]
        time = times[moved]
        hole = 0
        child = 1
        while child < size:
            if child + 1 < size and times[heap[child + 1]] < times[heap[child]]:
                child += 1
            if times[heap[child]] >= time:
                break
            heap[hole] = heap[child]
            hole = child
            child = 2 * hole + 1
        heap[hole] = moved
    return top


@njit(inline="always")
def _push_today(prompt, time, times, heap, counters):
    hole = counters[TODAY]
    counters[TODAY] = hole + 1
    while hole > 0:
        parent = (hole - 1) >> 1
        if times[heap[parent]] <= time:
            break
        heap[hole] = heap[parent]
        hole = parent
    heap[hole] = prompt


@kept
def open_next_day(times, records, first, heap, counters, scale):
    """Move the events of the next day into the heap."""
    day = counters[DAY] + 1
    counters[DAY] = day
    place = day & (len(first) - 1)
    prompt = first[place]
    kept = -1
    found = 0
    while prompt >= 0:
        later = records[prompt, FOLLOWING]
        if int(times[prompt] * scale[0]) == day:
            _push_today(prompt, times[prompt], times, heap, counters)
            found += 1
        else:
            records[prompt, FOLLOWING] = kept
            kept = prompt
        prompt = later
    first[place] = kept
    counters[LATER] -= found
    if found:
        counters[EMPTY_DAYS] = 0
        return
    counters[EMPTY_DAYS] += 1
    if counters[EMPTY_DAYS] > 64 + len(first):
        # A whole year without an event: days are too short for what is to come.
        counters[EMPTY_DAYS] = 0
        _rescale(times, records, first, heap, counters, scale)


@kept
def _rescale(times, records, first, heap, counters, scale):
    """Sort all later events into days sixteen times as long."""
    now = (counters[DAY] + 1) / scale[0]
    pending = -1
    for place in range(len(first)):
        prompt = first[place]
        first[place] = -1
        while prompt >= 0:
            later = records[prompt, FOLLOWING]
            records[prompt, FOLLOWING] = pending
            pending = prompt
            prompt = later
    scale[0] /= 16
    counters[DAY] = int(now * scale[0])
    counters[LATER] = 0
    while pending >= 0:
        later = records[pending, FOLLOWING]
        push(pending, times[pending], times, records, first, heap, counters, scale)
        pending = later


@kept
def _copy_events(old, new):
    """Put all events of one calendar into another, empty one that has their times."""
    times, records, first, heap, counters, scale = new
    old_records, old_first, old_heap, old_counters, old_scale = old[1:]
    counters[DAY] = int(old_counters[DAY] / old_scale[0] * scale[0])
    for place in range(old_counters[TODAY]):
        prompt = old_heap[place]
        push(prompt, times[prompt], times, records, first, heap, counters, scale)
    for head in old_first:
        prompt = head
        while prompt >= 0:
            push(prompt, times[prompt], times, records, first, heap, counters, scale)
            prompt = old_records[prompt, FOLLOWING]
