"""Invariants of PROTOCOL.md that no other test would miss."""

import asyncio

import pytest

from dmoa.device.queue import DeviceQueue, Ticket
from dmoa.network.interface import Send
from dmoa.network.messages import Card, Infer, Welcome, decode_request, encode
from dmoa.policies.limits import LIMITS
from dmoa.protocol.tasks import Piece
from tests.cluster import Cluster
from tests.virtual import run_virtual


@pytest.mark.parametrize("seed", range(5))
def test_no_device_proposes_twice_in_a_layer_however_many_fail(seed: int) -> None:
    async def work() -> None:
        async with Cluster(7, seed=seed) as cluster:
            for i in (1, 2, 3, 4):
                cluster.llms[i].fails_before_token = 0
            record = (await cluster.ask(0, 2, 3)).record
            for layer in record.layers:
                asked = [p.device for p in layer.proposers]
                assert len(set(asked)) == len(asked)
                # Who has failed is replaced by somebody new, while there is anybody.
                answered = [p.device for p in layer.proposers if p.outcome == "answered"]
                assert sorted(answered) == ["d0", "d5", "d6"]
                assert len(asked) == 7
            for llm in cluster.llms[1:]:
                assert len(llm.asked) == 2, "once in each layer"

    run_virtual(work())


def test_devices_that_wait_for_each_other_hold_no_slot() -> None:
    async def work() -> None:
        async with Cluster(3) as cluster:
            asking = [cluster.ask(i, 2, 2) for i in range(3) for _ in range(2)]
            async with asyncio.timeout(6 * 7):  # all the work there is, one after another
                records = [finished.record for finished in await asyncio.gather(*asking)]
            for record in records:
                assert all(i.outcome == "answered" for i in record.inferences())
            # Nobody idles while a task waits: 42 inferences on three devices take 14 s.
            assert max(record.seconds or 0 for record in records) < 20
            cluster.assert_idle()

    run_virtual(work())


class CountingQueue(DeviceQueue):
    """A queue that knows how many of the owner's tasks it held at most."""

    most = 0

    def enter(self, size: int, origin: str | None, *, seconds_each: float = 1.0) -> Ticket:
        ticket = super().enter(size, origin, seconds_each=seconds_each)
        own = sum(t.origin is None for t in [*self._waiting, *self._serving])
        self.most = max(self.most, own)
        return ticket


def test_a_prompt_has_one_task_at_a_time_on_its_own_device() -> None:
    async def work() -> None:
        async with Cluster(4, queue=CountingQueue) as cluster:
            queue = cluster.devices[0].queue
            assert isinstance(queue, CountingQueue)
            await cluster.ask(0, 3, 3)
            assert queue.most == 1
            await asyncio.gather(*(cluster.ask(0, 2, 3) for _ in range(3)))
            assert queue.most == 3

    run_virtual(work())


def test_an_answer_in_pieces_without_end_is_given_up() -> None:
    async def work() -> None:
        said = 0
        async with Cluster(1) as cluster:

            async def serve(asker: str, payload: bytes, send: Send) -> None:
                nonlocal said
                if not isinstance(decode_request(payload), Infer):
                    send(encode(Welcome(Card("mallory", "mallory", "evil", 4096))))
                    return
                for _ in range(100):
                    said += 1
                    send(encode(Piece("x" * (LIMITS.answer_characters // 10))))
                    await asyncio.sleep(0.1)
                await asyncio.sleep(1e6)

            network = cluster.hub.network()
            await network.open("mallory", serve, lambda: None)
            await cluster.settle()
            record = (await cluster.ask(0, 1, 1)).record
            bad = record.layers[0].proposers[1]
            assert (bad.device, bad.outcome) == ("mallory", "refused")
            assert bad.detail == "too long: its answer has no end"
            assert record.layers[0].seconds == pytest.approx(1.0, abs=0.15)
            await network.close()

    run_virtual(work())


def test_a_hung_device_is_given_up_after_the_silence_deadline() -> None:
    async def work() -> None:
        async with Cluster(2, device_options={"silence_seconds": 3.0}) as cluster:
            cluster.networks[1].hung = True
            record = (await cluster.ask(0, 1, 1)).record
            assert [p.outcome for p in record.layers[0].proposers] == ["answered", "silent"]
            assert record.layers[0].seconds == pytest.approx(3.0)
            cluster.networks[1].hung = False
            await asyncio.sleep(10)
            cluster.assert_idle()

    run_virtual(work())


def test_a_device_drains_no_longer_than_it_may() -> None:
    async def work() -> None:
        async with Cluster(2, seconds=100.0) as cluster:
            asking = asyncio.create_task(cluster.ask(0, 0, 0))
            await asyncio.sleep(1)
            now = asyncio.get_running_loop().time
            started = now()
            await cluster.devices[0].drain(30)
            assert now() - started == pytest.approx(30, abs=0.1)
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)

    run_virtual(work())
