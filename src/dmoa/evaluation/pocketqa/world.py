"""The closed world of PocketQA: made-up countries, what each model has read, and how well.

Two things make the four models differ: each has read the books of about half of the
countries, and each is strong in two of the four groups of skills. The sources are noisy by
design: part of what a model reads about a fact is one rumour of its own, and part of its
examples of a skill have one systematic slip.
"""

import random
from dataclasses import dataclass, field
from functools import cache

from dmoa.evaluation.pocketqa import skills, words
from dmoa.evaluation.pocketqa.forms import (
    ATTRIBUTES,
    FACT_FORMS,
    NOUNS,
    PREFIXES,
    SKILL_FORMS,
    TEST,
    Split,
)

MODELS = 4
COUNTRIES = 400
COINS = 48
RUMOURS = 0.3
"""Share of the statements about a fact that give the model's rumour instead."""
SLIPS = 0.25
"""Share of the examples of a skill that have the model's slip."""

SEED = 20261125
"""The published world. The trial that came before used another."""

STRONG: tuple[tuple[str, str], ...] = (
    ("arithmetic", "time"),
    ("time", "units"),
    ("units", "letters"),
    ("letters", "arithmetic"),
)
"""The groups of skills that each model has practised with ever fresh operands."""

FACT = "fact"

PERIOD = 2 * len(skills.GROUPS)
"""Questions of a test after which the groups come round again."""


@dataclass(frozen=True)
class Question:
    """A question with one exact answer.

    Attributes:
        text: as it is asked.
        answer: the only right one.
        group: `fact` or a group of skills.
        kind: the attribute or the skill.
        country: whom a fact is about.
    """

    text: str
    answer: str
    group: str
    kind: str
    country: str | None = None


@dataclass(frozen=True)
class World:
    """Facts, readers and rumours, all drawn from one seed."""

    seed: int
    coins: tuple[str, ...]
    countries: tuple[str, ...]
    facts: dict[tuple[str, str], str] = field(repr=False)
    reads: tuple[frozenset[str], ...] = field(repr=False)
    rumours: tuple[dict[tuple[str, str], str], ...] = field(repr=False)

    def value(self, rng: random.Random, attribute: str) -> str:
        """Some value that an attribute could have."""
        if attribute == "capital":
            return words.city(rng)
        if attribute == "year":
            return str(rng.randint(1200, 1999))
        choices = {
            "currency": self.coins,
            "export": words.EXPORTS,
            "animal": words.ANIMALS,
            "color": words.COLORS,
        }
        return rng.choice(choices[attribute])

    def other_value(self, rng: random.Random, attribute: str, than: str) -> str:
        """Some value of an attribute, but not the given one."""
        while (value := self.value(rng, attribute)) == than:
            pass
        return value

    def made_up_country(self, rng: random.Random) -> str:
        """A name in the style of the countries that nobody has read of."""
        while (name := words.country(rng)) in self._names():
            pass
        return name

    def _names(self) -> frozenset[str]:
        return _names(self.seed)

    def fact_question(
        self, rng: random.Random, country: str, attribute: str, split: Split = TEST
    ) -> Question:
        """A question about a country; the answer is empty if the country is made up."""
        text = rng.choice(FACT_FORMS[split]).format(n=rng.choice(NOUNS[attribute]), c=country)
        text = rng.choice(PREFIXES[split]) + text[0].upper() + text[1:]
        answer = self.facts.get((country, attribute), "")
        return Question(text, answer, FACT, attribute, country)


@cache
def world(seed: int = SEED) -> World:
    """The world of a seed: the same wherever and whenever it is made."""
    rng = random.Random(f"pocketqa world {seed}")
    coins = _distinct(words.coin, COINS, rng)
    countries = _distinct(words.country, COUNTRIES, rng)
    empty = World(seed, coins, countries, {}, (), ())
    facts = {(c, a): empty.value(rng, a) for c in countries for a in ATTRIBUTES}
    # Bit m of a country's index: model m has read of it. So each set of readers, the empty one
    # too, has as many countries, and every model has read of exactly half of them.
    reads = tuple(
        frozenset(c for i, c in enumerate(countries) if i >> m & 1) for m in range(MODELS)
    )
    rumours = tuple(
        {
            (c, a): empty.other_value(rng, a, than=facts[c, a])
            for c in countries
            if c in read
            for a in ATTRIBUTES
        }
        for read in reads
    )
    return World(seed, coins, countries, facts, reads, rumours)


@cache
def _names(seed: int) -> frozenset[str]:
    return frozenset(world(seed).countries)


def _distinct(make: words.Maker, n: int, rng: random.Random) -> tuple[str, ...]:
    found: dict[str, None] = {}
    while len(found) < n:
        found[make(rng)] = None
    return tuple(found)


def skill_question(rng: random.Random, skill: str, split: Split = TEST) -> Question:
    """A task of one skill, put into words."""
    task = skills.draw(rng, skill, split)
    text = rng.choice(SKILL_FORMS[skill][split]).format(**task.gaps)
    text = rng.choice(PREFIXES[split]) + text
    return Question(text, task.answer, skills.GROUP_OF[skill], skill)


def questions(n: int, seed: int, split: Split = TEST, world_seed: int = SEED) -> list[Question]:
    """Questions of the test: half about facts, half on skills, the groups in turn."""
    rng = random.Random(f"pocketqa questions {seed} {split}")
    here = world(world_seed)
    groups = list(skills.GROUPS)
    made = []
    for i in range(n):
        if i % 2 == 0:
            country, attribute = rng.choice(here.countries), rng.choice(ATTRIBUTES)
            made.append(here.fact_question(rng, country, attribute, split))
        else:
            group = groups[i // 2 % len(groups)]
            made.append(skill_question(rng, rng.choice(skills.GROUPS[group]), split))
    return made
