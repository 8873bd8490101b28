"""What this device does for others: every request of theirs gets a reply or a refusal."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable

import msgspec

from dmoa.errors import ContextExceeded, DmoaError, QueueFull, RequestRefused
from dmoa.network.interface import Send
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
from dmoa.policies.limits import DEFAULTS, LIMITS
from dmoa.protocol.tasks import Answer, Piece, Say, Step, Task, Waiting, Working

PIECE_SECONDS = 0.5
STREAM_SECONDS = 0.02
BEATS = 4  # looks at its guests in a heartbeat
ACQUAINTANCE_SECONDS = 2.0


class PeerService:
    """Serves the requests of other devices.

    Args:
        card: who this device is.
        report: how it is doing.
        infer: makes an inference for a guest, see `InferenceService.run`.
        greeted: is called with the card of a device that says hello.
        is_peer: whether a device is there; others are served nothing.
        news_for: what a device that is spoken to anyway is told of how this one is doing.
        heard: is called with what a device says of how it is doing.
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
        news_for: Callable[[str], DeviceReport | None] = lambda device: None,
        heard: Callable[[str, DeviceReport | None], None] = lambda device, report: None,
        max_tasks_each: int = DEFAULTS.queue_tasks // 2,
        heartbeat_seconds: float = DEFAULTS.heartbeat_seconds,
    ) -> None:
        self._heartbeat_seconds = heartbeat_seconds
        self._is_peer = is_peer
        self._news_for = news_for
        self._heard = heard
        self._max_tasks_each = max_tasks_each
        self._card = card
        self._report = report
        self._infer = infer
        self._greeted = greeted
        self.draining = False
        self._beating = False
        self._running: dict[str, _Guest] = {}
        # A cancel may overtake its task; what it names is refused when it comes.
        self._cancelled: OrderedDict[tuple[str, str], None] = OrderedDict()

    @property
    def running(self) -> int:
        """Tasks of guests that are here, waiting or in service."""
        return len(self._running)

    async def serve(self, asker: str, payload: bytes, send: Send) -> None:
        """Answer one request; see `network.interface.Serve`."""

        def reply(message: Reply) -> None:
            send(encode(message))

        request = decode_request(payload)
        match request:
            case Refused():
                reply(request)
            case Hello(card=card) if card.device == asker:
                self._greeted(card)
                reply(Welcome(self._card()))
            case Hello(card=card):
                reply(Refused("stranger", f"you are {asker}, and not {card.device}"))
            case AskReport():
                reply(self._report())
            case Cancel(task=task):
                self.cancel(asker, task)
                reply(Done())
            case Infer(task=task, report=report):
                if report is not None and self._is_peer(asker):
                    self._heard(asker, report)
                if refusal := await self._refusal(asker, task):
                    reply(refusal)
                else:
                    await self._run(asker, task, reply)

    def cancel(self, asker: str, task: str) -> None:
        """End a guest's task, wherever it is; it must be the guest's own."""
        if (guest := self._running.get(task)) is not None:
            if guest.origin == asker:
                guest.running.cancel()
        else:
            self._cancelled[asker, task] = None
            while len(self._cancelled) > LIMITS.cancels:
                self._cancelled.popitem(last=False)

    def forget(self, device: str) -> None:
        """A device is gone: nobody waits for its tasks any more."""
        for guest in self._running.values():
            if guest.origin == device:
                guest.running.cancel()

    async def close(self) -> None:
        """End all tasks of guests."""
        running = [guest.running for guest in self._running.values()]
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    async def _refusal(self, origin: str, task: Task) -> Refused | None:
        """Why a guest's task is not taken on."""
        if self.draining:
            return Refused("draining", "this device is shutting down")
        if not (self._is_peer(origin) or await self._becomes_peer(origin)):
            return Refused("stranger", "this device does not see the one that asks")
        if (origin, task.id) in self._cancelled or task.id in self._running:
            return Refused("cancelled", "this task was cancelled or is here already")
        if sum(guest.origin == origin for guest in self._running.values()) >= self._max_tasks_each:
            return Refused("busy", f"{self._max_tasks_each} tasks of one device are here", 5.0)
        return None

    async def _becomes_peer(self, origin: str) -> bool:
        """Whether a device is a peer soon; two that have just met do not see each other at once."""
        now = asyncio.get_running_loop().time
        until = now() + ACQUAINTANCE_SECONDS
        while not self._is_peer(origin) and now() < until:
            await asyncio.sleep(0.05)
        return self._is_peer(origin)

    async def _run(self, origin: str, task: Task, reply: Callable[[Reply], None]) -> None:
        """Run a guest's task."""
        running = asyncio.current_task()
        assert running is not None
        guest = self._running[task.id] = _Guest(origin, running, reply, stream=task.stream)
        if not self._beating:
            self._beat()
        try:
            made = await self._infer(task, origin, guest.say)
            if news := self._news_for(origin):
                reply(news)
            guest.end(made)
        except QueueFull as error:
            reply(Refused("busy", str(error), retry_after=error.retry_after))
        except ContextExceeded as error:
            reply(Refused("context", str(error), window=error.window))
        except RequestRefused as error:
            words = error.words[: LIMITS.detail_characters]
            reply(Refused("request", words, status=error.status))
        except DmoaError as error:
            reply(Failed(str(error)[: LIMITS.detail_characters]))
        except asyncio.CancelledError:
            reply(Refused("cancelled", "this task was cancelled"))
            raise
        except Exception as error:
            # A fault of ours must not leave the asker waiting; it is raised here all the same.
            reply(Failed(f"internal error: {type(error).__name__}"))
            raise
        finally:
            del self._running[task.id]

    def _beat(self) -> None:
        # One timer for all guests: setting one for each would cost as much as serving it.
        self._beating = bool(self._running)
        if not self._beating:
            return
        pause = self._heartbeat_seconds / BEATS
        asyncio.get_running_loop().call_later(pause, self._beat)
        for guest in self._running.values():
            guest.speak_up(self._heartbeat_seconds - pause)


class _Guest:
    """A task of another device, and what that hears of it: small pieces together.

    Args:
        origin: id of the device.
        running: what serves the task.
        reply: sends a reply.
        stream: whether every piece is wanted as it comes.
    """

    def __init__(
        self,
        origin: str,
        running: asyncio.Task[None],
        reply: Callable[[Reply], None],
        *,
        stream: bool,
    ) -> None:
        self.origin = origin
        self.running = running
        self._reply = reply
        self._stream = stream
        self._now = asyncio.get_running_loop().time
        self._every = STREAM_SECONDS if stream else PIECE_SECONDS
        self._kept = Piece("")
        # The first word of an answer goes out at once, those of a draft only with the rest.
        self._sent = 0.0 if stream else self._now()
        self._said = self._now()
        self._waits = False  # a task that waits speaks for itself

    def say(self, step: Step) -> None:
        """Tell a step, or keep it for the next."""
        now = self._now()
        if isinstance(step, Piece):
            if not self._stream:  # what a proposer thinks is its own, and no part of a draft
                step = Piece(step.text, step.tool_calls)
            # Nothing overtakes what was kept.
            self._kept = self._kept.then(step)
            hurry = self._kept.tool_calls is not None or self._kept.recants
            if not self._kept.size() or (not hurry and now - self._sent < self._every):
                return
            step, self._kept, self._sent = self._kept, Piece(""), now
        self._said = now
        self._waits = isinstance(step, Waiting)
        self._reply(step)

    def end(self, answer: Answer) -> None:
        """Tell the answer, before which a stream gets the rest of its pieces."""
        if not self._stream:
            answer = msgspec.structs.replace(answer, reasoning="")
        elif self._kept.size():
            self._reply(self._kept)
        self._reply(answer)

    def speak_up(self, seconds: float) -> None:
        """Say something when nothing has been said for so long."""
        now = self._now()
        if not self._waits and now - self._said >= seconds:
            self._said = now
            self._reply(Working())
