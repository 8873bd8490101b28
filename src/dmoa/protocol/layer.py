"""One layer: its proposers are drawn and asked, those that fail are replaced, until it ends."""

import asyncio
import logging
import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from dmoa.errors import DmoaError, RequestRefused
from dmoa.policies.limits import DEFAULTS
from dmoa.policies.proposers import draw_uniform
from dmoa.protocol.events import Draft, Event, LayerFinished, LayerStarted, ProposerFailed
from dmoa.protocol.ledger import PREVIEW_CHARACTERS, Ledger, preview
from dmoa.protocol.records import InferenceRecord, LayerRecord
from dmoa.protocol.tasks import Committee, Piece, Step, Task

log = logging.getLogger(__name__)

SECOND_LOOK_SECONDS = 0.05


@dataclass(frozen=True)
class LayerPolicy:
    """How long a layer waits for its responses.

    A layer ends when all its responses are in, as in the paper. Beyond the paper it also
    ends `grace` seconds after a `quorum` of them is in, and at its `deadline` in any case.
    Drafts that came too late cost quality, so the defaults are generous: a slow device is
    waited for, a dead one is not.

    Attributes:
        deadline: seconds from the start of a layer.
        quorum: share of the k+1 responses, rounded up to at least one.
        grace: seconds after the quorum.
        doubt: seconds without a word after which another device is asked beside a proposer, and
            whoever answers first counts; two heartbeats, so that a word late is no reason.
            Infinite for never.
    """

    deadline: float = 600.0
    quorum: float = 0.75
    grace: float = 120.0
    doubt: float = 2 * DEFAULTS.heartbeat_seconds


@dataclass(frozen=True)
class Proposal:
    """A draft, and the device that wrote it."""

    device: str
    text: str


class Layer:
    """One layer of a prompt.

    Args:
        number: 1 to M.
        layers: M.
        proposers: k, other devices that are wanted.
        policy: how long it waits.
        among: ids of the devices that may propose, the own one as well; None for all.
        committee: the devices.
        random_generator: draws the proposers.
        ledger: where its inferences are written down.
        tell: is called with each event.
        make_task: makes the task of one more proposer, for a device.
    """

    def __init__(
        self,
        number: int,
        layers: int,
        proposers: int,
        policy: LayerPolicy,
        *,
        among: Sequence[str] | None = None,
        committee: Committee,
        random_generator: random.Random,
        ledger: Ledger,
        tell: Callable[[Event], None],
        make_task: Callable[[str], Task],
    ) -> None:
        self._number = number
        self._layers = layers
        self._policy = policy
        self._committee = committee
        self._ledger = ledger
        self._tell = tell
        self._make_task = make_task
        self._started = ledger.now()
        self._record = LayerRecord(number, [])
        self._drafts: dict[int, Proposal] = {}  # by the place of their inference in the record
        self._running: dict[asyncio.Task[str], InferenceRecord] = {}
        self._beside: dict[asyncio.Task[str], asyncio.Task[str]] = {}  # both ways
        self._ended: asyncio.Queue[asyncio.Task[str]] = asyncio.Queue()
        peers = [peer for peer in committee.peers() if among is None or peer in among]
        self._own = [committee.own_id] if among is None or committee.own_id in among else []
        others = proposers if self._own else proposers + 1
        self._wanted = min(others, len(peers))
        if self._wanted < others:
            ledger.note(f"layer {number}: {self._wanted} of {others} other devices were there")
        # A random order: the first k are the proposers, the rest stand by to replace them.
        order = list(range(len(peers)))
        draw_uniform(order, [random_generator.random() for _ in order], len(order))
        # Whoever failed in an earlier layer comes last: one that hangs would cost each layer.
        failed = {p.replaces for layer in ledger.record.layers for p in layer.proposers}
        self._spare = sorted((peers[i] for i in order), key=failed.__contains__)

    async def run(self) -> list[Proposal]:
        """Ask the proposers; returns their drafts in the order in which they were asked."""
        proposers = [*self._own, *self._spare[: self._wanted]]
        del self._spare[: self._wanted]
        record, ledger = self._record, self._ledger
        ledger.record.layers.append(record)
        ledger.record.k = max(ledger.record.k, len(proposers) - 1)
        try:
            record.proposers += [ledger.open(device) for device in proposers]
            # The others first: their way is longer.
            for inference in [*record.proposers[1:], *record.proposers[:1]]:
                self._ask(inference)
            self._tell(LayerStarted(self._number, self._layers, list(record.proposers)))
            await self._gather(quorum=max(1, math.ceil(self._policy.quorum * len(proposers))))
            for inference in self._running.values():
                ledger.late(inference)
        finally:
            record.seconds = ledger.now() - self._started
            await self._stop()
        if not self._drafts:
            ledger.note(f"layer {self._number}: no draft came in; the answer goes on without")
        texts = {draft.device: draft.text for draft in self._drafts.values()}
        self._tell(LayerFinished(record, len(self._drafts), texts))
        return [self._drafts[place] for place in sorted(self._drafts)]

    async def _gather(self, quorum: int) -> None:
        """Wait for all drafts, or for as long as the policy says."""
        ends = self._started + self._policy.deadline
        try:
            async with asyncio.timeout_at(ends) as deadline:
                while self._running:
                    proposing = await self._ended.get()
                    if proposing not in self._running:
                        continue  # the one beside it was first
                    if error := proposing.exception():
                        inference = self._running.pop(proposing)
                        if self._beside.get(proposing) in self._running:
                            self._fail(inference, error)  # its place is taken already
                        else:
                            self._replace(inference, error)
                        continue
                    self._keep(proposing)
                    if len(self._drafts) == quorum and self._running:
                        grace = self._ledger.now() + self._policy.grace
                        deadline.reschedule(min(ends, grace))
        except TimeoutError:  # what is there has to do, to the last moment
            for proposing in [t for t in self._running if t.done()]:
                if proposing not in self._running:
                    continue
                if error := proposing.exception():
                    self._fail(self._running.pop(proposing), error)
                else:
                    self._keep(proposing)

    def _ask(self, inference: InferenceRecord) -> asyncio.Task[str]:
        heard = [self._ledger.now()]
        task = self._make_task(inference.device)
        proposing = asyncio.create_task(self._propose(inference, task, heard))
        proposing.add_done_callback(self._ended.put_nowait)
        self._running[proposing] = inference
        # The own device has no way to go that could be broken.
        if inference.device != self._committee.own_id and self._policy.doubt < math.inf:
            self._doubt(proposing, heard)
        return proposing

    def _doubt(
        self, proposing: asyncio.Task[str], heard: list[float], *, again: bool = False
    ) -> None:
        """Ask another device beside a proposer that has said nothing for long.

        Args:
            proposing: the proposer's work.
            heard: holds when it has said something last.
            again: whether this is the second look: what came while this device itself stood
                still is read between the two.
        """
        if proposing not in self._running or proposing.done() or proposing in self._beside:
            return
        left = heard[0] + self._policy.doubt - self._ledger.now()
        if left > 0:
            asyncio.get_running_loop().call_later(left, self._doubt, proposing, heard)
        elif not again:
            second = partial(self._doubt, proposing, heard, again=True)
            asyncio.get_running_loop().call_later(SECOND_LOOK_SECONDS, second)
        elif (instead := self._next_spare(self._running[proposing])) is not None:
            other = self._ask(instead)
            self._beside.update({proposing: other, other: proposing})
            self._tell(ProposerFailed(self._number, self._running[proposing], instead))

    def _keep(self, proposing: asyncio.Task[str]) -> None:
        inference = self._running.pop(proposing)
        place = self._record.proposers.index(inference)
        self._drafts[place] = Proposal(inference.device, proposing.result())
        if (other := self._beside.get(proposing)) in self._running:
            self._ledger.late(self._running.pop(other))
            other.cancel()

    def _replace(self, inference: InferenceRecord, error: BaseException) -> None:
        """A proposer has failed: ask one that this layer has not yet asked, if there is any.

        What is wrong with a request is wrong everywhere, so nobody is asked instead.
        """
        self._fail(inference, error)
        instead = None
        if not isinstance(error, RequestRefused):
            instead = self._next_spare(inference)
            if instead is not None:
                self._ask(instead)
        self._tell(ProposerFailed(self._number, inference, instead))

    def _next_spare(self, inference: InferenceRecord) -> InferenceRecord | None:
        """A device that takes the place of another, if any is left."""
        here = self._committee.peers()
        self._spare = [device for device in self._spare if device in here]
        if not self._spare:
            return None
        instead = self._ledger.open(self._spare.pop(0), replaces=inference.device)
        self._record.proposers.append(instead)
        return instead

    def _fail(self, inference: InferenceRecord, error: BaseException) -> None:
        if not isinstance(error, DmoaError):
            # A fault of ours in reading one device's answer costs no more than that answer.
            log.error("proposer %s", inference.name, exc_info=error)
        self._ledger.failed(inference, error)

    async def _propose(self, inference: InferenceRecord, task: Task, heard: list[float]) -> str:
        """One draft, without the parts in which a model thinks aloud."""
        text = ""

        def hear(step: Step) -> None:
            nonlocal text
            heard[0] = self._ledger.now()
            if isinstance(step, Piece) and step.text and len(text) < PREVIEW_CHARACTERS:
                text += step.text
                inference.preview = preview(text)
                self._tell(Draft(self._number, inference))

        answer = await self._committee.infer(inference.device, task, hear)
        draft = self._ledger.answered(inference, answer)
        self._tell(Draft(self._number, inference))
        return draft

    async def _stop(self) -> None:
        """End what nobody needs any more, here and on the peers."""
        for proposing in self._running:
            proposing.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
