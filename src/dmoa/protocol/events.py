"""What a prompt's owner is told while it runs."""

import msgspec

from dmoa.protocol.conversation import FinishReason, ToolCallPart
from dmoa.protocol.records import InferenceRecord, LayerRecord, PromptRecord


class Accepted(msgspec.Struct, frozen=True, tag="accepted"):
    """The prompt begins; `record` grows while it runs."""

    record: PromptRecord


class LayerStarted(msgspec.Struct, frozen=True, tag="layer_started"):
    """The proposers of a layer have been asked."""

    layer: int
    layers: int
    proposers: list[InferenceRecord]


class Draft(msgspec.Struct, frozen=True, tag="draft"):
    """A proposer's first words, or its whole draft."""

    layer: int
    proposer: InferenceRecord


class ProposerFailed(msgspec.Struct, frozen=True, tag="proposer_failed"):
    """A proposer gives no draft; `instead` has been asked in its place, if anybody was left."""

    layer: int
    proposer: InferenceRecord
    instead: InferenceRecord | None = None


class LayerFinished(msgspec.Struct, frozen=True, tag="layer_finished"):
    """A layer is over.

    Attributes:
        drafts: how many came in.
        texts: the drafts, by device.
    """

    record: LayerRecord
    drafts: int
    texts: dict[str, str] = {}


class Aggregating(msgspec.Struct, frozen=True, tag="aggregating"):
    """A device has been asked for the final answer; `cause` says why not the first one."""

    aggregator: InferenceRecord
    cause: str | None = None


class Text(msgspec.Struct, frozen=True, tag="text", omit_defaults=True):
    """A piece of the answer, or of what the model thinks before."""

    text: str
    tool_calls: list[ToolCallPart] | None = None
    reasoning: str = ""


class Restarted(msgspec.Struct, frozen=True, tag="restarted"):
    """The answer broke off in the middle; another device begins it anew."""

    cause: str


class Finished(msgspec.Struct, frozen=True, tag="finished"):
    """The prompt is answered.

    Attributes:
        text: the whole answer.
        stopped_by: the stop that ended it, where the LLM says which.
    """

    text: str
    finish_reason: FinishReason
    record: PromptRecord
    tool_calls: list[ToolCallPart] | None = None
    reasoning: str = ""
    stopped_by: str | None = None


Event = (
    Accepted
    | LayerStarted
    | Draft
    | ProposerFailed
    | LayerFinished
    | Aggregating
    | Text
    | Restarted
    | Finished
)
