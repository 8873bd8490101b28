"""Arrivals of prompts: drawn, or read from a file."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dmoa.errors import BadScenario
from dmoa.simulation.fcfs.kernel import Arrivals


@dataclass(frozen=True)
class Recorded:
    """Prompts as they were observed, in order of arrival.

    Attributes:
        times: seconds, shape (prompts,), the first one at 0.
        owners: device numbers from 0, shape (prompts,).
        draws: the other devices asked, shape (prompts, M, k); None to draw them.
        services: seconds, shape (prompts, M + 1, k + 1), the owner's first; the last layer
            uses its first entry only; None to draw them.
    """

    times: NDArray[np.float64]
    owners: NDArray[np.int32]
    draws: NDArray[np.int32] | None = None
    services: NDArray[np.float64] | None = None

    def to_arrivals(self) -> Arrivals:
        """For the kernel."""
        draws = np.zeros((0, 0, 0), np.int32) if self.draws is None else self.draws
        services = np.zeros((0, 0, 0)) if self.services is None else self.services
        return Arrivals(self.times, self.owners, draws, services)


def draw_arrivals(random: np.random.Generator, rates: Sequence[float], prompts: int) -> Arrivals:
    """Poisson arrivals of all users together, shape (prompts,)."""
    total = sum(rates)
    times = np.cumsum(random.standard_exponential(prompts)) / total
    n = len(rates)
    if len(set(rates)) == 1:
        owners = random.integers(0, n, prompts).astype(np.int32)
    else:
        shares = np.cumsum(rates) / total
        found = np.searchsorted(shares, random.random(prompts), side="right")
        owners = np.minimum(found, n - 1).astype(np.int32)
    return Arrivals(times, owners, np.zeros((0, 0, 0), np.int32), np.zeros((0, 0, 0)))


def load_arrivals(path: Path, devices: int, layers: int, proposers: int) -> Recorded:
    """Read recorded prompts: a JSON list, one object a prompt.

    Each has `time` (seconds) and `owner` (a device number from 0), and may have `proposers` (M
    lists of k other devices) and `seconds` (M lists of k + 1 service times, the owner's first,
    and one list with the aggregation's).

    Raises:
        BadScenario: the file is not of this form; names the prompt.
    """
    try:
        prompts = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadScenario(f"arrivals.file {path} cannot be read: {error}") from error
    if not isinstance(prompts, list) or not prompts:
        raise BadScenario(f"arrivals.file {path} holds no list of prompts")
    try:
        return _parse(prompts, devices, layers, proposers)
    except (KeyError, TypeError, ValueError) as error:
        raise BadScenario(f"arrivals.file {path}: {_said(error)}") from error


def _said(error: Exception) -> str:
    return f"a prompt has no {error}" if isinstance(error, KeyError) else str(error)


def _parse(prompts: list[dict[str, object]], devices: int, M: int, k: int) -> Recorded:
    times = np.array([p["time"] for p in prompts], float)
    owners = np.array([p["owner"] for p in prompts], np.int32)
    if not np.isfinite(times).all():
        raise ValueError("a time is not a number")
    if (owners < 0).any() or (owners >= devices).any():
        raise ValueError(f"an owner is not a device; use 0 to {devices - 1}")
    order = np.argsort(times, kind="stable")
    draws = services = None
    if "proposers" in prompts[0]:
        draws = np.array([p["proposers"] for p in prompts], np.int32).reshape(-1, M, k)
        if (draws < 0).any() or (draws >= devices).any():
            raise ValueError(f"a proposer is not a device; use 0 to {devices - 1}")
        draws = np.ascontiguousarray(draws[order])
    if "seconds" in prompts[0]:
        services = np.zeros((len(prompts), M + 1, k + 1))
        for index, prompt in enumerate(prompts):
            rows = prompt["seconds"]
            if not isinstance(rows, list) or len(rows) != M + 1:
                raise ValueError(f"seconds of prompt {index} are not {M + 1} lists")
            for layer, row in enumerate(rows):
                services[index, layer, : len(row)] = row
        if not (np.isfinite(services).all() and (services >= 0).all()):
            raise ValueError("a service time is negative or not a number")
        services = np.ascontiguousarray(services[order])
    return Recorded(times[order] - times[order][0], owners[order], draws, services)
