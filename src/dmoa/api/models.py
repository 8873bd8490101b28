"""The names of models that a client may ask for, and what each means.

* `dmoa`: the device's default M and k;
* `dmoa-mM-kK`: M layers and K extra proposers;
* the device's own model under its own name: no collaboration (M = 0).
"""

import re
from dataclasses import dataclass

from dmoa.api.errors import ApiError
from dmoa.protocol import MAX_LAYERS, MAX_PROPOSERS

DEFAULT = "dmoa"
LISTED = ("dmoa-m1-k1", "dmoa-m1-k2", "dmoa-m1-k3", "dmoa-m2-k2", "dmoa-m2-k3")
_EXPLICIT = re.compile(r"dmoa-m(\d{1,6})-k(\d{1,6})")


@dataclass(frozen=True)
class CommitteeSize:
    """How many layers, and how many other devices in each."""

    layers: int
    proposers: int


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
    if match := _EXPLICIT.fullmatch(name):
        layers, proposers = int(match[1]), int(match[2])
        if layers > MAX_LAYERS:
            raise ApiError(400, f"model {name!r}: M = {layers} layers; at most {MAX_LAYERS}")
        if proposers > MAX_PROPOSERS:
            raise ApiError(400, f"model {name!r}: k = {proposers}; at most {MAX_PROPOSERS}")
        return CommitteeSize(layers, proposers)
    raise ApiError(
        404,
        f"there is no model {name!r} here; there are {', '.join(names(own))},"
        f" and dmoa-mM-kK for other M and k",
        code="model_not_found",
    )
