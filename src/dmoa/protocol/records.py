"""What happened to a prompt, layer by layer: the tree that a user may look at."""

from typing import Literal

import msgspec

from dmoa.protocol.conversation import Usage

Outcome = Literal["running", "answered", "failed", "refused", "gone", "silent", "late", "cancelled"]
"""`late`: the layer went on without it; `cancelled`: its prompt ended before it did."""


class InferenceRecord(msgspec.Struct):
    """One inference of a prompt.

    Attributes:
        device: id of the device.
        name: its name.
        model: its model.
        asked_at: seconds from the start of the prompt to the asking.
        outcome: how it ended.
        seconds: from asking to the end, as the owner saw it.
        queue_seconds: of these, waiting in the device's queue.
        service_seconds: of these, in service.
        detail: the cause, when it did not answer.
        replaces: id of the device whose place it took.
        preview: the first words of the response.
    """

    device: str
    name: str
    model: str
    asked_at: float
    outcome: Outcome = "running"
    seconds: float | None = None
    queue_seconds: float | None = None
    service_seconds: float | None = None
    usage: Usage = Usage()
    detail: str | None = None
    replaces: str | None = None
    characters_cut: int = 0
    preview: str = ""

    @property
    def spent(self) -> bool:
        """Whether the device took the task on: a refusal costs no inference."""
        return self.outcome not in ("refused", "gone", "silent")


class LayerRecord(msgspec.Struct):
    """One layer: all devices that were asked, replaced ones included."""

    layer: int
    proposers: list[InferenceRecord]
    seconds: float | None = None


class PlanRecord(msgspec.Struct, frozen=True):
    """What was decided for a prompt, by what is known of the devices; all by name.

    Attributes:
        layers: M.
        proposers: k.
        aggregator: device that writes the answer, or that wins a tie.
        devices: those asked for drafts; none when one device answers alone.
        method: `alone`, `synthesise`, `select` or `vote`.
    """

    layers: int
    proposers: int
    aggregator: str
    devices: list[str]
    method: Literal["alone", "synthesise", "select", "vote"]


class PromptRecord(msgspec.Struct):
    """The whole tree of a prompt; the `dmoa` object of a response.

    Attributes:
        started: when it was accepted, in seconds since 1970.
        k: extra proposers used: `k_requested` or as many as there were peers.
        aggregator: every inference of the last step; more than one when devices failed.
        tasks: inferences spent, (k+1)M + 1 without faults (arXiv 2412.21200).
        notes: what did not go as asked, in words.
        why: why it was this M and k, in a sentence.
        plan: what was decided, where neither user nor owner gave M and k.
        error: how it ended, when it was not answered.
    """

    id: str
    started: float
    M: int
    k: int
    k_requested: int
    layers: list[LayerRecord] = []
    aggregator: list[InferenceRecord] = []
    tasks: int = 0
    replacements: int = 0
    usage: Usage = Usage()
    seconds: float | None = None
    notes: list[str] = []
    error: str | None = None
    why: str = ""
    plan: PlanRecord | None = None

    def inferences(self) -> list[InferenceRecord]:
        """All inferences in order of layers."""
        return [p for layer in self.layers for p in layer.proposers] + self.aggregator

    def total(self) -> None:
        """Bring `tasks`, `replacements` and `usage` up to date."""
        inferences = self.inferences()
        self.tasks = sum(i.spent for i in inferences)
        self.replacements = sum(i.replaces is not None for i in inferences)
        self.usage = sum((i.usage for i in inferences), Usage())
