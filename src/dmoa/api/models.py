"""The names of models that a client may ask for, and what each means.

* `dmoa`: the device's default M and k, see `sensible`;
* `dmoa-auto`: the same, or less while the network is loaded, see `automatic.py`;
* `dmoa-mM-kK`: M layers and K extra proposers;
* the device's own model under its own name: no collaboration (M = 0).

The first three may end in `-select` or `-vote`, `-stop` and `-fallback`, see
`dmoa.protocol.aggregation`.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass, replace

from dmoa.api.errors import ApiError
from dmoa.policies.limits import LIMITS
from dmoa.protocol.aggregation import Aggregation

DEFAULT, AUTOMATIC = "dmoa", "dmoa-auto"
LISTED = ("dmoa-m1-k1", "dmoa-m1-k3", "dmoa-m1-k3-select", "dmoa-m2-k3", "dmoa-m2-k3-stop")
_NAME = re.compile(
    r"dmoa(?:-auto|-m(?P<layers>\d{1,12})-k(?P<proposers>\d{1,12}))?(?P<suffix>(?:-[a-z]+)*)"
)


@dataclass(frozen=True)
class CommitteeSize:
    """How many layers, how many other devices in each, and what is done with their drafts.

    `note` says why, where it is not what a user would expect.
    """

    layers: int
    proposers: int
    aggregation: Aggregation = Aggregation()
    note: str | None = None


def sensible(wanted: CommitteeSize, own_model: str, peer_models: Collection[str]) -> CommitteeSize:
    """What `dmoa` means when its user has no wish for M, by measurement (`docs/quality.md`).

    Different LLMs gain by one layer; equal ones gain nothing over one of them, decoded with
    care, so a committee of one model is left out.
    """
    if all(model == own_model for model in peer_models):
        note = "every device runs the same model, so the committee was left out; ask dmoa-m1-k3"
        return replace(
            wanted, layers=0, note=f"{note} for it all the same" if peer_models else None
        )
    return wanted


def names(own: str) -> list[str]:
    """The models of a device whose LLM is called `own`."""
    return [DEFAULT, AUTOMATIC, *LISTED, own]


def is_automatic(name: str) -> bool:
    """Whether a name asks for what the network can afford now."""
    return name == AUTOMATIC or name.startswith(f"{AUTOMATIC}-")


def resolve(name: str, own: str, default: CommitteeSize) -> CommitteeSize:
    """What a name means on a device.

    Args:
        name: the name.
        own: the device's own model.
        default: what `dmoa`, or for automatic names `dmoa-auto`, means now.

    Raises:
        ApiError: 404 for a model that is not there, 400 for M or k out of range.
    """
    if name == own:
        return CommitteeSize(0, 0)
    if name in (DEFAULT, AUTOMATIC):
        return default
    match = _NAME.fullmatch(name)
    aggregation = Aggregation.from_suffix(match["suffix"]) if match else None
    if match is None or aggregation is None:
        raise ApiError(
            404,
            f"there is no model {name[:100]!r} here; there are {', '.join(names(own))}, dmoa-mM-kK"
            " for other M and k, and each with -select or -vote, -stop, -fallback",
            code="model_not_found",
        )
    if match["layers"] is None:
        return replace(default, aggregation=aggregation)
    layers, proposers = int(match["layers"]), int(match["proposers"])
    if layers > LIMITS.layers:
        raise ApiError(400, f"model {name!r}: M = {layers} layers; at most {LIMITS.layers}")
    if proposers > LIMITS.proposers:
        raise ApiError(400, f"model {name!r}: k = {proposers}; at most {LIMITS.proposers}")
    return CommitteeSize(layers, proposers, aggregation)
