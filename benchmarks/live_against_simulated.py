"""One live run's own arrivals, draws and service times, fed to the simulator: mean latency.

    python -m benchmarks.live_against_simulated

Four real processes with scripted exponential LLMs (alpha = 0.25 s), real Zenoh, prompts sent
through the HTTP APIs as a Poisson stream per user, M = 2, k = 3, load 0.9, first come first
served. The simulator and the replay of the published script get the trace of the same run.
"""

import asyncio
import json
import random
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import dmoa
from dmoa.client import client
from dmoa.node.local import LocalNetwork

ALPHA, DEVICES, LAYERS, PROPOSERS, LOAD = 0.25, 4, 2, 3, 0.9
SECONDS, SEED = 150.0, 20261124


async def run() -> list[dict[str, Any]]:
    """The live run: one dictionary a prompt, in order of arrival."""
    rate = LOAD / (ALPHA * ((PROPOSERS + 1) * LAYERS + 1))
    generator = random.Random(SEED)
    arrivals = sorted(
        (t, owner) for owner in range(DEVICES) for t in poisson(generator, rate, SECONDS)
    )
    prompts: list[dict[str, Any]] = []
    # A layer ends when all its responses are in, as in the paper: no quorum, no grace.
    patient = {"DMOA_QUORUM": "1", "DMOA_PATIENCE": "1000"}
    llm = f"scripted:exponential,mean={ALPHA},seed={SEED}"
    async with LocalNetwork(DEVICES, llm, environment=patient) as network:
        apis = [client(device.url, None) for device in network.devices]
        numbers = {device.name: i for i, device in enumerate(network.devices)}

        async def ask(owner: int) -> None:
            asked = time.perf_counter() - started
            answer = await apis[owner].chat.completions.create(
                model=f"dmoa-m{LAYERS}-k{PROPOSERS}", messages=[{"role": "user", "content": "?"}]
            )
            latency = time.perf_counter() - started - asked
            tree = (answer.model_extra or {})["dmoa"]
            assert tree["replacements"] == 0
            layers = [*(layer["proposers"] for layer in tree["layers"]), tree["aggregator"]]
            prompts.append(
                {
                    "time": asked,
                    "owner": owner,
                    "latency": latency,
                    "proposers": [[numbers[p["name"]] for p in row[1:]] for row in layers[:-1]],
                    "seconds": [[p["service_seconds"] for p in row] for row in layers],
                }
            )

        for i in range(DEVICES):  # connections
            await apis[i].models.list()
        started = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for when, owner in arrivals:
                await asyncio.sleep(started + when - time.perf_counter())
                group.create_task(ask(owner))
        for api in apis:
            await api.close()
    return sorted(prompts, key=lambda prompt: prompt["time"])


def poisson(generator: random.Random, rate: float, until: float) -> list[float]:
    """Arrival times of one user."""
    times, now = [], generator.expovariate(rate)
    while now < until:
        times.append(now)
        now += generator.expovariate(rate)
    return times


def simulate(prompts: list[dict[str, Any]]) -> float:
    """Mean latency in seconds that the simulator finds for the run's trace."""
    with tempfile.TemporaryDirectory() as folder:
        trace = Path(folder) / "trace.json"
        trace.write_text(json.dumps(prompts))
        outcome = dmoa.simulate(
            {
                "network": {"devices": DEVICES, "alpha": ALPHA, "rate": 0.01},
                "protocol": {"layers": LAYERS, "proposers": PROPOSERS},
                "arrivals": {"law": "recorded", "file": str(trace)},
                "run": {"replications": 1},
            }
        )
    assert outcome.latency is not None
    return float(outcome.latency.mean)


def replay(prompts: list[dict[str, Any]]) -> float:
    """The same by the replay of the published script."""
    trace = []
    for prompt in prompts:
        entry: dict[str, Any] = {
            "arrival_time": prompt["time"],
            "user_number": prompt["owner"] + 1,
        }
        for layer, seconds in enumerate(prompt["seconds"], start=1):
            others = prompt["proposers"][layer - 1] if layer <= LAYERS else []
            devices = [prompt["owner"] + 1, *(device + 1 for device in others)]
            asked: dict[str, Any] = {"proposer_list": devices}
            for device, second in zip(devices, seconds, strict=True):
                asked[str(device)] = ["", second]
            entry[f"layer{layer}_proposers"] = asked
        trace.append(entry)
    return dmoa.replay(trace).true.latency


def main() -> None:
    """Run, compare, and end with one JSON line."""
    prompts = asyncio.run(run())
    live = statistics.fmean(prompt["latency"] for prompt in prompts)
    services = [s for prompt in prompts for row in prompt["seconds"] for s in row]
    simulated = simulate(prompts)
    result = {
        "benchmark": "live_against_simulated",
        "prompts": len(prompts),
        "tasks": len(services),
        "mean_service_seconds": round(statistics.fmean(services), 5),
        "live_seconds": round(live, 4),
        "simulated_seconds": round(simulated, 4),
        "replayed_seconds": round(replay(prompts), 4),
        "live_over_simulated": round(live / simulated, 4),
    }
    print(f"live {live:.3f} s, simulated {simulated:.3f} s: {live / simulated - 1:+.2%}")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
