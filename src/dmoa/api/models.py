"""The names of models that a client may ask for, and what each means.

* `dmoa`: the device's default M and k;
* `dmoa-mM-kK`: M layers and K extra proposers;
* the device's own model under its own name: no collaboration (M = 0).

The first two may end in `-select` or `-vote`, `-stop` and `-fallback`, see `dmoa.aggregation`.
"""

import re
from dataclasses import dataclass

from dmoa.aggregation import Aggregation
from dmoa.api.errors import ApiError
from dmoa.protocol import MAX_LAYERS, MAX_PROPOSERS

DEFAULT = "dmoa"
LISTED = ("dmoa-m1-k1", "dmoa-m1-k3", "dmoa-m1-k3-select", "dmoa-m2-k3", "dmoa-m2-k3-stop")
_NAME = re.compile(
    r"dmoa(?:-m(?P<layers>\d{1,12})-k(?P<proposers>\d{1,12}))?(?P<suffix>(?:-[a-z]+)*)"
)


@dataclass(frozen=True)
class CommitteeSize:
    """How many layers, how many other devices in each, and what is done with their drafts."""

    layers: int
    proposers: int
    aggregation: Aggregation = Aggregation()


def names(own: str) -> list[str]:
    """The models of a device whose LLM is called `own`."""
    return [DEFAULT, *LISTED, own]


def resolve(name: str, own: str, default: CommitteeSize) -> CommitteeSize:
    """What a name means on a device.

    Raises:
        ApiError: 404 for a model that is not there, 400 for M or k out of range.
    """
    if name == own:
        return CommitteeSize(0, 0)
    if name == DEFAULT:
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
        return CommitteeSize(default.layers, default.proposers, aggregation)
    layers, proposers = int(match["layers"]), int(match["proposers"])
    if layers > MAX_LAYERS:
        raise ApiError(400, f"model {name!r}: M = {layers} layers; at most {MAX_LAYERS}")
    if proposers > MAX_PROPOSERS:
        raise ApiError(400, f"model {name!r}: k = {proposers}; at most {MAX_PROPOSERS}")
    return CommitteeSize(layers, proposers, aggregation)
