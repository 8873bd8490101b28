"""What to simulate, as tables: from a TOML file, from flags, or from a program.

    [network]                      [protocol]               [service]
    devices = 8                    layers = 2               law = "exponential"
    alpha = 1.0    # or one each   proposers = 3
    rate = 0.08    # or one each   policy = "uniform"       [run]
                                   discipline = "fcfs"      prompts = 200000

Every key has a default but alpha, rate, layers and proposers. docs/simulation.md explains them.
"""

import re
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from dmoa.errors import BadScenario, UsageError
from dmoa.policies.limits import LIMITS
from dmoa.simulation.law.tables import LawTable, PlanTable, check_law, with_protocol
from dmoa.theory.network import Lengths, QueueingNetwork, spread

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Table(BaseModel):
    """A table of a scenario file: unknown keys are errors, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class NetworkTable(Table):
    """Devices and users; one value for all, or one a device. Rates are prompts/s per user."""

    devices: Annotated[int, Field(ge=1)] | None = None
    """Number of devices."""
    alpha: Positive | list[Positive]
    """Mean service time in seconds; one, or one a device: 1,1,1,4."""
    rate: NotNegative | list[NotNegative]
    """Prompts per second per user; one, or one a user."""
    slots: Annotated[int, Field(ge=1)] | list[Annotated[int, Field(ge=1)]] = 1
    """Tasks that a device serves at once; one, or one a device."""
    neighbours: Literal["all"] | list[list[int]] = "all"
    """Whom each device may ask, by numbers; in a file only."""


class ProtocolTable(Table):
    """M, k, and the rules by which proposers are chosen and queues are served."""

    layers: Annotated[int, Field(ge=0, le=LIMITS.layers)]
    """M."""
    proposers: Annotated[int, Field(ge=0, le=LIMITS.proposers)]
    """k."""
    policy: Literal["uniform", "backlog", "weighted"] = "uniform"
    """Who proposes."""
    sample: Annotated[int, Field(ge=1)] | None = None
    """Devices of which `backlog` takes the k least loaded."""
    discipline: Literal["fcfs", "owner-first"] = "fcfs"
    """Order of service."""
    quorum: Annotated[int, Field(ge=1)] | None = None
    """Tasks of a layer that are enough to go on; all of them without it."""
    first: Positive = 1.0
    """Length of first-layer tasks, in mean service times."""
    refining: Positive = 1.0
    """Length of later layers' tasks, in mean service times."""
    aggregating: Positive = 1.0
    """Length of the aggregator's task, in mean service times."""


class ServiceTable(Table):
    """The law of service times; its mean is alpha of the device."""

    law: Literal["exponential", "deterministic", "lognormal", "erlang", "recorded"] = "exponential"
    """Law of the service times."""
    cv: Positive | None = None
    """Coefficient of variation of lognormal service times."""
    shape: Annotated[int, Field(ge=1)] | None = None
    """Shape of Erlang service times."""
    times: list[NotNegative] = []
    """Recorded service times in seconds, to draw from."""

    @model_validator(mode="after")
    def _matches_law(self) -> "ServiceTable":
        needs = {"lognormal": "cv", "erlang": "shape", "recorded": "times"}.get(self.law)
        for key in ("cv", "shape", "times"):
            given = bool(getattr(self, key))
            if given and key != needs:
                raise ValueError(f"{key} says nothing about a {self.law} law; leave it out")
            if key == needs and not given:
                raise ValueError(f"a {self.law} law needs {key}")
        if self.times and sum(self.times) <= 0:
            raise ValueError("times are all 0; give recorded service times")
        return self


class ArrivalsTable(Table):
    """How prompts arrive: for ever (poisson), from empty and no more (burst), or from a file."""

    law: Literal["poisson", "burst", "recorded"] = "poisson"
    """For ever, or this many prompts from an empty network, or as a file says."""
    file: Path | None = None
    """Recorded arrivals."""

    @model_validator(mode="after")
    def _matches_law(self) -> "ArrivalsTable":
        if (self.law == "recorded") != (self.file is not None):
            raise ValueError('a file goes with law = "recorded", and only with it')
        return self


class QueueTable(Table):
    """Bounds of the queues, and what becomes of work that nobody needs any more."""

    bound: Annotated[int, Field(ge=1)] | None = None
    """Most tasks that wait at a device."""
    cancel: bool = False
    """Cancel work that nobody needs."""


class FailuresTable(Table):
    """Devices that fail and come back; both means in seconds, off without them."""

    mean_up: Positive | None = None
    """Mean seconds that a device works before it fails."""
    mean_down: Positive | None = None
    """Mean seconds until it is back."""

    @model_validator(mode="after")
    def _both(self) -> "FailuresTable":
        if (self.mean_up is None) != (self.mean_down is None):
            raise ValueError("mean_up and mean_down go together")
        return self


class RunTable(Table):
    """How long, how often, from which seed; warm-up is found when not given."""

    prompts: Annotated[int, Field(ge=10, le=100_000_000)] = 200_000
    """Measured prompts in each replication, warm-up not counted."""
    replications: Annotated[int, Field(ge=1, le=10_000)] = 8
    """Independent runs."""
    seed: Annotated[int, Field(ge=0)] = 0
    """The result depends on it alone."""
    warmup: Annotated[int, Field(ge=0)] | None = None
    """Prompts left out at the start; found when not given."""


class Scenario(Table):
    """Everything a simulation needs; `Scenario.model_validate` takes nested dictionaries."""

    network: NetworkTable
    protocol: ProtocolTable
    service: ServiceTable = ServiceTable()
    arrivals: ArrivalsTable = ArrivalsTable()
    queue: QueueTable = QueueTable()
    failures: FailuresTable = FailuresTable()
    law: LawTable | None = None
    plans: list[PlanTable] = []
    run: RunTable = RunTable()
    sweep: dict[str, list[Any]] = {}

    @model_validator(mode="before")
    @classmethod
    def _protocol_of_the_plans(cls, given: Any) -> Any:
        return with_protocol(given)

    def sample_size(self, network: QueueingNetwork) -> int:
        """Devices of which `backlog` takes the least loaded: at most all that each may ask."""
        others = min(map(len, network.neighbours)) if network.neighbours else network.size - 1
        return min(self.protocol.sample or others, others)

    @property
    def is_plain(self) -> bool:
        """Whether FCFS without plans, bounds, cancellation or failures is asked for."""
        return (
            self.law is None
            and self.protocol.discipline == "fcfs"
            and self.protocol.quorum is None
            and self.queue.bound is None
            and self.failures.mean_up is None
        )

    @property
    def is_bounded(self) -> bool:
        """Whether queues cannot grow for ever, whatever the load."""
        priced = self.law is not None and self.law.kind != "fixed"
        return priced or self.queue.bound is not None

    def to_network(self) -> QueueingNetwork:
        """The network, in the terms of the theory.

        Raises:
            UsageError: values of different tables contradict one another.
        """
        table, protocol = self.network, self.protocol
        listed = [v for v in (table.alpha, table.rate, table.slots) if isinstance(v, list)]
        devices = table.devices
        if devices is None:
            if not listed and table.neighbours == "all":
                raise UsageError("devices is missing; give a number, or one alpha a device")
            devices = len(listed[0]) if listed else len(table.neighbours)
        if self.law is not None:
            check_law(self, devices)
        slots = tuple(int(s) for s in spread("slots", table.slots, devices))
        if protocol.quorum is not None and protocol.quorum > protocol.proposers + 1:
            raise UsageError(
                f"quorum is {protocol.quorum}, but a layer has {protocol.proposers + 1} tasks"
            )
        network = QueueingNetwork(
            spread("alpha", table.alpha, devices),
            spread("rate", table.rate, devices),
            protocol.layers,
            protocol.proposers,
            Lengths(protocol.first, protocol.refining, protocol.aggregating),
            slots if set(slots) != {1} else (),
            () if table.neighbours == "all" else tuple(map(tuple, table.neighbours)),
        )
        if sum(network.rates) == 0:
            raise UsageError("rate is 0 for all users; nothing would arrive")
        if protocol.policy == "backlog" and (protocol.sample or protocol.proposers) < (
            protocol.proposers
        ):
            raise UsageError(
                f"sample is {protocol.sample}, but {protocol.proposers} proposers are to be taken"
                " of them; use as many or more"
            )
        return network


def load_scenario(path: Path) -> Scenario:
    """Read a scenario file.

    Raises:
        BadScenario: the file cannot be read or makes no sense; line and key are named.
    """
    return scenario_of(*read_tables(path))


def read_tables(path: Path) -> tuple[dict[str, Any], str]:
    """The tables of a scenario file, not yet checked, and its text.

    Raises:
        BadScenario: the file cannot be read or is not TOML.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadScenario(f"{path} cannot be read: {error}") from error
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BadScenario(f"{path} is not TOML: {error}") from error
    for name, value in tables.items():
        listed = name == "plans"  # the one that may stand several times
        if name in Scenario.model_fields and not isinstance(value, list if listed else dict):
            written = f"[[{name}]]" if listed else f"[{name}]"
            raise BadScenario(
                f"{path}, {_line_of(text, (name,))}{name} is {value!r}, not a table; write"
                f" {written} and its keys below it"
            )
    arrivals = tables.get("arrivals", {})
    if isinstance(arrivals.get("file"), str):
        # Files beside the scenario are found from anywhere.
        arrivals["file"] = str(path.parent / arrivals["file"])
    return tables, text


def scenario_of(tables: dict[str, Any], text: str = "") -> Scenario:
    """A scenario from nested dictionaries.

    Args:
        tables: of the scenario.
        text: the file that they come from, to name lines of.

    Raises:
        BadScenario: a value makes no sense; its key is named, and its line if there is one.
    """
    try:
        scenario = Scenario.model_validate(tables)
    except ValidationError as error:
        raise BadScenario(explain(error, text)) from error
    try:
        scenario.to_network()
    except UsageError as error:
        word = str(error).split(" ", 1)[0]
        raise BadScenario(f"{_line_of(text, (word,))}{error}") from error
    return scenario


def explain(error: ValidationError, text: str = "") -> str:
    """The first fault of a scenario in one line: where, what, and the offending value."""
    fault = error.errors()[0]
    # Names of the branches of a union are pydantic's, not the user's.
    keys = tuple(str(key) for key in fault["loc"] if _is_key(str(key)))
    message = fault["msg"].removeprefix("Value error, ")
    value = fault["input"]
    shown = "" if isinstance(value, dict | BaseModel) else f" (it is {value!r})"
    return f"{_line_of(text, keys)}{'.'.join(keys)}: {message}{shown}"


def _is_key(name: str) -> bool:
    return re.fullmatch(r"[a-z_]+|\d+", name) is not None and name not in {"float", "int", "list"}


def _line_of(text: str, keys: tuple[str, ...]) -> str:
    """`line N, ` for a key of a TOML text, or nothing when it is not there."""
    tables, found, section = set(keys), "", ""
    for number, line in enumerate(text.splitlines(), 1):
        header = re.match(r"\s*\[\s*([\w.]+)\s*\]", line)
        if header:
            section = header[1]
            if keys and section == keys[0] and len(keys) == 1:
                return f"line {number}, "
            if section in tables and not found:
                found = f"line {number}, "
        key = re.match(r"\s*\"?([\w.]+)\"?\s*=", line)
        inside = len(keys) == 1 or section == keys[0] if keys else False
        if key and inside and key[1] in keys[-2:]:
            return f"line {number}, "
    return found
