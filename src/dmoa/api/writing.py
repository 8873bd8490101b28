"""What becomes of a prompt's events on their way to a client: one writer for each API.

A writer writes one answer, whole or in pieces. It decides what a client reads of an event;
who runs the prompt and who sends the bytes do not know the API.
"""

import time
from abc import ABC, abstractmethod
from datetime import UTC, datetime
from typing import Any, ClassVar

import msgspec

from dmoa.api.errors import ApiError
from dmoa.protocol.events import (
    Accepted,
    Aggregating,
    Event,
    Finished,
    LayerFinished,
    LayerStarted,
    ProposerFailed,
    Restarted,
    Text,
)
from dmoa.protocol.records import PromptRecord


class Writer(ABC):
    """Writes one answer.

    Attributes:
        media_type: of a streamed answer.
    """

    media_type: ClassVar[str]

    def __init__(self) -> None:
        self.created = time.time()

    @abstractmethod
    def whole(self, finished: Finished) -> Any:
        """The whole answer, to be sent as JSON."""

    def line(self, event: Event) -> str:
        """What a client reads of an event, empty for nothing."""
        match event:
            case Text():
                return self.piece(event)
            case Finished():
                return self.end(event)
            case Restarted():
                return self.piece(Text(f"\n\n[{event.cause}. Another device answers anew.]\n\n"))
            case Accepted():
                return self.begin(event.record) + self.progress(event)
            case _:
                return self.progress(event)

    def begin(self, record: PromptRecord) -> str:
        """What comes before everything else."""
        return ""

    @abstractmethod
    def piece(self, text: Text) -> str:
        """A piece of the answer or of the reasoning, or parts of tool calls."""

    @abstractmethod
    def end(self, finished: Finished) -> str:
        """What comes last."""

    def progress(self, event: Event) -> str:
        """What else happens."""
        return ""

    @abstractmethod
    def waiting(self) -> str:
        """A sign of life, when there has been nothing else for a while."""

    @abstractmethod
    def broken(self, error: ApiError) -> str:
        """An error after the status has been sent."""


class ServerSentWriter(Writer):
    """Writes server-sent events, with the progress of the layers as comments.

    Comments keep the connection alive, and clients skip them.
    """

    media_type: ClassVar[str] = "text/event-stream"

    def progress(self, event: Event) -> str:
        """A comment for each step, but for drafts: those would cost more than they say."""
        match event:
            case Accepted():
                return comment(f"prompt {event.record.id} accepted")
            case LayerStarted():
                names = ", ".join(proposer.name for proposer in event.proposers)
                return comment(f"layer {event.layer} of {event.layers}: {names}")
            case ProposerFailed(proposer=proposer, instead=instead):
                now = f"; {instead.name} is asked instead" if instead else ""
                return comment(f"layer {event.layer}: {proposer.name} {proposer.outcome}{now}")
            case LayerFinished():
                return comment(f"layer {event.record.layer}: {event.drafts} drafts")
            case Aggregating():
                return comment(f"{event.aggregator.name} aggregates")
            case _:
                return ""

    def waiting(self) -> str:
        """A comment."""
        return comment("waiting")


def as_json(value: Any) -> str:
    """A value, records included, as JSON."""
    return msgspec.json.encode(value).decode()


def data(payload: str) -> str:
    """A server-sent event without a name."""
    return f"data: {payload}\n\n"


def tagged(event: msgspec.Struct) -> str:
    """A server-sent event that is called by its type, as it also says itself."""
    return f"event: {event.__struct_config__.tag}\ndata: {as_json(event)}\n\n"


def comment(text: str) -> str:
    """A line that clients skip."""
    return f": {' '.join(text.split())}\n\n"


def timestamp(seconds: float) -> str:
    """Seconds since 1970 as RFC 3339 has them, in UTC."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds")[:-6] + "Z"
