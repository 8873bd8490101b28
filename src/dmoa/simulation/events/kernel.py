"""The compiled network event by event: for everything that first come first served is not.

A choice of plans, owner-first service, bounded queues, cancellation, quorums and failures all
change what waits in a queue, so here every start and end of a task is an event. An order of
magnitude slower than the plain kernel; both agree on a plain trace (a test).
"""

import numpy as np

from dmoa.simulation.compiled import compiled, internal
from dmoa.simulation.events.choice import USE_MEMORY, draw, plan_of, survey
from dmoa.simulation.events.heap import add_event, remove_first_event
from dmoa.simulation.events.queues import (
    add_task,
    drop_layer,
    forget,
    leave_queue,
    owner_of,
    publish,
    start_services,
    stop_service,
)
from dmoa.simulation.events.state import (
    ANSWERED,
    BUSY,
    DEVICE_FAILS,
    DEVICE_RETURNS,
    DONE,
    EVENTS,
    FAILED,
    FIRST,
    FREE_TASKS,
    FULL,
    LOST,
    NEXT_PROMPT,
    NOBODY,
    NOW,
    ONE_FEWER,
    OVER,
    PAUSED,
    PRICE,
    QUEUED,
    REFUSED,
    SERVED,
    SERVING,
    TASK_END,
    UNMEASURED,
    WAITED,
    WAITING,
)
from dmoa.simulation.random_numbers import exponential, service


@internal
def _close(setting, live, prompt, fate, time):
    """A prompt is answered, or given up, or was refused."""
    one, owner = live.prompts[prompt], owner_of(setting, prompt)
    one.fate = fate
    one.closed = time
    if one.layer >= 0:
        live.devices[owner].still_to_do -= one.left
        _promise(setting, live, prompt, -_own_tasks_to_come(setting, live, prompt), time)
        drop_layer(setting, live, prompt, time)
    one.left = 0
    one.layer = -2
    if prompt < setting.wanted:
        live.counts[UNMEASURED] -= 1


@internal
def _own_tasks_to_come(setting, live, prompt):
    """The owner's tasks of layers after the current one."""
    one = live.prompts[prompt]
    return setting.rules.layers[one.plan] - one.layer


@internal
def _promise(setting, live, prompt, tasks, time):
    """The owner of a prompt will have more own tasks, or fewer, than wait there."""
    owner = owner_of(setting, prompt)
    if tasks != 0:
        publish(setting, live, owner, time)
        live.devices[owner].promised += tasks


@internal
def _seconds(setting, live, prompt, layer, place, device):
    """Service time of a task."""
    model, recorded = setting.model, setting.arrivals.services
    if recorded.shape[0] > 0:
        return recorded[prompt, layer, place]
    last = setting.rules.layers[live.prompts[prompt].plan]
    kind = 0 if layer == 0 else (2 if layer == last else 1)
    drawn = service(model.law, model.parameter, model.samples, live.random)
    return drawn * model.alphas[device] * model.lengths[kind]


@internal
def _find_others(setting, live, prompt, k, time):
    """Put the proposers of a prompt's current layer into `chosen`: how many there are."""
    owner, layer = owner_of(setting, prompt), live.prompts[prompt].layer
    n = len(live.devices)
    if setting.arrivals.draws.shape[0] > 0:
        for place in range(k):
            live.chosen[place] = setting.arrivals.draws[prompt, layer, place]
        return k
    if setting.rules.kind != PRICE:
        return draw(setting, live, owner, k)
    if layer > 0:  # the first layer's are those that the plan was priced with
        survey(setting, live, owner, time, k)
    count = 0
    while count < k and live.costs[count] < np.inf:
        live.chosen[count] = (owner + live.distances[count]) % n
        count += 1
    return count


@internal
def _start_layer(setting, live, prompt, time):
    """Send out the tasks of a prompt's current layer; a full queue fails the prompt."""
    rules, one = setting.rules, live.prompts[prompt]
    owner, layer = owner_of(setting, prompt), one.layer
    last = layer == rules.layers[one.plan]
    k = 0 if last else rules.proposers[one.plan]
    others = _find_others(setting, live, prompt, k, time) if k > 0 else 0
    one.first = -1
    one.pending = others + 1
    one.missing = max(0, others + 1 - rules.quorum) if rules.quorum > 0 and not last else 0
    # The tasks of proposers that are not there will never be done.
    one.left -= k - others
    live.devices[owner].still_to_do -= k - others
    home = rules.devices[one.plan] if rules.devices[one.plan] >= 0 else owner
    for place in range(others + 1):
        device = home if place == 0 else np.int64(live.chosen[place - 1])
        seconds = _seconds(setting, live, prompt, layer, place, device)
        if not add_task(setting, live, prompt, device, seconds, time):
            _close(setting, live, prompt, FAILED, time)
            return


@internal
def _task_done(setting, live, prompt, time):
    """One task fewer in a prompt's current layer; start the next one, or answer."""
    one = live.prompts[prompt]
    one.pending -= 1
    if one.pending > one.missing:
        return
    if one.layer == setting.rules.layers[one.plan]:
        one.latency = time - setting.arrivals.times[prompt]
        _close(setting, live, prompt, ANSWERED, time)
        return
    one.left -= one.pending
    live.devices[owner_of(setting, prompt)].still_to_do -= one.pending
    drop_layer(setting, live, prompt, time)
    _promise(setting, live, prompt, ONE_FEWER, time)
    one.layer += 1
    _start_layer(setting, live, prompt, time)


@internal
def _was_asked(live, prompt, device):
    """Whether a prompt's current layer has asked a device, whatever came of it."""
    task = live.prompts[prompt].first
    while task >= 0:
        if live.tasks[task].device == device:
            return True
        task = live.tasks[task].sibling
    return False


@internal
def _move_on(setting, live, prompt, time):
    """A proposer of a prompt has gone: a device not yet asked takes its task, or nobody does."""
    rules, one = setting.rules, live.prompts[prompt]
    owner = owner_of(setting, prompt)
    model = setting.model
    if rules.devices[one.plan] >= 0:
        _answer_alone(setting, live, prompt, time)
        return
    count = draw(setting, live, owner, len(model.alphas) - 1)
    for place in range(count):
        device = np.int64(live.chosen[place])
        if _was_asked(live, prompt, device):
            continue
        drawn = service(model.law, model.parameter, model.samples, live.random)
        seconds = drawn * model.alphas[device] * model.lengths[min(one.layer, 1)]
        if add_task(setting, live, prompt, device, seconds, time):
            return
    one.left -= 1
    live.devices[owner].still_to_do -= 1
    _task_done(setting, live, prompt, time)


@internal
def _answer_alone(setting, live, prompt, time):
    """The device that should have answered has gone: the owner's does, if a plan says how well."""
    rules, owner = setting.rules, owner_of(setting, prompt)
    for plan in range(len(rules.devices)):
        committee = rules.devices[plan] < 0 and rules.layers[plan] == 0
        if rules.devices[plan] == owner or committee:
            live.prompts[prompt].plan = plan
            live.prompts[prompt].pending -= 1
            drop_layer(setting, live, prompt, time)
            _start_layer(setting, live, prompt, time)
            return
    _close(setting, live, prompt, FAILED, time)


@internal
def _device_fails(setting, live, device, time):
    """Its own prompts are lost, and what it did for others moves to other devices."""
    publish(setting, live, device, time)
    live.devices[device].up = False
    moved = NOBODY
    for task in range(len(live.tasks)):
        row = live.tasks[task]
        state = row.state
        if row.device == device and state in (WAITING, SERVING):
            prompt = row.prompt
            if state == WAITING:
                leave_queue(live, task)
            else:
                stop_service(live, device)
            if row.layer < 0:
                forget(live, task)
                continue
            row.state = OVER
            row.version += 1
            if owner_of(setting, prompt) != device:
                live.prompts[prompt].chain = moved
                moved = prompt
    for prompt in range(live.counts[NEXT_PROMPT]):
        if owner_of(setting, prompt) == device and live.prompts[prompt].layer >= 0:
            _close(setting, live, prompt, LOST, time)
    while moved >= 0:
        if live.prompts[moved].layer >= 0:
            _move_on(setting, live, moved, time)
        moved = live.prompts[moved].chain
    away = setting.rules.mean_down * exponential(live.random)
    add_event(live, time + away, DEVICE_RETURNS, device, FIRST)


@internal
def _arrive(setting, live, prompt, time):
    """A prompt arrives at its owner's device: it gets a plan, or is refused."""
    rules, alphas = setting.rules, setting.model.alphas
    owner, one = owner_of(setting, prompt), live.prompts[prompt]
    if not live.devices[owner].up:
        _close(setting, live, prompt, LOST, time)
        return
    plan = plan_of(setting, live, prompt, time)
    one.plan = plan
    if plan < 0:
        _close(setting, live, prompt, REFUSED, time)
        return
    M, k = rules.layers[plan], rules.proposers[plan]
    seconds = (M + 1) * alphas[owner] + M * k * rules.mean
    if rules.devices[plan] >= 0:
        seconds = alphas[rules.devices[plan]]
    if rules.fair:
        memory, device = USE_MEMORY * rules.mean, live.devices[owner]
        device.used = device.used * np.exp((device.used_at - time) / memory) + seconds
        device.used_at = time
    one.left = (k + 1) * M + 1
    live.devices[owner].still_to_do += one.left
    one.layer = 0
    _promise(setting, live, prompt, M, time)
    _start_layer(setting, live, prompt, time)


@internal
def _advance_clock(setting, live, time):
    """Integrate what waits and what is served over the time that has passed."""
    window, sums = setting.window, live.sums
    passed = min(time, window[1]) - max(sums[NOW], window[0])
    if passed > 0:
        sums[WAITED] += passed * live.counts[QUEUED]
        sums[BUSY] += passed * live.counts[SERVED]
    sums[NOW] = time


@internal
def _end(setting, live, task, time):
    """A service ends."""
    row = live.tasks[task]
    prompt, device = row.prompt, row.device
    one = live.prompts[prompt]
    one.spent += row.seconds
    publish(setting, live, device, time)
    stop_service(live, device)
    # As on a real device, what waits begins before the answer has led to anything.
    start_services(setting, live, device, time)
    if row.layer >= 0 and one.layer >= 0:
        row.state = OVER
        one.left -= 1
        live.devices[owner_of(setting, prompt)].still_to_do -= 1
        _task_done(setting, live, prompt, time)
    else:
        forget(live, task)


@internal
def _handle(setting, live, time):
    """The first event of the heap."""
    event = live.events[0]
    kind, subject, version = event.kind, event.subject, event.version
    remove_first_event(live)
    if kind == TASK_END:
        if live.tasks[subject].version == version:  # else it was cancelled
            _end(setting, live, subject, time)
    elif kind == DEVICE_FAILS:
        _device_fails(setting, live, subject, time)
    else:
        publish(setting, live, subject, time)
        live.devices[subject].up = True
        working = setting.rules.mean_up * exponential(live.random)
        add_event(live, time + working, DEVICE_FAILS, subject, FIRST)


@internal
def _rows_needed(setting, live):
    """Rows of tasks that the next event may take at most, before it gives any back."""
    layer = setting.rules.most + 2
    if live.counts[EVENTS] > 0 and live.events[0].kind == DEVICE_FAILS:
        device = live.devices[live.events[0].subject]
        return layer * (device.waiting + device.serving + 1)
    return layer


@compiled(nogil=True)
def run(setting, live, until_closed, most):
    """Simulate until the wanted prompts are closed, or until the last of them has arrived.

    Args:
        setting: what does not change.
        live: the network; is advanced.
        until_closed: whether to wait for what becomes of them.
        most: events to handle, so that the caller can be interrupted.

    Returns:
        DONE; FULL when there is no room for more tasks or events: grow, and call again; PAUSED
        after so many events: call again.
    """
    counts, times = live.counts, setting.arrivals.times
    for _ in range(most):
        rows = _rows_needed(setting, live)
        # A task that is added or cancelled starts one service at most, and so adds one event.
        spare = 2 * setting.model.first_slot[-1] + 4 * rows
        if counts[FREE_TASKS] < rows or len(live.events) - counts[EVENTS] < spare:
            return FULL
        prompt = counts[NEXT_PROMPT]
        if counts[UNMEASURED] == 0 or (not until_closed and prompt >= setting.wanted):
            return DONE
        arrives = prompt < len(times)
        event = live.events[0].time if counts[EVENTS] > 0 else np.inf
        if arrives and times[prompt] < event:
            _advance_clock(setting, live, times[prompt])
            counts[NEXT_PROMPT] += 1
            _arrive(setting, live, prompt, times[prompt])
            for row in range(2):
                if setting.marks[row] == prompt:
                    for device in range(len(live.devices)):
                        live.queues[row, device] = live.devices[device].waiting
        elif counts[EVENTS] > 0:
            _advance_clock(setting, live, event)
            _handle(setting, live, event)
        else:
            return DONE
    return PAUSED
