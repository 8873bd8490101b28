"""Prompts that are answered though nobody waits: accepted on the disk, worked on one after another.

A client that asks with `background: true` gets an id once its prompt is on the disk. It survives
the end of the device, orderly or not, and is taken up again at the next start. What one API has
accepted, the same API reads again, so it registers a `Revive`.
"""

import asyncio
import functools
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

import msgspec

from dmoa.api.errors import ApiError, as_api_error
from dmoa.device.device import Device
from dmoa.errors import DmoaError, NobodyAnswered, QueueFull, StoreFailed
from dmoa.policies.limits import LIMITS
from dmoa.protocol.events import Finished
from dmoa.protocol.prompt import Prompt
from dmoa.store.prompts import KeptPrompt, KeptPrompts

log = logging.getLogger(__name__)

T = TypeVar("T")

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
"""Seconds between two attempts where nobody has room or makes tokens; doubled each time."""
PATIENCE = 6 * 3600.0
"""A prompt that nobody could answer for so long has failed."""
STORE_PAUSE = 5.0
"""Seconds until a store that could not be written is tried again."""
AGE_SECONDS = 3600.0
"""How often answers are looked through for those that are too old."""


class Fault(msgspec.Struct, frozen=True):
    """Why a prompt has failed: HTTP's status, OpenAI's code, and words."""

    status: int
    code: str | None
    message: str

    @classmethod
    def of(cls, error: DmoaError) -> "Fault":
        """The same as a client who waits would be told."""
        told = as_api_error(error)
        return cls(told.status, told.code, str(told))


@dataclass(frozen=True)
class Work:
    """A kept prompt, ready to be worked on.

    Attributes:
        prompt: what the device is asked; its id is the kept one's.
        answer: what is kept of its end.
    """

    prompt: Prompt
    answer: Callable[[Finished], bytes]


Revive = Callable[[KeptPrompt], Awaitable[Work]]
"""Reads a kept prompt again; raises what a client who waits would be told."""

_DIED = Fault(500, "device_died", "the device has died in its middle again and again")


class Unattended:
    """Accepts prompts, works on them, and says what became of them.

    Args:
        kept: where they are.
        device: answers them.
        settle_seconds: after a start, others have so long to be found.
    """

    def __init__(self, kept: KeptPrompts, device: Device, *, settle_seconds: float = 3.0) -> None:
        self._kept = kept
        self._device = device
        self._settle_seconds = settle_seconds
        self._revive: dict[str, Revive] = {}
        self._news = asyncio.Event()
        self._working: dict[str, asyncio.Task[None]] = {}
        self._running: list[asyncio.Task[None]] = []

    def register(self, api: str, revive: Revive) -> None:
        """How the prompts of an API are read again."""
        self._revive[api] = revive

    # --- what clients do ---------------------------------------------------------------------

    async def accept(self, prompt_id: str, api: str, request: bytes) -> KeptPrompt:
        """Accept a prompt; once this returns, it will be answered.

        Raises:
            QueueFull: too many wait, or the device is about to end.
            StoreFull: there is no room on the disk.
            StoreFailed: the disk cannot be written.
        """
        if self._device.draining:
            raise QueueFull("this device is shutting down", 30.0)
        prompt = KeptPrompt(prompt_id, api, time.time(), "queued", request)
        await self._kept.accept(prompt)
        self._news.set()
        return prompt

    async def find(self, prompt_id: str, api: str) -> KeptPrompt | None:
        """A prompt of an API, and what became of it; None where there is none.

        Raises:
            StoreFailed: the disk cannot be read.
        """
        prompt = await self._kept.get(prompt_id)
        return prompt if prompt is not None and prompt.api == api else None

    async def cancel(self, prompt_id: str) -> None:
        """Work on a prompt no longer; one that is over stays as it is.

        Raises:
            StoreFailed: the disk cannot be written.
        """
        if await self._kept.end(prompt_id, "cancelled"):
            self._stop(prompt_id)

    async def forget(self, prompt_id: str) -> None:
        """Work on a prompt no longer, and keep nothing of it.

        Raises:
            StoreFailed: the disk cannot be written.
        """
        await self._kept.forget(prompt_id)
        self._stop(prompt_id)

    def _stop(self, prompt_id: str) -> None:
        if working := self._working.get(prompt_id):
            working.cancel()

    # --- the work ----------------------------------------------------------------------------

    def start(self) -> None:
        """Take up what was accepted, from now on."""
        self._running = [asyncio.create_task(work) for work in (self._work_on(), self._grow_old())]

    async def close(self) -> None:
        """Work no longer; what is in progress is taken up at the next start."""
        tasks = [*self._running, *self._working.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        try:
            await self._kept.queue_again(died=False)
        except StoreFailed:
            log.warning("what was in progress is taken up as after a crash: the disk is full")

    async def _work_on(self) -> None:
        await _until_written(
            lambda: self._kept.queue_again(died=True, broken=msgspec.json.encode(_DIED))
        )
        await asyncio.sleep(self._settle_seconds)
        while True:
            self._news.clear()
            prompt = None
            if len(self._working) < LIMITS.unattended_at_once:
                prompt = await _until_written(self._kept.next)
            if prompt is None:
                await self._news.wait()
                continue
            working = asyncio.create_task(self._answer(prompt))
            self._working[prompt.id] = working
            working.add_done_callback(functools.partial(self._ended, prompt.id))

    def _ended(self, prompt_id: str, _: asyncio.Task[None]) -> None:
        del self._working[prompt_id]
        self._news.set()

    async def _answer(self, prompt: KeptPrompt) -> None:
        try:
            answer = await self._patiently(prompt)
        except DmoaError as error:
            await self._fail(prompt, Fault.of(error))
        except Exception as error:  # a fault of ours costs this prompt, and the rest goes on
            log.exception("prompt %s", prompt.id)
            await self._fail(prompt, Fault(500, None, f"internal error: {type(error).__name__}"))
        else:
            await _until_written(lambda: self._kept.end(prompt.id, "completed", answer))

    async def _fail(self, prompt: KeptPrompt, fault: Fault) -> None:
        why = msgspec.json.encode(fault)
        await _until_written(lambda: self._kept.end(prompt.id, "failed", why))

    async def _patiently(self, prompt: KeptPrompt) -> bytes:
        """The answer, also if nobody has room or makes tokens at first."""
        now = asyncio.get_running_loop().time
        until, pause = now() + PATIENCE, FIRST_PAUSE
        while True:
            try:
                revive = self._revive.get(prompt.api)
                if revive is None:
                    raise ApiError(500, f"prompts of {prompt.api!r} are not known here any more")
                work = await revive(prompt)
                return work.answer(await self._device.ask(work.prompt))
            except (QueueFull, NobodyAnswered) as error:
                wait = getattr(error, "retry_after", pause)
                if now() + wait > until:
                    raise
            await asyncio.sleep(min(max(wait, pause), LONGEST_PAUSE))
            pause = min(2 * pause, LONGEST_PAUSE)

    async def _grow_old(self) -> None:
        while True:
            await asyncio.sleep(AGE_SECONDS)
            await _until_written(lambda: self._kept.age(AGE_SECONDS))


async def _until_written(write: Callable[[], Awaitable[T]]) -> T:
    """Write when there is room: a full disk holds work up, and loses none of it."""
    while True:
        try:
            return await write()
        except StoreFailed as error:
            log.warning("%s; it is tried again in %.0f s", error, STORE_PAUSE)
        await asyncio.sleep(STORE_PAUSE)
