"""One inference, as it queues and as it travels: the task, and the steps of its life.

A task that is asked of a device yields `Waiting` and `Working` at least once a heartbeat,
`Piece` as text appears, and ends with `Answer`. A failure is an exception of `dmoa.errors`.
"""

from typing import Any

import msgspec

from dmoa.chat import Constraints, Message, Sampling, Usage


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

    id: str
    prompt: str
    layer: int
    messages: list[Message]
    drafts: list[str] = []
    instruction: str = ""
    sampling: Sampling = Sampling()
    constraints: Constraints | None = None
    stream: bool = False

    def size(self) -> int:
        """Bytes of text that a queue holds for this task."""
        return sum(m.size() for m in self.messages) + sum(len(d.encode()) for d in self.drafts)


class Waiting(msgspec.Struct, frozen=True, tag="waiting"):
    """The task waits; `position` tasks are before it or in service."""

    position: int


class Working(msgspec.Struct, frozen=True, tag="working"):
    """The task is in service and has made no new token since the last step."""


class Piece(msgspec.Struct, frozen=True, tag="piece", omit_defaults=True):
    """New text, or parts of tool calls in OpenAI's streaming format."""

    text: str
    tool_calls: list[dict[str, Any]] | None = None


class Answer(msgspec.Struct, frozen=True, tag="answer", omit_defaults=True):
    """The end of a task.

    Attributes:
        text: the whole response.
        finish_reason: OpenAI's: stop, length, tool_calls, content_filter.
        usage: tokens of this inference.
        queue_seconds: time from arrival to start of service.
        service_seconds: time in service.
        characters_cut: how many characters of the drafts did not fit the context window.
    """

    text: str
    finish_reason: str
    usage: Usage
    queue_seconds: float
    service_seconds: float
    tool_calls: list[dict[str, Any]] | None = None
    characters_cut: int = 0


Step = Waiting | Working | Piece | Answer
