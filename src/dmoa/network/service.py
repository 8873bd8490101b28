"""What this device does for others: every request of theirs gets a reply or a refusal."""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing

from dmoa.errors import ContextExceeded, DmoaError, QueueFull
from dmoa.network.messages import (
    AskReport,
    Cancel,
    Card,
    DeviceReport,
    Done,
    Failed,
    Hello,
    Infer,
    Refused,
    Reply,
    Welcome,
    decode_request,
    encode,
)
from dmoa.tasks import Answer, Piece, Say, Step, Task, Waiting, Working

PIECE_SECONDS = 0.5
STREAM_SECONDS = 0.02
REMEMBERED_CANCELS = 4096
ACQUAINTANCE_SECONDS = 2.0


class PeerService:
    """Serves the requests of other devices.

    Args:
        card: who this device is.
        report: how it is doing.
        infer: makes an inference for a guest, see `InferenceService.run`.
        greeted: is called with the card of a device that says hello.
        is_peer: whether a device is there; others are served nothing.
        max_tasks_each: tasks that one device may have here at once.
        heartbeat_seconds: a device that waits for a task hears something at least this often.
    """

    def __init__(
        self,
        card: Callable[[], Card],
        report: Callable[[], DeviceReport],
        infer: Callable[[Task, str, Say], Awaitable[Answer]],
        greeted: Callable[[Card], None],
        is_peer: Callable[[str], bool],
        *,
        max_tasks_each: int = 64,
        heartbeat_seconds: float = 1.0,
    ) -> None:
        self._heartbeat_seconds = heartbeat_seconds
        self._is_peer = is_peer
        self._max_tasks_each = max_tasks_each
        self._card = card
        self._report = report
        self._infer = infer
        self._greeted = greeted
        self.draining = False
        self._running: dict[str, tuple[str, asyncio.Task[None]]] = {}
        # A cancel may overtake its task; what it names is refused when it comes.
        self._cancelled: OrderedDict[str, None] = OrderedDict()

    @property
    def running(self) -> int:
        """Tasks of guests that are here, waiting or in service."""
        return len(self._running)

    async def serve(self, payload: bytes) -> AsyncGenerator[bytes, None]:
        """The replies to one request; see `network.interface.Serve`."""
        request = decode_request(payload)
        match request:
            case Refused():
                yield encode(request)
            case Hello(card=card):
                self._greeted(card)
                yield encode(Welcome(self._card()))
            case AskReport():
                yield encode(self._report())
            case Cancel(task=task):
                self.cancel(task)
                yield encode(Done())
            case Infer(origin=origin, task=task):
                replies = self._guest(origin, task)
                async with aclosing(replies):
                    async for reply in replies:
                        yield encode(reply)

    def cancel(self, task: str) -> None:
        """End a guest's task, wherever it is."""
        if task in self._running:
            self._running[task][1].cancel()
        else:
            self._cancelled[task] = None
            while len(self._cancelled) > REMEMBERED_CANCELS:
                self._cancelled.popitem(last=False)

    def forget(self, device: str) -> None:
        """A device is gone: nobody waits for its tasks any more."""
        for origin, running in list(self._running.values()):
            if origin == device:
                running.cancel()

    async def close(self) -> None:
        """End all tasks of guests."""
        tasks = [task for _, task in self._running.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _guest(self, origin: str, task: Task) -> AsyncGenerator[Reply, None]:
        if self.draining:
            yield Refused("draining", "this device is shutting down")
            return
        if task.id in self._cancelled or task.id in self._running:
            yield Refused("cancelled", "this task was cancelled or is here already")
            return
        if not await self._knows(origin):
            yield Refused("stranger", "this device does not see the one that asks")
            return
        if sum(asker == origin for asker, _ in self._running.values()) >= self._max_tasks_each:
            yield Refused("busy", f"{self._max_tasks_each} tasks of one device are here", 5.0)
            return
        replies: asyncio.Queue[Reply] = asyncio.Queue()
        running = asyncio.create_task(self._run(origin, task, replies))
        self._running[task.id] = (origin, running)
        running.add_done_callback(lambda _: self._running.pop(task.id, None))
        # A task that waits speaks for itself; one in service may be silent for long.
        silence: float | None = self._heartbeat_seconds
        try:
            while True:
                try:
                    async with asyncio.timeout(silence):
                        reply = await replies.get()
                except TimeoutError:
                    reply = Working()
                yield reply
                if isinstance(reply, Answer | Refused | Failed):
                    return
                silence = None if isinstance(reply, Waiting) else self._heartbeat_seconds
        finally:
            running.cancel()

    async def _knows(self, origin: str) -> bool:
        """Whether a device is a peer; two that have just met do not see each other at once."""
        now = asyncio.get_running_loop().time
        until = now() + ACQUAINTANCE_SECONDS
        while not self._is_peer(origin) and now() < until:
            await asyncio.sleep(0.05)
        return self._is_peer(origin)

    async def _run(self, origin: str, task: Task, replies: "asyncio.Queue[Reply]") -> None:
        """Run a guest's task; small pieces are sent together."""
        now = asyncio.get_running_loop().time
        every = STREAM_SECONDS if task.stream else PIECE_SECONDS
        # The first word of an answer goes out at once, those of a draft only with the rest.
        text, sent = "", 0.0 if task.stream else now()

        def say(step: Step) -> None:
            nonlocal text, sent
            if isinstance(step, Piece) and step.tool_calls is None:
                text += step.text
                if now() - sent < every:
                    return
                step, text, sent = Piece(text), "", now()
            replies.put_nowait(step)

        try:
            answer = await self._infer(task, origin, say)
            if text and task.stream:
                replies.put_nowait(Piece(text))
            replies.put_nowait(answer)
        except QueueFull as error:
            replies.put_nowait(Refused("busy", str(error), retry_after=error.retry_after))
        except ContextExceeded as error:
            replies.put_nowait(Refused("context", str(error), window=error.window))
        except DmoaError as error:
            replies.put_nowait(Failed(str(error)))
        except asyncio.CancelledError:
            replies.put_nowait(Refused("cancelled", "this task was cancelled"))
            raise
        except Exception as error:
            # A fault of ours must not leave the asker waiting; it is raised here all the same.
            replies.put_nowait(Failed(f"internal error: {type(error).__name__}"))
            raise
