"""Where experiments take place: devices of a network, in this process or as real processes.

Both run the product's own protocol, queues and aggregation. In memory the network is the
in-process twin, which carries the same bytes; live, each device is a `dmoa up` that is asked
through its HTTP API.
"""

import asyncio
import contextlib
import math
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import msgspec

from dmoa.client import ask_async
from dmoa.device.device import Device
from dmoa.device.queue import DeviceQueue
from dmoa.device.shapes import shape_of
from dmoa.errors import DmoaError
from dmoa.evaluation.grid import Way
from dmoa.llm.interface import LLM
from dmoa.network.memory import MemoryHub
from dmoa.node.local import NAMES, LocalNetwork
from dmoa.policies.plans import Plan
from dmoa.protocol.conversation import Message, Sampling
from dmoa.protocol.experience import Experience
from dmoa.protocol.layer import LayerPolicy
from dmoa.protocol.prompt import Prompt, answer
from dmoa.protocol.records import PromptRecord

PATIENT = LayerPolicy(deadline=3600.0, quorum=1.0, doubt=math.inf)
"""An experiment waits for every draft."""

SILENCE_SECONDS = 60.0
GREETING_SECONDS = 10.0


@dataclass(frozen=True)
class ArenaAnswer:
    """An answer, and the tree of its inferences."""

    text: str
    record: PromptRecord


class Arena(Protocol):
    """Devices that can be asked.

    Attributes:
        names: of the devices, in the order of their numbers.
    """

    names: list[str]

    async def ask(
        self, owner: int, question: str, way: Way, sampling: Sampling, draw: random.Random
    ) -> ArenaAnswer:
        """What the user of a device gets.

        Args:
            owner: number of the device.
            draw: draws the proposers, where that is not the device's own business.

        Raises:
            DmoaError: there is no answer.
        """

    async def close(self) -> None:
        """End the devices."""


OpenArena = Callable[[Sequence[str]], Awaitable[Arena]]
"""Opens an arena with an LLM on each device."""


class MemoryArena:
    """Devices of this process; see `Arena`.

    What a device learns of its peers (for `select`) is kept apart for each way of answering,
    so that no way profits from another.
    """

    def __init__(self, llms: Sequence[LLM]) -> None:
        self._llms = list(llms)
        self._devices: list[Device] = []
        self._experience: dict[tuple[int, str], Experience] = {}
        self.names = [NAMES[i] if i < len(NAMES) else f"device{i}" for i in range(len(llms))]

    @classmethod
    async def open(cls, llms: Sequence[LLM]) -> "MemoryArena":
        """Start devices that see each other; they own their LLMs."""
        arena = cls(llms)
        hub = MemoryHub()
        for name, llm in zip(arena.names, llms, strict=True):
            # Bursts are studied, so that no queue may refuse.
            queue = DeviceQueue(max_tasks=2**30, max_bytes=2**40)
            device = Device(
                name, name, llm, hub.network(), queue=queue, silence_seconds=SILENCE_SECONDS
            )
            await device.start()
            arena._devices.append(device)
        async with asyncio.timeout(GREETING_SECONDS):
            while any(len(device.peers()) < len(llms) - 1 for device in arena._devices):
                await asyncio.sleep(0.001)
        return arena

    async def ask(
        self, owner: int, question: str, way: Way, sampling: Sampling, draw: random.Random
    ) -> ArenaAnswer:
        """See `Arena.ask`."""
        prompt = Prompt(
            [Message(role="user", content=question)],
            way.row.layers,
            way.row.proposers,
            sampling,
            aggregation=way.aggregation,
            policy=PATIENT,
        )
        experience = self._experience.setdefault((owner, way.name), Experience())
        finished = await answer(prompt, self._devices[owner], draw, lambda event: None, experience)
        return ArenaAnswer(finished.text, finished.record)

    async def carry_out(
        self,
        owner: int,
        question: str,
        plan: Plan,
        policy: LayerPolicy,
        draw: random.Random,
        deadline: float | None = None,
    ) -> ArenaAnswer | None:
        """What comes of a plan, greedily.

        Args:
            owner: number of the device whose user asks.
            question: the user's message.
            plan: what is done; devices are called by their names.
            policy: how long a layer waits.
            draw: draws the order of the proposers.
            deadline: seconds; None of the answer comes after it.
        """
        shape = shape_of(plan, self.names[owner])
        prompt = Prompt(
            [Message(role="user", content=question)],
            shape.layers,
            shape.proposers,
            Sampling(temperature=0.0),
            aggregation=shape.aggregation,
            policy=policy,
            aggregator=shape.aggregator,
            among=shape.among,
        )
        try:
            finished = await answer(
                prompt, self._devices[owner], draw, lambda event: None, deadline=deadline
            )
        except DmoaError:
            return None
        return ArenaAnswer(finished.text, finished.record)

    async def close(self) -> None:
        """See `Arena.close`."""
        for device in self._devices:
            await device.close()
        for llm in self._llms:
            await llm.close()


class LiveArena:
    """Devices as processes of this machine; see `Arena`. They draw the proposers themselves."""

    def __init__(self, network: LocalNetwork) -> None:
        self._network = network
        self.names = [device.name for device in network.devices]

    @classmethod
    async def open(cls, specifications: Sequence[str]) -> "LiveArena":
        """Start a process for each `--llm`."""
        network = LocalNetwork(len(specifications), specifications, ["--threads", "1"])
        await network.__aenter__()
        return cls(network)

    async def ask(
        self, owner: int, question: str, way: Way, sampling: Sampling, draw: random.Random
    ) -> ArenaAnswer:
        """See `Arena.ask`."""
        reply = await ask_async(
            question,
            node=self._network.devices[owner].url,
            model=f"dmoa-m{way.row.layers}-k{way.row.proposers}",
            method=way.method,
            **msgspec.to_builtins(sampling),
        )
        try:
            record = msgspec.convert(reply.dmoa, PromptRecord)
        except msgspec.ValidationError as error:
            raise DmoaError(
                f"{self.names[owner]} answered without the tree of the prompt: {error}"
            ) from None
        return ArenaAnswer(reply.text, record)

    async def close(self) -> None:
        """See `Arena.close`."""
        await self._network.__aexit__()


async def all_or_none(loading: Sequence[Awaitable[LLM]]) -> list[LLM]:
    """Load LLMs at once; when one fails, the others are closed and its error is raised."""
    found = await asyncio.gather(*loading, return_exceptions=True)
    failures = [item for item in found if isinstance(item, BaseException)]
    llms = [item for item in found if not isinstance(item, BaseException)]
    if failures:
        for llm in llms:
            with contextlib.suppress(DmoaError):
                await llm.close()
        raise failures[0]
    return llms
