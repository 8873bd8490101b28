"""Health: a token made, by whatever work; probes are no load and stand in nobody's way."""

import asyncio

import pytest

from dmoa.device.health import PROBE_SECONDS
from dmoa.device.queue import DeviceQueue
from tests.cluster import Cluster
from tests.virtual import run_virtual


def test_probes_enter_no_measurement_but_that_of_health() -> None:
    async def work() -> None:
        async with Cluster(1) as cluster:
            device, llm = cluster.devices[0], cluster.llms[0]
            for _ in range(8):
                await cluster.ask(0, 0, 0)
            before = device.report()
            llm._service_seconds = lambda: 0.01  # one token is quickly made
            for _ in range(120):
                await asyncio.sleep(61)
                assert await device.healthy()
            assert len(llm.asked) == 8 + 120
            after = device.report()
            assert (after.alpha, after.tokens_per_second) == (1.0, before.tokens_per_second)
            assert after.seconds_since_token == pytest.approx(0)
            assert after.load is None, "two hours ago somebody asked something, and nobody since"

    run_virtual(work())


def test_a_probe_gives_way_to_a_task() -> None:
    async def work() -> None:
        async with Cluster(1, seconds=10.0) as cluster:
            device, llm = cluster.devices[0], cluster.llms[0]
            looking = asyncio.create_task(device.healthy())
            await asyncio.sleep(1)
            assert llm.running == 1, "the probe is in service"
            record = (await cluster.ask(0, 0, 0)).record
            assert record.seconds == pytest.approx(10), "the user does not wait for the probe"
            assert await looking
            assert len(llm.asked) == 2, "the user's first token was the proof"
            cluster.assert_idle()

    run_virtual(work())


def test_a_device_at_work_is_not_asked_for_a_token_of_its_own() -> None:
    async def work() -> None:
        async with Cluster(1, seconds=8.0) as cluster:
            device, llm = cluster.devices[0], cluster.llms[0]
            asking = [asyncio.create_task(cluster.ask(0, 0, 0)) for _ in range(5)]
            await asyncio.sleep(0.5)
            assert await device.healthy()
            assert asyncio.get_running_loop().time() < 8, "the first token was enough"
            await asyncio.gather(*asking)
            assert len(llm.asked) == 5

    run_virtual(work())


def test_a_queue_that_is_full_of_bytes_is_no_illness() -> None:
    async def work() -> None:
        async with Cluster(1, queue=lambda: DeviceQueue(max_bytes=100)) as cluster:
            device = cluster.devices[0]
            tickets = [device.queue.enter(100, "somebody") for _ in range(2)]
            assert await device.healthy()
            assert device.report().healthy
            for ticket in tickets:
                device.queue.leave(ticket)
            assert not cluster.llms[0].asked

    run_virtual(work())


def test_an_llm_without_a_token_is_ill_until_it_makes_one() -> None:
    async def work() -> None:
        async with Cluster(1) as cluster:
            device, llm = cluster.devices[0], cluster.llms[0]
            llm.hangs = True
            answers = await asyncio.gather(*(device.healthy() for _ in range(3)))
            assert answers == [False] * 3
            assert len(llm.asked) == 1, "all wait for the same token"
            assert device.meter.failure == f"the LLM made no token in {PROBE_SECONDS:.0f} s"
            cluster.assert_idle()
            llm.hangs = False
            assert await device.healthy()

    run_virtual(work())
