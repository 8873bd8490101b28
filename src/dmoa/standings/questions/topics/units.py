"""Conversions whose factors are exact."""

import random

from dmoa.standings.questions.item import Item, one_of

_UNITS = (
    ("kilometres", "metres", 1000),
    ("kilograms", "grams", 1000),
    ("litres", "millilitres", 1000),
    ("metres", "centimetres", 100),
    ("hours", "minutes", 60),
    ("minutes", "seconds", 60),
    ("weeks", "days", 7),
    ("days", "hours", 24),
    ("feet", "inches", 12),
    ("yards", "feet", 3),
    ("pounds", "ounces", 16),
    ("dozens", "single pieces", 12),
    ("tonnes", "kilograms", 1000),
    ("gallons", "quarts", 4),
)
_ASK = (
    "How many {small} are {x} {big} and {y} {small}?",
    "Convert {x} {big} {y} {small} to {small}.",
    "I have {x} {big} plus {y} {small}. What is that in {small} altogether?",
    "{x} {big} and {y} {small}, expressed in {small} only?",
    "What do {x} {big} and {y} {small} come to when everything is counted in {small}?",
)
_BACK = (
    "How many whole {big} are there in {n} {small}?",
    "If I have {n} {small}, how many full {big} is that?",
    "{n} {small} make how many complete {big}?",
)


def draw(rng: random.Random) -> Item:
    """A conversion down, or the whole part of one up."""
    big, small, factor = one_of(rng, _UNITS)
    x, y = rng.randint(2, 90), rng.randint(1, factor - 1)
    n = x * factor + y
    if rng.random() < 0.25:
        return Item(one_of(rng, _BACK).format(big=big, small=small, n=n), (str(x),))
    return Item(one_of(rng, _ASK).format(big=big, small=small, x=x, y=y), (str(n),))
