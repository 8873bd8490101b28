"""The vocabulary of PocketQA's made-up countries, and how their names are made."""

import random
from collections.abc import Callable

Maker = Callable[[random.Random], str]
"""Makes a name."""


def _listed(names: str) -> tuple[str, ...]:
    return tuple(names.split())


_ONSETS = _listed("b d f g k l m n p r s t v z br dr gl kr pl st tr sh th")
_VOWELS = _listed("a e i o u ai eo")
_CODAS = ("", "", "", "n", "r", "l", "s", "k", "m")
_ENDINGS = ("ia", "land", "or", "una", "estan", "ar")

COLORS = _listed(
    "red blue green white black gold silver purple orange brown pink grey teal crimson ivory"
    " amber indigo scarlet olive cream violet copper rust navy"
)
EXPORTS = _listed(
    "wool salt timber honey coffee cocoa tea cotton silk paper glass steel coal iron tin zinc"
    " wheat barley rice oats olives dates figs plums cheese butter fish shrimp pearls amber"
    " rubber cork wine cider tobacco pepper vanilla saffron marble granite"
)
ANIMALS = _listed(
    "wolf bear fox heron eagle owl hawk crane swan goose otter beaver badger lynx tiger lion"
    " camel horse bull goat ram deer elk moose boar seal whale shark trout salmon turtle viper"
    " cobra gecko toad raven crow falcon stork ibis"
)
LETTERS = "BCDEFGHJKLMNOPQRSTUVWXYZ"
"""Letters of the letter tasks: not A and I, which are words too."""


def _syllable(rng: random.Random) -> str:
    return rng.choice(_ONSETS) + rng.choice(_VOWELS) + rng.choice(_CODAS)


def country(rng: random.Random) -> str:
    """A made-up country, such as Brelonia."""
    stem = _syllable(rng) + rng.choice(_ONSETS) + rng.choice(_VOWELS)
    stem = (stem + rng.choice(("", rng.choice(_ONSETS))))[:9].rstrip("aeiou")
    return stem.capitalize() + rng.choice(_ENDINGS)


def city(rng: random.Random) -> str:
    """A made-up city."""
    return (_syllable(rng) + _syllable(rng)).capitalize()


def coin(rng: random.Random) -> str:
    """A made-up currency."""
    return _syllable(rng) + rng.choice(("o", "a", "in", "ek"))
