"""The names of models that a client may ask for, and what each asks for.

* `dmoa`, `dmoa-auto`: the device decides by what it knows of the others and how busy they are;
* `dmoa-mM-kK`: M layers and K extra proposers; with `-best` at its end the device that is known to
  be the best writes the answer;
* the device's own model under its own name: no collaboration (M = 0).

They may end in `-select` or `-vote`, `-stop` and `-fallback`, see
`dmoa.protocol.aggregation`. What a prompt gets is decided in `dmoa.device.committee`.
"""

import re

from dmoa.api.errors import ApiError
from dmoa.device.committee import ALONE, Size, Wish
from dmoa.policies.limits import LIMITS
from dmoa.protocol.aggregation import Aggregation

DEFAULT, AUTOMATIC = "dmoa", "dmoa-auto"
LISTED = (
    *("dmoa-m0-k0-best", "dmoa-m1-k1", "dmoa-m1-k3", "dmoa-m1-k3-best", "dmoa-m1-k3-select"),
    *("dmoa-m2-k3", "dmoa-m2-k3-stop"),
)
BEST = "-best"
_NAME = re.compile(
    r"dmoa(?:-auto|-m(?P<layers>\d{1,12})-k(?P<proposers>\d{1,12}))?(?P<suffix>(?:-[a-z]+)*)"
)


def names(own_model: str) -> list[str]:
    """The models of a device whose LLM is called `own_model`."""
    return [DEFAULT, AUTOMATIC, *LISTED, own_model]


def parse(name: str, own_model: str) -> Wish:
    """What a name asks for on a device.

    Args:
        name: the name.
        own_model: the device's own model.

    Raises:
        ApiError: 404 for a model that is not there, 400 for M or k out of range.
    """
    if name == own_model:
        return ALONE
    match = _NAME.fullmatch(name)
    best = match is not None and match["layers"] is not None and BEST in _parts(match["suffix"])
    suffix = match["suffix"].replace(BEST, "", 1) if match and best else match and match["suffix"]
    aggregation = Aggregation.from_suffix(suffix) if suffix is not None else None
    if match is None or aggregation is None:
        raise ApiError(
            404,
            f"there is no model {name[:100]!r} here; there are {', '.join(names(own_model))},"
            " dmoa-mM-kK for other M and k, and each with -select or -vote, -stop, -fallback,"
            " and with -best",
            code="model_not_found",
        )
    if match["layers"] is None:
        # Without a suffix it is the device's business what is done with drafts.
        return Wish(None, aggregation if match["suffix"] else None)
    layers, proposers = int(match["layers"]), int(match["proposers"])
    if layers > LIMITS.layers:
        raise ApiError(400, f"model {name!r}: M = {layers} layers; at most {LIMITS.layers}")
    if proposers > LIMITS.proposers:
        raise ApiError(400, f"model {name!r}: k = {proposers}; at most {LIMITS.proposers}")
    return Wish(Size(layers, proposers), aggregation, best=best)


def _parts(suffix: str) -> list[str]:
    return [f"-{part}" for part in suffix.split("-")[1:]]
