"""The tables of a scenario that say by which law plans are chosen, and of which."""

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from dmoa.errors import BadScenario
from dmoa.policies.law import PATIENCE
from dmoa.policies.limits import LIMITS

if TYPE_CHECKING:
    from dmoa.simulation.scenario import Scenario

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class LawTable(BaseModel):
    """How a plan is chosen for each prompt.

    Attributes:
        kind: `price`, the law; or a rival: `fixed` (the first plan always, uniform draws),
            `tail-drop` (the same with bounded queues), `ladder` (the plans in their order as
            rungs, at the door).
        patience: V, service times.
        age: seconds between two publications of a device; 0 for news that are never old.
        sample: other devices that are looked at for proposers.
        fair: whether the patience of a user shrinks who takes more than an even share.
        bound: of tail-drop, tasks that wait at a device.
        target: of the ladder, wanted latency in seconds; 40 mean service times by default.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["price", "ladder", "fixed", "tail-drop"] = "price"
    patience: Positive = PATIENCE
    age: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    sample: Annotated[int, Field(ge=1)] | None = None
    fair: bool = True
    bound: Annotated[int, Field(ge=1)] = 20
    target: Positive | None = None


class PlanTable(BaseModel):
    """A way to answer a prompt, and what its answers are worth.

    Attributes:
        layers, proposers: of a committee that the own device aggregates; 0 and 0 for the own
            device alone.
        device: instead of these, the device (from 0) that answers alone.
        quality: expected, 0 to 1.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    layers: Annotated[int, Field(ge=0, le=LIMITS.layers)] = 0
    proposers: Annotated[int, Field(ge=0, le=LIMITS.proposers)] = 0
    device: Annotated[int, Field(ge=0)] | None = None
    quality: Annotated[float, Field(ge=0, le=1)]

    @model_validator(mode="before")
    @classmethod
    def _says_how(cls, given: Any) -> Any:
        if isinstance(given, dict):
            committee = {"layers", "proposers"} & given.keys()
            if given.get("device") is None and len(committee) < 2:
                raise ValueError("a plan needs layers and proposers, or a device")
            if given.get("device") is not None and (given.get("layers") or given.get("proposers")):
                raise ValueError("a plan has layers and proposers, or a device, not both")
        return given


def with_protocol(given: Any) -> Any:
    """A scenario's tables, `protocol` filled in from the plans where there is a law.

    M and k are then the largest of any plan.

    Raises:
        ValueError: there is a law without plans, or plans without a law.
    """
    if not isinstance(given, dict):
        return given
    law, plans = given.get("law"), given.get("plans")
    if law is None and not plans:
        return given
    if law is None:
        raise ValueError('plans say nothing without a law; add [law] kind = "price"')
    if not isinstance(plans, list) or not plans:
        raise ValueError("a law needs plans to choose from; add [[plans]] tables")
    found = dict(given.get("protocol") or {})
    for key in ("layers", "proposers"):
        values = [_whole(plan, key) for plan in plans]
        found.setdefault(key, max(values))
    return {**given, "protocol": found}


def _whole(plan: Any, key: str) -> int:
    """A number of a plan that is not checked yet; 0 if it will be found wrong later."""
    value = plan.get(key, 0) if isinstance(plan, dict) else getattr(plan, key)
    return value if isinstance(value, int) else 0


def check_law(scenario: "Scenario", devices: int) -> None:
    """Raise BadScenario for what a network with plans does not have."""
    protocol = scenario.protocol
    for table, what, given in (
        ("protocol.quorum", "quorums", protocol.quorum is not None),
        ("protocol.policy", "another choice of proposers", protocol.policy != "uniform"),
        ("network.neighbours", "neighbour graphs", scenario.network.neighbours != "all"),
        (
            "protocol.first, refining, aggregating", "lengths of tasks",
            (protocol.first, protocol.refining, protocol.aggregating) != (1.0, 1.0, 1.0),
        ),
    ):  # fmt: skip
        if given:
            raise BadScenario(f"{table} goes with no [law]: it has no {what}; leave one of them")
    for number, plan in enumerate(scenario.plans):
        if plan.device is not None and plan.device >= devices:
            raise BadScenario(
                f"plans.{number}.device is {plan.device}, but there are {devices} devices;"
                f" use 0 to {devices - 1}"
            )
        if plan.layers and plan.proposers > devices - 1:
            raise BadScenario(
                f"plans.{number}.proposers is {plan.proposers}, but there are only"
                f" {devices - 1} other devices"
            )
