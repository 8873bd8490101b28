"""Chaos: whatever happens to devices, prompts are answered once or refused.

A test is a list of printable operations on virtual time; a failing one is printed as it is.
"""

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st

from dmoa.errors import NobodyAnswered, QueueFull
from dmoa.protocol.events import Finished
from tests.cluster import Cluster
from tests.virtual import run_virtual

Operation = tuple[str, int, int, int]
devices = st.integers(0, 4)
operations = st.one_of(
    st.tuples(st.just("ask"), devices, st.integers(0, 3), st.integers(0, 5)),
    st.tuples(st.just("ask and leave"), devices, st.integers(0, 3), st.integers(0, 5)),
    st.tuples(st.just("kill"), devices, st.just(0), st.just(0)),
    st.tuples(st.just("restart"), devices, st.just(0), st.just(0)),
    st.tuples(st.just("hang"), devices, st.just(0), st.just(0)),
    st.tuples(st.just("break llm"), devices, st.integers(0, 4), st.just(0)),
    st.tuples(st.just("mend"), devices, st.just(0), st.just(0)),
    st.tuples(st.just("lose"), devices, st.integers(0, 30), st.just(0)),
    st.tuples(st.just("cut"), devices, devices, st.just(0)),
    st.tuples(st.just("wait"), st.integers(0, 5), st.just(0), st.just(0)),
)


class Chaos:
    """Runs a script of operations and checks what must hold whatever happens."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.dead: set[int] = set()
        self.prompts: list[asyncio.Task[Finished]] = []

    async def run(self, script: list[Operation]) -> None:
        for operation in script:
            await self.step(*operation)
        results = await asyncio.gather(*self.prompts, return_exceptions=True)
        for result in results:
            # Answered once, or refused with one of our reasons; never forgotten.
            if isinstance(result, BaseException):
                assert isinstance(result, asyncio.CancelledError | QueueFull | NobodyAnswered)
                continue
            self.check(result)
        for network in self.cluster.networks:
            network.hung = False
        await asyncio.sleep(60)
        for i, device in enumerate(self.cluster.devices):
            assert device.queue.waiting == device.queue.serving == device.service.running == 0
            assert device.open_prompts == 0
            assert self.cluster.llms[i].running == 0
            assert self.cluster.llms[i].most_running <= 1, "more than one task in service"
            for record in device._records.values():
                assert record.seconds is not None
                assert all(p.outcome != "running" for p in record.inferences())

    def check(self, finished: Finished) -> None:
        record = finished.record
        assert finished.text
        for layer in record.layers:
            asked = [p.device for p in layer.proposers]
            assert len(set(asked)) == len(asked), "a proposer twice in a layer"
            answered = [p for p in layer.proposers if p.outcome == "answered"]
            assert len(answered) <= record.k_requested + 1
            assert all(p.outcome != "running" for p in layer.proposers)
        assert [a.outcome for a in record.aggregator].count("answered") <= 1
        assert record.tasks <= len(record.inferences())

    async def step(self, what: str, i: int, a: int, b: int) -> None:
        cluster = self.cluster
        match what:
            case "ask" if i not in self.dead:
                self.prompts.append(asyncio.create_task(cluster.ask(i, a, b)))
            case "ask and leave" if i not in self.dead:
                task = asyncio.create_task(cluster.ask(i, a, b))
                asyncio.get_running_loop().call_later(1.5, task.cancel)
                self.prompts.append(task)
            case "kill" if i not in self.dead and i != 0:
                self.dead.add(i)
                await cluster.kill(i)
            case "restart" if i in self.dead:
                await cluster.add(i)
                self.dead.discard(i)
            case "hang":
                cluster.networks[i].hung = True
            case "break llm":
                cluster.llms[i].fails_before_token = a
            case "mend":
                cluster.llms[i].fails_before_token = None
                cluster.networks[i].hung = False
                cluster.networks[i].loss = 0.0
                cluster.networks[i].cut_off(set())
            case "lose":
                cluster.networks[i].loss = a / 100
                cluster.networks[i].mean_delay = a / 300
            case "cut" if i != a:
                cluster.networks[i].cut_off({f"d{a}"})
            case "wait":
                await asyncio.sleep(i / 2)


@settings(max_examples=150)
@given(st.lists(operations, max_size=25), st.integers(0, 100))
def test_whatever_happens_prompts_are_answered_once_or_refused_and_nothing_is_left(
    script: list[Operation], seed: int
) -> None:
    async def work() -> None:
        options = {"stall_seconds": 20.0, "max_prompts": 6}
        async with Cluster(5, seed=seed, device_options=options) as cluster:
            await Chaos(cluster).run(script)

    run_virtual(work(), at_most=20_000)
