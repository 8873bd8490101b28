"""The compiled network with a choice of plans, event by event.

Every prompt is given a plan, or refused, when it comes; the ends of services are the events.
A decision looks at the owner, a sample of the others and the plans: it costs the same in a
network of ten thousand as in one of ten, but for the heap of events.
"""

import numpy as np
from numba import njit

from dmoa.policies import admission, law
from dmoa.simulation.compiled import compiled
from dmoa.simulation.fcfs.kernel import draw_uniform
from dmoa.simulation.law.state import (
    ANSWERED,
    BUSY,
    DEVICE,
    EVENTS,
    FAILED,
    FOLLOWING,
    FREE_TASK,
    FREE_TASKS,
    GOSSIP,
    GUESTS,
    LADDER,
    LONGEST,
    NEXT_PROMPT,
    NOW,
    OF_PROMPT,
    PRESSURE,
    PRICE,
    PROMPT,
    QUEUED,
    REFUSED,
    SERVED,
    TAIL_DROP,
    TASKS,
    UNMEASURED,
    WAITED,
    add_event,
    remove_first_event,
)
from dmoa.simulation.random_numbers import service, uniform

USE_MEMORY = law.USE_MEMORY
price = njit(cache=True)(law.price)
seen_backlog = njit(cache=True)(law.seen_backlog)
looked_at = njit(cache=True)(law.looked_at)
fair_patience = njit(cache=True)(law.fair_patience)
choose_plan = njit(cache=True)(law.choose_plan)
admits = njit(cache=True)(admission.admits)
next_rung = njit(cache=True)(admission.next_rung)


@compiled()
def _publish(setting, live, device, time):
    """Let a device say what was true when it should have; before each change, and each look."""
    if setting.age > 0:
        number = np.int64(time / setting.age + live.phases[device])
        if number > live.said[device]:
            live.said[device] = number
            live.published[device] = (
                live.waiting[device] + live.serving[device] + live.promised[device]
            )


@compiled()
def _backlog(setting, live, device, tasks):
    """Service times of work that so many tasks are at a device."""
    return setting.alphas[device] / setting.mean * tasks / setting.slots[device]


@compiled()
def _said(setting, live, device, time):
    """The backlog that a device last published, service times."""
    if setting.age > 0:
        _publish(setting, live, device, time)
        return _backlog(setting, live, device, live.published[device])
    return _backlog(
        setting, live, device, live.waiting[device] + live.serving[device] + live.promised[device]
    )


@compiled()
def _news_age(setting, live, device, time):
    """Service times since a device last published."""
    if setting.age == 0:
        return 0.0
    since = (live.said[device] - live.phases[device]) * setting.age
    return (time - max(since, 0.0)) / setting.mean


@compiled()
def _in_flight(live, owners, device, owner):
    """Tasks of an owner that a device has not answered (of those in service, the last begun)."""
    count = 0
    task = live.heads[device]
    while task >= 0:
        if owners[live.tasks[task, PROMPT]] == owner:
            count += 1
        task = live.tasks[task, FOLLOWING]
    if live.serving[device] > 0 and owners[live.current[device]] == owner:
        count += 1
    return count


@compiled()
def _survey(setting, live, owners, random, owner, time, k):
    """Put the k others on which a task costs least in front of `candidates`, cheapest first.

    Of as many as the law looks at, drawn uniformly; `costs` has what each costs.
    """
    n = len(live.heads)
    drawn = looked_at(max(setting.sample, k), k, setting.age / setting.mean)
    candidates, costs = live.candidates, live.costs
    for place in range(drawn):
        live.uniforms[place] = uniform(random)
    draw_uniform(candidates, live.uniforms, drawn)
    mean = 0.0
    for place in range(drawn):
        device = (owner + candidates[place]) % n
        costs[place] = _said(setting, live, device, time)
        mean += costs[place] / drawn
    for place in range(drawn):
        device = (owner + candidates[place]) % n
        age = _news_age(setting, live, device, time)
        if age > 0:
            mine = _in_flight(live, owners, device, owner)
            costs[place] = seen_backlog(costs[place], mean, age, mine)
        seconds = setting.alphas[device] / setting.mean
        costs[place] = seconds * price(costs[place], setting.patience)
    for place in range(k):
        best = place
        for other in range(place + 1, drawn):
            if costs[other] < costs[best]:
                best = other
        chosen, cost = candidates[best], costs[best]
        candidates[best], costs[best] = candidates[place], costs[place]
        candidates[place], costs[place] = chosen, cost


@compiled()
def _by_price(setting, live, owners, random, owner, time):
    """The plan that the law takes for a prompt that comes now; -1 to refuse it."""
    n = len(live.heads)
    most = live.counts[GUESTS]
    _survey(setting, live, owners, random, owner, time, most)
    prices = live.prices
    here = live.waiting[owner] + live.serving[owner] + live.promised[owner]
    prices[0] = price(_backlog(setting, live, owner, here), setting.patience)
    for place in range(most):
        device = (owner + live.candidates[place]) % n
        prices[1 + place] = live.costs[place] * setting.mean / setting.alphas[device]
    for plan in range(len(setting.devices)):
        device = setting.devices[plan]
        if device == owner:
            prices[1 + most + device] = prices[0]
        elif device >= 0:
            seen = _said(setting, live, device, time)
            age = _news_age(setting, live, device, time)
            if age > 0:
                mine = _in_flight(live, owners, device, owner)
                seen = seen_backlog(seen, seen, age, mine)
            prices[1 + most + device] = price(seen, setting.patience)
    for entry in range(len(setting.places)):
        place = setting.places[entry]
        device = owner
        if place > most:
            device = place - most - 1
        elif place > 0:
            device = (owner + live.candidates[place - 1]) % n
        live.seconds[entry] = setting.times[entry] * setting.alphas[device] / setting.mean
    patience = setting.patience
    if setting.fair:
        memory = USE_MEMORY * setting.mean
        used = live.used[owner] * np.exp((live.used_at[owner] - time) / memory) / memory
        patience = fair_patience(patience, used, setting.share)
    return choose_plan(
        setting.qualities, setting.first, setting.places, live.seconds, prices, patience
    )


@compiled()
def _on_ladder(setting, live, owner, time):
    """The plan of the owner's rung at the door; -1 to refuse."""
    n = len(live.heads)
    if time >= live.counts[GOSSIP] * max(setting.age, 0.001 * setting.mean):
        live.counts[GOSSIP] = np.int64(time / max(setting.age, 0.001 * setting.mean)) + 1
        total = 0
        for device in range(n):
            total += live.open_tasks[device]
        live.clock[PRESSURE] = total * setting.mean / n
    pressure = live.clock[PRESSURE]
    rung, calm = next_rung(
        live.rung[owner], setting.thresholds, pressure / setting.limit,
        live.calm[owner], time, setting.mean,
    )  # fmt: skip
    live.rung[owner], live.calm[owner] = rung, calm
    waiting = (live.waiting[owner] + live.serving[owner]) * setting.alphas[owner]
    own_work = live.open_tasks[owner] * setting.mean
    if admits(pressure, own_work, waiting, setting.limit, setting.target, setting.layers[0]):
        return rung
    return -1


@compiled()
def _served_place(live, device, origin):
    """How recently a device served a guest: 0 for not within memory, more for later."""
    recent = live.recent
    for place in range(recent.shape[1] - 1, -1, -1):
        if recent[device, place] == origin:
            return place + 1
    return 0


@compiled()
def _next_task(setting, live, owners, device):
    """Take a waiting task out of the queue of a device: its prompt."""
    tasks = live.tasks
    before, chosen = -1, live.heads[device]
    if setting.owner_first:
        last, task, best = -1, live.heads[device], 1 << 30
        while task >= 0:
            origin = owners[tasks[task, PROMPT]]
            place = -1 if origin == device else _served_place(live, device, origin)
            if place < best:
                best, before, chosen = place, last, task
            if place < 0:
                break
            last, task = task, tasks[task, FOLLOWING]
        origin = owners[tasks[chosen, PROMPT]]
        if origin != device:
            recent = live.recent
            size = recent.shape[1]
            begin = max(_served_place(live, device, origin) - 1, 0)
            for place in range(begin, size - 1):
                recent[device, place] = recent[device, place + 1]
            recent[device, size - 1] = origin
    following = tasks[chosen, FOLLOWING]
    if before >= 0:
        tasks[before, FOLLOWING] = following
    else:
        live.heads[device] = following
    if following < 0:
        live.tails[device] = before
    prompt = tasks[chosen, PROMPT]
    tasks[chosen, FOLLOWING] = live.counts[FREE_TASK]
    live.counts[FREE_TASK] = chosen
    live.counts[FREE_TASKS] += 1
    live.counts[QUEUED] -= 1
    live.waiting[device] -= 1
    return prompt


@compiled()
def _serve(setting, live, random, device, prompt, time):
    """A slot of a device begins with a task."""
    live.serving[device] += 1
    live.current[device] = prompt
    live.counts[SERVED] += 1
    seconds = setting.alphas[device] * service(
        setting.law, setting.parameter, setting.samples, random
    )
    add_event(live, time + seconds, device, prompt)


@compiled()
def _add_task(setting, live, results, random, device, prompt, time):
    """A task comes to a device; False if its queue is full."""
    _publish(setting, live, device, time)
    results.totals[TASKS] += 1
    if live.serving[device] < setting.slots[device]:
        _serve(setting, live, random, device, prompt, time)
        return True
    if setting.kind == TAIL_DROP and live.waiting[device] >= setting.bound:
        results.totals[TASKS] -= 1
        return False
    tasks = live.tasks
    task = live.counts[FREE_TASK]
    live.counts[FREE_TASK] = tasks[task, FOLLOWING]
    live.counts[FREE_TASKS] -= 1
    live.counts[QUEUED] += 1
    tasks[task, PROMPT], tasks[task, FOLLOWING] = prompt, -1
    if live.waiting[device] == 0:
        live.heads[device] = task
    else:
        tasks[live.tails[device], FOLLOWING] = task
    live.tails[device] = task
    live.waiting[device] += 1
    results.totals[LONGEST] = max(results.totals[LONGEST], live.waiting[device])
    return True


@compiled()
def _close(live, results, prompt, fate, wanted):
    results.fates[prompt] = fate
    if prompt < wanted:
        live.counts[UNMEASURED] -= 1


@compiled()
def _next_layer(setting, live, results, owners, random, prompt, time, wanted):
    """Place the tasks of a prompt's next layer."""
    n = len(live.heads)
    owner, plan = owners[prompt], results.plans[prompt]
    layers, device = setting.layers[plan], setting.devices[plan]
    live.layer[prompt] += 1
    k = setting.proposers[plan] if live.layer[prompt] <= layers else 0
    if device < 0:
        device = owner
        _publish(setting, live, owner, time)
        live.promised[owner] -= 1
    if k > 0 and setting.kind == PRICE:
        if live.layer[prompt] > 1:  # the first layer's are those that the plan was priced with
            _survey(setting, live, owners, random, owner, time, k)
    elif k > 0:
        for place in range(k):
            live.uniforms[place] = uniform(random)
        draw_uniform(live.candidates, live.uniforms, k)
    live.left[prompt] = k + 1
    placed = _add_task(setting, live, results, random, device, prompt, time)
    for place in range(k):
        device = (owner + live.candidates[place]) % n
        placed = _add_task(setting, live, results, random, device, prompt, time) and placed
    if not placed:
        # What was placed runs in vain.
        if live.layer[prompt] <= layers:
            live.promised[owner] -= layers + 1 - live.layer[prompt]
        live.layer[prompt] = -1
        _close(live, results, prompt, FAILED, wanted)


@compiled()
def _arrive(setting, live, results, owners, random, prompt, time, wanted):
    """A prompt comes: it gets a plan, or is refused."""
    owner = owners[prompt]
    if setting.kind == PRICE:
        plan = _by_price(setting, live, owners, random, owner, time)
    elif setting.kind == LADDER:
        plan = _on_ladder(setting, live, owner, time)
    else:
        plan = 0
    results.plans[prompt] = plan
    if plan < 0:
        _close(live, results, prompt, REFUSED, wanted)
        return
    layers, k = setting.layers[plan], setting.proposers[plan]
    seconds = (layers + 1) * setting.alphas[owner] + layers * k * setting.mean
    if setting.devices[plan] >= 0:
        seconds = setting.alphas[setting.devices[plan]]
    else:
        _publish(setting, live, owner, time)
        live.promised[owner] += layers + 1
    live.open_tasks[owner] += (k + 1) * layers + 1
    if setting.fair:
        memory = USE_MEMORY * setting.mean
        faded = live.used[owner] * np.exp((live.used_at[owner] - time) / memory)
        live.used[owner], live.used_at[owner] = faded + seconds, time
    _next_layer(setting, live, results, owners, random, prompt, time, wanted)


@compiled()
def _end(setting, live, results, arrivals, random, device, prompt, time, wanted):
    """A service ends."""
    owners = arrivals.owners
    _publish(setting, live, device, time)
    live.serving[device] -= 1
    live.counts[SERVED] -= 1
    if live.waiting[device] > 0:
        following = _next_task(setting, live, owners, device)
        _serve(setting, live, random, device, following, time)
    if live.layer[prompt] < 0:
        return
    live.open_tasks[owners[prompt]] -= 1
    live.left[prompt] -= 1
    if live.left[prompt] > 0:
        return
    if live.layer[prompt] > setting.layers[results.plans[prompt]]:
        results.latencies[prompt] = time - arrivals.times[prompt]
        _close(live, results, prompt, ANSWERED, wanted)
    else:
        _next_layer(setting, live, results, owners, random, prompt, time, wanted)


@compiled(nogil=True)
def run(setting, arrivals, live, results, window, random, marks, wanted):
    """Simulate until the first `wanted` prompts are closed, or nothing more happens.

    Args:
        setting: what does not change.
        arrivals: of all prompts.
        live: is advanced.
        results: filled in.
        window: measured from, to, seconds.
        random: the stream.
        marks: numbers of two prompts at whose arrival the queues are noted.
        wanted: how many prompts are to be closed.

    Returns:
        False when there is no room for more waiting tasks: grow, and call again.
    """
    totals = results.totals
    while live.counts[UNMEASURED] > 0:
        if live.counts[FREE_TASKS] < 80:
            return False
        prompt = live.counts[NEXT_PROMPT]
        coming = prompt < len(arrivals.times)
        if live.counts[EVENTS] > 0 and (not coming or live.times[0] <= arrivals.times[prompt]):
            time = live.times[0]
            device, prompt = live.events[0, DEVICE], live.events[0, OF_PROMPT]
            coming = False
        elif coming:
            time = arrivals.times[prompt]
        else:
            return True
        inside = min(time, window[1]) - max(live.clock[NOW], window[0])
        if inside > 0:
            totals[WAITED] += inside * live.counts[QUEUED]
            totals[BUSY] += inside * live.counts[SERVED]
        live.clock[NOW] = time
        if coming:
            for row in range(2):
                if prompt == marks[row]:
                    for device in range(len(live.waiting)):
                        results.queues[row, device] = live.waiting[device]
            live.counts[NEXT_PROMPT] += 1
            _arrive(setting, live, results, arrivals.owners, random, prompt, time, wanted)
        else:
            remove_first_event(live)
            _end(setting, live, results, arrivals, random, device, prompt, time, wanted)
    return True
