"""Live: real devices examine each other while they idle, and `dmoa` is asked what was held out.

    python -m benchmarks.examined [--real STRONG.gguf WEAK.gguf] [--exams 60] [--questions 60]

By default four pocket LLMs, examined by PocketQA questions of another seed as their owners' own;
with --real two GGUF files and `smollm2`, examined by what devices draw from their secrets. Real
`dmoa up` processes on loopback. So that nobody waits for days they examine all the time that they
idle (exam_gap of --gap seconds, exam_share 1, exam_daily 100000) instead of 2 % of it. Then every
owner asks the held-out questions by `dmoa`, and each LLM is asked them alone, greedily. Answers
are graded exactly. The last line is JSON.
"""

import argparse
import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from dmoa.client import add_questions, ask_async, fetch_standings, fetch_status
from dmoa.evaluation import pocketqa
from dmoa.evaluation.intervals import Bootstrap, Interval
from dmoa.node.local import DeviceProcess, LocalNetwork
from dmoa.standings.grading import is_right
from dmoa.standings.questions import topics
from dmoa.standings.questions.item import Item
from dmoa.standings.schedule import KNOWN_WELL

POCKET = ("pocket:fern", "pocket:iris", "pocket:moss", "pocket:sage")
EAGER = ["--exam-share", "1", "--exam-daily", "100000", "--exam-gap"]
SEED = 20261203
"""Of the held-out questions; devices draw theirs from secrets, PocketQA's come from SEED + 1."""
LOOK_SECONDS = 5.0
LONGEST_ANSWER = 128
"""Tokens of an answer to a held-out question: small LLMs sometimes go on to their window's end."""


@dataclass(frozen=True)
class HeldOut:
    """A question that no device was examined by."""

    text: str
    right: Callable[[str], bool]


def pocket_questions(count: int) -> list[HeldOut]:
    """PocketQA, the form of answer as its LLMs give it."""
    drawn = pocketqa.questions(count, SEED)
    return [HeldOut(q.text, partial(_is_right_in_pocketqa, q)) for q in drawn]


def _is_right_in_pocketqa(question: pocketqa.Question, reply: str) -> bool:
    return pocketqa.is_right(reply, question)


def own_questions(count: int) -> list[dict[str, Any]]:
    """PocketQA as the owners' own questions for examinations."""
    drawn = {q.text: q for q in pocketqa.questions(2 * count, SEED + 1)}
    return [
        {"question": q.text, "answers": [q.answer], "topic": q.group}
        for q in list(drawn.values())[:count]
    ]


def real_questions(count: int) -> list[HeldOut]:
    """Of the topics of examinations in turn, for short answers, so that slow LLMs end."""
    rng, draws = random.Random(f"held out {SEED}"), list(topics().values())
    items = [draws[i % len(draws)](rng) for i in range(count)]
    return [
        HeldOut(f"{item.text}\nGive the answer only.", partial(_is_right_answer, item))
        for item in items
    ]


def _is_right_answer(item: Item, reply: str) -> bool:
    return is_right(reply, item.answers)


async def examined(network: LocalNetwork, wanted: int, minutes: float) -> dict[str, dict[str, Any]]:
    """Wait until every device knows every other well and examines no more, or time is up."""
    started, quiet, before = time.monotonic(), 0, 0
    while True:
        found = {d.name: await fetch_standings(d.url) for d in network.devices}
        least = min(d["asked"] for known in found.values() for d in known["devices"])
        count = sum(
            one["asked"] for known in found.values() for one in known["devices"] + known["plans"]
        )
        quiet = quiet + 1 if count == before else 0
        before = count
        spent = time.monotonic() - started
        print(f"{spent:5.0f} s: {count} answers graded, everyone had {least} or more", flush=True)
        if spent > 60 * minutes or (least >= wanted and quiet >= 3):
            return found
        await asyncio.sleep(LOOK_SECONDS)


async def asked(
    device: DeviceProcess, questions: Sequence[HeldOut], model: str, **parameters: Any
) -> dict[str, Any]:
    """What a device's user gets: rights, inferences, plans and reasons."""
    rights, tasks, plans, whys = [], [], Counter[str](), Counter[str]()
    for question in questions:
        reply = await ask_async(
            question.text, node=device.url, model=model, max_tokens=LONGEST_ANSWER, **parameters
        )
        rights.append(float(question.right(reply.text)))
        tasks.append(reply.dmoa["tasks"])
        plan = reply.dmoa.get("plan") or {}
        plans[f"{plan.get('method')} by {plan.get('aggregator')} of {plan.get('devices')}"] += 1
        whys[reply.dmoa["why"]] += 1
    return {"rights": rights, "tasks": tasks, "plans": plans, "whys": whys}


def shown(interval: Interval) -> list[float]:
    """Percent."""
    return [round(value, 1) for value in (interval.mean, interval.low, interval.high)]


async def study(
    llms: Sequence[str],
    questions: Sequence[HeldOut],
    own: list[dict[str, Any]],
    wanted: int,
    minutes: float,
    gap: float,
    threads: int,
) -> dict[str, Any]:
    """Examine, ask, and compare."""
    arguments = ["--threads", str(threads), *EAGER, str(gap)]
    async with LocalNetwork(len(llms), llms, arguments, {"DMOA_EXAMS": "true"}) as network:
        for device in network.devices if own else []:
            await add_questions(own, device.url)
        found = await examined(network, wanted, minutes)
        singles, dmoa = {}, {}
        for device in network.devices:
            status = await fetch_status(device.url)
            model = next(d["model"] for d in status["devices"] if d["name"] == device.name)
            singles[device.name] = await asked(device, questions, model, temperature=0.0)
            print(f"{device.name} alone: {sum(singles[device.name]['rights']):.0f}", flush=True)
        for device in network.devices:
            dmoa[device.name] = await asked(device, questions, "dmoa")
            print(f"dmoa at {device.name}: {sum(dmoa[device.name]['rights']):.0f}", flush=True)
    bootstrap = Bootstrap(len(questions), SEED)
    best = max(singles, key=lambda name: sum(singles[name]["rights"]))
    return {
        "llms": [Path(llm).name for llm in llms],
        "seed": SEED,
        "questions": len(questions),
        "best_single": best,
        "singles": {n: shown(bootstrap.percent(one["rights"])) for n, one in singles.items()},
        "owners": {
            name: {
                "right": shown(bootstrap.percent(one["rights"])),
                "over_best_single": shown(
                    bootstrap.percent(
                        [a - b for a, b in zip(one["rights"], singles[best]["rights"], strict=True)]
                    )
                ),
                "inferences": round(sum(one["tasks"]) / len(questions), 3),
                "plans": dict(one["plans"]),
                "why": one["whys"].most_common(2),
                "examinations": {
                    d["name"]: f"{d['right']} of {d['asked']}" for d in found[name]["devices"]
                },
                "plans_examined": {
                    f"{p['method']} M={p['layers']} by {p['aggregator']} of {p['devices']}": (
                        f"{p['right']} of {p['asked']}"
                    )
                    for p in found[name]["plans"]
                },
            }
            for name, one in dmoa.items()
        },
    }


def main() -> None:
    """Run one network, show it, and end with one JSON line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--real", nargs=2, metavar="GGUF", help="a strong and a weaker LLM")
    parser.add_argument("--questions", type=int, default=60, help="held out, for each owner")
    parser.add_argument("--exams", type=int, default=int(KNOWN_WELL), help="waited for, a device")
    parser.add_argument("--own", type=int, default=100, help="PocketQA questions of each owner")
    parser.add_argument("--minutes", type=float, default=30.0, help="examined at most")
    parser.add_argument("--gap", type=float, default=0.2, help="mean seconds between questions")
    parser.add_argument("--threads", type=int, default=1, help="of each LLM")
    told = parser.parse_args()
    if told.real:
        llms, questions = [*told.real, "smollm2"], real_questions(told.questions)
        own: list[dict[str, Any]] = []
    else:
        llms, questions = list(POCKET), pocket_questions(told.questions)
        own = own_questions(told.own)
    results = asyncio.run(
        study(llms, questions, own, told.exams, told.minutes, told.gap, told.threads)
    )
    print(json.dumps(results, indent=1))
    print(json.dumps({"benchmark": "examined", **results}))


if __name__ == "__main__":
    main()
