"""How a plan is carried out by the protocol: the same for users' prompts and examinations."""

from dataclasses import dataclass

import msgspec

from dmoa.policies.plans import Plan
from dmoa.protocol.aggregation import Aggregation
from dmoa.protocol.conversation import Sampling


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
