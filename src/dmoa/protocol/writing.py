"""The last step of a prompt: a device writes the answer, and another one does when it fails.

What must have a form is looked at before it counts as an answer, asked for once more if it is
wrong, never replaced by prose, and never put together of two devices' words.
"""

import random
from collections.abc import Callable

from dmoa.errors import (
    ContextExceeded,
    DmoaError,
    FormMissed,
    NobodyAnswered,
    QueueFull,
    RequestRefused,
)
from dmoa.protocol.conversation import Constraints
from dmoa.protocol.events import Aggregating, Event, Finished, Restarted, Text
from dmoa.protocol.forms import Form
from dmoa.protocol.ledger import Ledger
from dmoa.protocol.records import InferenceRecord
from dmoa.protocol.required import RequiredCall, demand_of
from dmoa.protocol.tasks import Answer, Committee, Piece, Step, Task


class Writing:
    """One answer on its way to the user.

    Args:
        committee: the devices.
        random_generator: draws who stands in for the aggregator.
        ledger: where the inferences are written down.
        tell: is called with each event.
        make_task: makes the task of the answer, for a device.
        constraints: what the answer must look like.
        first: id of the device that should write it; the own one without a wish.
        streamed: whether the user sees pieces as they come.
        held: whether the pieces of an answer with a form are kept back until it is known to
            have it.
    """

    def __init__(
        self,
        *,
        committee: Committee,
        random_generator: random.Random,
        ledger: Ledger,
        tell: Callable[[Event], None],
        make_task: Callable[[str], Task],
        constraints: Constraints | None,
        first: str | None = None,
        streamed: bool = True,
        held: bool = False,
    ) -> None:
        self._committee = committee
        self._random = random_generator
        self._ledger = ledger
        self._tell = tell
        self._make_task = make_task
        self._constrained = constraints is not None
        self._demand = demand_of(constraints)
        self._first = first
        self._streamed = streamed
        self._held = held and isinstance(self._demand, Form)
        self._begun = False  # whether the user has seen a part of the answer
        self._written = False  # whether there is a part, seen or held
        self._tried: list[str] = []
        self._failures: list[DmoaError] = []

    async def run(self) -> Finished | None:
        """The answer; None when no device could write it, and a draft may do instead.

        Raises:
            RequestRefused, FormMissed, NobodyAnswered, ...: there is none, and a draft is none.
        """
        cause: str | None = None
        while (device := self._next()) is not None:
            self._tried.append(device)
            inference = self._open(device, cause)
            try:
                answer = await self._write(device, inference)
            except DmoaError as error:
                cause = self._fail(inference, error)
                if isinstance(error, RequestRefused | FormMissed) and self._is_own(device):
                    raise  # it would be no better elsewhere
                if self._constrained and self._written and self._streamed:
                    broken = f"the answer broke off in the middle ({cause}); ask again"
                    raise NobodyAnswered(broken) from None
                if self._begun and self._streamed:
                    self._tell(Restarted(cause))
                continue
            except Exception as error:
                self._ledger.failed(inference, error)
                raise
            return Finished(
                answer.text,
                answer.finish_reason,
                self._ledger.record,
                answer.tool_calls,
                answer.reasoning,
                answer.stopped_by,
            )
        if self._constrained or not self._ledger.record.layers:
            raise self.verdict()
        return None

    def verdict(self) -> DmoaError:
        """What it means that no device could answer."""
        windows = [f for f in self._failures if isinstance(f, ContextExceeded)]
        if windows and len(windows) == len(self._failures):
            return max(windows, key=lambda failure: failure.window)
        for kind in (QueueFull, RequestRefused, FormMissed):
            if all(isinstance(failure, kind) for failure in self._failures):
                return self._failures[-1]
        causes = "; ".join(dict.fromkeys(str(failure) for failure in self._failures))
        return NobodyAnswered(f"no device could answer: {causes}")

    async def _write(self, device: str, inference: InferenceRecord) -> Answer:
        """One device's answer, as it must be."""
        self._begun = self._written = False
        task = self._make_task(device)
        answer = await self._infer(device, inference, task)
        if self._demand is None:
            return self._passed(answer)
        found, fault = self._demand.check(answer)
        if fault is not None and not (self._begun and self._streamed):
            self._ledger.note(f"{inference.name}: {fault}; it was asked once more")
            again = self._open(device, None)
            answer = await self._infer(device, again, self._demand.again(task, answer, fault))
            found, fault = self._demand.check(answer)
        if fault is not None:
            raise FormMissed(f"{inference.name}'s answer misses the form asked for: {fault}")
        return self._passed(found)

    async def _infer(self, device: str, inference: InferenceRecord, task: Task) -> Answer:
        demand = self._demand
        held = self._held or (isinstance(demand, Form) and not self._is_own(device))
        waiting = Piece("")  # what there is before the call that must come

        def pass_on(step: Step) -> None:
            """What the aggregator says goes to the user as it comes."""
            nonlocal waiting
            if isinstance(step, Piece):
                self._written |= bool(step.text or step.tool_calls)
                if held:
                    step = Piece("", reasoning=step.reasoning)
                if isinstance(demand, RequiredCall) and not self._begun:
                    waiting = waiting.then(Piece(step.text, step.tool_calls))
                    called = demand.begins(step.tool_calls)
                    step = Piece(
                        waiting.text if called else "",
                        waiting.tool_calls if called else None,
                        step.reasoning,
                    )
                self._begun |= bool(step.text or step.tool_calls)
                if step.size():
                    self._tell(Text(step.text, step.tool_calls, step.reasoning))

        answer = await self._committee.infer(device, task, pass_on)
        self._ledger.answered(inference, answer, may_be_empty=self._is_own(device))
        return answer

    def _passed(self, answer: Answer) -> Answer:
        if not self._begun and (answer.text or answer.tool_calls):  # it was held
            self._tell(Text(answer.text, answer.tool_calls))
        return answer

    def _open(self, device: str, cause: str | None) -> InferenceRecord:
        written = self._ledger.record.aggregator
        replaces = written[-1].device if written and written[-1].device != device else None
        inference = self._ledger.open(device, replaces)
        written.append(inference)
        self._tell(Aggregating(inference, cause))
        return inference

    def _fail(self, inference: InferenceRecord, error: DmoaError) -> str:
        self._failures.append(error)
        if isinstance(error, FormMissed):  # it has answered, and not as it should
            inference = self._ledger.record.aggregator[-1]
            inference.detail = str(error)
        else:
            self._ledger.failed(self._ledger.record.aggregator[-1], error)
        cause = f"{inference.name}: {error}"
        self._ledger.note(f"the aggregator {cause}")
        return cause

    def _next(self) -> str | None:
        here = self._committee.peers()
        for wanted in (self._first, self._committee.own_id):
            if wanted is None or wanted in self._tried:
                continue
            if wanted == self._committee.own_id or wanted in here:
                return wanted
        others = [device for device in here if device not in self._tried]
        return self._random.choice(others) if others else None

    def _is_own(self, device: str) -> bool:
        return device == self._committee.own_id
