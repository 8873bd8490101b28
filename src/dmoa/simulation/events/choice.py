"""Who answers a prompt: the plan, by the law or a rival of it, and the proposers of a layer.

A decision looks at the owner, a sample of the others and the plans: it costs the same in a
network of ten thousand as in one of ten.
"""

import numpy as np

from dmoa.policies import law
from dmoa.simulation.compiled import internal, kept
from dmoa.simulation.events import door
from dmoa.simulation.events.queues import here, owner_of, publish, slots_of
from dmoa.simulation.events.state import FIXED, GOSSIP, LADDER, PRESSURE
from dmoa.simulation.fcfs.kernel import BACKLOG, WEIGHTED, draw_uniform, draw_weighted, keep_least
from dmoa.simulation.random_numbers import uniform

USE_MEMORY = law.USE_MEMORY
price = kept(law.price)
seen_backlog = kept(law.seen_backlog)
looked_at = kept(law.looked_at)
fair_patience = kept(law.fair_patience)
choose_plan = kept(law.choose_plan)
admits = kept(door.admits)
next_rung = kept(door.next_rung)


@internal
def _backlog(setting, device, tasks):
    """Service times of work that so many tasks are at a device."""
    slots = slots_of(setting, device)
    return setting.model.alphas[device] / setting.rules.mean * tasks / slots


@internal
def _said(setting, live, device, time):
    """The backlog that a device last published, service times."""
    if setting.rules.age > 0:
        publish(setting, live, device, time)
        return _backlog(setting, device, live.devices[device].published)
    return _backlog(setting, device, here(live, device))


@internal
def _news_age(setting, live, device, time):
    """Service times since a device last published."""
    if setting.rules.age == 0:
        return 0.0
    since = (live.devices[device].said - live.devices[device].phase) * setting.rules.age
    return (time - max(since, 0.0)) / setting.rules.mean


@internal
def _in_flight(setting, live, device, owner):
    """Tasks of an owner that a device has not answered (of those in service, the last begun)."""
    one, count = live.devices[device], 0
    task = one.head if one.waiting > 0 else -1
    while task >= 0:
        if owner_of(setting, live.tasks[task].prompt) == owner:
            count += 1
        task = live.tasks[task].following
    if one.serving > 0 and owner_of(setting, live.tasks[one.current].prompt) == owner:
        count += 1
    return count


@internal
def survey(setting, live, owner, time, k):
    """Put the k others on which a task costs least in front of `distances`, cheapest first.

    Of as many as the law looks at, drawn uniformly; `costs` has what each costs: infinitely much
    at a device that is not there.
    """
    rules, distances, costs = setting.rules, live.distances, live.costs
    n = len(live.devices)
    drawn = looked_at(max(rules.sample, k), k, rules.age / rules.mean)
    for place in range(drawn):
        live.uniforms[place] = uniform(live.random)
    draw_uniform(distances, live.uniforms, drawn)
    mean = 0.0
    for place in range(drawn):
        costs[place] = _said(setting, live, (owner + distances[place]) % n, time)
        mean += costs[place] / drawn
    for place in range(drawn):
        device = (owner + distances[place]) % n
        age = _news_age(setting, live, device, time)
        if age > 0:
            mine = _in_flight(setting, live, device, owner)
            costs[place] = seen_backlog(costs[place], mean, age, mine)
        seconds = setting.model.alphas[device] / rules.mean
        costs[place] = seconds * price(costs[place], rules.patience)
        if not live.devices[device].up:
            costs[place] = np.inf
    keep_least(distances, costs, drawn, k)


@internal
def _by_price(setting, live, owner, time):
    """The plan that the law takes for a prompt that comes now; -1 to refuse it."""
    rules, alphas, prices = setting.rules, setting.model.alphas, live.prices
    n, most = len(live.devices), rules.most
    survey(setting, live, owner, time, most)
    prices[0] = price(_backlog(setting, owner, here(live, owner)), rules.patience)
    for place in range(most):
        device = (owner + live.distances[place]) % n
        prices[1 + place] = live.costs[place] * rules.mean / alphas[device]
    for plan in range(len(rules.devices)):
        device = rules.devices[plan]
        if device < 0:
            continue
        if device == owner:
            prices[1 + most + device] = prices[0]
        elif not live.devices[device].up:
            prices[1 + most + device] = np.inf
        else:
            seen = _said(setting, live, device, time)
            age = _news_age(setting, live, device, time)
            if age > 0:
                seen = seen_backlog(seen, seen, age, _in_flight(setting, live, device, owner))
            prices[1 + most + device] = price(seen, rules.patience)
    for entry in range(len(rules.places)):
        place, device = rules.places[entry], owner
        if place > most:
            device = place - most - 1
        elif place > 0:
            device = (owner + live.distances[place - 1]) % n
        live.work[entry] = rules.inferences[entry] * alphas[device] / rules.mean
    patience = rules.patience
    if rules.fair:
        patience = fair_patience(patience, used(setting, live, owner, time), rules.share)
    return choose_plan(rules.qualities, rules.first, rules.places, live.work, prices, patience)


@internal
def used(setting, live, owner, time):
    """Seconds of service per second that an owner's prompts took lately."""
    memory = USE_MEMORY * setting.rules.mean
    one = live.devices[owner]
    return one.used * np.exp((one.used_at - time) / memory) / memory


@internal
def _on_ladder(setting, live, owner, time):
    """The plan of the owner's rung at the door; -1 to refuse."""
    rules, one = setting.rules, live.devices[owner]
    between = max(rules.age, 0.001 * rules.mean)
    if time >= live.counts[GOSSIP] * between:
        live.counts[GOSSIP] = np.int64(time / between) + 1
        total = 0
        for device in range(len(live.devices)):
            total += live.devices[device].still_to_do
        live.sums[PRESSURE] = total * rules.mean / len(live.devices)
    pressure = live.sums[PRESSURE]
    rung, calm = next_rung(
        one.rung, rules.thresholds, pressure / rules.limit, one.calm, time, rules.mean
    )
    one.rung = rung
    one.calm = calm
    waiting = (one.waiting + one.serving) * setting.model.alphas[owner]
    own_work = one.still_to_do * rules.mean
    if admits(pressure, own_work, waiting, rules.limit, rules.target, rules.layers[0]):
        return rung
    return -1


@internal
def plan_of(setting, live, prompt, time):
    """The plan of a prompt that comes now; -1 to refuse it."""
    if len(setting.arrivals.plans) > 0:
        return setting.arrivals.plans[prompt]
    kind, owner = setting.rules.kind, owner_of(setting, prompt)
    if kind == FIXED:
        return 0
    if kind == LADDER:
        return _on_ladder(setting, live, owner, time)
    return _by_price(setting, live, owner, time)


@internal
def draw(setting, live, owner, k):
    """Put up to k proposers that are there into `chosen`, by the scenario's policy: how many."""
    model = setting.model
    if len(model.first_candidate) == 0:
        return _draw_from_all(setting, live, owner, k)
    count, chosen = 0, live.chosen
    for place in range(model.first_candidate[owner], model.first_candidate[owner + 1]):
        device = np.int64(model.candidates[place])
        if live.devices[device].up:
            chosen[count] = device
            count += 1
    k = min(k, count)
    if model.policy == WEIGHTED:
        total = 0.0
        for place in range(count):
            live.costs[place] = 1 / model.alphas[chosen[place]]
            total += live.costs[place]
        for place in range(k):
            live.uniforms[place] = uniform(live.random)
        draw_weighted(chosen[:count], live.costs[:count], total, live.uniforms, k)
        return k
    drawn = min(model.sample, count) if model.policy == BACKLOG else k
    for place in range(drawn):
        live.uniforms[place] = uniform(live.random)
    draw_uniform(chosen[:count], live.uniforms, drawn)
    if model.policy == BACKLOG:
        _keep_least_loaded(setting, live, drawn, k)
    return k


@internal
def _draw_from_all(setting, live, owner, k):
    """The same where every device may ask every other: O(k), or O(sample)."""
    model, distances = setting.model, live.distances
    n, count, drawn = len(live.devices), 0, k
    if model.policy == BACKLOG:
        drawn = max(model.sample, k)
    for place in range(n - 1):
        if count == drawn:
            break
        live.uniforms[0] = uniform(live.random)
        draw_uniform(distances[place:], live.uniforms, 1)
        device = (owner + distances[place]) % n
        if live.devices[device].up:
            live.chosen[count] = device
            count += 1
    if model.policy == BACKLOG:
        _keep_least_loaded(setting, live, count, min(k, count))
    return min(k, count)


@internal
def _keep_least_loaded(setting, live, drawn, k):
    """Put the k of the drawn devices in front on which one more task would end first."""
    for place in range(drawn):
        device = np.int64(live.chosen[place])
        tasks = live.devices[device].waiting + live.devices[device].serving + 1
        live.costs[place] = tasks * setting.model.alphas[device]
    keep_least(live.chosen, live.costs, drawn, k)
