"""Tasks/s of the simulator against SimPy, Ciw, a plain heap and the no-heap bound, in one run.

    python -m benchmarks.engine_speed [--quick]

n = 100, M = 2, k = 3, load 0.8, one core; and n = 4, 100, 10 000, 1 000 000 with memory. Speeds
are per second of CPU time of this process, best of five, so that other work on the machine
does not count (shared caches and threads of a core still do). The no-heap bound draws the same
random numbers and touches the same memory, without an order of events. `of_random_looks` is the
share reached of the looks at memory alone, at random places.
"""

import argparse
import json
import math
import threading
import time
from typing import Any

import numpy as np

from benchmarks._rivals import Measured, Network, in_ciw, in_plain_heap, in_simpy
from dmoa.simulation.arrivals import draw_arrivals
from dmoa.simulation.compiled import compiled
from dmoa.simulation.fcfs.engine import Engine, build_model
from dmoa.simulation.fcfs.kernel import TASKS, draw_uniform
from dmoa.simulation.random_numbers import exponential, new_stream, uniform
from dmoa.simulation.scenario import scenario_of

SEED = 5
REPEATS = 5


def new_engine(network: Network, prompts: int, *, track: bool) -> Engine:
    """The compiled kernel, ready to run."""
    tables = {
        "network": {"devices": network.n, "alpha": 1.0, "rate": network.rate},
        "protocol": {"layers": network.M, "proposers": network.k},
    }
    scenario = scenario_of(tables)
    theirs = scenario.to_network()
    arrivals = draw_arrivals(np.random.default_rng(SEED), theirs.rates, prompts)
    model = build_model(scenario, theirs, track=track)
    day = 3 / (network.n * network.rate * network.M)
    window = (0.0, float(arrivals.times[-1]))
    stream = new_stream(np.random.SeedSequence(SEED))
    places = int(max(1024, 60 * network.n * network.rate))
    return Engine(model, arrivals, prompts, stream, window, day, places)


def ours(network: Network, prompts: int, *, track: bool = False) -> Measured:
    """Run the kernel for all its prompts, best of five."""
    best: Measured | None = None
    for _ in range(REPEATS):
        engine = new_engine(network, prompts, track=track)
        begun = time.thread_time()
        engine.advance(prompts)
        engine.advance(prompts, math.inf)
        seconds = time.thread_time() - begun
        tasks = int(engine.state.counts[TASKS])
        found = Measured(float(engine.latencies.mean()), tasks, seconds)
        best = found if best is None or found.seconds < best.seconds else best
    assert best is not None
    return best


@compiled()
def bound_kernel(
    free_at: Any, candidates: Any, uniforms: Any, random: Any, prompts: int, M: int, k: int
) -> float:
    """Draws and Lindley steps of as many tasks, in no order of time."""
    n = len(free_at)
    total = 0.0
    now = 0.0
    for _ in range(prompts):
        now += exponential(random) / n
        owner = int(uniform(random) * n)
        for layer in range(M + 1):
            others = k if layer < M else 0
            if others:
                for j in range(k):
                    uniforms[j] = uniform(random)
                draw_uniform(candidates, uniforms, k)
            last = now
            for j in range(others + 1):
                device = owner
                if j:
                    device = owner + candidates[j - 1]
                    if device >= n:
                        device -= n
                end = max(free_at[device], now) + exponential(random)
                free_at[device] = end
                last = max(last, end)
            total += last
    return total


def no_heap_bound(network: Network, prompts: int) -> float:
    """Tasks/s of the bound, best of five."""
    best = 0.0
    C = (network.k + 1) * network.M + 1
    for _ in range(REPEATS):
        arguments = (
            np.zeros(network.n),
            np.arange(1, network.n, dtype=np.int32),
            np.zeros(network.k),
            new_stream(np.random.SeedSequence(SEED)),
        )
        bound_kernel(*arguments, 10, network.M, network.k)
        begun = time.thread_time()
        bound_kernel(*arguments, prompts, network.M, network.k)
        best = max(best, prompts * C / (time.thread_time() - begun))
    return best


@compiled()
def look_kernel(free_at: Any, records: Any, random: Any, prompts: int, M: int, k: int) -> float:
    """As many looks at memory, at random places: each task's device, each layer's record."""
    n, places, total = len(free_at), len(records), 0.0
    for _ in range(prompts):
        record = int(uniform(random) * places)
        for layer in range(M + 1):
            owner = int(uniform(random) * n)
            for j in range(k + 1 if layer < M else 1):
                device = owner if j == 0 else int(uniform(random) * n)
                free_at[device] += 1.0
            if layer < M:  # an open prompt is looked at again when its layer ends
                records[record, 0] += 1.0
                record = int(uniform(random) * places)
                total += records[record, 1]
    return total


def memory_bound(network: Network, prompts: int) -> float:
    """Tasks/s of these looks and their random numbers alone, best of five."""
    best = 0.0
    C = (network.k + 1) * network.M + 1
    places = int(max(1024, 60 * network.n * network.rate))
    for _ in range(REPEATS):
        arguments = (
            np.zeros(network.n),
            np.zeros((places, 3)),
            new_stream(np.random.SeedSequence(SEED)),
        )
        look_kernel(*arguments, 10, network.M, network.k)
        begun = time.thread_time()
        look_kernel(*arguments, prompts, network.M, network.k)
        best = max(best, prompts * C / (time.thread_time() - begun))
    return best


def memory(engine: Engine) -> float:
    """Megabytes of the arrays of an engine, arrivals and latencies included."""
    arrays = (*engine.state, *engine.calendar, *engine.arrivals, *engine.model, engine.latencies)
    return sum(a.nbytes for a in arrays if isinstance(a, np.ndarray)) / 1e6


def speed_up(network: Network, prompts: int) -> float:
    """Wall clock of two runs one after the other, over two at once in threads."""

    def once() -> None:
        engine = new_engine(network, prompts, track=False)
        engine.advance(prompts)

    begun = time.perf_counter()
    once()
    once()
    serial = time.perf_counter() - begun
    threads = [threading.Thread(target=once) for _ in range(2)]
    begun = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return serial / (time.perf_counter() - begun)


def main() -> None:
    """Measure everything, print it, and end with one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of everything")
    scale = 0.1 if parser.parse_args().quick else 1.0
    load = 0.8
    network = Network(100, 2, 3, load / 9)
    ours(network, 1000)  # compiles
    found: dict[str, Any] = {"benchmark": "engine_speed", "seed": SEED}
    fast = ours(network, int(400_000 * scale))
    found["tasks_per_second"] = fast.speed
    found["with_longest_queue"] = ours(network, int(400_000 * scale), track=True).speed
    found["latency"] = fast.latency
    found["no_heap_bound"] = no_heap_bound(network, int(400_000 * scale))
    found["share_of_bound"] = fast.speed / found["no_heap_bound"]
    print({k: v for k, v in found.items() if k != "benchmark"}, flush=True)
    rivals = {
        "simpy": in_simpy(network, int(6000 * scale), SEED),
        "ciw": in_ciw(network, int(20_000 * scale), SEED),
        "plain_heap": in_plain_heap(network, int(40_000 * scale), SEED),
    }
    for name, rival in rivals.items():
        found[name] = {
            "tasks_per_second": rival.speed,
            "latency": rival.latency,
            "times": fast.speed / rival.speed,
        }
        print(name, found[name], flush=True)
    for n, prompts in ((4, 500_000), (100, 500_000), (10_000, 1_000_000), (1_000_000, 8_000_000)):
        sized = Network(n, 2, 3, load / 9)
        engine = new_engine(sized, int(prompts * scale), track=False)
        begun = time.thread_time()
        engine.advance(len(engine.arrivals.times))
        seconds = time.thread_time() - begun
        speed = int(engine.state.counts[TASKS]) / seconds
        looks = memory_bound(sized, int(prompts * scale))
        found[f"n={n}"] = {
            "tasks_per_second": speed,
            "of_random_looks": speed / looks,
            "megabytes": memory(engine),
        }
        print(f"n={n}", found[f"n={n}"], flush=True)
    found["speed_up_on_two_cores"] = speed_up(network, int(500_000 * scale))
    print(json.dumps(found))


if __name__ == "__main__":
    main()
