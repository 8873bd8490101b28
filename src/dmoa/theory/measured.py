"""Alpha and lambda of real devices, as a running node tells them."""

import json
import math
import urllib.error
import urllib.request
from typing import Any

from dmoa.errors import DmoaError, UsageError

_TIMEOUT = 10.0


def measured_devices(url: str) -> dict[str, Any]:
    """Service times and rates of the devices that a node knows, for `plan`.

    Devices that have not measured their service time yet, or are gone, are left out; a rate
    that is not measured yet counts as 0.

    Args:
        url: of the node, with or without `/v1` at its end.

    Returns:
        `alpha`, seconds, and `rate`, prompts/s, one a device; and `devices`, their number.

    Raises:
        UsageError: the URL is none.
        DmoaError: the node does not answer, or has measured nothing yet.
    """
    if not url.startswith(("http://", "https://")):
        raise UsageError(f"--node is {url!r}; use a URL like http://127.0.0.1:8765")
    address = url.rstrip("/").removesuffix("/v1") + "/status"
    try:
        with urllib.request.urlopen(address, timeout=_TIMEOUT) as response:  # noqa: S310 - checked
            status = json.load(response)
    except (OSError, ValueError) as error:
        raise DmoaError(f"{address} gives no status: {error}; is a node running there?") from error
    alphas: list[float] = []
    rates: list[float] = []
    devices = status.get("devices") if isinstance(status, dict) else None
    for device in devices or []:
        alpha = _number(device.get("alpha"))
        if alpha and device.get("alive", True):
            alphas.append(alpha)
            rates.append(_number(device.get("lambda")) or 0.0)
    if not alphas:
        raise DmoaError(
            f"{address} knows no device that has measured its service time; send it some prompts"
        )
    return {"alpha": alphas, "rate": rates, "devices": len(alphas)}


def _number(value: Any) -> float | None:
    valid = isinstance(value, int | float) and math.isfinite(value) and value >= 0
    return float(value) if valid else None
