"""One inference, as it queues and as it travels: the task, who makes it, the steps of its life.

A device that makes an inference says `Waiting` once a heartbeat while the task waits, `Working`
when its turn has come, `Piece` as text appears, and returns an `Answer`. A task that need not
wait begins without a word. A failure is an exception of `dmoa.errors`.
"""

from collections.abc import Callable, Sequence
from typing import Annotated, Protocol

import msgspec
from msgspec import Meta

from dmoa.policies.limits import LIMITS
from dmoa.protocol.conversation import (
    Constraints,
    Count,
    FinishReason,
    Message,
    Sampling,
    Stop,
    ToolCallPart,
    Usage,
)

Id = Annotated[str, Meta(min_length=1, max_length=64)]
Seconds = Annotated[float, Meta(ge=0, le=1e9)]
Note = Annotated[str, Meta(max_length=LIMITS.note_characters)]


class Task(msgspec.Struct, frozen=True, omit_defaults=True):
    """An inference to make.

    Attributes:
        id: unguessable; whoever knows it may cancel the task.
        prompt: id of the prompt that this task belongs to.
        layer: 1 to M for proposers, M + 1 for the aggregator.
        messages: the conversation so far.
        drafts: the previous layer's responses; none in layer 1.
        instruction: what to do with the drafts.
        stream: whether every piece of text is wanted as it comes, or only now and then.
    """

    id: Id
    prompt: Id
    layer: Annotated[int, Meta(ge=1, le=LIMITS.layers + 1)]
    messages: list[Message]
    drafts: list[str] = []
    instruction: str = ""
    sampling: Sampling = Sampling()
    constraints: Constraints | None = None
    stream: bool = False

    def size(self) -> int:
        """Bytes of text that a queue holds for this task."""
        beside = [self.instruction, *self.drafts, *self.sampling.stop]
        constraints = msgspec.json.encode(self.constraints) if self.constraints else b""
        return (
            sum(message.size() for message in self.messages)
            + sum(len(text.encode()) for text in beside)
            + len(constraints)
        )


class Waiting(msgspec.Struct, frozen=True, tag="waiting"):
    """The task waits; `position` tasks are before it or in service."""

    position: Count


class Working(msgspec.Struct, frozen=True, tag="working"):
    """The task is in service; on the wire said once a heartbeat when there is no new text."""


class Piece(msgspec.Struct, frozen=True, tag="piece", omit_defaults=True):
    """New text, or parts of tool calls.

    Attributes:
        text: of the answer.
        reasoning: what the model thinks aloud; comes before the text of the same piece.
        recants: the text of all earlier pieces was thought too.
    """

    text: str
    tool_calls: list[ToolCallPart] | None = None
    reasoning: str = ""
    recants: bool = False

    def size(self) -> int:
        """Characters of the piece."""
        calls = sum(call.size() for call in self.tool_calls or [])
        return len(self.text) + len(self.reasoning) + calls

    def then(self, later: "Piece") -> "Piece":
        """This piece and a later one as one."""
        text, thought = self.text, self.reasoning
        if later.recants:
            text, thought = "", thought + text
        calls = [*(self.tool_calls or []), *(later.tool_calls or [])] or None
        return Piece(
            text + later.text, calls, thought + later.reasoning, self.recants or later.recants
        )


class Answer(msgspec.Struct, frozen=True, tag="answer", omit_defaults=True):
    """The end of a task.

    Attributes:
        text: the whole response.
        finish_reason: OpenAI's: stop, length, tool_calls, content_filter.
        usage: tokens of this inference.
        queue_seconds: time from arrival to start of service.
        service_seconds: time in service.
        characters_cut: how many characters of the drafts did not fit the context window.
        reasoning: what the model thought aloud; no part of the text. Drafts come without it.
        notes: what was changed on the way to the model, in sentences.
        stopped_by: the stop that ended it, where the LLM says which.
    """

    text: str
    finish_reason: FinishReason
    usage: Usage
    queue_seconds: Seconds
    service_seconds: Seconds
    tool_calls: list[ToolCallPart] | None = None
    characters_cut: Count = 0
    reasoning: str = ""
    notes: Annotated[list[Note], Meta(max_length=LIMITS.notes)] = []
    stopped_by: Stop | None = None

    def size(self) -> int:
        """Characters of the answer."""
        calls = sum(call.size() for call in self.tool_calls or [])
        return len(self.text) + len(self.reasoning) + calls


Step = Waiting | Working | Piece
"""What is said of a task before it is answered."""

Say = Callable[[Step], None]
"""Is told each step of a task as it happens; must not block."""


class Committee(Protocol):
    """The devices that a prompt's tasks may be given to."""

    own_id: str
    """Id of the owner's device."""

    def peers(self) -> Sequence[str]:
        """Ids of the other devices that are there now."""

    def describe(self, device: str) -> tuple[str, str]:
        """Name and model of a device."""

    async def infer(self, device: str, task: Task, say: Say) -> Answer:
        """Ask a device for an inference; cancelling this cancels it there.

        Raises:
            DmoaError: the device did not answer; another one may.
        """
