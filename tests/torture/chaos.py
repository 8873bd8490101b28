"""Chaos: whatever happens to devices, prompts are answered once or refused, and all heals.

A schedule is a list of printable operations on virtual time, made from a seed; one that fails is
cut down to the operations that it needs, and printed.
"""

import asyncio
import random
import time
import traceback
from collections import Counter
from collections.abc import Callable
from typing import Any

from dmoa.device.committee import Committees, Size, Wish
from dmoa.device.device import Device
from dmoa.errors import NobodyAnswered, QueueFull
from dmoa.protocol.conversation import Message
from dmoa.protocol.events import Finished
from dmoa.protocol.prompt import Prompt
from tests.cluster import Cluster, Script
from tests.virtual import run_virtual

DEVICES = 5
LONGEST = 40  # operations
CALM_SECONDS = 120.0
PATIENCE = 6.0  # service times: a queue of three is long
ASKED = [Message(role="user", content="Why?")]
OPTIONS = {"first_token_seconds": 20.0, "stall_seconds": 20.0}

Operation = tuple[str, int, int, int]
"""What is done, to which device, and two numbers of which the operation knows the meaning."""


def schedule(seed: int) -> list[Operation]:
    """The operations of a seed."""
    draw = random.Random(seed)
    makers: list[Callable[[int], Operation]] = [
        *[lambda i: ("ask", i, draw.randrange(4), draw.randrange(6))] * 5,
        lambda i: ("ask and leave", i, draw.randrange(4), draw.randrange(6)),
        lambda i: ("kill", i, 0, 0),
        lambda i: ("restart", i, 0, 0),
        lambda i: ("bounce", i, 0, 0),
        lambda i: ("hang", i, 0, 0),
        lambda i: ("go on", i, 0, 0),
        lambda i: ("break llm", i, draw.randrange(5), 0),
        lambda i: ("stall llm", i, 0, 0),
        lambda i: ("mend llm", i, 0, 0),
        lambda i: ("lose", i, draw.randrange(31), 0),
        lambda i: ("delay", i, draw.randrange(200), 0),
        lambda i: ("cut", i, draw.randrange(DEVICES), draw.randrange(DEVICES)),
        lambda i: ("heal", i, 0, 0),
        *[lambda i: ("wait", i, draw.randrange(11), 0)] * 3,
    ]
    return [draw.choice(makers)(draw.randrange(DEVICES)) for _ in range(draw.randint(1, LONGEST))]


def run(operations: list[Operation], seed: int) -> Counter[str]:
    """Run a schedule; what became of its prompts.

    Raises:
        AssertionError: something that must hold did not.
    """

    async def work() -> Counter[str]:
        async with Cluster(DEVICES, seed=seed, device_options=OPTIONS) as cluster:
            return await Chaos(cluster).run(operations)

    return run_virtual(work(), at_most=20_000)


class Chaos:
    """Runs a schedule, and checks what must hold whatever happens."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.dead: set[int] = set()
        self.prompts: list[tuple[int, asyncio.Task[Finished]]] = []
        self.given_up: set[asyncio.Task[Finished]] = set()
        self.former: list[tuple[Device, Script]] = []

    async def run(self, operations: list[Operation]) -> Counter[str]:
        """Do all of it, look at every ending, and let it heal."""
        for operation in operations:
            await self.step(*operation)
        prompts = [prompt for _, prompt in self.prompts]
        results = await asyncio.gather(*prompts, return_exceptions=True)
        endings: Counter[str] = Counter()
        for prompt, result in zip(prompts, results, strict=True):
            endings[self.ending(prompt, result)] += 1
        for i in range(DEVICES):
            self.cluster.networks[i].hung = False
        await asyncio.sleep(CALM_SECONDS)
        self.assert_nothing_is_left()
        await self.heal()
        return endings

    def ending(self, prompt: asyncio.Task[Finished], result: Finished | BaseException) -> str:
        """Answered once, or refused with one of our reasons; never forgotten."""
        if isinstance(result, Finished):
            self.check(result)
            return "answered"
        if isinstance(result, asyncio.CancelledError):
            assert prompt in self.given_up, "a prompt was cancelled that nobody gave up"
            return "given up"
        assert isinstance(result, QueueFull | NobodyAnswered), repr(result)
        return "refused" if isinstance(result, QueueFull) else "not answered"

    def check(self, finished: Finished) -> None:
        """The record of an answer keeps the rules."""
        record = finished.record
        assert finished.text
        for layer in record.layers:
            asked = [p.device for p in layer.proposers]
            assert len(set(asked)) == len(asked), "a proposer twice in a layer"
            answered = [p for p in layer.proposers if p.outcome == "answered"]
            assert len(answered) <= record.k_requested + 1
            assert all(p.outcome != "running" for p in layer.proposers)
        outcomes = [a.outcome for a in record.aggregator]
        assert "running" not in outcomes
        assert outcomes.count("answered") <= 1
        assert "answered" not in outcomes[:-1], "somebody was asked after the answer"
        assert record.tasks <= len(record.inferences())

    def assert_nothing_is_left(self) -> None:
        """No task waits or runs, on devices that are there or were."""
        self.cluster.assert_idle()
        for device, llm in self.former:
            assert device.queue.waiting == device.queue.serving == llm.running == 0
        for device in [*self.cluster.devices, *(device for device, _ in self.former)]:
            for record in device._records.values():
                assert record.seconds is not None, "a record that was never closed"
                assert all(p.outcome != "running" for p in record.inferences())
        for llm in [*self.cluster.llms, *(llm for _, llm in self.former)]:
            assert llm.most_running <= 1, "more than one task in service"

    async def heal(self) -> None:
        """Without faults, everybody sees everybody again and works for everybody."""
        for i in range(DEVICES):
            for what in ("go on", "mend llm", "heal", "restart"):
                await self.step(what, i, 0, 0)
        await asyncio.sleep(CALM_SECONDS)
        for i in range(DEVICES):
            record = (await self.cluster.ask(i, 1, DEVICES - 1)).record
            assert record.k == DEVICES - 1, f"d{i} does not see everybody: {record.notes}"
            outcomes = {p.name: p.outcome for p in record.layers[0].proposers}
            assert set(outcomes.values()) == {"answered"}, outcomes
            assert record.tasks == DEVICES + 1
        await asyncio.sleep(CALM_SECONDS)
        self.assert_nothing_is_left()

    async def step(self, what: str, i: int, a: int, b: int) -> None:
        """Do one operation; one that makes no sense now is passed over."""
        cluster = self.cluster
        network, llm = cluster.networks[i], cluster.llms[i]
        match what:
            case "ask" if i not in self.dead:
                self.ask(i, a, b)
            case "ask and leave" if i not in self.dead:
                prompt = self.ask(i, a, b)
                self.given_up.add(prompt)
                asyncio.get_running_loop().call_later(1.5, prompt.cancel)
            case "kill" if i not in self.dead:
                self.dead.add(i)
                await self.power_cut(i, cluster.devices[i], llm)
            case "restart" if i in self.dead:
                await cluster.add(i)
                self.dead.discard(i)
            case "bounce" if i not in self.dead:  # back before anybody has seen it leave
                device = cluster.devices[i]
                await cluster.add(i)
                await self.power_cut(i, device, llm)
            case "hang" | "go on":
                network.hung = what == "hang"
            case "break llm":
                llm.fails_before_token = a
            case "stall llm":
                llm.hangs = True
            case "mend llm":
                llm.fails_before_token, llm.hangs = None, False
            case "lose":
                network.loss = a / 100
            case "delay":
                network.mean_delay = a / 1000
            case "cut":
                network.cut_off({f"d{j}" for j in {a, b} - {i}})
            case "heal":
                network.loss = network.mean_delay = 0.0
                network.cut_off(set())
            case "wait":
                await asyncio.sleep(a / 2)

    def ask(self, i: int, layers: int, proposers: int) -> asyncio.Task[Finished]:
        """A prompt of device i's user."""
        prompt = asyncio.create_task(self._as_the_api_does(i, layers, proposers))
        self.prompts.append((i, prompt))
        return prompt

    async def _as_the_api_does(self, i: int, layers: int, proposers: int) -> Finished:
        device = self.cluster.devices[i]
        committees = Committees(device, layers=None, proposers=3, patience=PATIENCE)
        plan = await committees.plan(Wish(Size(layers, proposers)))
        prompt = Prompt(ASKED, plan.layers, plan.proposers)
        device.expect(prompt)
        return await device.ask(prompt)

    async def power_cut(self, i: int, device: Device, llm: Script) -> None:
        """A device is gone from one moment to the next, and its user's prompts with it."""
        self.former.append((device, llm))
        await device.network.close()
        await device.close()
        for owner, prompt in self.prompts:
            if owner == i and not prompt.done():
                self.given_up.add(prompt)
                prompt.cancel()


def smallest(operations: list[Operation], seed: int) -> list[Operation]:
    """A part of a failing schedule, in order, of which every operation is needed to fail."""
    i = 0
    while i < len(operations):
        fewer = operations[:i] + operations[i + 1 :]
        try:
            run(fewer, seed)
        except Exception:  # any failure will do to look at
            operations = fewer
        else:
            i += 1
    return operations


def torture(seed: int, seconds: float) -> dict[str, Any]:
    """Run fresh schedules; see the package."""
    until = time.monotonic() + seconds
    endings: Counter[str] = Counter()
    failed: list[int] = []
    schedules = operations = 0
    while not schedules or time.monotonic() < until:
        script = schedule(seed + schedules)
        try:
            endings += run(script, seed + schedules)
        except Exception:  # whatever it is, it is what we look for
            failed.append(seed + schedules)
            traceback.print_exc()
            print(f"seed {failed[-1]} fails; run({smallest(script, failed[-1])}, {failed[-1]})")
        schedules += 1
        operations += len(script)
    return {
        "schedules": schedules,
        "operations": operations,
        "prompts": endings.total(),
        **{name.replace(" ", "_"): n for name, n in sorted(endings.items())},
        "failed": failed,
    }
