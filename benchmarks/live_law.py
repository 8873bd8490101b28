"""The law, live against simulated: one run's own arrivals and service times, fed to the simulator.

    python -m benchmarks.live_law [--devices 4] [--seconds 60] [--loads 0.5,0.9,1.5,3] [--keep DIR]
    python -m benchmarks.live_law --trace DIR/alike-0.9.jsonl

Real processes with scripted exponential LLMs (alpha = 0.5 s) whose qualities every device knows,
as examinations would have left them; prompts to the model `dmoa` through the HTTP APIs, a Poisson
stream per user, users alike or one of them with half of the load. A load of 1 is as many prompts
as inferences can be made. A run is kept as JSON lines, one a prompt: `time`, `owner`, `device`
(that answered alone; null if refused), `seconds` of its service and `latency`.

The simulator gets that trace in two ways: with the live decisions, which tests queues and order of
service, and with arrivals and service times only, deciding itself by the same law.
"""

import argparse
import asyncio
import json
import random
import tempfile
import time
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from openai import APIStatusError

from benchmarks.live_against_simulated import poisson
from dmoa.client import client
from dmoa.node.identity import load_identity
from dmoa.node.local import LocalNetwork
from dmoa.simulation.arrivals import Recorded
from dmoa.simulation.study import simulate
from dmoa.standings.decision import Card
from dmoa.standings.examiner import Kept
from dmoa.standings.outcomes import KEPT, Outcome, Record, Standings

ALPHA, SEED, MODEL = 0.5, 20261125, "scripted"
SKILLS = (0.8, 0.8, 0.55, 0.3)  # repeated for more devices
NEWS_SECONDS = 1.0  # after which a device's last word is too old (`device/loads.py`)

Prompt = dict[str, Any]


def skills(devices: int) -> list[float]:
    """What each device's LLM is right in, as a Beta posterior of the outcomes below has it."""
    right = [round(KEPT * SKILLS[d % len(SKILLS)]) for d in range(devices)]
    return [(count + 1) / (KEPT + 2) for count in right]


def know_each_other(network: LocalNetwork) -> None:
    """Write what examinations would have found into every device's state, before it starts."""
    folders = [network.folder / device.name for device in network.devices]
    ids = [load_identity(folder).id for folder in folders]
    order, now = random.Random(SEED), time.time()
    records = {}
    for number, (device, own) in enumerate(zip(network.devices, ids, strict=True)):
        count = round(KEPT * SKILLS[number % len(SKILLS)])
        answers = [True] * count + [False] * (KEPT - count)
        order.shuffle(answers)
        subject = Card(own, device.name, MODEL).subject
        records[subject] = Record([Outcome(i, "", a, now) for i, a in enumerate(answers)])
    for folder in folders:
        kept = Kept(standings=Standings(records=records))
        (folder / "examinations.json").write_bytes(msgspec.json.encode(kept))


def offered(devices: int, load: float, busy: bool, seconds: float) -> list[tuple[float, int]]:
    """When a prompt comes, and to whose device."""
    generator = random.Random(f"{SEED}/{load}/{busy}")
    total = devices * load / ALPHA
    share = [0.5] + [0.5 / (devices - 1)] * (devices - 1) if busy else [1 / devices] * devices
    return sorted(
        (t, owner)
        for owner in range(devices)
        for t in poisson(generator, total * share[owner], seconds)
    )


async def run(devices: int, arrivals: list[tuple[float, int]]) -> list[Prompt]:
    """The live run: one dictionary a prompt, in order of arrival."""
    llm = f"scripted:exponential,mean={ALPHA},seed={SEED}"
    network = LocalNetwork(devices, llm)
    know_each_other(network)
    prompts: list[Prompt] = []
    async with network:
        apis = [client(d.url, None).with_options(max_retries=0) for d in network.devices]
        numbers = {device.name: i for i, device in enumerate(network.devices)}

        async def ask(owner: int) -> None:
            asked = time.perf_counter() - started
            prompt: Prompt = {"time": asked, "owner": owner, "device": None}
            prompts.append(prompt)
            try:
                answer = await apis[owner].chat.completions.create(
                    model="dmoa", messages=[{"role": "user", "content": "What is it?"}]
                )
            except APIStatusError as refusal:
                if refusal.status_code != 429:
                    raise
                return
            tree = (answer.model_extra or {})["dmoa"]
            (inference,) = tree["aggregator"]
            prompt["latency"] = time.perf_counter() - started - asked
            prompt["device"] = numbers[inference["name"]]
            prompt["seconds"] = inference["service_seconds"]

        for owner in range(devices):  # mean service times must have been measured
            started = time.perf_counter()
            for _ in range(4):
                await ask(owner)
        prompts.clear()
        started = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for when, owner in arrivals:
                await asyncio.sleep(started + when - time.perf_counter())
                group.create_task(ask(owner))
        for api in apis:
            await api.close()
    return sorted(prompts, key=lambda prompt: prompt["time"])


def compare(prompts: list[Prompt]) -> dict[str, Any]:
    """The live run beside the simulator's, with its decisions and with the simulator's own."""
    devices = 1 + max(prompt["owner"] for prompt in prompts)
    quality = skills(devices)
    done = [prompt for prompt in prompts if prompt["device"] is not None]
    services = [prompt["seconds"] for prompt in done]
    alpha = float(np.mean(services))
    times = np.array([prompt["time"] for prompt in prompts])
    owners = np.array([prompt["owner"] for prompt in prompts], np.int32)
    plans = [-1 if p["device"] is None else p["device"] for p in prompts]
    seconds = [prompt.get("seconds", 0.0) for prompt in prompts]
    tables = {
        "network": {"devices": devices, "alpha": alpha, "rate": 1.0},
        "protocol": {"discipline": "owner-first"},
        "law": {"age": max(NEWS_SECONDS, 2 * alpha)},
        "plans": [{"device": d, "quality": q} for d, q in enumerate(quality)],
        "service": {"law": "recorded", "times": services},
        "arrivals": {"law": "burst"},
        "run": {"replications": 1, "prompts": len(prompts), "seed": SEED},
    }
    told = Recorded(
        times, owners, None, np.array(seconds).reshape(-1, 1, 1), np.array(plans, np.int16)
    )
    same = simulate(tables, recorded=told)
    tables["run"] = {"replications": 20, "prompts": len(prompts), "seed": SEED}
    own = simulate(tables, recorded=Recorded(times, owners))
    latency = float(np.mean([prompt["latency"] for prompt in done]))
    worth = sum(quality[prompt["device"]] for prompt in done) / len(prompts)
    found = {
        "prompts": len(prompts),
        "mean_service_seconds": alpha,
        "answered": len(done) / len(prompts),
        "quality": worth,
        "latency": latency,
        "same_decisions_latency": same.latency.mean,
        "live_over_same": latency / same.latency.mean,
        "simulated_answered": own.outcomes["answered"].mean,
        "simulated_quality": own.outcomes["quality"].mean,
        "simulated_latency": own.latency.mean,
        "live_over_simulated": latency / own.latency.mean,
        "simulated_latency_half_width": own.latency.half_width,
    }
    return {name: round(value, 4) for name, value in found.items()}


def main() -> None:
    """Run or read, compare, and end with one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--devices", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--loads", default="0.5,0.9,1.5,3")
    parser.add_argument("--keep", type=Path, help="folder for the traces")
    parser.add_argument("--trace", type=Path, help="compare this one, and run nothing")
    given = parser.parse_args()
    if given.trace:
        prompts = [json.loads(line) for line in given.trace.read_text().splitlines()]
        print(json.dumps({"benchmark": "live_law", given.trace.stem: compare(prompts)}))
        return
    found: dict[str, Any] = {"benchmark": "live_law", "devices": given.devices}
    with tempfile.TemporaryDirectory() as scratch:
        folder = given.keep or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        for users in ("alike", "one-busy"):
            for load in map(float, given.loads.split(",")):
                arrivals = offered(given.devices, load, users == "one-busy", given.seconds)
                prompts = asyncio.run(run(given.devices, arrivals))
                name = f"{users}-{load:g}"
                lines = "".join(json.dumps(prompt) + "\n" for prompt in prompts)
                (folder / f"{name}.jsonl").write_text(lines)
                found[name] = compare(prompts)
                print(name, found[name], flush=True)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
