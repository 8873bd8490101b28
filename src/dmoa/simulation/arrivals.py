"""Arrivals of prompts: drawn, or read from a file."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
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
        plans: their numbers, -1 for a prompt that was refused, shape (prompts,); None to choose
            them.
    """

    times: NDArray[np.float64]
    owners: NDArray[np.int32]
    draws: NDArray[np.int32] | None = None
    services: NDArray[np.float64] | None = None
    plans: NDArray[np.int16] | None = None

    def to_arrivals(self) -> Arrivals:
        """For the kernel."""
        draws = np.zeros((0, 0, 0), np.int32) if self.draws is None else self.draws
        services = np.zeros((0, 0, 0)) if self.services is None else self.services
        plans = np.zeros(0, np.int16) if self.plans is None else self.plans
        return Arrivals(self.times, self.owners, draws, services, plans)


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
    return Recorded(times, owners).to_arrivals()


class RecordedPrompt(msgspec.Struct):
    """One prompt of a file: seconds, the owner's number from 0, and what else was recorded.

    Attributes:
        proposers: M lists of k other devices.
        seconds: M lists of k + 1 service times, the owner's first, and one list with the
            aggregation's.
    """

    time: float
    owner: int
    proposers: list[list[int]] | None = None
    seconds: list[list[float]] | None = None


def load_arrivals(path: Path, devices: int, layers: int, proposers: int) -> Recorded:
    """Read recorded prompts: a JSON list of objects, see `RecordedPrompt`.

    Raises:
        BadScenario: the file is not of this form, or of another network; names the prompt.
    """
    try:
        prompts = msgspec.json.decode(path.read_bytes(), type=list[RecordedPrompt])
    except (OSError, msgspec.DecodeError) as error:
        raise BadScenario(f"arrivals.file {path} cannot be read: {error}") from error
    if not prompts:
        raise BadScenario(f"arrivals.file {path} holds no prompts")
    for index, prompt in enumerate(prompts):
        fault = _fault(prompt, prompts[0], devices, layers, proposers)
        if fault:
            raise BadScenario(f"arrivals.file {path}, prompt {index}: {fault}")
    return _put_together(prompts, layers, proposers)


def digest_of(path: Path) -> str:
    """A digest of what a recorded file holds.

    Raises:
        BadScenario: it cannot be read.
    """
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise BadScenario(f"arrivals.file {path} cannot be read: {error}") from error


def _fault(
    prompt: RecordedPrompt, first: RecordedPrompt, devices: int, M: int, k: int
) -> str | None:
    """What a prompt has that this network cannot have recorded."""
    if not 0 <= prompt.owner < devices:
        return f"owner is {prompt.owner}, which is not a device; use 0 to {devices - 1}"
    for name in ("proposers", "seconds"):
        if (getattr(prompt, name) is None) != (getattr(first, name) is None):
            return f"it has {name} or has none, unlike prompt 0; record them of all, or of none"
    if prompt.proposers is not None:
        if [len(row) for row in prompt.proposers] != [k] * M:
            return _of_another_size("proposers", prompt.proposers, [k] * M, M, k)
        for row in prompt.proposers:
            if prompt.owner in row or len(set(row)) < k:
                return f"proposers are {row}; use other devices than the owner, each once"
            if not all(0 <= device < devices for device in row):
                return f"a proposer of {row} is not a device; use 0 to {devices - 1}"
    if prompt.seconds is not None:
        if [len(row) for row in prompt.seconds] != [k + 1] * M + [1]:
            return _of_another_size("seconds", prompt.seconds, [k + 1] * M + [1], M, k)
        if any(second < 0 for row in prompt.seconds for second in row):
            return f"a service time is negative: {prompt.seconds}; use 0 or more"
    return None


def _of_another_size(
    name: str, rows: Sequence[Sequence[object]], wanted: Sequence[int], M: int, k: int
) -> str:
    return (
        f"{name} are lists of {[len(row) for row in rows]} values, but layers = {M} and proposers"
        f" = {k} need {list(wanted)}; use the M and k that were recorded"
    )


def _put_together(prompts: Sequence[RecordedPrompt], M: int, k: int) -> Recorded:
    times = np.array([p.time for p in prompts])
    order = np.argsort(times, kind="stable")
    draws = services = None
    if prompts[0].proposers is not None:
        draws = np.array([p.proposers for p in prompts], np.int32).reshape(-1, M, k)[order]
    if prompts[0].seconds is not None:
        services = np.zeros((len(prompts), M + 1, k + 1))
        for index, prompt in enumerate(prompts):
            for layer, row in enumerate(prompt.seconds or ()):
                services[index, layer, : len(row)] = row
        services = services[order]
    owners = np.array([p.owner for p in prompts], np.int32)
    return Recorded(times[order] - times[order][0], owners[order], draws, services)
