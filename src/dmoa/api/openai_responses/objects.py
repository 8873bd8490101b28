"""What `/v1/responses` answers: OpenAI's objects and events, with the `dmoa` object added."""

from typing import Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from dmoa.protocol.conversation import Usage
from dmoa.protocol.records import PromptRecord

Status = Literal["queued", "in_progress", "completed", "incomplete", "failed", "cancelled"]


class OutputText(msgspec.Struct, tag="output_text"):
    """Text of a message."""

    text: str = ""
    annotations: list[Any] = []
    logprobs: list[Any] = []


class SummaryText(msgspec.Struct, tag="summary_text"):
    """What a model thought."""

    text: str = ""


class OutputMessage(msgspec.Struct, tag="message"):
    """What is said."""

    id: str
    content: list[OutputText] = []
    status: Status = "in_progress"
    role: Literal["assistant"] = "assistant"


class OutputReasoning(msgspec.Struct, tag="reasoning"):
    """What is thought before."""

    id: str
    summary: list[SummaryText] = []
    status: Status = "in_progress"


class OutputCall(msgspec.Struct, tag="function_call"):
    """A function that is called, its arguments as JSON."""

    id: str
    call_id: str
    name: str
    arguments: str = ""
    status: Status = "in_progress"


OutputItem = OutputMessage | OutputReasoning | OutputCall


class CachedTokens(msgspec.Struct, frozen=True):
    """A committee's prompts are not known to have been cached."""

    cached_tokens: int = 0
    cache_write_tokens: int = 0


class ThoughtTokens(msgspec.Struct, frozen=True):
    """How many of the tokens were thought."""

    reasoning_tokens: int = 0


class ResponseUsage(msgspec.Struct, frozen=True):
    """All tokens that were spent on a prompt, on every device."""

    input_tokens: int
    output_tokens: int
    total_tokens: int
    output_tokens_details: ThoughtTokens
    input_tokens_details: CachedTokens = CachedTokens()

    @classmethod
    def of(cls, spent: Usage) -> "ResponseUsage":
        """What was spent."""
        read, written = spent.prompt_tokens, spent.completion_tokens
        return cls(read, written, read + written, ThoughtTokens(spent.reasoning_tokens))


class ResponseFault(msgspec.Struct, frozen=True):
    """Why a response has failed."""

    code: str
    message: str


class Incomplete(msgspec.Struct, frozen=True):
    """Why a response ended early."""

    reason: Literal["max_output_tokens", "content_filter"]


class ResponseObject(msgspec.Struct, kw_only=True):
    """A response, on its way or whole."""

    id: str
    created_at: int
    model: str
    status: Status = "in_progress"
    output: list[OutputItem] = []
    error: ResponseFault | None = None
    incomplete_details: Incomplete | None = None
    usage: ResponseUsage | None = None
    completed_at: int | None = None
    instructions: str | None = None
    max_output_tokens: int | None = None
    metadata: dict[str, Any] = {}
    parallel_tool_calls: bool = True
    previous_response_id: str | None = None
    reasoning: dict[str, Any] = {}
    store: bool = True
    temperature: float | None = None
    text: dict[str, Any] = {}
    tool_choice: str | dict[str, Any] = "auto"
    tools: list[dict[str, Any]] = []
    top_p: float | None = None
    truncation: str = "disabled"
    background: bool = False
    dmoa: PromptRecord | UnsetType = UNSET
    object: Literal["response"] = "response"


class ResponseDeleted(msgspec.Struct, frozen=True):
    """A response is kept no longer."""

    id: str
    object: Literal["response"] = "response"
    deleted: bool = True


class ItemList(msgspec.Struct, frozen=True):
    """A page of items."""

    data: list[dict[str, Any]]
    first_id: str | None
    last_id: str | None
    has_more: bool
    object: Literal["list"] = "list"


class Numbered(msgspec.Struct, kw_only=True):
    """An event; they are counted from 0."""

    sequence_number: int = 0


class ResponseCreated(Numbered, kw_only=True, tag="response.created"):
    """The response begins."""

    response: ResponseObject


class ResponseInProgress(Numbered, kw_only=True, tag="response.in_progress"):
    """The prompt is being worked on."""

    response: ResponseObject


class ResponseCompleted(Numbered, kw_only=True, tag="response.completed"):
    """The response is whole."""

    response: ResponseObject


class ResponseIncomplete(Numbered, kw_only=True, tag="response.incomplete"):
    """The response ended early."""

    response: ResponseObject


class ResponseFailed(Numbered, kw_only=True, tag="response.failed"):
    """The response ended with an error."""

    response: ResponseObject


class OutputItemAdded(Numbered, kw_only=True, tag="response.output_item.added"):
    """An item begins."""

    output_index: int
    item: OutputItem


class OutputItemDone(Numbered, kw_only=True, tag="response.output_item.done"):
    """An item is whole."""

    output_index: int
    item: OutputItem


class OfItem(Numbered, kw_only=True):
    """An event of one item."""

    item_id: str
    output_index: int


class OfContent(OfItem, kw_only=True):
    """An event of a message's text."""

    content_index: int = 0


class ContentPartAdded(OfContent, kw_only=True, tag="response.content_part.added"):
    """A text begins."""

    part: OutputText


class ContentPartDone(OfContent, kw_only=True, tag="response.content_part.done"):
    """A text is whole."""

    part: OutputText


class OutputTextDelta(OfContent, kw_only=True, tag="response.output_text.delta"):
    """More text."""

    delta: str
    logprobs: list[Any] = []


class OutputTextDone(OfContent, kw_only=True, tag="response.output_text.done"):
    """All of a text."""

    text: str
    logprobs: list[Any] = []


class OfSummary(OfItem, kw_only=True):
    """An event of what is thought."""

    summary_index: int = 0


class ReasoningPartAdded(OfSummary, kw_only=True, tag="response.reasoning_summary_part.added"):
    """A thought begins."""

    part: SummaryText


class ReasoningPartDone(OfSummary, kw_only=True, tag="response.reasoning_summary_part.done"):
    """A thought is whole."""

    part: SummaryText


class ReasoningDelta(OfSummary, kw_only=True, tag="response.reasoning_summary_text.delta"):
    """More of a thought."""

    delta: str


class ReasoningDone(OfSummary, kw_only=True, tag="response.reasoning_summary_text.done"):
    """All of a thought."""

    text: str


class ArgumentsDelta(OfItem, kw_only=True, tag="response.function_call_arguments.delta"):
    """More of a call's arguments."""

    delta: str


class ArgumentsDone(OfItem, kw_only=True, tag="response.function_call_arguments.done"):
    """All of a call's arguments."""

    name: str
    arguments: str


EVENTS = (
    ResponseCreated,
    ResponseInProgress,
    OutputItemAdded,
    OutputItemDone,
    ContentPartAdded,
    ContentPartDone,
    OutputTextDelta,
    OutputTextDone,
    ReasoningPartAdded,
    ReasoningPartDone,
    ReasoningDelta,
    ReasoningDone,
    ArgumentsDelta,
    ArgumentsDone,
    ResponseCompleted,
    ResponseIncomplete,
    ResponseFailed,
)
