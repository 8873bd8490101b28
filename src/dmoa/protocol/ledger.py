"""The record of a prompt as it is written: every inference from its asking to its end.

with Ledger(record, committee) as ledger:   # however this is left, the record is closed
    inference = ledger.open(device)
    ...
    ledger.answered(inference, answer)      # or failed, or late
"""

import asyncio
from types import TracebackType
from typing import Self

from dmoa.errors import (
    ContextExceeded,
    DmoaError,
    PeerGone,
    PeerRefused,
    PeerSilent,
    QueueFull,
    RequestRefused,
)
from dmoa.protocol.reasoning import answer_alone
from dmoa.protocol.records import InferenceRecord, Outcome, PromptRecord
from dmoa.protocol.tasks import Answer, Committee
from dmoa.text import printable

PREVIEW_CHARACTERS = 120


class Ledger:
    """Writes the record of one prompt.

    Args:
        record: the record, of a prompt that begins now.
        committee: knows the devices' names.
    """

    def __init__(self, record: PromptRecord, committee: Committee) -> None:
        self.record = record
        self.now = asyncio.get_running_loop().time
        self._committee = committee
        self._started = self.now()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None
    ) -> None:
        """The prompt is over: nothing of it runs any more, and the record says how it ended."""
        record = self.record
        for inference in record.inferences():
            if inference.outcome == "running":
                self._end(inference, "cancelled")
        record.seconds = self.now() - self._started
        match error:
            case None:
                record.error = None
            case DmoaError():
                record.error = str(error)
            case asyncio.CancelledError():
                record.error = "cancelled: whoever asked has gone away"
            case _:
                record.error = f"internal error: {type(error).__name__}"
        record.total()

    def open(self, device: str, replaces: str | None = None) -> InferenceRecord:
        """A device is asked now; `replaces` is the device in whose place."""
        name, model = self._committee.describe(device)
        asked = self.now() - self._started
        return InferenceRecord(device, name, model, asked_at=asked, replaces=replaces)

    def answered(
        self, inference: InferenceRecord, answer: Answer, *, may_be_empty: bool = False
    ) -> str:
        """An answer has come; returns it without what a model thinks aloud.

        Args:
            inference: the inference.
            answer: its answer.
            may_be_empty: whether nothing is an answer, too, if that is all there was: what the
                own LLM writes for the user may end at once.

        Raises:
            PeerRefused: there is nothing in it.
        """
        text = answer_alone(answer.text)
        if not (may_be_empty or text or answer.tool_calls):
            raise PeerRefused("empty", "its answer was empty")
        self._end(inference, "answered")
        inference.queue_seconds = answer.queue_seconds
        inference.service_seconds = answer.service_seconds
        inference.usage = answer.usage
        inference.characters_cut = answer.characters_cut
        inference.preview = preview(text)
        for note in answer.notes:
            self.note(f"{inference.name}: {printable(note)}")
        if answer.characters_cut:
            self.note(
                f"{inference.name}: {answer.characters_cut} characters of the drafts did not"
                " fit its context window"
            )
        return text

    def failed(self, inference: InferenceRecord, error: BaseException) -> None:
        """It ended without an answer."""
        ours = not isinstance(error, DmoaError)
        inference.detail = f"internal error: {type(error).__name__}" if ours else str(error)
        self._end(inference, _outcome(error))

    def late(self, inference: InferenceRecord) -> None:
        """Its layer goes on without it."""
        self._end(inference, "late")

    def note(self, note: str) -> None:
        """Something did not go as asked."""
        if note not in self.record.notes:
            self.record.notes.append(note)

    def _end(self, inference: InferenceRecord, outcome: Outcome) -> None:
        inference.outcome = outcome
        inference.seconds = self.now() - self._started - inference.asked_at


def preview(text: str) -> str:
    """The first words of a response, on one line."""
    return printable(" ".join(text.split()), PREVIEW_CHARACTERS)


def _outcome(error: BaseException) -> Outcome:
    match error:
        case PeerGone():
            return "gone"
        case PeerSilent():
            return "silent"
        case PeerRefused() | QueueFull() | ContextExceeded() | RequestRefused():
            return "refused"
        case _:
            return "failed"
