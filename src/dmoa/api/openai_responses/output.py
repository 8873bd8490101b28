"""The items of a response as they grow, and the events that say so."""

import secrets
import time
from collections.abc import Iterator

import msgspec

from dmoa.api.openai_responses.items import Item
from dmoa.api.openai_responses.objects import (
    ArgumentsDelta,
    ArgumentsDone,
    ContentPartAdded,
    ContentPartDone,
    Incomplete,
    Numbered,
    OutputCall,
    OutputItem,
    OutputItemAdded,
    OutputItemDone,
    OutputMessage,
    OutputReasoning,
    OutputText,
    OutputTextDelta,
    OutputTextDone,
    ReasoningDelta,
    ReasoningDone,
    ReasoningPartAdded,
    ReasoningPartDone,
    ResponseCompleted,
    ResponseIncomplete,
    ResponseObject,
    ResponseUsage,
    Status,
    SummaryText,
)
from dmoa.protocol.conversation import FinishReason, FunctionPart, Message, ToolCallPart
from dmoa.protocol.events import Finished, Text

_EARLY = ("length", "content_filter")


class Output:
    """Fills a response, piece by piece.

    What is thought and what is said follow one another; calls stay open to the end, because
    their parts may be mixed.

    Args:
        response: is filled.
    """

    def __init__(self, response: ResponseObject) -> None:
        self.response = response
        self._open: OutputMessage | OutputReasoning | None = None
        self._at = 0  # where the open item stands
        self._calls: dict[int, tuple[int, OutputCall]] = {}

    def whole(self, finished: Finished) -> None:
        """The whole answer at once, of which nobody reads the events."""
        text = Text(finished.text, finished.tool_calls, finished.reasoning)
        for _ in (*self.piece(text), *self.end(finished)):
            pass

    def piece(self, piece: Text) -> Iterator[Numbered]:
        """More of the answer."""
        if piece.reasoning:
            yield from self._think(piece.reasoning)
        if piece.text:
            yield from self._say(piece.text)
        for part in piece.tool_calls or []:
            yield from self._call(part)

    def end(self, finished: Finished) -> Iterator[Numbered]:
        """The answer is whole."""
        response, reason = self.response, finished.finish_reason
        status: Status = "incomplete" if reason in _EARLY else "completed"
        if not self._calls and not self._said() and status == "completed":
            yield from self._message()  # an answer without a word is one
        yield from self._close(status)
        for at, call in self._calls.values():
            call.status = status
            yield ArgumentsDone(
                item_id=call.id, output_index=at, name=call.name, arguments=call.arguments
            )
            yield OutputItemDone(output_index=at, item=call)
        response.status = status
        response.usage = ResponseUsage.of(finished.record.usage)
        response.dmoa = finished.record
        if status == "completed":
            response.completed_at = int(time.time())
            yield ResponseCompleted(response=response)
        else:
            response.incomplete_details = _incomplete(reason)
            yield ResponseIncomplete(response=response)

    def message(self) -> Message:
        """What there is, as a message of a conversation."""
        thought = [
            text.text
            for item in self.response.output
            if isinstance(item, OutputReasoning)
            for text in item.summary
        ]
        calls = [
            {
                "id": item.call_id,
                "type": "function",
                "function": {"name": item.name, "arguments": item.arguments},
            }
            for item in self.response.output
            if isinstance(item, OutputCall)
        ]
        said = "".join(self._said())
        return Message(
            "assistant",
            said,
            tool_calls=calls or None,
            content_is_null=not said and bool(calls),
            reasoning_content="".join(thought) or None,
        )

    def _said(self) -> list[str]:
        return [
            text.text
            for item in self.response.output
            if isinstance(item, OutputMessage)
            for text in item.content
        ]

    def _think(self, text: str) -> Iterator[Numbered]:
        if not isinstance(self._open, OutputReasoning):
            yield from self._close("completed")
            item = OutputReasoning(_id("rs"))
            yield self._added(item)
            item.summary.append(SummaryText())
            yield ReasoningPartAdded(item_id=item.id, output_index=self._at, part=SummaryText())
            self._open = item
        self._open.summary[0].text += text
        yield ReasoningDelta(item_id=self._open.id, output_index=self._at, delta=text)

    def _message(self) -> Iterator[Numbered]:
        yield from self._close("completed")
        item = OutputMessage(_id("msg"))
        yield self._added(item)
        item.content.append(OutputText())
        yield ContentPartAdded(item_id=item.id, output_index=self._at, part=OutputText())
        self._open = item

    def _say(self, text: str) -> Iterator[Numbered]:
        if not isinstance(self._open, OutputMessage):
            yield from self._message()
        assert isinstance(self._open, OutputMessage)
        self._open.content[0].text += text
        yield OutputTextDelta(item_id=self._open.id, output_index=self._at, delta=text)

    def _call(self, part: ToolCallPart) -> Iterator[Numbered]:
        function = part.function or FunctionPart()
        if part.index not in self._calls:
            yield from self._close("completed")
            call = OutputCall(_id("fc"), part.id or _id("call"), function.name or "")
            yield self._added(call)
            self._calls[part.index] = self._at, call
        elif function.name:
            self._calls[part.index][1].name += function.name
        at, call = self._calls[part.index]
        if function.arguments:
            call.arguments += function.arguments
            yield ArgumentsDelta(item_id=call.id, output_index=at, delta=function.arguments)

    def _added(self, item: OutputItem) -> Numbered:
        self._at = len(self.response.output)
        self.response.output.append(item)
        return OutputItemAdded(output_index=self._at, item=item)

    def _close(self, status: Status) -> Iterator[Numbered]:
        """The open item is whole."""
        item, at = self._open, self._at
        self._open = None
        match item:
            case None:
                return
            case OutputMessage(id=name, content=[text]):
                yield OutputTextDone(item_id=name, output_index=at, text=text.text)
                yield ContentPartDone(item_id=name, output_index=at, part=text)
            case OutputReasoning(id=name, summary=[thought]):
                yield ReasoningDone(item_id=name, output_index=at, text=thought.text)
                yield ReasoningPartDone(item_id=name, output_index=at, part=thought)
        item.status = status
        yield OutputItemDone(output_index=at, item=item)


def output_items(response: ResponseObject) -> list[Item]:
    """The items of a response as an input has them."""
    items: list[Item] = msgspec.to_builtins(response.output)
    return items


def _incomplete(reason: FinishReason) -> Incomplete:
    return Incomplete("content_filter" if reason == "content_filter" else "max_output_tokens")


def _id(prefix: str) -> str:
    return f"{prefix}_{secrets.token_hex(12)}"
