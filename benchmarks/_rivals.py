"""The same network in SimPy, in Ciw and with a plain Python heap, for comparison of speed.

n devices, M layers, k proposers, exponential services, Poisson arrivals. Each returns mean
latency, tasks done, and seconds of CPU time, so that a rival that simulates something else is
found out by its latency.
"""

import heapq
import random
import time
from dataclasses import dataclass


@dataclass(frozen=True)
class Network:
    """n, M, k and the rate of each user; alpha is 1."""

    n: int
    M: int
    k: int
    rate: float


@dataclass(frozen=True)
class Measured:
    """Mean latency, and tasks per second of CPU time."""

    latency: float
    tasks: int
    seconds: float

    @property
    def speed(self) -> float:
        """Tasks per second."""
        return self.tasks / self.seconds


def others(draw: random.Random, n: int, k: int, owner: int) -> list[int]:
    """K devices other than the owner's."""
    return [(owner + 1 + d) % n for d in draw.sample(range(n - 1), k)]


def in_simpy(network: Network, prompts: int, seed: int) -> Measured:
    """Devices are resources, prompts and tasks are processes."""
    import simpy

    draw = random.Random(seed)
    env = simpy.Environment()
    devices = [simpy.Resource(env) for _ in range(network.n)]
    latencies: list[float] = []
    tasks = 0

    def task(device: int):  # type: ignore[no-untyped-def]
        nonlocal tasks
        with devices[device].request() as turn:
            yield turn
            yield env.timeout(draw.expovariate(1.0))
        tasks += 1

    def prompt(owner: int):  # type: ignore[no-untyped-def]
        begun = env.now
        for _ in range(network.M):
            workers = [owner, *others(draw, network.n, network.k, owner)]
            yield env.all_of([env.process(task(w)) for w in workers])
        yield env.process(task(owner))
        latencies.append(env.now - begun)

    def users():  # type: ignore[no-untyped-def]
        for _ in range(prompts):
            yield env.timeout(draw.expovariate(network.n * network.rate))
            env.process(prompt(draw.randrange(network.n)))

    begun = time.process_time()
    env.process(users())  # type: ignore[no-untyped-call]
    env.run()
    seconds = time.process_time() - begun
    return Measured(sum(latencies) / len(latencies), tasks, seconds)


def in_ciw(network: Network, tasks: int, seed: int) -> Measured:
    """Ciw has no forks: the same devices, each an M/M/1 queue that gets as many tasks.

    That is less than the network asks for (no joins), so Ciw is rather flattered.
    """
    import ciw

    rate = network.rate * ((network.k + 1) * network.M + 1)
    until = tasks / (rate * network.n)
    arrivals = [ciw.dists.Exponential(rate) for _ in range(network.n)]
    services = [ciw.dists.Exponential(1.0) for _ in range(network.n)]
    described = ciw.create_network(
        arrival_distributions=arrivals,
        service_distributions=services,
        number_of_servers=[1] * network.n,
        routing=[[0.0] * network.n for _ in range(network.n)],
    )
    ciw.seed(seed)
    simulation = ciw.Simulation(described)
    begun = time.process_time()
    simulation.simulate_until_max_time(until)
    seconds = time.process_time() - begun
    records = simulation.get_all_records()
    mean = sum(r.waiting_time + r.service_time for r in records) / len(records)
    return Measured(mean, len(records), seconds)


def in_plain_heap(network: Network, prompts: int, seed: int) -> Measured:
    """Our own algorithm in plain Python: one heap entry a layer, Lindley's recursion."""
    draw = random.Random(seed)
    free = [0.0] * network.n
    coming: list[tuple[float, int, float, int]] = []
    latency, tasks, arrival = 0.0, 0, 0.0
    begun = time.process_time()
    left = prompts
    arrival = draw.expovariate(network.n * network.rate)
    while left or coming:
        if left and (not coming or arrival <= coming[0][0]):
            now, owner, since, layer = arrival, draw.randrange(network.n), arrival, 0
            left -= 1
            arrival += draw.expovariate(network.n * network.rate)
        else:
            now, owner, since, layer = heapq.heappop(coming)
        last = layer == network.M
        workers = [owner] if last else [owner, *others(draw, network.n, network.k, owner)]
        end = now
        for device in workers:
            free[device] = max(free[device], now) + draw.expovariate(1.0)
            end = max(end, free[device])
        tasks += len(workers)
        if last:
            latency += end - since
        else:
            heapq.heappush(coming, (end, owner, since, layer + 1))
    return Measured(latency / prompts, tasks, time.process_time() - begun)
