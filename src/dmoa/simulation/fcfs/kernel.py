"""The compiled heart of the simulator: first come first served, with forks and joins.

A queue served first come, first served needs no events of its own: a task that comes to a
device at time t starts at max(t, the time at which a slot gets free), and that is known at
once (Lindley's recursion). What must be kept in order is only when tasks come: the arrival of
a prompt, and the end of each of its layers. So there is one event per prompt and layer, not one
per task, and the last task's end is known when it is placed.
"""

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from dmoa.policies import proposers
from dmoa.simulation.compiled import compiled, kept
from dmoa.simulation.fcfs.calendar import DAY, LATER, TODAY, open_next_day, pop_today, push
from dmoa.simulation.random_numbers import EXPONENTIAL, exponential, service, uniform

UNIFORM, BACKLOG, WEIGHTED = range(3)
# Devices from which on a look at an array of all of them waits for memory.
LARGE = 1 << 16

# columns of the calendar's records
PROMPT, OWNER, LAYER = 1, 2, 3
# places in `sums`
WAITED, BUSY = range(2)
# places in `counts`
NEXT, OPEN, TASKS, LONGEST, UNMEASURED, FREE_WAIT, ROOM = range(7)

draw_uniform = kept(proposers.draw_uniform)
draw_weighted = kept(proposers.draw_weighted)
keep_least = kept(proposers.keep_least)


class Model(NamedTuple):
    """What is simulated; nothing here changes.

    Attributes:
        alphas: mean service times, seconds, shape (n,).
        first_slot: device d has the slots first_slot[d] to first_slot[d + 1], shape (n + 1,).
        candidates: whom owners may ask, shape (any,): rows of device numbers by owner or, in a
            complete graph, one row of distances 1 to n - 1 that all owners share.
        first_candidate: row of each owner, shape (n + 1,); empty for a complete graph.
        weights: of the candidates, in the same order, for weighted draws; else empty.
        layers: M.
        proposers: k.
        policy: one of UNIFORM, BACKLOG, WEIGHTED.
        sample: d of BACKLOG.
        lengths: relative times of first, refining and aggregating tasks, shape (3,).
        law: of the service times; see `random_numbers.service`.
        parameter: of that law.
        samples: recorded service times with mean 1.
        track: whether to follow each device's waiting tasks, for the longest queue and for
            policies that look at the backlog.
    """

    alphas: NDArray[np.float64]
    first_slot: NDArray[np.int64]
    candidates: NDArray[np.int32]
    first_candidate: NDArray[np.int64]
    weights: NDArray[np.float64]
    layers: int
    proposers: int
    policy: int
    sample: int
    lengths: NDArray[np.float64]
    law: int
    parameter: float
    samples: NDArray[np.float64]
    track: bool


class Arrivals(NamedTuple):
    """Prompts in order of arrival.

    Attributes:
        times: seconds, shape (prompts,).
        owners: device numbers, shape (prompts,).
        draws: recorded proposers, shape (prompts, M, k), or empty: drawn by the policy.
        services: recorded service times, seconds, shape (prompts, M + 1, k + 1), the owner's
            first, or empty: drawn from the law.
        plans: recorded plans, -1 for refused, shape (prompts,), or empty: there is one, or they
            are chosen.
    """

    times: NDArray[np.float64]
    owners: NDArray[np.int32]
    draws: NDArray[np.int32]
    services: NDArray[np.float64]
    plans: NDArray[np.int16]


class State(NamedTuple):
    """What changes while simulating.

    Attributes:
        free_at: when each slot gets free, seconds, shape (slots of all devices,).
        spare: stack of places that are not open, shape (open places,).
        starts: start times of waiting tasks, in linked lists, shape (waiting places,).
        after: the next waiting task of the same device, shape (waiting places,).
        heads: first waiting task of each device, shape (n,).
        tails: last one, shape (n,).
        waiting: how many wait at each device, shape (n,).
        counts: see the constants, shape (7,).
        sums: see the constants, shape (2,).
        window: measured from, to, seconds, shape (2,).
        uniforms: scratch of a draw, shape (largest draw,).
        costs: scratch of a choice, shape (largest draw,).
        chosen, moved: scratch of a sparse draw, shape (k,) and (k, 2).
        random: the stream, shape (4,).
    """

    free_at: NDArray[np.float64]
    spare: NDArray[np.int32]
    starts: NDArray[np.float64]
    after: NDArray[np.int32]
    heads: NDArray[np.int32]
    tails: NDArray[np.int32]
    waiting: NDArray[np.int32]
    counts: NDArray[np.int64]
    sums: NDArray[np.float64]
    window: NDArray[np.float64]
    uniforms: NDArray[np.float64]
    costs: NDArray[np.float64]
    chosen: NDArray[np.int64]
    moved: NDArray[np.int64]
    random: NDArray[np.uint64]


@njit(inline="always")
def expire(device, time, starts, after, heads, waiting, counts):
    """Take tasks that have started by `time` out of a device's waiting tasks."""
    while waiting[device] > 0 and starts[heads[device]] <= time:
        node = heads[device]
        heads[device] = after[node]
        after[node] = counts[FREE_WAIT]
        counts[FREE_WAIT] = node
        counts[ROOM] += 1
        waiting[device] -= 1


@njit(inline="always")
def _wait(device, start, starts, after, heads, tails, waiting, counts):
    """Add a task that will start at `start` to those that wait; there is room."""
    node = counts[FREE_WAIT]
    counts[FREE_WAIT] = after[node]
    counts[ROOM] -= 1
    starts[node] = start
    if waiting[device] == 0:
        heads[device] = node
    else:
        after[tails[device]] = node
    tails[device] = node
    waiting[device] += 1
    counts[LONGEST] = max(counts[LONGEST], waiting[device])


@njit(inline="always")
def _earliest_slot(device, first_slot, free_at):
    """The slot of a device that gets free first."""
    slot = first_slot[device]
    for other in range(slot + 1, first_slot[device + 1]):
        if free_at[other] < free_at[slot]:
            slot = other
    return slot


@kept
def _queued(device, time, first_slot, free_at, starts, after, heads, waiting, counts):
    """Tasks queued and in service at a device."""
    expire(device, time, starts, after, heads, waiting, counts)
    tasks = waiting[device]
    for slot in range(first_slot[device], first_slot[device + 1]):
        if free_at[slot] > time:
            tasks += 1
    return tasks


@njit(inline="always")
def draw_distances(uniforms, count, k, chosen, moved):
    """What `draw_uniform` puts in front of the distances 1 to `count`, without an array of them.

    Args:
        uniforms: at least k numbers in [0, 1).
        count: of distances.
        k: how many are wanted.
        chosen: filled in, shape (k,).
        moved: scratch: places whose distance is another than at first, and it, shape (k, 2).
    """
    for place in range(k):
        other = place + int(uniforms[place] * (count - place))
        here, there = place + 1, other + 1
        for earlier in range(place):
            if moved[earlier, 0] == place:
                here = moved[earlier, 1]
            if moved[earlier, 0] == other:
                there = moved[earlier, 1]
        chosen[place] = there
        moved[place, 0], moved[place, 1] = other, here


@compiled(nogil=True)
def run(model, arrivals, state, calendar, latencies, upto, until):
    """Simulate the arrivals of prompts before `upto`, and what happens until `until`.

    Args:
        model: the network.
        arrivals: all prompts so far known.
        state: is advanced.
        calendar: ends of layers; is advanced.
        latencies: seconds of each prompt by number, shape (wanted,); filled in.
        upto: prompts with a lower number arrive.
        until: seconds; after the last arrival, events up to this time happen.

    Returns:
        False when it stopped because there is no room for more open prompts or waiting tasks:
        grow, and call again. True when it got there, or all wanted latencies are known.
    """
    # Local names: an access to a field of a tuple costs more than the work done here.
    alphas, first_slot, lengths = model.alphas, model.first_slot, model.lengths
    candidates, first_candidate, weights = model.candidates, model.first_candidate, model.weights
    M, k, policy, sample = model.layers, model.proposers, model.policy, model.sample
    law, parameter, samples, track = model.law, model.parameter, model.samples, model.track
    arrival_times, arrival_owners = arrivals.times, arrivals.owners
    draws, services = arrivals.draws, arrivals.services
    free_at, spare = state.free_at, state.spare
    starts, after, heads = state.starts, state.after, state.heads
    tails, waiting, counts = state.tails, state.waiting, state.counts
    uniforms, costs, random = state.uniforms, state.costs, state.random
    event_times, records, first = calendar.times, calendar.records, calendar.first
    heap, counters, scale = calendar.heap, calendar.counters, calendar.scale

    since, end_of_window = state.window[0], state.window[1]
    waited, busy = state.sums[WAITED], state.sums[BUSY]
    n = len(alphas)
    shared = len(first_candidate) == 0
    draws_recorded, services_recorded = draws.shape[0] > 0, services.shape[0] > 0
    wanted = len(latencies)
    # In a large network each look-up by device waits for memory: spare those that can be.
    single = first_slot[n] == n
    alpha = alphas[0]
    alike = True
    for device in range(n):
        alike = alike and alphas[device] == alpha
    row = 0
    finished = True
    sparse = shared and policy == UNIFORM and n >= LARGE
    chosen, moved = state.chosen, state.moved

    while counts[UNMEASURED] > 0:
        if counts[OPEN] == len(spare) or counts[ROOM] <= k:
            finished = False
            break
        prompt = counts[NEXT]
        arrives = prompt < upto
        limit = arrival_times[prompt] if arrives else until
        # The next end of a layer, if it comes before the next arrival.
        while counters[TODAY] == 0 and counters[LATER] > 0:
            if counters[DAY] + 1 > limit * scale[0]:
                break
            open_next_day(event_times, records, first, heap, counters, scale)
        if counters[TODAY] > 0 and event_times[heap[0]] <= limit:
            place = pop_today(event_times, heap, counters)
            time = event_times[place]
            prompt, owner, layer = (
                records[place, PROMPT], records[place, OWNER], records[place, LAYER],
            )  # fmt: skip
        elif arrives:
            if counters[TODAY] + counters[LATER] == 0:
                # Do not open the days of a quiet time one by one.
                counters[DAY] = max(counters[DAY], int(limit * scale[0]))
            place = spare[counts[OPEN]]
            counts[OPEN] += 1
            counts[NEXT] += 1
            time, owner, layer = limit, arrival_owners[prompt], 0
            records[place, PROMPT], records[place, OWNER] = prompt, owner
        else:
            break

        others = k if layer < M else 0
        if others > 0 and not draws_recorded:
            if not shared:
                row = first_candidate[owner]
            if policy == UNIFORM:
                for j in range(k):
                    uniforms[j] = uniform(random)
                if sparse:
                    draw_distances(uniforms, n - 1, k, chosen, moved)
                elif shared:
                    draw_uniform(candidates, uniforms, k)
                else:
                    draw_uniform(candidates[row : first_candidate[owner + 1]], uniforms, k)
            else:
                for j in range(max(k, sample)):
                    uniforms[j] = uniform(random)
                if policy == WEIGHTED:
                    last = first_candidate[owner + 1]
                    odds = weights[row:last]
                    draw_weighted(candidates[row:last], odds, odds.sum(), uniforms, k)
                else:
                    last = n - 1 if shared else first_candidate[owner + 1]
                    draw_uniform(candidates[row:last], uniforms, sample)
                    for j in range(sample):
                        device = candidates[row + j]
                        if shared:
                            device = (owner + device) % n
                        tasks = _queued(
                            device, time, first_slot, free_at,
                            starts, after, heads, waiting, counts,
                        )  # fmt: skip
                        costs[j] = (tasks + 1) * alphas[device]
                    keep_least(candidates[row:last], costs, sample, k)

        kind = 0 if layer == 0 else (2 if layer == M else 1)
        last_end = time
        for j in range(others + 1):
            device = owner
            if j > 0:
                if draws_recorded:
                    device = draws[prompt, layer, j - 1]
                elif shared:
                    device = owner + (chosen[j - 1] if sparse else candidates[j - 1])
                    if device >= n:
                        device -= n
                else:
                    device = candidates[row + j - 1]
            if services_recorded:
                seconds = services[prompt, layer, j]
            elif law == EXPONENTIAL:
                seconds = exponential(random) * (alpha if alike else alphas[device]) * lengths[kind]
            else:
                seconds = service(law, parameter, samples, random)
                seconds *= (alpha if alike else alphas[device]) * lengths[kind]
            slot = device if single else _earliest_slot(device, first_slot, free_at)
            start = max(free_at[slot], time)
            end = start + seconds
            free_at[slot] = end
            last_end = max(last_end, end)
            waited += max(0.0, min(start, end_of_window) - max(time, since))
            busy += max(0.0, min(end, end_of_window) - max(start, since))
            if track:
                expire(device, time, starts, after, heads, waiting, counts)
                if start > time:
                    _wait(device, start, starts, after, heads, tails, waiting, counts)
        counts[TASKS] += others + 1

        if layer < M:
            records[place, LAYER] = layer + 1
            push(place, last_end, event_times, records, first, heap, counters, scale)
        else:
            counts[OPEN] -= 1
            spare[counts[OPEN]] = place
            if prompt < wanted:
                latencies[prompt] = last_end - arrival_times[prompt]
                counts[UNMEASURED] -= 1

    state.sums[WAITED], state.sums[BUSY] = waited, busy
    return finished


@kept
def expire_all(state, time):
    """Take tasks that have started by `time` out of all devices' waiting tasks."""
    for device in range(len(state.waiting)):
        expire(device, time, state.starts, state.after, state.heads, state.waiting, state.counts)
