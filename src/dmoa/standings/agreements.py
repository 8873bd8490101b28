"""Whether a peer answers users as it answers examinations: it agrees with others as often.

One that is good in examinations and bad for users would keep its standing for ever. But then its
answers to users' prompts agree with those of others (witnesses) less often than its answers to
examinations do, and that shows without anybody saying what is right. A fall is found by Page's
test (CUSUM): the log-likelihood ratio of a third of the usual agreement against the usual one,
never below zero, so that one who turns bad late is found as soon as another.

The own LLM is believed by itself, other witnesses two at a time: one liar can blame nobody. Only
prompts like examination questions are compared, since two answers to "tell me a story" never agree.
A device that is found out is not asked for `DISTRUSTED_FOR`, whatever model it states.
"""

import math
import zlib
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import msgspec

from dmoa.selection.consensus import normalised
from dmoa.standings import beta
from dmoa.standings.grading import final_statements, number

FALL = 1 / 3
"""Share of the usual agreement that is looked for. Measured (docs/attacks.md): with 1/3 a liar is
found after 14 to 34 comparisons where the two agree in 60 to 35 % of examinations, with 1/2 after
17 to 45, and honest devices whose agreement is a quarter lower than usual are taken for liars as
seldom."""
EVIDENCE = math.log(1000)
"""Of a fall, from which it is taken for true: at the usual agreement it is reached less than once
in a thousand comparisons on average (Lorden 1971). Measured: one lying witness of three has an
honest device distrusted within 200 prompts in 7 of 40 cases at ln 100, 1 at ln 300, none here."""
LEAST_COMPARED = 20
"""Examination questions after which the usual agreement is known."""
LEAST_AGREEMENT = 0.05
"""Of two LLMs that agree less often nothing can be learnt in this way."""
CAUTION = 0.1
"""Quantile of the posterior that is taken for the usual agreement."""
DISTRUSTED_FOR = 30 * 86400.0
"""Seconds."""
FIRST_CHECKED = 40
CHECKED = 0.125
"""Of the prompts that one peer answers alone, witnesses answer the first so many too, in idle time,
and then this share; and all of them while half of the evidence is there."""
WITNESSES = 2
"""Other devices that do, beside the own one; so many must disagree where the own one does not."""
STATEMENT_CHARACTERS = 120
QUESTIONS, SUBJECTS, PAIRS = 128, 64, 256
"""Examination questions of each of so many subjects, and pairs of them, that are remembered."""


class Agreements(msgspec.Struct):
    """What a device knows of the agreement of others and of its own LLM.

    Attributes:
        said: by subject, a digest of what it answered to each examination question.
        evidence: of a fall, by subject and witness.
        heard: users' prompts on which a subject was compared.
        distrusted: devices that were found out, with when (Unix time, seconds).
    """

    said: dict[str, dict[int, int]] = {}
    evidence: dict[str, dict[str, float]] = {}
    heard: dict[str, int] = {}
    distrusted: dict[str, float] = {}

    def examined(self, subject: str, question: int, answer: str) -> None:
        """Keep what a subject answered to an examination question."""
        said = self.said.pop(subject, {})
        said[question] = digest(answer)
        self.said[subject] = said  # newest last, so that the stalest is first to go
        _bound(said, QUESTIONS)
        _bound(self.said, SUBJECTS)

    def usual(self, subject: str, witness: str) -> float:
        """How often two agree in examinations, on the side of caution; 0 while that is unknown."""
        one, other = self.said.get(subject, {}), self.said.get(witness, {})
        both = one.keys() & other.keys()
        if len(both) < LEAST_COMPARED:
            return 0.0
        agreed = sum(one[question] == other[question] for question in both)
        return _cautious(agreed, len(both))

    def compare(
        self, subject: str, device: str, own: str, answers: Mapping[str, str], now: float
    ) -> bool:
        """Compare a device's answer to a user's prompt with others'.

        Args:
            subject: the device with its model.
            device: its key id.
            own: subject of the own LLM.
            answers: by subject, to the same prompt.
            now: Unix time, seconds.

        Returns:
            Whether the device is distrusted from now on.
        """
        mine = digest(answers[subject])
        self.heard[subject] = self.heard.pop(subject, 0) + 1
        evidence = self.evidence.setdefault(subject, {})
        for witness, answer in answers.items():
            usual = self.usual(subject, witness)
            if witness != subject and usual >= LEAST_AGREEMENT:
                fallen = FALL * usual
                agrees = mine == digest(answer)
                ratio = fallen / usual if agrees else (1 - fallen) / (1 - usual)
                evidence[witness] = max(0.0, evidence.get(witness, 0.0) + math.log(ratio))
        _bound(evidence, SUBJECTS)
        _bound(self.evidence, PAIRS)
        _bound(self.heard, PAIRS)
        against = [witness for witness, value in evidence.items() if value >= EVIDENCE]
        if own not in against and len(against) < WITNESSES:
            return False
        del self.evidence[subject]
        self.distrusted[device] = now
        _bound(self.distrusted, PAIRS)
        return True

    def checks(self, subject: str, draw: float) -> bool:
        """Whether a prompt that a peer answers alone is to be answered by witnesses too.

        Args:
            subject: the peer.
            draw: uniform in [0, 1).
        """
        suspected = any(v >= EVIDENCE / 2 for v in self.evidence.get(subject, {}).values())
        return suspected or self.heard.get(subject, 0) < FIRST_CHECKED or draw < CHECKED

    def trusts(self, device: str, now: float) -> bool:
        """Whether a device may be counted on, as far as is known here."""
        return now - self.distrusted.get(device, -math.inf) > DISTRUSTED_FOR


@lru_cache(maxsize=1024)
def _cautious(agreed: int, both: int) -> float:
    return beta.quantile(CAUTION, agreed + 1.0, both - agreed + 1.0)


def digest(answer: str) -> int:
    """What an answer says, as a number: equal answers give equal ones."""
    said = next(iter(final_statements(answer)), "")
    value = number(said.rstrip("."))
    told = str(value) if value is not None else normalised(said)[:STATEMENT_CHARACTERS]
    return zlib.crc32(told.encode("utf-8", "replace"))


def _bound(kept: dict[Any, Any], most: int) -> None:
    while len(kept) > most:
        del kept[next(iter(kept))]
