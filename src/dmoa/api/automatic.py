"""The model `dmoa-auto`: as much collaboration as the network can afford just now.

From what every device measures, the load of each rung of a ladder of (M, k) is predicted by the
theory, and the first rung that leaves room is taken: M goes first, then k. So a network gives
up layers before it refuses prompts.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace

from dmoa.api.models import CommitteeSize
from dmoa.device.device import Device
from dmoa.policies.admission import ladder
from dmoa.theory.network import QueueingNetwork
from dmoa.theory.stability import network_load

LOAD_LIMIT = 0.8
"""Predicted load of the busiest device that is still taken; latency grows steeply above."""

FRESH_SECONDS = 5.0
"""For so long reports of the other devices are good."""


def affordable(
    layers: int, proposers: int, alphas: Sequence[float], rates: Sequence[float]
) -> tuple[int, int]:
    """The first rung below (M, k) at which no device is loaded beyond the limit.

    Args:
        layers: M that is wanted.
        proposers: k that is wanted.
        alphas: mean service time of each device, seconds.
        rates: prompts per second of each device's user.

    Returns:
        M and k; (0, 0) if nothing else can be afforded.
    """
    for M, k in ladder(layers, min(proposers, len(alphas) - 1)):
        if network_load(QueueingNetwork(tuple(alphas), tuple(rates), M, k)) <= LOAD_LIMIT:
            return M, k
    return 0, 0


class Automatic:
    """What `dmoa-auto` means now on a device.

    Args:
        device: the device.
        wanted: gives M and k for a network without load.
    """

    def __init__(self, device: Device, wanted: Callable[[], CommitteeSize]) -> None:
        self._device = device
        self._wanted = wanted
        self._measured: tuple[list[float], list[float]] = ([], [])
        self._asked = -FRESH_SECONDS

    async def size(self) -> CommitteeSize:
        """M and k, with a note when they are less than wanted."""
        wanted = self._wanted()
        now = asyncio.get_running_loop().time()
        if now - self._asked >= FRESH_SECONDS:
            self._asked = now
            self._measured = await self._measure()
        alphas, rates = self._measured
        if not alphas or not wanted.layers:
            return wanted
        layers, proposers = affordable(wanted.layers, wanted.proposers, alphas, rates)
        if (layers, proposers) == (wanted.layers, min(wanted.proposers, len(alphas) - 1)):
            return wanted
        note = f"the load of the network leaves room for M = {layers}, k = {proposers} now"
        return replace(wanted, layers=layers, proposers=proposers, note=note)

    async def _measure(self) -> tuple[list[float], list[float]]:
        reports = [report for _, report in (await self._device.reports()).values() if report]
        known = [report.alpha for report in reports if report.alpha]
        if not known:
            return [], []
        # A device that has not served anything yet counts as an average one.
        mean = sum(known) / len(known)
        return [r.alpha or mean for r in reports], [r.arrival_rate or 0.0 for r in reports]
