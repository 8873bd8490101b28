"""Questions whose answers are known: drawn from a private seed, or the user's own.

Question i of a seed is always the same, so that one that was interrupted can be asked again and
two devices can be asked the same. Every module of `topics` is a topic; a new one is found by
itself.

    from dmoa.standings.questions import question

    asked = question(secret, 17)
    asked.text, asked.answers
"""

import functools
import importlib
import pkgutil
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from dmoa.standings.questions import topics as folder
from dmoa.standings.questions.item import Item
from dmoa.standings.questions.wording import USUAL, Manner, filled, put

Draw = Callable[[random.Random], Item]

DRAWS = 8
"""Questions that are drawn where a length is wanted; the one that comes nearest is asked."""


@dataclass(frozen=True)
class Question:
    """A question as it is asked, with what is right.

    Attributes:
        index: which one of its seed.
        topic: what it is about.
        text: the user's message.
        answers: any of these is right.
        manner: the system prompt and sampling that come with it.
    """

    index: int
    topic: str
    text: str
    answers: tuple[str, ...]
    manner: Manner


@functools.cache
def topics() -> dict[str, Draw]:
    """All topics by name, each with what draws a bare question of it."""
    found = {}
    for module in sorted(pkgutil.iter_modules(folder.__path__), key=lambda module: module.name):
        loaded = importlib.import_module(f"{folder.__name__}.{module.name}")
        found[module.name] = loaded.draw
    return found


def question(seed: str, index: int, manners: Sequence[Manner] = USUAL) -> Question:
    """One question of a seed.

    Args:
        seed: private to the device; who knows it knows all answers.
        index: which question, from 0.
        manners: what comes with prompts here: those of the own user, where they are known.
    """
    # A string seeds by SHA-512, so neighbours have nothing in common.
    rng = random.Random(f"{seed}/{index}")
    manner = manners[rng.randrange(len(manners))]
    drawn = [_draw(rng) for _ in range(1 if manner.length is None else DRAWS)]
    topic, text, answers = min(drawn, key=lambda d: abs(len(d[1]) - (manner.length or 0)))
    if manner.length is not None:
        text = filled(rng, text, manner.length)
    return Question(index, topic, text, answers, manner)


def _draw(rng: random.Random) -> tuple[str, str, tuple[str, ...]]:
    names = list(topics())
    topic = names[rng.randrange(len(names))]
    item = topics()[topic](rng)
    return topic, put(rng, item.text), item.answers
