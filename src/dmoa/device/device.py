"""One device: its queue, its LLM, the protocol and its place in the network, wired."""

import asyncio
import random
from collections import OrderedDict, deque
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from dmoa.device.guests import PeerService
from dmoa.device.health import Health
from dmoa.device.inference import InferenceService
from dmoa.device.loads import Loads
from dmoa.device.meter import DeviceMeter
from dmoa.device.peers import Peers
from dmoa.device.queue import DeviceQueue
from dmoa.errors import PeerError, QueueFull
from dmoa.llm.interface import LLM, Embedded
from dmoa.network.interface import Network
from dmoa.network.messages import Card, DeviceReport
from dmoa.policies.law import PATIENCE, largest_backlog
from dmoa.policies.limits import DEFAULTS, LIMITS, heartbeat
from dmoa.protocol.events import Accepted, Event, Finished, LayerFinished
from dmoa.protocol.experience import Experience
from dmoa.protocol.prompt import Prompt, answer
from dmoa.protocol.records import PromptRecord
from dmoa.protocol.tasks import Answer, Say, Task
from dmoa.standings.questions.wording import Manner

REPORT_SECONDS = 1.0
EXPECTED_SECONDS = 10.0
"""A prompt that was promised its work and does not come for so long will not come."""
LONGEST_QUEUE = largest_backlog(1.0, 1.0, PATIENCE)
Answered = Callable[[Prompt, Finished, Mapping[str, str]], None]
"""Is told of each answered prompt of the user, with the drafts of its first layer by device."""
MANNERS = 32
"""Prompts of the owner of which the manner is remembered."""
MANNER_CHARACTERS = 4000
"""Longest system prompt that an examination has."""


class Device:
    """A member of the network, with one user, one LLM and one queue.

    It is the `Committee` of its own prompts, and serves the tasks of others.

    Args:
        device_id: its id.
        name: what people call it.
        llm: its LLM.
        network: its network, not yet open.
        queue: its queue.
        random_generator: draws proposers.
        prompt_deadline: seconds after which a prompt is given up.
        first_token_seconds: an LLM may take so long to begin an answer.
        stall_seconds: an LLM that has begun and says nothing for so long has failed.
        silence_seconds: a peer that says nothing for so long is hung.
        experience: what it has learnt of drafts before; grows.
        joined, vanished: are called with the card of each device that comes, or is not to be
            seen any more.
    """

    def __init__(
        self,
        device_id: str,
        name: str,
        llm: LLM,
        network: Network,
        *,
        queue: DeviceQueue | None = None,
        random_generator: random.Random | None = None,
        prompt_deadline: float = DEFAULTS.prompt_deadline,
        first_token_seconds: float = DEFAULTS.first_token_seconds,
        stall_seconds: float = DEFAULTS.stall_seconds,
        silence_seconds: float = DEFAULTS.silence_seconds,
        experience: Experience | None = None,
        joined: Callable[[Card], None] = lambda card: None,
        vanished: Callable[[Card], None] = lambda card: None,
    ) -> None:
        self.own_id = device_id
        self.name = name
        self.llm = llm
        self.network = network
        self.queue = queue or DeviceQueue()
        self.random = random_generator or random.Random()
        self.prompt_deadline = prompt_deadline
        self.meter = DeviceMeter(asyncio.get_running_loop().time)
        self.inferences = InferenceService(
            llm,
            self.queue,
            self.meter,
            heartbeat_seconds=heartbeat(silence_seconds),
            first_token_seconds=first_token_seconds,
            stall_seconds=stall_seconds,
        )
        self.loads = Loads(device_id, self.report, self.reports, self.meter.clock)
        self.peer_links = Peers(
            network,
            device_id,
            self.card,
            silence_seconds=silence_seconds,
            joined=joined,
            vanished=vanished,
            gone=self._gone,
            news_for=self.loads.news_for,
            heard=self.loads.hear,
        )
        self.service = PeerService(
            self.card,
            self.report,
            self.inferences.run,
            self.peer_links.welcome,
            is_peer=lambda device: device in self.network.alive(),
            news_for=self.loads.news_for,
            heard=self.loads.hear,
            max_tasks_each=max(1, self.queue.max_tasks // 2),
            heartbeat_seconds=heartbeat(silence_seconds),
        )
        self.health = Health(self.inferences)
        self.experience = experience or Experience()
        self.open_prompts = 0
        self.draining = False
        self.idle_work: set[asyncio.Task[None]] = set()  # ended when a prompt of the owner comes
        self.manners: deque[Manner] = deque(maxlen=MANNERS)
        self.answered: Answered = lambda prompt, finished, drafts: None
        self._records: OrderedDict[str, PromptRecord] = OrderedDict()
        self._expected: dict[str, asyncio.TimerHandle] = {}
        self._watchers: list[Callable[[PromptRecord], None]] = []

    async def start(self) -> None:
        """Join the network."""
        await self.network.open(self.own_id, self.service.serve, self.peer_links.changed)

    async def drain(self, seconds: float) -> None:
        """Take on nothing new, and wait for what was accepted, at most `seconds`."""
        self.draining = self.service.draining = True
        self._end_idle_work()
        await self.network.retire()
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        while (self.open_prompts or self.service.running) and loop.time() < until:
            await asyncio.sleep(0.05)

    async def close(self) -> None:
        """Leave the network; what still runs is ended. The LLM stays its owner's to close."""
        self._end_idle_work()
        for expected in self._expected.values():
            expected.cancel()
        self._expected.clear()
        await self.health.close()
        await self.service.close()
        await self.peer_links.close()
        await self.network.close()

    # --- the committee of a prompt -----------------------------------------------------------

    def peers(self) -> Sequence[str]:
        """See `Committee.peers`."""
        return list(self.peer_links.cards())

    def describe(self, device: str) -> tuple[str, str]:
        """See `Committee.describe`."""
        if device == self.own_id:
            return self.name, self.llm.info.name
        card = self.peer_links.card(device)
        return (card.name, card.model) if card else (device, "")

    async def infer(self, device: str, task: Task, say: Say) -> Answer:
        """See `Committee.infer`."""
        self.loads.begin(task.prompt, device)
        if device == self.own_id:
            return await self.inferences.run(task, None, say)
        try:
            return await self.peer_links.infer(device, task, say)
        finally:
            self.loads.end(device)

    def _gone(self, device: str) -> None:
        self.service.forget(device)
        self.loads.forget(device)

    # --- prompts of the owner ----------------------------------------------------------------

    def expect(self, prompt: Prompt) -> None:
        """A prompt that is about to be asked: its work counts from now on, before it begins.

        Whoever decides on the next prompt in the same moment must know of this one.
        """
        self.loads.promise(prompt.id, prompt.tasks(self.own_id))
        later = asyncio.get_running_loop().call_later
        self._expected[prompt.id] = later(EXPECTED_SECONDS, self._does_not_come, prompt.id)

    def _does_not_come(self, prompt: str) -> None:
        del self._expected[prompt]
        self.loads.settle(prompt)

    async def ask(
        self, prompt: Prompt, tell: Callable[[Event], None] = lambda event: None
    ) -> Finished:
        """Answer a prompt; cancelling this cancels it everywhere.

        Args:
            prompt: the prompt.
            tell: is called with each event as it happens, the returned one last.

        Raises:
            QueueFull: the device is shutting down, or every device refused for want of room.
            ContextExceeded: the prompt is longer than every window.
            DeadlinePassed: it took too long.
            NobodyAnswered: no device could answer.
        """
        if expected := self._expected.pop(prompt.id, None):
            expected.cancel()
        else:
            self.loads.promise(prompt.id, prompt.tasks(self.own_id))
        try:
            return await self._answer(prompt, tell)
        finally:
            self.loads.settle(prompt.id)

    def watch(self, ended: Callable[[PromptRecord], None]) -> None:
        """From now on call `ended` with the record of each prompt that is over."""
        self._watchers.append(ended)

    async def _answer(self, prompt: Prompt, tell: Callable[[Event], None]) -> Finished:
        self._admit()
        self.open_prompts += 1
        self._end_idle_work()
        self.meter.prompts.count()

        records: list[PromptRecord] = []
        drafts: dict[str, str] = {}

        def remember(event: Event) -> None:
            if isinstance(event, LayerFinished) and event.record.layer == 1:
                drafts.update(event.texts)
            if isinstance(event, Accepted):
                records.append(event.record)
                self._remember(event.record)
            tell(event)

        try:
            finished = await answer(
                prompt, self, self.random, remember, self.experience, self.prompt_deadline
            )
            self._see_manner(prompt, finished.record)
            self.answered(prompt, finished, drafts)
            return finished
        finally:
            self.open_prompts -= 1
            for record in records:
                for ended in self._watchers:
                    ended(record)

    async def embed(self, request: dict[str, Any]) -> Embedded:
        """Vectors of texts, by the own LLM's server; counts as a prompt while it lasts.

        Args:
            request: see `Embedder.embed`.

        Raises:
            QueueFull: the queue is too long, or the device is shutting down.
            RequestRefused: the request is wrong, or the LLM makes no embeddings.
            LLMError: the LLM failed or stalled.
        """
        self._admit()
        if self.queue.backlog_seconds(1.0) >= LONGEST_QUEUE:
            waiting = self.queue.backlog_seconds(self.inferences.mean_service_seconds)
            raise QueueFull("the queue is longer than vectors are worth waiting for", waiting)
        self.open_prompts += 1
        try:
            return await self.inferences.embed(request)
        finally:
            self.open_prompts -= 1

    def _admit(self) -> None:
        """What is admitted is served, so what cannot be served is refused here."""
        if self.draining:
            raise QueueFull("this device is shutting down", 30.0)

    def _end_idle_work(self) -> None:
        for working in self.idle_work:
            working.cancel()

    def _see_manner(self, prompt: Prompt, record: PromptRecord) -> None:
        """How the owner asks, for examinations; of what others have seen, and nothing else."""
        if all(inference.device == self.own_id for inference in record.inferences()):
            return
        first, last = prompt.messages[0], prompt.messages[-1]
        system = first.content if first.role in ("system", "developer") else None
        if len(prompt.messages) <= 2 and len(system or "") <= MANNER_CHARACTERS:
            asked, sampling = len(last.content), prompt.sampling
            self.manners.append(Manner(system, sampling.temperature, sampling.max_tokens, asked))

    def prompt(self, prompt_id: str) -> PromptRecord | None:
        """The tree of one of the last prompts."""
        return self._records.get(prompt_id)

    def _remember(self, record: PromptRecord) -> None:
        self._records[record.id] = record
        while len(self._records) > LIMITS.prompts:
            self._records.popitem(last=False)

    # --- what it says of itself --------------------------------------------------------------

    def card(self) -> Card:
        """Who this device is."""
        info = self.llm.info
        return Card(
            self.own_id,
            self.name,
            info.name[: LIMITS.model_characters],
            info.context_length,
            self.network.addresses()[:8],
        )

    def report(self) -> DeviceReport:
        """How this device is doing."""
        meter = self.meter
        return DeviceReport(
            queue=self.queue.waiting,
            serving=self.queue.serving,
            alpha=meter.service_seconds.mean(),
            arrival_rate=meter.prompts.rate(),
            load=meter.load(self.queue.slots),
            seconds_since_token=meter.seconds_since_token,
            tokens_per_second=meter.tokens_per_second.mean(),
            healthy=self.meter.failure is None,
            promised=self.loads.promised,
            slots=self.queue.slots,
        )

    async def reports(
        self, among: Collection[str] | None = None
    ) -> dict[str, tuple[Card, DeviceReport | None]]:
        """Every device that is there, this one first; None for one that does not say.

        Args:
            among: peers that are asked; None for all.
        """

        async def of(device: str) -> DeviceReport | None:
            try:
                return await self.peer_links.report(device, REPORT_SECONDS)
            except PeerError:
                return None

        cards = self.peer_links.cards()
        if among is not None:
            cards = {device: card for device, card in cards.items() if device in among}
        reports = await asyncio.gather(*(of(device) for device in cards))
        both = zip(cards.items(), reports, strict=True)
        return {
            self.own_id: (self.card(), self.report()),
            **{device: (card, report) for (device, card), report in both},
        }

    async def healthy(self) -> bool:
        """Whether the LLM has made a token lately, or makes one now."""
        return await self.health.healthy()
