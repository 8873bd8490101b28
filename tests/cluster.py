"""Several devices in one process, with scripted LLMs, on whatever clock runs."""

import random
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Self

from dmoa.device.device import Device
from dmoa.device.queue import DeviceQueue
from dmoa.errors import LLMError
from dmoa.llm.interface import End, Token
from dmoa.llm.scripted import ScriptedLLM
from dmoa.network.faults import FaultyNetwork
from dmoa.network.memory import MemoryHub
from dmoa.protocol.conversation import Constraints, Message, Sampling
from dmoa.protocol.events import Event, Finished
from dmoa.protocol.layer import LayerPolicy
from dmoa.protocol.prompt import Prompt


class Script(ScriptedLLM):
    """A scripted LLM that keeps what it was asked, and fails on demand."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.asked: list[list[Message]] = []
        self.sampled: list[Sampling] = []
        self.constrained: list[Constraints | None] = []
        self.running = 0
        self.most_running = 0
        self.fails_before_token: int | None = None  # the how-manieth token never comes
        self.hangs = False

    async def stream(
        self,
        messages: Sequence[Message],
        sampling: Sampling,
        constraints: Constraints | None = None,
    ) -> AsyncGenerator[Token | End, None]:
        import asyncio

        self.asked.append(list(messages))
        self.sampled.append(sampling)
        self.constrained.append(constraints)
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        try:
            tokens = 0
            inner = super().stream(messages, sampling, constraints)
            async with aclosing(inner):
                async for item in inner:
                    if self.hangs:
                        await asyncio.sleep(1e9)
                    if self.fails_before_token is not None and tokens >= self.fails_before_token:
                        raise LLMError("the script says that it fails")
                    tokens += 1
                    yield item
        finally:
            self.running -= 1


@dataclass
class Cluster:
    """Devices d0, d1, ... that know each other.

    Attributes:
        seconds: service time of every LLM.
        answers: what device i answers to a prompt; by default its name.
    """

    count: int
    seconds: float = 1.0
    seed: int = 0
    queue: Callable[[], DeviceQueue] = DeviceQueue
    device_options: dict[str, Any] = field(default_factory=dict)
    context_lengths: dict[int, int] = field(default_factory=dict)
    hub: MemoryHub = field(default_factory=MemoryHub)
    devices: list[Device] = field(default_factory=list)
    llms: list[Script] = field(default_factory=list)
    networks: list[FaultyNetwork] = field(default_factory=list)

    async def __aenter__(self) -> Self:
        for i in range(self.count):
            await self.add(i)
        await self.settle()
        return self

    async def add(self, i: int) -> None:
        """Start device i, anew if it was there before."""
        name = f"d{i}"
        llm = Script(
            lambda: self.seconds,
            lambda messages: f"answer of {name} with some more words",
            name=f"model-{name}",
            context_length=self.context_lengths.get(i, 8192),
        )
        network = FaultyNetwork(self.hub.network(), random.Random(f"{self.seed} faults {i}"))
        device = Device(
            name,
            name,
            llm,
            network,
            queue=self.queue(),
            random_generator=random.Random(f"{self.seed} {i}"),
            **self.device_options,
        )
        await device.start()
        self.llms[i : i + 1] = [llm]
        self.networks[i : i + 1] = [network]
        self.devices[i : i + 1] = [device]

    async def settle(self) -> None:
        """Let the devices greet each other."""
        import asyncio

        await asyncio.sleep(0.01)

    async def kill(self, i: int) -> None:
        """Device i is gone from one moment to the next."""
        await self.networks[i].close()
        await self.devices[i].close()

    async def __aexit__(self, *_: object) -> None:
        for device in self.devices:
            await device.close()

    async def ask(self, i: int, layers: int, proposers: int, **options: Any) -> Finished:
        """The answer to a prompt of device i's user."""
        events = [event async for event in self.events(i, layers, proposers, **options)]
        assert isinstance(events[-1], Finished)
        assert not any(isinstance(event, Finished) for event in events[:-1])
        return events[-1]

    async def events(
        self, i: int, layers: int, proposers: int, **options: Any
    ) -> AsyncGenerator[Event, None]:
        """All events of a prompt; closing this cancels it."""
        import asyncio

        options.setdefault("messages", [Message(role="user", content="Why?")])
        options.setdefault("policy", LayerPolicy())
        prompt = Prompt(layers=layers, proposers=proposers, **options)
        events: asyncio.Queue[Event | None] = asyncio.Queue()
        asking = asyncio.create_task(self.devices[i].ask(prompt, events.put_nowait))
        asking.add_done_callback(lambda _: events.put_nowait(None))
        try:
            while (event := await events.get()) is not None:
                yield event
            await asking
        finally:
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)

    def busy(self) -> list[str]:
        """What waits or runs anywhere."""
        found = []
        for device, llm in zip(self.devices, self.llms, strict=True):
            counts = {
                "waiting": device.queue.waiting,
                "in service": device.queue.serving,
                "guests": device.service.running,
                "prompts": device.open_prompts,
                "streams": llm.running,
            }
            found += [f"{device.name}: {n} {what}" for what, n in counts.items() if n]
        return found

    def assert_idle(self) -> None:
        """Nothing waits or runs anywhere."""
        assert not self.busy()
