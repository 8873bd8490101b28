"""Checks of numbers that formulas and scenarios share; a message names the value and the fix."""

import math

from dmoa.errors import UsageError
from dmoa.policies.limits import LIMITS


def check_shape(devices: int, layers: int, proposers: int) -> None:
    """Raise UsageError unless M and k are possible with that many devices."""
    if not 0 <= layers <= LIMITS.layers:
        raise UsageError(f"layers is {layers}; use 0 to {LIMITS.layers}")
    if not 0 <= proposers <= LIMITS.proposers:
        raise UsageError(f"proposers is {proposers}; use 0 to {LIMITS.proposers}")
    if proposers > devices - 1:
        raise UsageError(
            f"proposers is {proposers}, but {devices} devices have only {devices - 1} others"
            f" to ask; use at most {devices - 1}"
        )


def check_positive(name: str, value: float) -> None:
    """Raise UsageError unless `value` is a finite number above 0."""
    if not (math.isfinite(value) and value > 0):
        raise UsageError(f"{name} is {value}; use a number above 0")


def check_not_negative(name: str, value: float) -> None:
    """Raise UsageError unless `value` is a finite number, 0 or more."""
    if not (math.isfinite(value) and value >= 0):
        raise UsageError(f"{name} is {value}; use 0 or more")


def check_count(name: str, value: int) -> None:
    """Raise UsageError unless `value` is at least 1."""
    if value < 1:
        raise UsageError(f"{name} is {value}; use 1 or more")
