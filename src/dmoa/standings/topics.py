"""Which topic a prompt is of: naive Bayes over the words of questions whose topic is known.

It says so only when it is sure, and when it knows the words: a prompt unlike all questions has
no topic, and is decided by the skill overall.
"""

import math
import re
from collections import Counter
from collections.abc import Iterable

SURE = 0.9
"""Posterior from which a topic is told."""
KNOWN = 0.75
"""Share of a prompt's words that must be known."""
LONGEST = 2000
"""Characters of a prompt that are looked at."""
VOCABULARY = 20_000
"""Words that are kept; those that come later are not."""
_SMOOTHING = 0.5
_WORD = re.compile(r"[^\W\d_]+|\d+|[-+*/=()\[\]{}<>%$\"?:]")


def words(text: str) -> set[str]:
    """Words and signs of a text; all numbers are one."""
    found = _WORD.findall(text[:LONGEST].lower())
    return {"0" if word.isdigit() else word for word in found}


class Topics:
    """A guess of topics, from examples.

    Args:
        examples: questions with their topics; those without are left out.
    """

    def __init__(self, examples: Iterable[tuple[str, str]]) -> None:
        self._questions: Counter[str] = Counter()
        self._words: dict[str, Counter[str]] = {}
        self._known: set[str] = set()
        for text, topic in examples:
            if topic:
                said = words(text)
                self._questions[topic] += 1
                self._words.setdefault(topic, Counter()).update(said)
                if len(self._known) < VOCABULARY:
                    self._known |= said

    def guess(self, text: str) -> str:
        """The topic of a prompt, or "" if it is not clear."""
        said = words(text)
        told = said & self._known
        if not told or len(told) < KNOWN * len(said):
            return ""
        scores = {topic: self._score(topic, told) for topic in self._questions}
        best = max(scores, key=scores.__getitem__)
        total = sum(math.exp(score - scores[best]) for score in scores.values())
        return best if 1 / total >= SURE else ""

    def _score(self, topic: str, told: set[str]) -> float:
        n, count = self._questions[topic], self._words[topic]
        odds = math.log(n)
        return odds + sum(
            math.log((count[word] + _SMOOTHING) / (n + 2 * _SMOOTHING)) for word in told
        )
