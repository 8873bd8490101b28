"""`GET /status`: the devices of the network as this one sees them."""

from typing import Literal

import msgspec

from dmoa.device.committee import CommitteePlan
from dmoa.device.device import Device
from dmoa.device.queue import Discipline
from dmoa.network.messages import Card, DeviceReport


class DeviceStatus(msgspec.Struct):
    """One device; None for what it has not measured or does not say.

    Attributes:
        queue: tasks waiting.
        promised: tasks that prompts of its own user, under way, will still put there.
        slots: tasks that it serves at once.
        alpha: mean seconds per inference.
        arrival_rate: prompts per second of its own user (`lambda` in JSON).
        load: share of its LLM's time that is taken; stable below 1.
    """

    name: str
    id: str
    model: str
    alive: bool
    own: bool
    queue: int | None = None
    serving: int | None = None
    promised: int | None = None
    slots: int | None = None
    alpha: float | None = None
    arrival_rate: float | None = msgspec.field(default=None, name="lambda")
    load: float | None = None
    seconds_since_token: float | None = None
    tokens_per_second: float | None = None
    healthy: bool | None = None
    context_length: int | None = None


class NetworkStatus(msgspec.Struct, frozen=True):
    """Which network the device is in.

    Attributes:
        kind: `private` (joined by invite), `personal` (of one user on this machine), `open`.
        id: fingerprint of its authority.
        public: whether anybody may join.
        revoked: memberships that are known to be revoked.
    """

    name: str
    kind: Literal["private", "personal", "open"]
    id: str
    public: bool
    revoked: int


class Status(msgspec.Struct):
    """A device, and the network as it sees it.

    Attributes:
        network: which network it is in; None where that is not known.
        layers, proposers: M and k of the model `dmoa` just now.
        strangers: devices that are there but no peers, and why.
        problems: what is wrong with the network just now.
    """

    name: str
    id: str
    layers: int
    proposers: int
    open_prompts: int
    draining: bool
    discipline: Discipline
    devices: list[DeviceStatus]
    strangers: dict[str, str]
    problems: list[str]
    network: NetworkStatus | None = None


def _describe(own: bool, card: Card, report: DeviceReport | None) -> DeviceStatus:
    described = DeviceStatus(
        name=card.name,
        id=card.device,
        model=card.model,
        alive=report is not None,
        own=own,
        context_length=card.context_length,
    )
    if report is not None:
        for field in msgspec.structs.fields(report):
            setattr(described, field.name, getattr(report, field.name))
    return described


async def status(
    device: Device,
    default: CommitteePlan,
    problems: list[str],
    network: NetworkStatus | None = None,
) -> Status:
    """What `/status` answers."""
    reports = await device.reports()
    return Status(
        name=device.name,
        id=device.own_id,
        layers=default.layers,
        proposers=default.proposers,
        open_prompts=device.open_prompts,
        draining=device.draining,
        discipline=device.queue.discipline,
        devices=[
            _describe(device_id == device.own_id, card, report)
            for device_id, (card, report) in reports.items()
        ],
        strangers=device.peer_links.strangers,
        problems=problems,
        network=network,
    )
