"""Waiting lines and slots of the simulated devices, and what devices say of them."""

import numpy as np

from dmoa.simulation.compiled import internal
from dmoa.simulation.events.heap import add_event
from dmoa.simulation.events.state import (
    FREE,
    FREE_TASK,
    FREE_TASKS,
    LONGEST,
    OVER,
    QUEUED,
    SERVED,
    SERVING,
    TASK_END,
    TASKS,
    WAITING,
)


@internal
def owner_of(setting, prompt):
    """The device whose user sent a prompt."""
    return np.int64(setting.arrivals.owners[prompt])


@internal
def here(live, device):
    """Tasks that wait, are served or are promised at a device."""
    one = live.devices[device]
    return one.waiting + one.serving + one.promised


@internal
def publish(setting, live, device, time):
    """Let a device say what was true when it should have; before each change, and each look."""
    age = setting.rules.age
    if age > 0:
        one = live.devices[device]
        number = np.int64(time / age + one.phase)
        if number > one.said:
            one.said = number
            one.published = here(live, device)


@internal
def slots_of(setting, device):
    """How many tasks a device serves at once."""
    return setting.model.first_slot[device + 1] - setting.model.first_slot[device]


@internal
def forget(live, task):
    """Give back the row of a task that is in no layer; its end, if still to come, is nobody's."""
    row = live.tasks[task]
    row.state = FREE
    row.version += 1
    row.following = live.counts[FREE_TASK]
    live.counts[FREE_TASK] = task
    live.counts[FREE_TASKS] += 1


@internal
def leave_queue(live, task):
    """Unlink a waiting task from its device."""
    row = live.tasks[task]
    device = live.devices[row.device]
    if row.before >= 0:
        live.tasks[row.before].following = row.following
    else:
        device.head = row.following
    if row.following >= 0:
        live.tasks[row.following].before = row.before
    else:
        device.tail = row.before
    device.waiting -= 1
    live.counts[QUEUED] -= 1


@internal
def _turn(live, device, origin):
    """How recently a device served a guest: 0 for not within memory, more for later."""
    recent = live.recent
    for place in range(recent.shape[1] - 1, -1, -1):
        if recent[device, place] == origin:
            return place + 1
    return 0


@internal
def _remember(live, device, origin):
    """Note that a device serves a guest now."""
    recent = live.recent
    last = recent.shape[1] - 1
    for place in range(max(_turn(live, device, origin) - 1, 0), last):
        recent[device, place] = recent[device, place + 1]
    recent[device, last] = origin


@internal
def _next_task(setting, live, device):
    """The waiting task to serve: the first, or the owner's, or that of the guest whose turn it is.

    Guests are served in turn: the one whose last service is longest ago.
    """
    chosen = live.devices[device].head
    if not setting.rules.owner_first:
        return chosen
    task, least = chosen, 1 << 30
    while task >= 0:
        origin = owner_of(setting, live.tasks[task].prompt)
        if origin == device:
            return task
        turn = _turn(live, device, origin)
        if turn < least:
            chosen, least = task, turn
        task = live.tasks[task].following
    _remember(live, device, owner_of(setting, live.tasks[chosen].prompt))
    return chosen


@internal
def start_services(setting, live, device, time):
    """Fill the slots of a device from its queue."""
    one = live.devices[device]
    slots = slots_of(setting, device)
    while one.up and one.serving < slots and one.waiting > 0:
        task = _next_task(setting, live, device)
        leave_queue(live, task)
        row = live.tasks[task]
        row.state = SERVING
        one.serving += 1
        one.current = task
        live.counts[SERVED] += 1
        one.busy += _inside(setting, time, time + row.seconds)
        add_event(live, time + row.seconds, TASK_END, task, row.version)


@internal
def _inside(setting, begin, end):
    """Seconds of a service that are within the window."""
    return max(0.0, min(end, setting.window[1]) - max(begin, setting.window[0]))


@internal
def stop_service(live, device):
    """A slot gets free."""
    live.devices[device].serving -= 1
    live.counts[SERVED] -= 1


@internal
def take_out(setting, live, task, time):
    """Cancel a task wherever it is."""
    device, state = live.tasks[task].device, live.tasks[task].state
    if state in (WAITING, SERVING):
        publish(setting, live, device, time)
        if state == WAITING:
            leave_queue(live, task)
        else:
            stop_service(live, device)
        forget(live, task)
        start_services(setting, live, device, time)


@internal
def add_task(setting, live, prompt, device, seconds, time):
    """A task comes to a device; False if the queue there is full."""
    one, bound = live.devices[device], setting.rules.bound
    if bound > 0 and one.waiting >= bound and one.serving >= slots_of(setting, device):
        return False
    publish(setting, live, device, time)
    task, counts = live.counts[FREE_TASK], live.counts
    row = live.tasks[task]
    counts[FREE_TASK] = row.following
    counts[FREE_TASKS] -= 1
    counts[QUEUED] += 1
    counts[TASKS] += 1
    row.seconds = seconds
    row.prompt = prompt
    row.device = device
    row.following = -1
    row.before = one.tail if one.waiting > 0 else -1
    row.sibling = live.prompts[prompt].first
    row.layer = live.prompts[prompt].layer
    row.state = WAITING
    live.prompts[prompt].first = task
    if one.waiting > 0:
        live.tasks[one.tail].following = task
    else:
        one.head = task
    one.tail = task
    one.waiting += 1
    start_services(setting, live, device, time)
    counts[LONGEST] = max(counts[LONGEST], one.waiting)
    return True


@internal
def drop_layer(setting, live, prompt, time):
    """Cancel, or leave to run in vain, what is left of a prompt's current layer."""
    task = live.prompts[prompt].first
    live.prompts[prompt].first = -1
    while task >= 0:
        row = live.tasks[task]
        following = row.sibling
        row.sibling = -1
        if row.state == OVER:
            forget(live, task)
        elif setting.rules.cancel:
            take_out(setting, live, task, time)
        else:
            row.layer = -1
        task = following
