"""Facts that do not change: chemical elements and capitals, from `facts.tsv`.

Countries with several capitals or a disputed one are not in the file.
"""

import functools
import random
from collections.abc import Sequence
from pathlib import Path

from dmoa.standings.questions.item import Item, one_of, options

_CAPITAL = (
    "What is the capital of {}?",
    "Which city is {}'s capital?",
    "The government of {} sits in which capital city?",
    "I always forget: what's the capital of {}?",
    "Name the capital city of {}.",
)
_COUNTRY = (
    "{} is the capital of which country?",
    "Which country has {} as its capital?",
    "In which country is {}, the capital?",
)
_SYMBOL = (
    "What is the chemical symbol of {}?",
    "How is {} abbreviated in the periodic table?",
    "Which symbol stands for the element {}?",
)
_NAME = ("Which element has the symbol {}?", "In chemistry, what does {} stand for?")
_NUMBER = ("What is the atomic number of {}?", "How many protons does an atom of {} have?")
_AT = (
    "Which chemical element has the atomic number {}?",
    "Element {} of the periodic table is what?",
)


@functools.cache
def _facts() -> tuple[
    tuple[tuple[str, int, tuple[str, ...]], ...],
    tuple[tuple[tuple[str, ...], tuple[str, ...]], ...],
]:
    elements, capitals = [], []
    text = Path(__file__).with_name("facts.tsv").read_text(encoding="utf-8")
    for line in text.splitlines():
        kind, *rest = line.split("\t")
        if kind == "element":
            elements.append((rest[0], int(rest[1]), tuple(rest[2].split("|"))))
        elif kind == "capital":
            capitals.append((tuple(rest[0].split("|")), tuple(rest[1].split("|"))))
    return tuple(elements), tuple(capitals)


def draw(rng: random.Random) -> Item:
    """A capital, a country, or something of an element; some with options to choose from."""
    elements, capitals = _facts()
    country, capital = one_of(rng, capitals)
    symbol, number, names = one_of(rng, elements)
    kind = rng.randrange(6)
    if kind == 0:
        others = [other[0] for _, other in capitals if other != capital]
        return _asked(rng, one_of(rng, _CAPITAL).format(country[0]), capital, others)
    if kind == 1 and capital[0] not in country[0]:
        others = [other[0] for other, _ in capitals if other != country]
        return _asked(rng, one_of(rng, _COUNTRY).format(capital[0]), country, others)
    if kind == 2:
        return Item(one_of(rng, _SYMBOL).format(names[0]), (symbol,))
    if kind == 3:
        return Item(one_of(rng, _NAME).format(symbol), names)
    if kind == 4:
        return Item(one_of(rng, _NUMBER).format(names[0]), (str(number),))
    others = [other[0] for _, _, other in elements if other != names]
    return _asked(rng, one_of(rng, _AT).format(number), names, others)


def _asked(rng: random.Random, text: str, answers: tuple[str, ...], others: Sequence[str]) -> Item:
    """The question as it is, or with options."""
    if rng.random() < 0.75:
        return Item(text, answers)
    lines, right = options(rng, answers[0], rng.sample(others, rng.randint(2, 4)))
    return Item(f"{text}\n{lines}", (*right, *answers[1:]))
