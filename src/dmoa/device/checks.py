"""Which answers to the user's prompts are compared with others', and when: see `agreements`.

Drafts of a layer are compared as they are. An answer that one peer gave alone waits here until
the device idles; then witnesses answer the prompt too, by the way of examinations. A prompt that
must not leave the device is no part of this, nor is one unlike examination questions.
"""

import random
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from dmoa.device.device import Device
from dmoa.protocol.conversation import Message
from dmoa.protocol.events import Finished
from dmoa.protocol.prompt import Prompt
from dmoa.standings.decision import Card
from dmoa.standings.examiner import Examiner

WAITING = 8
"""Answers that wait to be compared; when there are more, the oldest is let go."""


@dataclass(frozen=True)
class Unchecked:
    """An answer that a peer gave alone."""

    messages: list[Message]
    device: str
    text: str


class Checks:
    """Compares what peers answer the user.

    Args:
        device: the device.
        examiner: what it knows; what is found goes there.
        cards: of the devices that are there, the own one included.
        clock: Unix time, seconds.
        found: is called when somebody is not trusted any more.
    """

    def __init__(
        self,
        device: Device,
        examiner: Examiner,
        cards: Callable[[], dict[str, Card]],
        clock: Callable[[], float],
        found: Callable[[], None],
    ) -> None:
        self._device = device
        self._examiner = examiner
        self._cards = cards
        self._clock = clock
        self._found = found
        self._random = random.Random()
        self.waiting: deque[Unchecked] = deque(maxlen=WAITING)
        device.answered = self.consider

    def consider(self, prompt: Prompt, finished: Finished, drafts: Mapping[str, str]) -> None:
        """A prompt of the user is answered; `drafts` are those of its first layer, by device."""
        last = prompt.messages[-1]
        if prompt.local_only or prompt.constraints is not None or last.role != "user":
            return
        peer = _alone(finished)
        if len(drafts) < 2 and peer in (None, self._device.own_id):
            return
        if not self._examiner.topic(last.content):
            return
        if len(drafts) >= 2:
            self.compare(drafts)
        elif (
            peer is not None
            and (card := self._cards().get(peer))
            and self._examiner.kept.agreements.checks(card.subject, self._random.random())
        ):
            self.waiting.append(Unchecked(prompt.messages, peer, finished.text))

    def witnesses(self, unchecked: Unchecked) -> list[str]:
        """Who is to answer it too."""
        return self._examiner.witnesses(unchecked.device, self._cards(), self._clock())

    def compare(self, answers: Mapping[str, str]) -> None:
        """Compare devices' answers to one prompt."""
        cards = self._cards()
        there = {device: text for device, text in answers.items() if device in cards}
        if len(there) >= 2 and self._examiner.compare(cards, there, self._clock()):
            self._found()


def _alone(finished: Finished) -> str | None:
    """The one device that a prompt's answer is from, if nobody else had a part in it."""
    asked = [*finished.record.inferences()]
    return asked[0].device if len(asked) == 1 and asked[0].outcome == "answered" else None
