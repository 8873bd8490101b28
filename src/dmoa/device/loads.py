"""How busy every device is, as far as this one can know: what it was told, and what it sent.

Devices tell how they are doing with what they say anyway; one whose last word is old is asked
when a decision needs it. What this device has sent to another since its last word is added, so
that a burst of prompts does not take one idle peer for many. The own queue is known exactly, and
so are the tasks that prompts under way will still put on it.
"""

import asyncio
import math
from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from dataclasses import dataclass

from dmoa.network.messages import DeviceReport
from dmoa.policies.law import USE_MEMORY, fair_patience, mean_service, seen_backlog
from dmoa.policies.limits import LIMITS
from dmoa.policies.plans import ANYWHERE, Load

NEWS_SECONDS = 1.0
"""A device is told not more often how this one is doing."""
FRESH_SERVICES = 2.0
FRESH_SECONDS = 5.0
"""For so many mean service times, and at most so long, a device's last word is good enough; for
two pieces of news always, so that nobody is asked who is told anyway."""
SURVEY_SECONDS = 2.0
"""For so long a prompt waits for those that are asked; then it takes what was known before."""
UNMEASURED_SECONDS = 1.0
"""Mean service time of a network in which nobody has measured one."""


@dataclass
class _Word:
    """The last word of a device: None where it was asked and said nothing.

    Attributes:
        heard: when, seconds.
        sent: tasks that it got from this device since.
    """

    report: DeviceReport | None
    heard: float
    sent: int = 0


class Loads:
    """What is known of the devices' work.

    Args:
        own_id: id of this device.
        own: how this device is doing.
        ask: asks other devices how they are doing; `hear` is told what they say.
        clock: seconds.
    """

    def __init__(
        self,
        own_id: str,
        own: Callable[[], DeviceReport],
        ask: Callable[[Collection[str]], Awaitable[object]],
        clock: Callable[[], float],
    ) -> None:
        self._own_id = own_id
        self._own = own
        self._ask = ask
        self._clock = clock
        self._words: OrderedDict[str, _Word] = OrderedDict()
        self._promises: dict[str, Counter[str]] = {}  # by prompt: tasks not sent yet
        self._pending = Counter[str]()  # the same of all prompts, for each decision looks at it
        self._in_flight: Counter[str] = Counter()
        self._told: OrderedDict[str, float] = OrderedDict()
        self._used = 0.0
        self._used_at = 0.0
        self._asking = asyncio.Lock()

    # --- what is heard -----------------------------------------------------------------------

    def hear(self, device: str, report: DeviceReport | None) -> None:
        """A device has said how it is doing; None if it was asked and said nothing."""
        self._words[device] = _Word(report, self._clock())
        self._words.move_to_end(device)
        while len(self._words) > LIMITS.peers:
            self._words.popitem(last=False)

    def forget(self, device: str) -> None:
        """A device is not there any more."""
        self._words.pop(device, None)

    def is_silent(self, device: str) -> bool:
        """Whether it was asked and said nothing: one that is there and does not answer hangs."""
        word = self._words.get(device)
        return word is not None and word.report is None

    async def renew(self, devices: Iterable[str]) -> None:
        """Ask those whose last word is old; whoever comes meanwhile waits for the same answers."""
        wanted = [device for device in devices if device != self._own_id]
        if not self._old(wanted):
            return
        try:
            async with asyncio.timeout(SURVEY_SECONDS), self._asking:
                if old := self._old(wanted):
                    await self._ask(old)
        except TimeoutError:
            pass  # what was known before has to do

    def _old(self, devices: Iterable[str]) -> list[str]:
        now, words = self._clock(), self._words
        fresh = min(max(FRESH_SERVICES * self._mean(), 2 * NEWS_SECONDS), FRESH_SECONDS)
        return [d for d in devices if d not in words or now - words[d].heard >= fresh]

    # --- what is sent and promised -----------------------------------------------------------

    @property
    def promised(self) -> int:
        """Tasks that prompts under way will still put on this device's own queue."""
        return self._pending[self._own_id]

    def promise(self, prompt: str, tasks: Mapping[str, int]) -> None:
        """A prompt is taken on, and will put so many tasks on each device."""
        self.settle(prompt)
        self._promises[prompt] = Counter(tasks)
        self._pending.update(tasks)
        self._used = self._recent_use() + sum(tasks.values())
        self._used_at = self._clock()

    def settle(self, prompt: str) -> None:
        """A prompt is over, or was never begun."""
        for device, tasks in self._promises.pop(prompt, Counter[str]()).items():
            self._come(device, tasks)

    def begin(self, prompt: str, device: str) -> None:
        """A task of a prompt goes to a device."""
        tasks = self._promises.get(prompt)
        if tasks is not None and tasks[device] > 0:
            tasks[device] -= 1
            self._come(device, 1)
        if device == self._own_id:
            return
        self._in_flight[device] += 1
        if word := self._words.get(device):
            word.sent += 1

    def _come(self, device: str, tasks: int) -> None:
        """So many tasks are pending no more."""
        self._pending[device] -= tasks
        if self._pending[device] <= 0:
            del self._pending[device]

    def end(self, device: str) -> None:
        """A task that went to a device is over."""
        self._in_flight[device] -= 1
        if self._in_flight[device] <= 0:
            del self._in_flight[device]

    # --- what follows for a decision ---------------------------------------------------------

    def load(self, devices: Iterable[str]) -> Load:
        """How busy the devices are now; O(devices).

        Args:
            devices: of which a decision wants to know, the own one among them or not.
        """
        mean, now = self._mean(), self._clock()
        said = {d: (w, w.report) for d, w in self._words.items() if w.report is not None}
        published = {
            device: self._services(report, self._on_top(device, word), mean)
            for device, (word, report) in said.items()
        }
        usual = sum(published.values()) / len(published) if published else 0.0
        backlog = {
            device: seen_backlog(
                published[device], usual, (now - word.heard) / mean, self._in_flight[device]
            )
            for device, (word, _) in said.items()
        }
        elsewhere = sum(backlog.values()) / len(backlog) if backlog else 0.0
        pace = {d: report.alpha / mean for d, (_, report) in said.items() if report.alpha}
        for device in devices:
            if device not in backlog and device != ANYWHERE:
                # Nothing is known of it; one that was asked and hangs has no price at all.
                backlog[device] = math.nan if self.is_silent(device) else usual
        own = self._own()
        backlog[self._own_id] = self._services(own, 0, mean)
        pace[self._own_id] = (own.alpha or mean) / mean
        return Load(backlog, pace, elsewhere)

    def news_for(self, device: str) -> DeviceReport | None:
        """What to tell a device that is spoken to anyway: how this one is doing, now and then."""
        now = self._clock()
        if now - self._told.get(device, -NEWS_SECONDS) < NEWS_SECONDS:
            return None
        self._told[device] = now
        self._told.move_to_end(device)
        while len(self._told) > LIMITS.peers:
            self._told.popitem(last=False)
        return self._own()

    def patience(self, patience: float) -> float:
        """The patience of this user, who may have taken more than a fair share lately."""
        reports = [w.report for w in self._words.values() if w.report is not None]
        slots = [report.slots for report in (*reports, self._own())]
        if not reports:
            return patience  # there is nobody to share with
        used = self._recent_use() / USE_MEMORY
        return fair_patience(patience, used, sum(slots) / len(slots))

    def seconds(self, services: float) -> float:
        """So many mean service times of the network, in seconds."""
        return services * self._mean()

    def _recent_use(self) -> float:
        """Inferences of this user's prompts, in mean service times, the old ones faded."""
        memory = USE_MEMORY * self._mean()
        return self._used * math.exp(min(0.0, (self._used_at - self._clock()) / memory))

    def _on_top(self, device: str, word: _Word) -> int:
        """Tasks for a device of which its last word cannot tell: sent since, or still to be."""
        return min(word.sent, self._in_flight[device]) + self._pending[device]

    def _services(self, report: DeviceReport, more: int, mean: float) -> float:
        tasks = report.queue + report.serving + report.promised + more
        return tasks * (report.alpha or mean) / mean / report.slots

    def _mean(self) -> float:
        reports = [w.report for w in self._words.values() if w.report is not None]
        alphas = [report.alpha for report in (*reports, self._own()) if report.alpha]
        return mean_service(alphas) if alphas else UNMEASURED_SECONDS
