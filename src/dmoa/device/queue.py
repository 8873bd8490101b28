"""The queue in front of a device's LLM: first come, first served, bounded in tasks and bytes.

It hands out turns and knows nothing of what is done with them:

    with queue.enter(size, origin) as ticket:   # QueueFull when there is no room
        await ticket.turn()                     # first come, first served
        ...                                     # in service
                                                # leaving frees the slot, or the place in line

Leaving before the turn (a cancelled task) takes the ticket out of every count.
"""

import asyncio
from collections import OrderedDict
from typing import Literal, Self

from dmoa.errors import QueueFull
from dmoa.policies.limits import DEFAULTS, LIMITS

Discipline = Literal["fcfs", "owner-first"]


class Ticket:
    """A place in the queue, then a slot of the LLM; use it as a context manager."""

    def __init__(self, queue: "DeviceQueue", size: int, origin: str | None) -> None:
        self.size = size
        self.origin = origin
        self._queue = queue
        self._turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def position(self) -> int:
        """How many tasks are before this one, those in service included."""
        return self._queue.position(self)

    async def turn(self, timeout: float | None = None) -> bool:
        """Wait for the turn, at most `timeout` seconds; tells whether it has come."""
        if not self._turn.done():
            await asyncio.wait({self._turn}, timeout=timeout)
        return self._turn.done()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._queue.leave(self)

    def call(self) -> None:
        """Tell the holder that its turn has come."""
        self._turn.set_result(None)


class DeviceQueue:
    """The waiting line and the slots of one LLM.

    Args:
        slots: tasks that are served at once; 1 as the paper has it.
        max_tasks: waiting tasks of guests beyond which a guest is refused.
        max_bytes: bytes of waiting tasks beyond which any task is refused.
        discipline: `fcfs`, or `owner-first`: the owner's tasks before those of guests, guests
            in turn, first come first served within each.

    The owner's tasks are not refused for their number: prompts are bounded at the door
    (`device.py`), and each has at most one task here at a time.
    """

    def __init__(
        self,
        *,
        slots: int = DEFAULTS.slots,
        max_tasks: int = DEFAULTS.queue_tasks,
        max_bytes: int = DEFAULTS.queue_bytes,
        discipline: Discipline = "fcfs",
    ) -> None:
        self.slots = slots
        self.max_tasks = max_tasks
        self.max_bytes = max_bytes
        self.discipline = discipline
        self._waiting: OrderedDict[Ticket, None] = OrderedDict()
        self._serving: set[Ticket] = set()
        # guests' origins, the least recently served first
        self._served: OrderedDict[str, None] = OrderedDict()

    @property
    def waiting(self) -> int:
        """Tasks that wait, without those in service."""
        return len(self._waiting)

    @property
    def serving(self) -> int:
        """Tasks in service."""
        return len(self._serving)

    @property
    def waiting_bytes(self) -> int:
        """Bytes of text of the tasks that wait."""
        return sum(ticket.size for ticket in self._waiting)

    def backlog_seconds(self, mean_service_seconds: float) -> float:
        """Seconds until a task that arrives now would start."""
        return (self.waiting + self.serving) * mean_service_seconds / self.slots

    def enter(self, size: int, origin: str | None, *, seconds_each: float = 1.0) -> Ticket:
        """Take a place in line.

        Args:
            size: bytes of the task.
            origin: the guest's device id, or None for the owner of this device.
            seconds_each: mean service time, for the message of a refusal.

        Raises:
            QueueFull: the queue holds as much as it may.
        """
        if origin is not None and self.waiting >= self.max_tasks:
            raise QueueFull(
                f"the queue holds {self.waiting} tasks, its limit",
                self.backlog_seconds(seconds_each),
            )
        # An empty queue takes a task of any size: the network bounds single messages.
        if self._waiting and self.waiting_bytes + size > self.max_bytes:
            raise QueueFull(
                f"the queue holds {self.waiting_bytes} of {self.max_bytes} bytes,"
                f" too many for {size} more",
                self.backlog_seconds(seconds_each),
            )
        ticket = Ticket(self, size, origin)
        self._waiting[ticket] = None
        self._start_next()
        return ticket

    def position(self, ticket: Ticket) -> int:
        """How many tasks are before `ticket` in order of arrival, those in service included."""
        if ticket in self._serving:
            return 0
        before = 0
        for other in self._waiting:
            if other is ticket:
                break
            before += 1
        return before + self.serving

    def leave(self, ticket: Ticket) -> None:
        """Give back a slot, or a place in line."""
        self._waiting.pop(ticket, None)
        self._serving.discard(ticket)
        self._start_next()

    def _start_next(self) -> None:
        while self._waiting and self.serving < self.slots:
            ticket = self._choose()
            del self._waiting[ticket]
            self._serving.add(ticket)
            if ticket.origin is not None:
                self._served[ticket.origin] = None
                self._served.move_to_end(ticket.origin)
                while len(self._served) > LIMITS.peers:
                    self._served.popitem(last=False)
            ticket.call()

    def _choose(self) -> Ticket:
        first = next(iter(self._waiting))
        if self.discipline == "fcfs":
            return first
        recency = {origin: place for place, origin in enumerate(self._served, start=1)}
        firsts: dict[str | None, Ticket] = {}
        for ticket in self._waiting:
            firsts.setdefault(ticket.origin, ticket)
        # The owner, then the guest whose last service is longest ago.
        return min(
            firsts.values(),
            key=lambda t: -1 if t.origin is None else recency.get(t.origin, 0),
        )
