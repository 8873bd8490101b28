"""What a device keeps and tells is bounded, and what it asks is numbered as the paper has it."""

from dataclasses import replace

import pytest

from dmoa.network.messages import Welcome, decode_reply, encode
from dmoa.policies.limits import LIMITS
from dmoa.protocol.conversation import Message, Sampling
from dmoa.protocol.prompt import Prompt
from dmoa.protocol.tasks import Answer, Say, Task
from tests.cluster import Cluster
from tests.virtual import run_virtual

USER = Message(role="user", content="Why?")


def test_the_records_of_the_last_prompts_are_kept() -> None:
    async def work() -> None:
        async with Cluster(1, seconds=0.0) as cluster:
            device = cluster.devices[0]
            prompt = Prompt([USER], 0, 0)
            for i in range(LIMITS.prompts + 1):
                await device.ask(replace(prompt, id=f"p{i}"))
            assert device.prompt("p0") is None
            for kept in ("p1", f"p{LIMITS.prompts}"):
                record = device.prompt(kept)
                assert record is not None
                assert record.id == kept

    run_virtual(work())


def test_a_card_has_no_more_addresses_than_others_take(monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> None:
        async with Cluster(1) as cluster:
            many = [f"tcp/127.0.0.1:{port}" for port in range(7447, 7467)]
            monkeypatch.setattr(cluster.networks[0], "addresses", lambda: many)
            card = cluster.devices[0].card()
            assert card.addresses == many[:8]
            assert decode_reply(encode(Welcome(card))) == Welcome(card)

    run_virtual(work())


def test_tool_calls_take_room_in_the_queue() -> None:
    calls = [{"id": "c1", "function": {"name": "now", "arguments": "x" * 1000}}]
    plain = Message(role="assistant", content="abc")
    assert plain.size() == 3
    assert Message(role="assistant", content="abc", tool_calls=calls).size() > 1003


def test_tasks_carry_their_layer_and_a_seed_of_their_own() -> None:
    async def work() -> None:
        async with Cluster(3) as cluster:
            owner, tasks = cluster.devices[0], list[Task]()
            infer = owner.infer

            async def watch(device: str, task: Task, say: Say) -> Answer:
                tasks.append(task)
                return await infer(device, task, say)

            owner.infer = watch  # type: ignore[method-assign]
            await cluster.ask(0, 2, 1, sampling=Sampling(seed=5))
            assert [task.layer for task in tasks] == [1, 1, 2, 2, 3]
            assert [task.sampling.seed for task in tasks] == [5 + 7919 * i for i in range(5)]
            assert [task.stream for task in tasks] == [False] * 4 + [True]
            assert len({task.id for task in tasks}) == 5
            assert len({task.prompt for task in tasks}) == 1

    run_virtual(work())
