"""What a prompt does when a layer, its replacements or every device fails it."""

from collections import Counter

import pytest

from dmoa.device.queue import DeviceQueue
from dmoa.errors import NobodyAnswered, QueueFull
from dmoa.protocol.conversation import Message, Sampling
from dmoa.protocol.events import Event, LayerFinished
from dmoa.protocol.prompt import Prompt
from tests.cluster import Cluster
from tests.virtual import run_virtual

USER = Message(role="user", content="Why?")


def test_a_layer_without_drafts_keeps_those_of_the_layer_before() -> None:
    async def work() -> None:
        async with Cluster(3) as cluster:

            def sabotage(event: Event) -> None:
                if isinstance(event, LayerFinished):
                    # Every LLM fails in the second layer, and is well again after it.
                    fails = 0 if event.record.layer == 1 else None
                    for llm in cluster.llms:
                        llm.fails_before_token = fails

            prompt = Prompt(messages=[USER], layers=2, proposers=2)
            finished = await cluster.devices[0].ask(prompt, sabotage)
            outcomes = [[p.outcome for p in layer.proposers] for layer in finished.record.layers]
            assert outcomes == [["answered"] * 3, ["failed"] * 3]
            assert any("layer 2: no draft came in" in note for note in finished.record.notes)
            asked = cluster.llms[0].asked[-1][0].content
            assert all(f"answer of d{i} with" in asked for i in range(3))

    run_virtual(work())


@pytest.mark.slow
def test_replacements_are_drawn_uniformly() -> None:
    async def work() -> Counter[tuple[str, ...]]:
        firsts: Counter[tuple[str, ...]] = Counter()
        async with Cluster(5, seed=11, seconds=0.1) as cluster:
            for llm in cluster.llms[1:]:
                llm.fails_before_token = 0
            for _ in range(360):
                layer = (await cluster.ask(0, 1, 1)).record.layers[0]
                asked = [p.device for p in layer.proposers[1:]]
                assert sorted(asked) == ["d1", "d2", "d3", "d4"], "each is tried once"
                assert [p.replaces for p in layer.proposers[1:]] == [None, *asked[:-1]]
                firsts[tuple(asked[:3])] += 1
        return firsts

    firsts = run_virtual(work())
    assert len(firsts) == 24  # all orders of the four others
    chi_squared = sum((n - 15) ** 2 / 15 for n in firsts.values())
    assert chi_squared < 49.7  # the 0.1 % point with 23 degrees of freedom; seeded


def test_the_first_inference_gets_the_seed_that_was_asked_for() -> None:
    async def work() -> None:
        async with Cluster(1) as cluster:
            await cluster.ask(0, 0, 0, sampling=Sampling(seed=5))
            assert [sampling.seed for sampling in cluster.llms[0].sampled] == [5]

    run_virtual(work())


def fill(cluster: Cluster, i: int) -> None:
    """Leave no room in a queue, for its owner neither."""
    for _ in range(2):
        cluster.devices[i].queue.enter(10, "stranger")


def test_when_every_device_is_busy_the_error_says_so_and_when_to_come_back() -> None:
    async def work() -> None:
        async with Cluster(2, queue=lambda: DeviceQueue(max_bytes=10)) as cluster:
            for i in range(2):
                fill(cluster, i)
            for layers in (0, 1):
                with pytest.raises(QueueFull, match="10 of 10 bytes") as refused:
                    await cluster.ask(0, layers, 1)
                assert refused.value.retry_after == 2.0

    run_virtual(work())


def test_when_one_is_busy_and_another_broken_both_causes_are_named() -> None:
    async def work() -> None:
        async with Cluster(2, queue=lambda: DeviceQueue(max_bytes=10)) as cluster:
            fill(cluster, 0)
            cluster.llms[1].fails_before_token = 0
            with pytest.raises(NobodyAnswered, match="10 of 10 bytes.*; the script says"):
                await cluster.ask(0, 0, 0)

    run_virtual(work())
