"""How a plan is carried out by the protocol: the same for users' prompts and examinations.

And back: which plan it was that answered a prompt.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import msgspec

from dmoa.policies.plans import Plan, alone
from dmoa.protocol.aggregation import Aggregation
from dmoa.protocol.conversation import Sampling
from dmoa.protocol.records import InferenceRecord, PlanRecord, PromptRecord
from dmoa.standings.decision import Card


@dataclass(frozen=True)
class Shape:
    """What a prompt needs of a plan; the names are those of `protocol.prompt.Prompt`.

    Attributes:
        layers: M.
        proposers: k.
        aggregation: what is done with drafts.
        aggregator: device that writes the answer; None for the own one.
        among: devices that may propose; None for all.
        greedy: whether the likeliest words are wanted unless the user has set a temperature:
            one LLM alone is right more often by them (docs/quality.md).
    """

    layers: int
    proposers: int
    aggregation: Aggregation = Aggregation()
    aggregator: str | None = None
    among: tuple[str, ...] | None = None
    greedy: bool = False


def likeliest(wanted: Sampling) -> Sampling:
    """The likeliest words, unless the user has set a temperature."""
    if wanted.temperature is not None:
        return wanted
    return msgspec.structs.replace(wanted, temperature=0.0)


def shape_of(plan: Plan, own: str) -> Shape:
    """The shape of a plan.

    Args:
        plan: the plan.
        own: id of the device that carries it out.
    """
    writer = None if plan.aggregator == own else plan.aggregator
    if plan.method == "alone":
        return Shape(0, 0, aggregator=writer, greedy=True)
    how = Aggregation(plan.method)
    return Shape(plan.layers, plan.proposers, how, writer, plan.devices)


def told_plan(plan: Plan, cards: Mapping[str, Card]) -> PlanRecord:
    """A plan as a user reads it, by the names of its devices."""
    return PlanRecord(
        plan.layers,
        plan.proposers,
        cards[plan.aggregator].name,
        [cards[device].name for device in plan.devices],
        plan.method,
    )


def plan_of(record: PromptRecord) -> Plan | None:
    """The plan that answered a prompt, from who took part in fact.

    None if it was no plan that could be taken again: a device failed in one of the layers, or
    what was done with the drafts is not known.
    """
    writers = _answered(record.aggregator)
    if not record.layers:
        return alone(writers[-1]) if writers else None
    members = {tuple(sorted(_answered(layer.proposers))) for layer in record.layers}
    if len(members) > 1:
        return None
    (devices,) = members
    method = record.plan.method if record.plan else "synthesise"
    if method == "synthesise":
        first = writers[-1] if writers else None
    else:
        names = {p.name: p.device for layer in record.layers for p in layer.proposers}
        first = names.get(record.plan.aggregator) if record.plan else None
    if first is None:
        return None
    ordered = sorted(devices, key=lambda device: (device != first, device))
    return Plan(len(record.layers), len(devices) - 1, first, tuple(ordered), method)


def cards_of(record: PromptRecord) -> dict[str, Card]:
    """The devices that took part in a prompt, with the models that they had."""
    return {i.device: Card(i.device, i.name, i.model) for i in record.inferences()}


def _answered(inferences: Iterable[InferenceRecord]) -> list[str]:
    return [i.device for i in inferences if i.outcome == "answered"]
