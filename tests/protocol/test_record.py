"""The record of a prompt tells the truth, however the prompt ends, and while it runs."""

import asyncio
from typing import Any

import msgspec
import pytest

from dmoa.errors import DeadlinePassed, NobodyAnswered
from dmoa.protocol.events import Accepted, Draft, LayerStarted, ProposerFailed
from dmoa.protocol.layer import LayerPolicy
from dmoa.protocol.records import PromptRecord
from dmoa.report.layers import LayersView
from tests.cluster import Cluster
from tests.virtual import run_virtual


async def ended(cluster: Cluster, after: float, **options: Any) -> tuple[PromptRecord, object]:
    """The record of a prompt that is cancelled after some seconds, unless it has ended."""
    records: list[PromptRecord] = []

    async def ask() -> None:
        async for event in cluster.events(0, 2, 2, **options):
            if isinstance(event, Accepted):
                records.append(event.record)

    asking = asyncio.create_task(ask())
    await asyncio.wait({asking}, timeout=after)
    asking.cancel()
    (result,) = await asyncio.gather(asking, return_exceptions=True)
    record = cluster.devices[0].prompt(records[0].id)
    assert record is records[0]
    await cluster.settle()
    cluster.assert_idle()
    return record, result


def outcomes(record: PromptRecord) -> list[list[str]]:
    layers = [[str(p.outcome) for p in layer.proposers] for layer in record.layers]
    return [*layers, [str(a.outcome) for a in record.aggregator]]


def assert_closed(record: PromptRecord, seconds: float) -> None:
    """Nothing of an ended prompt runs, and its sums are made."""
    assert record.seconds == pytest.approx(seconds, abs=1e-4)
    assert all(layer.seconds is not None for layer in record.layers)
    for inference in record.inferences():
        assert inference.outcome != "running"
        assert inference.seconds is not None
    assert record.tasks == sum(i.spent for i in record.inferences())


def test_a_prompt_that_was_answered() -> None:
    async def work() -> None:
        async with Cluster(3) as cluster:
            record, result = await ended(cluster, after=100)
            assert result is None
            assert_closed(record, seconds=3)
            assert record.error is None
            assert outcomes(record) == [["answered"] * 3] * 2 + [["answered"]]

    run_virtual(work())


@pytest.mark.parametrize("seconds", [0.5, 1.5, 2.5])
def test_a_prompt_that_its_user_gave_up(seconds: float) -> None:
    async def work() -> None:
        async with Cluster(3) as cluster:
            record, result = await ended(cluster, after=seconds)
            assert isinstance(result, asyncio.CancelledError)
            assert_closed(record, seconds)
            assert record.error == "cancelled: whoever asked has gone away"
            steps = int(seconds)
            last = ["cancelled"] * 3 if steps < 2 else ["cancelled"]
            assert [o for o in outcomes(record) if o] == [["answered"] * 3] * steps + [last]

    run_virtual(work())


@pytest.mark.parametrize("seconds", [0.5, 1.5, 2.5])
def test_a_prompt_that_met_its_deadline(seconds: float) -> None:
    async def work() -> None:
        async with Cluster(3, device_options={"prompt_deadline": seconds}) as cluster:
            record, result = await ended(cluster, after=100)
            assert isinstance(result, DeadlinePassed)
            assert_closed(record, seconds)
            assert record.error == str(result)
            assert [o for o in outcomes(record) if o][-1][0] == "cancelled"

    run_virtual(work())


def test_a_prompt_that_nobody_could_answer() -> None:
    async def work() -> None:
        async with Cluster(3) as cluster:
            for llm in cluster.llms:
                llm.fails_before_token = 0
            record, result = await ended(cluster, after=100)
            assert isinstance(result, NobodyAnswered)
            assert_closed(record, seconds=5 / 7)  # a first word each, one after another
            assert record.error == str(result)
            assert outcomes(record) == [["failed"] * 3] * 3

    run_virtual(work())


@pytest.mark.parametrize("asked", [0, 4])
def test_a_prompt_that_met_a_fault_of_ours(asked: int, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> None:
        async with Cluster(3) as cluster:
            device, count = cluster.devices[0], 0
            tell_describe = device.describe

            def describe(other: str) -> tuple[str, str]:
                nonlocal count
                count += 1
                if count > asked:
                    raise RuntimeError("a fault of ours")
                return tell_describe(other)

            monkeypatch.setattr(device, "describe", describe)
            record, result = await ended(cluster, after=100)
            assert isinstance(result, RuntimeError)
            assert_closed(record, seconds=1 if asked else 0)
            assert record.error == "internal error: RuntimeError"

    run_virtual(work())


def test_an_aggregator_that_met_a_fault_of_ours_has_failed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def work() -> None:
        async with Cluster(3) as cluster:
            device = cluster.devices[0]
            infer = device.infer

            async def broken(other: str, task: Any, say: Any) -> Any:
                if task.stream:
                    raise RuntimeError("a fault of ours")
                return await infer(other, task, say)

            monkeypatch.setattr(device, "infer", broken)
            record, result = await ended(cluster, after=100)
            assert isinstance(result, RuntimeError)
            assert_closed(record, seconds=2)
            assert outcomes(record)[-1] == ["failed"]

    run_virtual(work())


def test_what_a_layer_does_not_wait_for_is_late_and_not_cancelled() -> None:
    async def work() -> None:
        async with Cluster(3) as cluster:
            cluster.llms[1]._service_seconds = lambda: 500.0
            policy = LayerPolicy(deadline=50)
            record, _ = await ended(cluster, after=1000, policy=policy)
            assert [p.outcome for p in record.layers[0].proposers].count("late") == 1
            assert outcomes(record)[1].count("late") == 1

    run_virtual(work())


def test_a_failed_proposer_and_its_replacement_are_told_at_once() -> None:
    async def work() -> None:
        async with Cluster(4, seed=1) as cluster:
            for llm in cluster.llms[1:]:
                llm._service_seconds = lambda: 10.0
            now = asyncio.get_running_loop().time
            view = LayersView()
            told: list[tuple[float, ProposerFailed]] = []
            first_words: dict[str, float] = {}
            started = now()
            async for event in cluster.events(0, 1, 2):
                view.tell(msgspec.to_builtins(event))
                match event:
                    case LayerStarted(proposers=proposers):
                        failing = proposers[1].device
                        # It breaks before its second token of seven.
                        cluster.llms[int(failing[1:])].fails_before_token = 1
                    case ProposerFailed():
                        told.append((now() - started, event))
                        shown = view.layers[1]
                    case Draft(proposer=proposer):
                        first_words.setdefault(proposer.device, now() - started)
            ((when, failed),) = told
            assert when == pytest.approx(20 / 7, abs=1e-4)
            assert failed.proposer.device == failing
            assert failed.proposer.outcome == "failed"
            assert failed.instead is not None
            assert failed.instead.replaces == failing
            assert first_words[failed.instead.device] > when, "its first words come later"
            assert shown[failing]["outcome"] == "failed"
            assert shown[failed.instead.device]["outcome"] == "answered", "the view went on"

    run_virtual(work())


def test_a_proposer_that_nobody_can_replace_is_told_too() -> None:
    async def work() -> None:
        async with Cluster(2) as cluster:
            cluster.llms[1].fails_before_token = 0
            events = [event async for event in cluster.events(0, 1, 1)]
            (failed,) = [event for event in events if isinstance(event, ProposerFailed)]
            assert (failed.layer, failed.proposer.device, failed.instead) == (1, "d1", None)

    run_virtual(work())
