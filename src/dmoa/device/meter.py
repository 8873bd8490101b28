"""What a device measures of itself: arrival rate, service time, health.

Estimates rest on the most recent events, so that they follow a device whose load or speed
changes, and take bounded memory.
"""

import asyncio
from collections import deque
from collections.abc import Callable

EVENTS = 256
WINDOW_SECONDS = 900.0


class RateMeter:
    """Events per second over the last events, at most `EVENTS` of the last `WINDOW_SECONDS`."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._times: deque[float] = deque(maxlen=EVENTS)

    def count(self) -> None:
        """An event happened now."""
        self._times.append(self._clock())

    def rate(self) -> float | None:
        """Events per second; None until two have been seen."""
        now = self._clock()
        while self._times and now - self._times[0] > WINDOW_SECONDS:
            self._times.popleft()
        if len(self._times) < 2 or now <= self._times[0]:
            return None
        # The first event opens the interval, so it is not counted in it.
        return (len(self._times) - 1) / (now - self._times[0])


class MeanMeter:
    """The mean of the last values."""

    def __init__(self) -> None:
        self._values: deque[float] = deque(maxlen=EVENTS)

    def add(self, value: float) -> None:
        """Take in a value."""
        self._values.append(value)

    def mean(self) -> float | None:
        """The mean; None until a value has been seen."""
        return sum(self._values) / len(self._values) if self._values else None


class DeviceMeter:
    """A device's arrival rate of prompts (lambda), service time (alpha), load and health.

    Tasks of users enter all of it; the device's own probes of its health only the last token.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self.prompts = RateMeter(clock)
        self.tasks = RateMeter(clock)
        self.service_seconds = MeanMeter()
        self.tokens_per_second = MeanMeter()
        self.last_token: float | None = None
        self.made_token = asyncio.Event()  # cleared by whoever waits for the next one
        self.failure: str | None = None  # how the LLM last failed, until it makes a token

    def token(self) -> None:
        """The LLM made a token now."""
        self.last_token = self.clock()
        self.made_token.set()
        self.failure = None

    @property
    def seconds_since_token(self) -> float | None:
        """None until the LLM has made a token."""
        return None if self.last_token is None else self.clock() - self.last_token

    def load(self, slots: int) -> float | None:
        """Share of the LLM's time that the tasks of all devices take here; stable below 1.

        This is the left side of Theorem 1 (arXiv 2412.21200) as measured, whatever M and k
        each prompt had: tasks per second times seconds per task.
        """
        rate, alpha = self.tasks.rate(), self.service_seconds.mean()
        return None if rate is None or alpha is None else rate * alpha / slots
