"""What the devices of the network measure now, asked for once however many want to know."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from dmoa.device.device import Device
from dmoa.policies.plans import Load

FRESH_SECONDS = 5.0
"""For so long reports of the other devices are good."""

SURVEY_SECONDS = 2.0
"""For so long a prompt waits for them; then it takes what was known before."""


@dataclass(frozen=True)
class Loads:
    """What the devices that have said something measured; no alphas and rates when none has.

    Attributes:
        alphas: mean service time of each device, seconds.
        rates: prompts per second of each device's user.
        backlog: seconds of work queued or in service, of each device that says so, by its id.
    """

    alphas: Sequence[float] = ()
    rates: Sequence[float] = ()
    backlog: Mapping[str, float] = field(default_factory=dict)

    @property
    def load(self) -> Load:
        """The same, as plans are weighed by it."""
        alpha = sum(self.alphas) / len(self.alphas) if self.alphas else 1.0
        return Load(self.backlog, alpha=alpha)


class Survey:
    """The last reports of all devices, renewed when somebody wants them and they are old.

    Args:
        device: asks the others.
    """

    def __init__(self, device: Device) -> None:
        self._device = device
        self._loads = Loads()
        self._taken = -FRESH_SECONDS
        self._taking = asyncio.Lock()

    async def loads(self) -> Loads:
        """What is measured now; whoever comes while it is asked for waits for the same reports."""
        try:
            async with asyncio.timeout(SURVEY_SECONDS), self._taking:
                now = asyncio.get_running_loop().time
                if now() - self._taken >= FRESH_SECONDS:
                    self._loads = await self._ask()
                    self._taken = now()
        except TimeoutError:
            pass  # what was known before has to do
        return self._loads

    async def _ask(self) -> Loads:
        told = {d: report for d, (_, report) in (await self._device.reports()).items() if report}
        reports = list(told.values())
        known = [report.alpha for report in reports if report.alpha]
        # A device that has not served anything yet counts as an average one.
        mean = sum(known) / len(known) if known else 1.0
        backlog = {d: (r.queue + r.serving) * (r.alpha or mean) for d, r in told.items()}
        if not known:
            return Loads(backlog=backlog)
        return Loads(
            [r.alpha or mean for r in reports],
            [r.arrival_rate or 0.0 for r in reports],
            backlog,
        )
