"""What a device promises to guests and to its own user, each promise on its own."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from typing import Any

import pytest

from dmoa.device.meter import EVENTS, WINDOW_SECONDS, DeviceMeter, RateMeter
from dmoa.device.queue import DeviceQueue
from dmoa.errors import ContextExceeded, QueueFull
from dmoa.llm.interface import End, ModelInfo, Token
from dmoa.llm.tokens import estimate_tokens
from dmoa.network.interface import Send
from dmoa.network.memory import MemoryNetwork
from dmoa.network.messages import (
    Cancel,
    Card,
    Done,
    Infer,
    Refused,
    Reply,
    Request,
    Welcome,
    decode_reply,
    encode,
)
from dmoa.policies.limits import LIMITS
from dmoa.protocol.conversation import Message, Usage
from dmoa.protocol.events import Finished
from dmoa.protocol.tasks import Answer, Task
from tests.cluster import Cluster
from tests.virtual import run_virtual

USER = Message(role="user", content="Why?")


async def guest(cluster: Cluster, name: str) -> MemoryNetwork:
    """A device that is there and asks by hand."""

    async def serve(_: str, payload: bytes, send: Send) -> None:
        send(encode(Welcome(Card(name, name, "any", 4096))))

    network = cluster.hub.network()
    await network.open(name, serve, lambda: None)
    await cluster.settle()
    return network


async def say(network: MemoryNetwork, device: str, request: Request) -> list[Reply]:
    """Everything that a device replies."""
    heard: list[Reply] = []
    await network.ask(
        device, encode(request), lambda payload: heard.append(decode_reply(payload)), 1e6
    )
    return heard


# --- to guests -----------------------------------------------------------------------------


def test_a_task_that_waits_long_is_no_silent_one() -> None:
    async def work() -> None:
        async with Cluster(2) as cluster:
            cluster.llms[1]._service_seconds = iter((60.0, 1.0)).__next__
            theirs = asyncio.create_task(cluster.ask(1, 0, 0))
            await asyncio.sleep(0.1)
            # Twelve times the silence deadline passes before the peer's turn comes.
            record = (await cluster.ask(0, 1, 1)).record
            assert [p.outcome for p in record.layers[0].proposers] == ["answered"] * 2
            assert record.layers[0].proposers[1].queue_seconds == pytest.approx(59.9)
            await theirs

    run_virtual(work())


def test_an_llm_that_thinks_long_is_no_silent_one() -> None:
    async def work() -> None:
        async with Cluster(2) as cluster:
            cluster.llms[1]._service_seconds = lambda: 60.0
            cluster.llms[1]._respond = lambda _: "Because."  # one word, at the end
            record = (await cluster.ask(0, 1, 1)).record
            assert [p.outcome for p in record.layers[0].proposers] == ["answered"] * 2

    run_virtual(work())


def test_a_cancel_that_overtakes_its_task_is_remembered() -> None:
    async def work() -> None:
        async with Cluster(1) as cluster:
            network = await guest(cluster, "g")
            assert await say(network, "d0", Cancel("first")) == [Done()]
            (refused,) = await say(network, "d0", Infer(Task("first", "p", 1, [USER])))
            assert isinstance(refused, Refused)
            assert refused.reason == "cancelled"
            assert cluster.llms[0].asked == []
            *_, answered = await say(network, "d0", Infer(Task("second", "p", 1, [USER])))
            assert isinstance(answered, Answer)
            await network.close()

    run_virtual(work())


def test_only_so_many_cancels_are_remembered_the_last_ones() -> None:
    async def work() -> None:
        async with Cluster(1, seconds=0.0) as cluster:
            network = await guest(cluster, "g")
            for i in range(LIMITS.cancels + 1):
                cluster.devices[0].service.cancel("g", f"t{i}")
            *_, forgotten = await say(network, "d0", Infer(Task("t0", "p", 1, [USER])))
            assert isinstance(forgotten, Answer)
            for kept in ("t1", f"t{LIMITS.cancels}"):
                (refused,) = await say(network, "d0", Infer(Task(kept, "p", 1, [USER])))
                assert isinstance(refused, Refused)
            await network.close()

    run_virtual(work())


def test_the_tasks_of_an_owner_that_restarted_are_cancelled() -> None:
    async def work() -> None:
        async with Cluster(1, seconds=1000.0) as cluster:
            before = await guest(cluster, "g")
            asking = [
                asyncio.create_task(say(before, "d0", Infer(Task(f"t{i}", "p", 1, [USER]))))
                for i in range(2)
            ]
            await cluster.settle()
            assert (cluster.devices[0].queue.serving, cluster.devices[0].queue.waiting) == (1, 1)
            # Back before anybody saw it leave: only its incarnation tells.
            after = await guest(cluster, "g")
            for replies in await asyncio.gather(*asking):
                assert isinstance(replies[-1], Refused)
            cluster.assert_idle()
            assert cluster.devices[0].peers() == ["g"]
            for network in (before, after):
                await network.close()

    run_virtual(work())


def test_a_device_that_hangs_while_it_is_greeted_is_a_peer_when_it_goes_on() -> None:
    async def work() -> None:
        async with Cluster(2) as cluster:
            links = cluster.devices[0].peer_links
            cluster.networks[1].hung = True
            cluster.networks[0].cut_off({"d1"})
            await cluster.settle()
            cluster.networks[0].cut_off(set())
            await asyncio.sleep(300)
            assert cluster.devices[0].peers() == []
            assert "does not answer a greeting" in links.strangers["d1"]
            cluster.networks[1].hung = False
            await asyncio.sleep(60)
            assert cluster.devices[0].peers() == ["d1"]
            assert links.strangers == {}

    run_virtual(work())


# --- of the LLM ----------------------------------------------------------------------------


def test_an_llm_without_end_is_cut() -> None:
    async def endless(*_: Any) -> AsyncGenerator[Token | End, None]:
        while True:
            yield Token("x" * 1000)

    async def work() -> Finished:
        async with Cluster(1) as cluster:
            cluster.llms[0].stream = endless  # type: ignore[assignment, method-assign]
            return await cluster.ask(0, 0, 0)

    finished = run_virtual(work())
    assert finished.finish_reason == "length"
    assert LIMITS.answer_characters < len(finished.text) <= LIMITS.answer_characters + 1000


class Learner:
    """A server that counts tokens in its own way, and tells its window when it refuses."""

    def __init__(self, cluster: Cluster, windows: list[int]) -> None:
        self.llm = cluster.llms[0]
        self.windows = windows
        self.prompts: list[list[Message]] = []
        self.llm.stream = self.stream  # type: ignore[assignment, method-assign]

    async def stream(self, messages: Sequence[Message], *_: Any) -> AsyncGenerator[Any, None]:
        self.prompts.append(list(messages))
        if self.windows:
            self.llm._info = ModelInfo("learner", self.windows.pop(0))
            raise ContextExceeded(None, self.llm.info.context_length)
        yield Token("fits")
        yield End("stop", Usage(1, 1))


def with_drafts(words: int) -> Task:
    return Task("t", "p", 2, [USER], drafts=["word " * words] * 2, instruction="Merge.")


def test_a_prompt_is_fitted_anew_when_the_llm_says_how_small_its_window_is() -> None:
    async def work() -> None:
        async with Cluster(1) as cluster:
            learner = Learner(cluster, [4000, 1000])
            answer = await cluster.devices[0].infer("d0", with_drafts(3000), lambda step: None)
            assert answer.text == "fits"
            assert answer.characters_cut > 0
            sizes = [estimate_tokens(prompt) for prompt in learner.prompts]
            assert sizes[0] > 4000 > sizes[1] > 1000 > sizes[2]

    run_virtual(work())


def test_an_llm_that_refuses_every_length_is_asked_three_times() -> None:
    async def work() -> None:
        async with Cluster(1) as cluster:
            learner = Learner(cluster, [4000, 2000, 1000, 500])
            with pytest.raises(ContextExceeded):
                await cluster.devices[0].infer("d0", with_drafts(3000), lambda step: None)
            assert len(learner.prompts) == 3
            assert cluster.devices[0].meter.failure is None, "the prompt's fault, not the LLM's"

    run_virtual(work())


# --- what it measures ----------------------------------------------------------------------


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_rate_is_that_of_the_last_minutes() -> None:
    clock = Clock()
    meter = RateMeter(clock)
    assert meter.rate() is None
    for clock.now in (0.0, 10.0, 20.0):
        meter.count()
    assert meter.rate() == pytest.approx(2 / 20)
    clock.now = 40.0
    assert meter.rate() == pytest.approx(2 / 40), "time without events counts"
    clock.now = 10.0 + WINDOW_SECONDS
    assert meter.rate() == pytest.approx(1 / WINDOW_SECONDS), "the first event is too old"
    clock.now = 10.1 + WINDOW_SECONDS
    assert meter.rate() is None
    for i in range(2 * EVENTS):
        clock.now = 5000.0 + i
        meter.count()
    clock.now += 1
    assert meter.rate() == pytest.approx((EVENTS - 1) / EVENTS), "so many events are kept"


def test_load_is_shared_by_the_slots() -> None:
    clock = Clock()
    meter = DeviceMeter(clock)
    assert meter.load(1) is None
    for clock.now in (0.0, 4.0, 8.0):
        meter.tasks.count()
        meter.service_seconds.add(3.0)
    assert meter.load(1) == pytest.approx(0.25 * 3.0)
    assert meter.load(3) == pytest.approx(0.25)


async def test_two_slots_halve_the_time_until_a_place_is_free() -> None:
    queue = DeviceQueue(slots=2, max_tasks=2)
    for _ in range(4):
        queue.enter(1, "a")
    with pytest.raises(QueueFull) as refused:
        queue.enter(1, "b", seconds_each=3.0)
    assert refused.value.retry_after == 4 * 3.0 / 2


def test_a_report_tells_the_load_of_all_slots_together() -> None:
    async def work() -> None:
        async with Cluster(1, seconds=2.0, queue=lambda: DeviceQueue(slots=2)) as cluster:
            prompts = []
            for _ in range(5):
                prompts.append(asyncio.create_task(cluster.ask(0, 0, 0)))
                await asyncio.sleep(4.0)
            await asyncio.gather(*prompts)
            report = cluster.devices[0].report()
            # Five tasks, the first of which opens the interval of 20 s, each of 2 s.
            assert report.load == pytest.approx(4 / 20 * 2.0 / 2)

    run_virtual(work())


def test_tokens_a_second_are_counted_from_the_first_token_on() -> None:
    async def work() -> None:
        async with Cluster(1, seconds=14.0) as cluster:
            await cluster.ask(0, 0, 0)
            # Seven words, one every two seconds: the first is when the clock starts.
            assert cluster.devices[0].report().tokens_per_second == pytest.approx(6 / 12)

    run_virtual(work())


def test_health_is_a_token_made_within_a_minute_or_made_now() -> None:
    async def work() -> None:
        async with Cluster(1) as cluster:
            device, llm = cluster.devices[0], cluster.llms[0]
            assert await device.healthy() is True
            assert [sampling.max_tokens for sampling in llm.sampled] == [1], "it made one to know"
            await asyncio.sleep(59)
            assert await device.healthy() is True
            assert len(llm.asked) == 1, "one made lately is enough"
            await asyncio.sleep(2)
            assert await asyncio.gather(*(device.healthy() for _ in range(3))) == [True] * 3
            assert len(llm.asked) == 2, "one for all who ask at once"
            await asyncio.sleep(61)
            llm.fails_before_token = 0
            assert await device.healthy() is False
            assert device.meter.failure == "the script says that it fails"
            llm.fails_before_token, llm.hangs = None, True
            assert await device.healthy() is False
            assert device.meter.failure == "the LLM made no token in 20 s"
            llm.hangs = False
            assert await device.healthy() is True
            assert device.report().healthy

    run_virtual(work())


def test_a_long_queue_is_no_illness_while_the_llm_works_on_it() -> None:
    async def work() -> None:
        async with Cluster(1, seconds=30.0) as cluster:
            device = cluster.devices[0]
            prompts = [asyncio.create_task(cluster.ask(0, 0, 0)) for _ in range(4)]
            await asyncio.sleep(0.1)
            assert device.meter.last_token is None
            assert await device.healthy() is True
            assert len(cluster.llms[0].asked) == 1, "the probe waited, and was given up"
            await asyncio.gather(*prompts)

    run_virtual(work())


# --- to its own user -----------------------------------------------------------------------


def test_draining_waits_for_the_own_prompts_but_not_for_ever() -> None:
    async def work() -> None:
        async with Cluster(1, seconds=10.0) as cluster:
            now = asyncio.get_running_loop().time
            asking = asyncio.create_task(cluster.ask(0, 0, 0))
            await asyncio.sleep(1.0)
            await cluster.devices[0].drain(2.0)
            assert now() == pytest.approx(3.0, abs=0.1)
            assert not asking.done()
            await cluster.devices[0].drain(30.0)
            assert now() == pytest.approx(10.0, abs=0.1)
            assert (await asking).text

    run_virtual(work())
