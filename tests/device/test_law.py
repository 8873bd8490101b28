"""The law at a device's door: what is taken, by whom it is answered, what is refused."""

import asyncio

import pytest

from dmoa.device.committee import ALONE, Committees, Size, Wish
from dmoa.device.device import EXPECTED_SECONDS
from dmoa.device.loads import FRESH_SECONDS, SURVEY_SECONDS
from dmoa.errors import QueueFull
from dmoa.network.messages import DeviceReport
from dmoa.policies.law import PATIENCE, largest_backlog
from dmoa.protocol.conversation import Message
from dmoa.protocol.events import Finished
from dmoa.protocol.prompt import Prompt
from tests.cluster import Cluster
from tests.virtual import run_virtual

BOUND = largest_backlog(1.0, 1.0, PATIENCE)
HELLO = [Message(role="user", content="Why?")]


def committees_of(cluster: Cluster, number: int = 0) -> Committees:
    return Committees(cluster.devices[number], layers=None, proposers=3)


async def ask(
    cluster: Cluster, wish: Wish, committees: Committees | None = None
) -> Finished | QueueFull:
    """A prompt of device 0's user, as the API asks it."""
    device = cluster.devices[0]
    try:
        plan = await (committees or committees_of(cluster)).plan(wish)
    except QueueFull as refused:
        return refused
    prompt = Prompt(HELLO, plan.layers, plan.proposers)
    device.expect(prompt)
    await asyncio.sleep(0)  # as an API does a few things before
    return await device.ask(prompt)


def test_a_burst_is_taken_up_to_the_bound_and_the_rest_is_told_when_to_come_back() -> None:
    async def work() -> None:
        async with Cluster(1, seconds=2.0) as cluster:
            await cluster.ask(0, 0, 0)  # it knows now how fast it is
            now = asyncio.get_running_loop().time
            came = now()
            asking = [asyncio.create_task(ask(cluster, ALONE)) for _ in range(200)]
            done, _ = await asyncio.wait(asking, timeout=0.5)
            refused = [task.result() for task in done]
            assert all(isinstance(r, QueueFull) for r in refused)
            assert 200 - len(refused) == pytest.approx(BOUND + 1, abs=1)
            assert len(cluster.llms[0].asked) == 2, "one at a time"
            first = refused[0]
            assert isinstance(first, QueueFull)
            # What it says comes true: room then, and none much before.
            await asyncio.sleep(came + first.retry_after - 2.5 - now())
            assert isinstance(await ask(cluster, ALONE), QueueFull)
            await asyncio.sleep(came + first.retry_after + 2.0 - now())
            late = asyncio.create_task(ask(cluster, ALONE))
            answered = await asyncio.gather(*(task for task in asking if task not in done), late)
            assert all(isinstance(r, Finished) for r in answered)

    run_virtual(work())


def test_a_prompt_that_is_expected_and_does_not_come_keeps_its_place_for_a_while_only() -> None:
    async def work() -> None:
        async with Cluster(1) as cluster:
            device = cluster.devices[0]
            device.expect(Prompt(HELLO, 0, 0))
            assert device.report().promised == 1
            await asyncio.sleep(EXPECTED_SECONDS + 1.0)
            assert device.report().promised == 0

    run_virtual(work())


def test_what_a_prompt_will_still_need_of_its_device_is_promised_and_told() -> None:
    async def work() -> None:
        async with Cluster(3) as cluster:
            asking = asyncio.create_task(cluster.ask(0, 2, 2))
            told = []
            for _ in range(4):
                await asyncio.sleep(0.5)
                report = await cluster.devices[1].peer_links.report("d0", 1.0)
                told.append((report.queue + report.serving, report.promised))
                await asyncio.sleep(0.5)
            assert told[:3] == [(1, 2), (1, 1), (1, 0)], "two layers, then the aggregation"
            await asking
            assert cluster.devices[0].report().promised == 0

    run_virtual(work())


def test_work_of_peers_has_its_price_too() -> None:
    async def work() -> None:
        async with Cluster(3) as cluster:
            wish = Wish(Size(1, 2))
            assert isinstance(await ask(cluster, wish), Finished)
            others = [
                asyncio.create_task(cluster.ask(1 + i % 2, 0, 0)) for i in range(3 * int(BOUND))
            ]
            await asyncio.sleep(FRESH_SECONDS + 1.0)
            refused = await ask(cluster, wish)
            assert isinstance(refused, QueueFull)
            assert refused.retry_after > 1.0
            assert isinstance(await ask(cluster, ALONE), Finished), "the own LLM has room"
            patient = Wish(Size(1, 2), patience=10 * PATIENCE)
            assert isinstance(await ask(cluster, patient), Finished)
            await asyncio.gather(*others)

    run_virtual(work())


def test_peers_tell_how_they_are_doing_with_what_they_say_anyway_and_not_too_often() -> None:
    async def work() -> None:
        async with Cluster(2, seconds=0.1) as cluster:
            heard: list[str] = []
            loads = cluster.devices[0].loads
            hear = loads.hear

            def hearing(device: str, report: DeviceReport | None) -> None:
                heard.append(device)
                hear(device, report)

            cluster.devices[0].peer_links._heard = hearing
            for _ in range(30):
                await cluster.ask(0, 1, 1)
            assert 4 <= len(heard) <= 8, "six seconds of work, once a second at most"
            assert loads.load(["d1"]).pace["d1"] == pytest.approx(1.0, abs=0.3)
            asked = len(heard)
            await committees_of(cluster).plan(Wish(Size(1, 1)))
            assert len(heard) == asked, "its last word is good enough"

    run_virtual(work())


def test_prompts_that_come_together_wait_for_one_measurement() -> None:
    async def work() -> None:
        async with Cluster(4) as cluster:
            asked = 0
            report = cluster.devices[1].report

            def counting() -> DeviceReport:
                nonlocal asked
                asked += 1
                return report()

            cluster.devices[1].service._report = counting
            cluster.networks[0].mean_delay = 0.1
            committees, wish = committees_of(cluster), Wish(Size(1, 3))
            await asyncio.gather(*(committees.plan(wish) for _ in range(3)))
            assert asked == 1
            await asyncio.sleep(FRESH_SECONDS)
            await committees.plan(wish)
            assert asked == 2, "old news are renewed"

    run_virtual(work())


def test_a_measurement_that_takes_too_long_keeps_no_prompt_waiting() -> None:
    async def work() -> None:
        async with Cluster(3) as cluster:
            cluster.networks[0].mean_delay = 1e6
            now = asyncio.get_running_loop().time
            started = now()
            committees = committees_of(cluster)
            plans = await asyncio.gather(*(committees.plan(Wish(Size(1, 2))) for _ in range(3)))
            assert now() - started == pytest.approx(SURVEY_SECONDS)
            assert [plan.layers for plan in plans] == [1, 1, 1]

    run_virtual(work())


@pytest.mark.parametrize("said", [0, 2**31])
def test_a_peer_that_lies_about_its_backlog_gains_no_more_than_one_that_is_slow(said: int) -> None:
    """It gets work, or none; it cannot make others refuse, or queue without a bound."""

    async def work() -> None:
        async with Cluster(2) as cluster:
            lie = DeviceReport(said, 0, 1e-9 if said else 1e9, None, None, None, None, True)
            cluster.devices[1].service._report = lambda: lie
            results = await asyncio.gather(*(ask(cluster, ALONE) for _ in range(20)))
            assert all(isinstance(r, Finished) for r in results)
            placed = cluster.devices[0].loads.load(["d1"]).backlog["d1"]
            assert placed >= 0.0
            asking = [asyncio.create_task(ask(cluster, Wish(Size(1, 1)))) for _ in range(200)]
            await asyncio.sleep(1.0)
            assert cluster.devices[1].queue.waiting <= 2 * BOUND
            for task in asking:
                task.cancel()
            await asyncio.gather(*asking, return_exceptions=True)

    run_virtual(work())


def test_who_took_more_than_a_share_lately_has_less_patience() -> None:
    async def work() -> None:
        async with Cluster(2) as cluster:
            loads = cluster.devices[0].loads
            await loads.renew(["d1"])
            assert loads.patience(60.0) == 60.0
            for i in range(200):
                loads.promise(f"p{i}", {"d0": 2})
                loads.settle(f"p{i}")
            mine = loads.patience(60.0)
            assert mine == pytest.approx(60.0 * 0.8 / 4.0, rel=0.1), "400 services in 100"
            await asyncio.sleep(300.0)
            assert loads.patience(60.0) > 3 * mine, "it fades"

    run_virtual(work())


def test_work_that_is_done_counts_no_more_however_much_was_sent() -> None:
    async def work() -> None:
        async with Cluster(4, seconds=0.0001) as cluster:
            committees = committees_of(cluster)

            async def one_after_another() -> list[Finished | QueueFull]:
                return [await ask(cluster, Wish(Size(1, 3)), committees) for _ in range(50)]

            results = await asyncio.gather(*(one_after_another() for _ in range(3)))
            assert all(isinstance(r, Finished) for several in results for r in several)

    run_virtual(work())
