"""The device queue: order, bounds, and leaving early."""

import asyncio
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmoa.device.queue import DeviceQueue, Ticket
from dmoa.errors import QueueFull
from tests.virtual import run_virtual

Arrival = tuple[float, str | None, float]
"""When, whose (None: the owner's), service time."""


async def serve(queue: DeviceQueue, arrivals: list[Arrival]) -> list[tuple[int, float]]:
    """Serve arrivals; who started when, in order of start."""
    loop = asyncio.get_running_loop()
    started: list[tuple[int, float]] = []

    async def one(number: int, ticket: Ticket, seconds: float) -> None:
        with ticket:
            await ticket.turn()
            started.append((number, loop.time()))
            assert queue.serving <= queue.slots
            await asyncio.sleep(seconds)

    async with asyncio.TaskGroup() as group:
        for number in sorted(range(len(arrivals)), key=lambda i: arrivals[i][0]):
            when, origin, seconds = arrivals[number]
            await asyncio.sleep(when - loop.time())
            group.create_task(one(number, queue.enter(10, origin), seconds))
    assert queue.waiting == queue.serving == queue.waiting_bytes == 0
    return started


arrivals = st.lists(
    st.tuples(
        st.integers(0, 50).map(float),
        st.sampled_from([None, "a", "b"]),
        st.integers(1, 9).map(float),
    ),
    max_size=30,
)


@given(arrivals)
def test_first_come_is_first_served_with_the_start_times_of_lindley(
    arrivals: list[Arrival],
) -> None:
    started = run_virtual(serve(DeviceQueue(), arrivals))
    order = sorted(range(len(arrivals)), key=lambda i: arrivals[i][0])
    assert [number for number, _ in started] == order
    free = 0.0
    for number, start in started:
        when, _, seconds = arrivals[number]
        assert start == pytest.approx(max(free, when))
        free = start + seconds


@given(arrivals, st.integers(1, 3))
def test_no_slot_is_idle_while_a_task_waits(arrivals: list[Arrival], slots: int) -> None:
    queue = DeviceQueue(slots=slots, discipline="owner-first")
    started = run_virtual(serve(queue, arrivals))
    assert sorted(number for number, _ in started) == list(range(len(arrivals)))
    # Work conservation: at each start some slot has just become free, or the task just came.
    ends = sorted(start + arrivals[number][2] for number, start in started)
    for number, start in started:
        assert start == arrivals[number][0] or any(e == pytest.approx(start) for e in ends)


async def order_of(
    discipline: Literal["fcfs", "owner-first"], origins: list[str | None]
) -> list[str]:
    queue = DeviceQueue(discipline=discipline)
    with queue.enter(1, "first"):
        tickets = [queue.enter(1, origin) for origin in origins]
        names = {t: f"{t.origin or 'owner'}{i}" for i, t in enumerate(tickets)}
    served: list[str] = []
    while tickets:
        ready = [t for t in tickets if await t.turn(0)]
        assert len(ready) == 1
        served.append(names[ready[0]])
        tickets.remove(ready[0])
        queue.leave(ready[0])
    return served


def test_owner_first_serves_the_owner_then_guests_in_turn() -> None:
    origins: list[str | None] = ["a", "a", "a", "b", None, "a", "b"]
    assert run_virtual(order_of("fcfs", origins)) == ["a0", "a1", "a2", "b3", "owner4", "a5", "b6"]
    served = run_virtual(order_of("owner-first", origins))
    assert served == ["owner4", "a0", "b3", "a1", "b6", "a2", "a5"]


async def test_a_full_queue_refuses_guests_and_says_when_to_come_back() -> None:
    queue = DeviceQueue(max_tasks=2)
    tickets: list[Ticket] = [queue.enter(1, "a") for _ in range(3)]
    with pytest.raises(QueueFull, match="holds 2 tasks") as refused:
        queue.enter(1, "b", seconds_each=4.0)
    assert refused.value.retry_after == 12.0
    # The owner's tasks are bounded at the door, not here.
    queue.enter(1, None)
    assert [t.position for t in tickets] == [0, 1, 2]


async def test_bytes_are_bounded_for_everybody() -> None:
    queue = DeviceQueue(max_bytes=100)
    queue.enter(90, "a")
    queue.enter(90, "a")
    with pytest.raises(QueueFull, match="90 of 100 bytes"):
        queue.enter(20, None)


async def test_leaving_the_line_makes_room_and_skips_the_turn() -> None:
    queue = DeviceQueue(max_tasks=1)
    first = queue.enter(1, "a")
    second = queue.enter(1, "a")
    queue.leave(second)
    third = queue.enter(1, "a")
    assert third.position == 1
    queue.leave(first)
    assert await third.turn(0)
    assert not await second.turn(0)
