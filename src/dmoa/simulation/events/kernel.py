"""The compiled network event by event: for everything that first come first served is not.

Owner-first service, bounded queues, cancellation, quorums, failures and admission all change
what waits in a queue, so here every start and end of a task is an event. An order of magnitude
slower than `kernel`; both agree on a plain trace (a test).
"""

import numpy as np

from dmoa.policies import admission
from dmoa.simulation.compiled import compiled, kept
from dmoa.simulation.events.state import (
    ANSWERED,
    BEFORE,
    BUSY,
    DEVICE,
    DEVICE_FAILS,
    DEVICE_RETURNS,
    DONE,
    EVENTS,
    FAILED,
    FREE,
    FREE_TASK,
    FREE_TASKS,
    FULL,
    GOSSIP,
    LAYER,
    LONGEST,
    LOST,
    NEXT,
    NEXT_PROMPT,
    OPEN,
    OVER,
    PAUSED,
    PROMPT,
    QUEUED,
    REFUSED,
    SERIAL,
    SERVED,
    SERVING,
    SIBLING,
    STATE,
    TASK_END,
    TASKS,
    VERSION,
    WAITED,
    WAITING,
    add_event,
    remove_first_event,
)
from dmoa.simulation.fcfs.kernel import BACKLOG, WEIGHTED, draw_uniform, draw_weighted, keep_least
from dmoa.simulation.random_numbers import exponential, service, uniform

admits = kept(admission.admits)
next_rung = kept(admission.next_rung)


@compiled()
def _leave_queue(live, task):
    """Unlink a waiting task from its device."""
    tasks = live.tasks
    device = tasks[task, DEVICE]
    before, after = tasks[task, BEFORE], tasks[task, NEXT]
    if before >= 0:
        tasks[before, NEXT] = after
    else:
        live.heads[device] = after
    if after >= 0:
        tasks[after, BEFORE] = before
    else:
        live.tails[device] = before
    live.waiting[device] -= 1
    live.counts[QUEUED] -= 1


@compiled()
def _forget(live, task):
    """Give back the row of a task that is in no layer; its end, if still to come, is nobody's."""
    live.tasks[task, STATE] = FREE
    live.tasks[task, VERSION] += 1
    live.tasks[task, NEXT] = live.counts[FREE_TASK]
    live.counts[FREE_TASK] = task
    live.counts[FREE_TASKS] += 1


@compiled()
def _next_task(live, owners, device, owner_first):
    """The waiting task to serve: the first, or the owner's, or that of the guest whose turn it is.

    Guests are served in turn: the one whose last service is longest ago.
    """
    task = live.heads[device]
    if not owner_first:
        return task
    best, recency = task, np.int64(np.iinfo(np.int64).max)
    while task >= 0:
        origin = owners[live.tasks[task, PROMPT]]
        if origin == device:
            return task
        if live.served[device, origin] < recency:
            best, recency = task, live.served[device, origin]
        task = live.tasks[task, NEXT]
    return best


@compiled()
def _start_services(model, rules, live, owners, device, time):
    """Fill the slots of a device from its queue."""
    slots = model.first_slot[device + 1] - model.first_slot[device]
    while live.up[device] and live.serving[device] < slots and live.waiting[device] > 0:
        task = _next_task(live, owners, device, rules.owner_first)
        _leave_queue(live, task)
        live.tasks[task, STATE] = SERVING
        live.serving[device] += 1
        live.counts[SERVED] += 1
        if rules.owner_first:
            live.counts[SERIAL] += 1
            live.served[device, owners[live.tasks[task, PROMPT]]] = live.counts[SERIAL]
        add_event(live, time + live.seconds[task], TASK_END, task, live.tasks[task, VERSION])


@compiled()
def _take_out(model, rules, live, owners, task, time):
    """Cancel a task wherever it is."""
    device = live.tasks[task, DEVICE]
    if live.tasks[task, STATE] == WAITING:
        _leave_queue(live, task)
        _forget(live, task)
    elif live.tasks[task, STATE] == SERVING:
        live.serving[device] -= 1
        live.counts[SERVED] -= 1
        _forget(live, task)
        _start_services(model, rules, live, owners, device, time)


@compiled()
def _drop_layer(model, rules, live, owners, prompt, time):
    """Cancel, or leave to run in vain, what is left of a prompt's current layer."""
    task = live.first[prompt]
    live.first[prompt] = -1
    while task >= 0:
        following = live.tasks[task, SIBLING]
        live.tasks[task, SIBLING] = -1
        if live.tasks[task, STATE] == OVER:
            _forget(live, task)
        elif rules.cancel:
            _take_out(model, rules, live, owners, task, time)
        else:
            live.tasks[task, LAYER] = -1
        task = following


@compiled()
def _close(model, rules, live, results, owners, prompt, fate, time):
    """A prompt is answered, or given up."""
    results.fates[prompt] = fate
    results.closed[prompt] = time
    live.work[owners[prompt]] -= live.left[prompt]
    live.left[prompt] = 0
    _drop_layer(model, rules, live, owners, prompt, time)
    live.layer[prompt] = -2


@compiled()
def _add_task(model, rules, live, results, owners, prompt, device, seconds, time):
    """A task comes to a device; False if the queue there is full."""
    slots = model.first_slot[device + 1] - model.first_slot[device]
    busy = live.serving[device] >= slots
    if rules.bound > 0 and busy and live.waiting[device] >= rules.bound:
        return False
    task = live.counts[FREE_TASK]
    tasks = live.tasks
    live.counts[FREE_TASK] = tasks[task, NEXT]
    live.counts[FREE_TASKS] -= 1
    live.counts[QUEUED] += 1
    tasks[task, PROMPT], tasks[task, LAYER] = prompt, live.layer[prompt]
    tasks[task, DEVICE], tasks[task, STATE] = device, WAITING
    tasks[task, NEXT], tasks[task, BEFORE] = -1, live.tails[device]
    tasks[task, SIBLING] = live.first[prompt]
    live.first[prompt] = task
    live.seconds[task] = seconds
    if live.tails[device] >= 0:
        tasks[live.tails[device], NEXT] = task
    else:
        live.heads[device] = task
    live.tails[device] = task
    live.waiting[device] += 1
    results.totals[TASKS] += 1
    _start_services(model, rules, live, owners, device, time)
    results.totals[LONGEST] = max(results.totals[LONGEST], live.waiting[device])
    return True


@compiled()
def _draw(model, live, random, owner, k):
    """Put up to k proposers that are there into `live.candidates`; returns how many."""
    n = len(model.alphas)
    count = 0
    if len(model.first_candidate) == 0:
        for device in range(n):
            if device != owner and live.up[device]:
                live.candidates[count] = device
                count += 1
    else:
        for place in range(model.first_candidate[owner], model.first_candidate[owner + 1]):
            device = model.candidates[place]
            if live.up[device]:
                live.candidates[count] = device
                count += 1
    k = min(k, count)
    drawn = min(model.sample, count) if model.policy == BACKLOG else k
    for place in range(drawn):
        live.uniforms[place] = uniform(random)
    candidates = live.candidates[:count]
    if model.policy == WEIGHTED:
        total = 0.0
        for place in range(count):
            live.costs[place] = 1 / model.alphas[candidates[place]]
            total += live.costs[place]
        draw_weighted(candidates, live.costs[:count], total, live.uniforms, k)
        return k
    draw_uniform(candidates, live.uniforms, drawn)
    if model.policy == BACKLOG:
        for place in range(drawn):
            device = candidates[place]
            tasks = live.waiting[device] + live.serving[device] + 1
            live.costs[place] = tasks * model.alphas[device]
        keep_least(candidates, live.costs, drawn, k)
    return k


@compiled()
def _seconds(model, arrivals, random, prompt, layer, last, place, device):
    """Service time of a task."""
    if arrivals.services.shape[0] > 0:
        return arrivals.services[prompt, layer, place]
    kind = 0 if layer == 0 else (2 if last else 1)
    drawn = service(model.law, model.parameter, model.samples, random)
    return drawn * model.alphas[device] * model.lengths[kind]


@compiled()
def _start_layer(model, rules, arrivals, live, results, random, prompt, time):
    """Send out the tasks of a prompt's current layer; a full queue fails the prompt."""
    owners = arrivals.owners
    owner, layer = owners[prompt], live.layer[prompt]
    M, k = rules.rungs[results.rungs[prompt], 0], rules.rungs[results.rungs[prompt], 1]
    last = layer == M
    others = 0
    if not last and k > 0:
        if arrivals.draws.shape[0] > 0:
            others = k
            for place in range(k):
                live.candidates[place] = arrivals.draws[prompt, layer, place]
        else:
            others = _draw(model, live, random, owner, k)
    live.first[prompt] = -1
    live.pending[prompt] = others + 1
    live.missing[prompt] = max(0, others + 1 - rules.quorum) if rules.quorum and not last else 0
    # The tasks of proposers that are not there will never be done.
    absent = (0 if last else k) - others
    live.left[prompt] -= absent
    live.work[owner] -= absent
    for place in range(others + 1):
        device = owner if place == 0 else live.candidates[place - 1]
        seconds = _seconds(model, arrivals, random, prompt, layer, last, place, device)
        if not _add_task(model, rules, live, results, owners, prompt, device, seconds, time):
            _close(model, rules, live, results, owners, prompt, FAILED, time)
            return


@compiled()
def _task_done(model, rules, arrivals, live, results, random, prompt, time):
    """One task fewer in a prompt's current layer; start the next one, or answer."""
    live.pending[prompt] -= 1
    if live.pending[prompt] > live.missing[prompt]:
        return
    owners = arrivals.owners
    if live.layer[prompt] == rules.rungs[results.rungs[prompt], 0]:
        results.latencies[prompt] = time - arrivals.times[prompt]
        _close(model, rules, live, results, owners, prompt, ANSWERED, time)
        return
    late = live.pending[prompt]
    live.left[prompt] -= late
    live.work[owners[prompt]] -= late
    _drop_layer(model, rules, live, owners, prompt, time)
    live.layer[prompt] += 1
    _start_layer(model, rules, arrivals, live, results, random, prompt, time)


@compiled()
def _was_asked(live, prompt, device):
    """Whether a prompt's current layer has asked a device, whatever came of it."""
    task = live.first[prompt]
    while task >= 0:
        if live.tasks[task, DEVICE] == device:
            return True
        task = live.tasks[task, SIBLING]
    return False


@compiled()
def _move_on(model, rules, arrivals, live, results, random, prompt, time):
    """A proposer of a prompt has gone: a device not yet asked takes its task, or nobody does."""
    owners = arrivals.owners
    owner = owners[prompt]
    count = _draw(model, live, random, owner, len(model.alphas) - 1)
    for place in range(count):
        device = live.candidates[place]
        if _was_asked(live, prompt, device):
            continue
        drawn = service(model.law, model.parameter, model.samples, random)
        seconds = drawn * model.alphas[device] * model.lengths[min(live.layer[prompt], 1)]
        if _add_task(model, rules, live, results, owners, prompt, device, seconds, time):
            return
    live.left[prompt] -= 1
    live.work[owner] -= 1
    _task_done(model, rules, arrivals, live, results, random, prompt, time)


@compiled()
def _device_fails(model, rules, arrivals, live, results, random, device, time):
    """Its own prompts are lost, and what it did for others moves to other devices."""
    owners = arrivals.owners
    live.up[device] = False
    moved = -1
    for task in range(len(live.tasks)):
        state = live.tasks[task, STATE]
        if live.tasks[task, DEVICE] == device and state in (WAITING, SERVING):
            prompt, layer = live.tasks[task, PROMPT], live.tasks[task, LAYER]
            if state == WAITING:
                _leave_queue(live, task)
            else:
                live.serving[device] -= 1
                live.counts[SERVED] -= 1
            if layer < 0:
                _forget(live, task)
                continue
            live.tasks[task, STATE] = OVER
            live.tasks[task, VERSION] += 1
            if owners[prompt] != device:
                live.chain[prompt] = moved
                moved = prompt
    for prompt in range(len(live.layer)):
        if owners[prompt] == device and live.layer[prompt] >= 0:
            _close(model, rules, live, results, owners, prompt, LOST, time)
    while moved >= 0:
        if live.layer[moved] >= 0:
            _move_on(model, rules, arrivals, live, results, random, moved, time)
        moved = live.chain[moved]
    add_event(live, time + rules.mean_down * exponential(random), DEVICE_RETURNS, device, 0)


@compiled()
def _arrive(model, rules, arrivals, live, results, random, prompt, time):
    """A prompt arrives at its owner's device: refuse it, or choose M and k and start."""
    owner = arrivals.owners[prompt]
    if not live.up[owner]:
        results.fates[prompt], results.closed[prompt] = LOST, time
        return
    if rules.target > 0:
        mean_alpha = model.alphas.mean()
        mean_work = live.clock[1]
        if len(rules.rungs) > 1:
            live.rung[owner], live.calm[owner] = next_rung(
                live.rung[owner], rules.thresholds, mean_work / rules.limit,
                live.calm[owner], time, mean_alpha,
            )  # fmt: skip
        queue = live.waiting[owner] * model.alphas[owner]
        work = live.work[owner] * mean_alpha
        if not admits(mean_work, work, queue, rules.limit, rules.target, rules.rungs[0, 0]):
            results.fates[prompt], results.closed[prompt] = REFUSED, time
            return
    results.rungs[prompt] = live.rung[owner]
    M, k = rules.rungs[live.rung[owner], 0], rules.rungs[live.rung[owner], 1]
    live.left[prompt] = (k + 1) * M + 1
    live.work[owner] += live.left[prompt]
    live.layer[prompt] = 0
    _start_layer(model, rules, arrivals, live, results, random, prompt, time)


@compiled()
def _advance_clock(live, results, window, time):
    """Integrate what waits and what is served over the time that has passed."""
    passed = min(time, window[1]) - max(live.clock[0], window[0])
    if passed > 0:
        results.totals[WAITED] += passed * live.counts[QUEUED]
        results.totals[BUSY] += passed * live.counts[SERVED]
    live.clock[0] = time


@compiled()
def _handle(model, rules, arrivals, live, results, random, time):
    """The first event of the heap."""
    kind, subject, version = live.events[0, 0], live.events[0, 1], live.events[0, 2]
    remove_first_event(live)
    if kind == TASK_END:
        if live.tasks[subject, VERSION] != version:
            return  # cancelled
        prompt, device = live.tasks[subject, PROMPT], live.tasks[subject, DEVICE]
        wanted = live.tasks[subject, LAYER] >= 0 and live.layer[prompt] >= 0
        results.spent[prompt] += live.seconds[subject]
        live.serving[device] -= 1
        live.counts[SERVED] -= 1
        if wanted:
            live.tasks[subject, STATE] = OVER
        else:
            _forget(live, subject)
        if wanted:
            owner = arrivals.owners[prompt]
            live.left[prompt] -= 1
            live.work[owner] -= 1
            _task_done(model, rules, arrivals, live, results, random, prompt, time)
        _start_services(model, rules, live, arrivals.owners, device, time)
    elif kind == DEVICE_FAILS:
        _device_fails(model, rules, arrivals, live, results, random, subject, time)
    elif kind == DEVICE_RETURNS:
        live.up[subject] = True
        add_event(live, time + rules.mean_up * exponential(random), DEVICE_FAILS, subject, 0)
    else:
        live.clock[1] = live.work.mean() * model.alphas.mean()
        add_event(live, time + rules.age, GOSSIP, 0, 0)


@compiled()
def _rows_needed(model, live):
    """Rows of tasks that the next event may take at most, before it gives any back."""
    layer = model.proposers + 2
    if live.counts[EVENTS] > 0 and live.events[0, 0] == DEVICE_FAILS:
        device = live.events[0, 1]
        return layer * (live.waiting[device] + live.serving[device] + 1)
    return layer


@compiled(nogil=True)
def run(model, rules, arrivals, live, results, window, random, marks, wanted, until_closed, events):
    """Simulate until the first `wanted` prompts are closed, or until the last of them arrives.

    Args:
        model: as of the plain kernel.
        rules: what it does not know.
        arrivals: of all prompts.
        live: the network; is advanced.
        results: filled in.
        window: seconds from, to, shape (2,).
        random: the stream.
        marks: two prompts at whose arrival the queues are noted, shape (2,).
        wanted: how many prompts, the first ones, are wanted.
        until_closed: whether to wait for what becomes of them.
        events: how many to handle at most, so that the caller can be interrupted.

    Returns:
        DONE; FULL when there is no room for more tasks or events: grow, and call again; PAUSED
        after so many events: call again.
    """
    counts = live.counts
    end = 0
    for _ in range(events):
        rows = _rows_needed(model, live)
        # A task that is added or cancelled starts one service at most, and so adds one event.
        spare = 2 * model.first_slot[-1] + 4 * rows
        if counts[FREE_TASKS] < rows or len(live.times) - counts[EVENTS] < spare:
            return FULL
        prompt = counts[NEXT_PROMPT]
        if until_closed:
            while end < wanted and results.fates[end] != OPEN:
                end += 1
            if end == wanted:
                return DONE
        elif prompt >= wanted:
            return DONE
        arrives = prompt < len(arrivals.times)
        event = live.times[0] if counts[EVENTS] > 0 else np.inf
        if arrives and arrivals.times[prompt] < event:
            time = arrivals.times[prompt]
            _advance_clock(live, results, window, time)
            counts[NEXT_PROMPT] += 1
            _arrive(model, rules, arrivals, live, results, random, prompt, time)
            for mark in range(2):
                if marks[mark] == prompt:
                    for device in range(len(live.waiting)):
                        results.queues[mark, device] = live.waiting[device]
        elif counts[EVENTS] > 0:
            _advance_clock(live, results, window, event)
            _handle(model, rules, arrivals, live, results, random, event)
        else:
            return DONE
    return PAUSED
