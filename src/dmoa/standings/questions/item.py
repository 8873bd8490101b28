"""A bare question, as a topic draws it: what is asked, and what is right."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Item:
    """A bare question.

    Attributes:
        text: what is asked, one or more whole sentences.
        answers: any of these is right; the first is how one would say it.
    """

    text: str
    answers: tuple[str, ...]


def one_of(rng: random.Random, values: Sequence[T]) -> T:
    """One of several, uniformly."""
    return values[rng.randrange(len(values))]


def options(rng: random.Random, right: str, others: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    """The right answer among others, with letters: the lines, and what is right."""
    listed = [right, *others]
    rng.shuffle(listed)
    style = one_of(rng, ("{}) {}", "{}. {}", "{}: {}", "({}) {}"))
    between = one_of(rng, ("\n", "\n", "  ", "; "))
    lines = between.join(style.format("ABCDEFGH"[i], text) for i, text in enumerate(listed))
    return lines, ("ABCDEFGH"[listed.index(right)], right)
