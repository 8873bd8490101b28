"""The network again, event by event and in plain Python: what the compiled kernel must equal.

It shares no line with the simulator: every start and end of a task is an event of its own, and
each device keeps its waiting tasks in a deque.
"""

import heapq
from collections import deque
from dataclasses import dataclass, field


@dataclass(eq=False)
class Task:
    prompt: int
    layer: int
    seconds: float


@dataclass
class Device:
    slots: int
    waiting: deque[Task] = field(default_factory=deque)
    serving: int = 0


def simulate_trace(times, owners, draws, services, devices, slots=None, owner_first=False):
    """Latency of each prompt, and the waiting tasks integrated over time, of a whole trace.

    `draws[p][l]` are the other devices of prompt p in layer l, `services[p][l]` the seconds of
    its tasks, the owner's first; the last layer has the owner's only. `owner_first` serves the
    owner's tasks before guests', and of guests the one whose last service is longest ago.
    """
    park = [Device(1 if slots is None else slots[d]) for d in range(devices)]
    pending = [0] * len(times)
    latencies = [0.0] * len(times)
    events: list[tuple] = []
    order = 0
    waited = longest = 0
    clock = 0.0

    def at(time, *what):
        nonlocal order
        order += 1
        heapq.heappush(events, (time, order, *what))

    last_served: list[dict] = [{} for _ in range(devices)]
    serial = 0

    def choose(device):
        nonlocal serial
        waiting = park[device].waiting
        if not owner_first:
            return waiting[0]

        def turn(task):
            origin = owners[task.prompt]
            return -1 if origin == device else last_served[device].get(origin, 0)

        task = min(waiting, key=turn)
        serial += 1
        last_served[device][owners[task.prompt]] = serial
        return task

    def start(time, device):
        one = park[device]
        while one.waiting and one.serving < one.slots:
            task = choose(device)
            one.waiting.remove(task)
            one.serving += 1
            at(time + task.seconds, "end", device, task)

    def come(time, device, task):
        nonlocal longest
        park[device].waiting.append(task)
        start(time, device)
        longest = max(longest, len(park[device].waiting))

    def start_layer(time, prompt, layer):
        last = layer == len(services[prompt]) - 1
        workers = [owners[prompt]] if last else [owners[prompt], *draws[prompt][layer]]
        pending[prompt] = len(workers)
        for device, seconds in zip(workers, services[prompt][layer], strict=False):
            come(time, device, Task(prompt, layer, seconds))

    for prompt, time in enumerate(times):
        at(time, "arrival", prompt)
    while events:
        time, _, kind, *what = heapq.heappop(events)
        waited += (time - clock) * sum(len(one.waiting) for one in park)
        clock = time
        if kind == "arrival":
            start_layer(time, what[0], 0)
            continue
        device, task = what
        park[device].serving -= 1
        start(time, device)
        pending[task.prompt] -= 1
        if pending[task.prompt] == 0:
            if task.layer == len(services[task.prompt]) - 1:
                latencies[task.prompt] = time - times[task.prompt]
            else:
                start_layer(time, task.prompt, task.layer + 1)
    return latencies, waited, longest
