"""Whether a device's LLM works: it has made a token lately, or makes one now."""

import asyncio
import secrets

from dmoa.device.inference import InferenceService
from dmoa.errors import DmoaError, QueueFull
from dmoa.protocol.conversation import Message, Sampling
from dmoa.protocol.tasks import Task

HEALTH_SECONDS = 60.0
"""A token is proof for so long."""

PROBE_SECONDS = 20.0
"""For so long a token is waited for."""


class Health:
    """The health of one device.

    A token of any inference is proof, so an LLM is only made to work for it while it idles;
    then the probe gives way to the first task that comes.

    Args:
        inferences: make the token.
    """

    def __init__(self, inferences: InferenceService) -> None:
        self._inferences = inferences
        self._meter = inferences.meter
        self._looking: asyncio.Task[bool] | None = None

    async def healthy(self) -> bool:
        """Whether the LLM has made a token lately, or makes one now."""
        since = self._meter.seconds_since_token
        if since is not None and since < HEALTH_SECONDS and self._meter.failure is None:
            return True
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look())
        return await asyncio.shield(self._looking)

    async def close(self) -> None:
        """Look no longer."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)

    async def _look(self) -> bool:
        made = self._meter.made_token
        made.clear()
        try:
            async with asyncio.timeout(PROBE_SECONDS):
                while not made.is_set():
                    await self._probe(made)
        except TimeoutError:
            self._meter.failure = f"the LLM made no token in {PROBE_SECONDS:.0f} s"
        except QueueFull:
            pass  # there is work enough, and whoever does it would have found a failure
        except DmoaError as error:
            self._meter.failure = str(error)
        return self._meter.failure is None

    async def _probe(self, made: asyncio.Event) -> None:
        """Ask for a token, until somebody has one or a task takes the probe's place."""
        probing = asyncio.create_task(self._inferences.probe(_probe()))
        watching = asyncio.create_task(made.wait())
        try:
            await asyncio.wait({probing, watching}, return_when=asyncio.FIRST_COMPLETED)
            if probing.done() and not probing.cancelled():
                probing.result()
        finally:
            probing.cancel()
            watching.cancel()
            await asyncio.gather(probing, watching, return_exceptions=True)


def _probe() -> Task:
    return Task(
        id=f"health-{secrets.token_hex(8)}",
        prompt="health",
        layer=1,
        messages=[Message(role="user", content="Say yes.")],
        sampling=Sampling(max_tokens=1),
    )
