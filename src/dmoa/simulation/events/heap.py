"""Coming events in order of time: a binary heap of records."""

from dmoa.simulation.compiled import compiled, internal
from dmoa.simulation.events.state import EVENTS


@compiled()
def add_event(live, time, kind, subject, version):
    """Put an event into the heap; there is room."""
    events = live.events
    hole = live.counts[EVENTS]
    live.counts[EVENTS] += 1
    while hole > 0:
        parent = (hole - 1) >> 1
        if events[parent].time <= time:
            break
        events[hole] = events[parent]
        hole = parent
    event = events[hole]
    event.time = time
    event.kind = kind
    event.subject = subject
    event.version = version


@internal
def remove_first_event(live):
    """Take the first event out of the heap."""
    events = live.events
    size = live.counts[EVENTS] - 1
    live.counts[EVENTS] = size
    time = events[size].time
    hole, child = 0, 1
    while child < size:
        if child + 1 < size and events[child + 1].time < events[child].time:
            child += 1
        if events[child].time >= time:
            break
        events[hole] = events[child]
        hole = child
        child = 2 * hole + 1
    events[hole] = events[size]
