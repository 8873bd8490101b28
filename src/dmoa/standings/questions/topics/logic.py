"""Orders, seats, conditions: what follows."""

import itertools
import random

from dmoa.standings.questions.item import Item, one_of
from dmoa.standings.questions.names import PEOPLE

_COMPARE = (
    ("taller", "tallest", "shortest"),
    ("older", "oldest", "youngest"),
    ("faster", "fastest", "slowest"),
    ("richer", "richest", "poorest"),
    ("stronger", "strongest", "weakest"),
)
_COLOURS = ("red", "blue", "green", "yellow", "white", "black")
_MADE_UP = ("blickets", "daxes", "wugs", "toves", "zorps", "mimsies", "gribbles", "snarks")


def draw(rng: random.Random) -> Item:
    """An order of people, a syllogism, a race, boxes, or a sequence."""
    return one_of(rng, (_order, _order, _syllogism, _race, _boxes, _sequence, _parity))(rng)


def _order(rng: random.Random) -> Item:
    people = rng.sample(PEOPLE, rng.randint(3, 5))
    more, most, least = one_of(rng, _COMPARE)
    facts = [f"{a} is {more} than {b}." for a, b in itertools.pairwise(people)]
    rng.shuffle(facts)
    wants_most = rng.random() < 0.5
    text = f"{' '.join(facts)} Who is the {most if wants_most else least}?"
    return Item(text, (people[0] if wants_most else people[-1],))


def _syllogism(rng: random.Random) -> Item:
    a, b, c = rng.sample(_MADE_UP, 3)
    colour, other = rng.sample(_COLOURS, 2)
    if rng.random() < 0.5:
        text = f"All {a} are {b}. All {b} are {colour}. Are all {a} {colour}, yes or no?"
        return Item(text, ("yes",))
    text = (
        f"All {a} are {b}. No {b} are {c}. {c.capitalize()} are {other}. Can {a} be {c}? Yes or no?"
    )
    return Item(text, ("no",))


def _race(rng: random.Random) -> Item:
    people = rng.sample(PEOPLE, 4)
    a, b, c, d = people
    text = (
        f"In a race {a} finished right before {b}, {c} came in after {b}, and {d} was ahead of {a}."
        " Nobody else ran. Who came third?"
    )
    return Item(text, (b,))


def _boxes(rng: random.Random) -> Item:
    colours = rng.sample(_COLOURS, 3)
    things = rng.sample(("key", "coin", "ring", "letter", "map", "watch"), 3)
    text = (
        f"There are three boxes, {colours[0]}, {colours[1]} and {colours[2]}, with a {things[0]}, a"
        f" {things[1]} and a {things[2]}, one in each. The {things[0]} is not in the {colours[0]}"
        f" box and"
        f" not in the {colours[1]} box. The {things[1]} is not in the {colours[0]} box. In which"
        f" box is the {things[2]}?"
    )
    return Item(text, (colours[0],))


def _sequence(rng: random.Random) -> Item:
    start, step, factor = rng.randint(1, 60), rng.randint(3, 30), rng.randint(2, 3)
    if rng.random() < 0.5:
        terms = [start + i * step for i in range(6)]
    else:
        terms = [start * factor**i for i in range(6)]
    ask = one_of(rng, ("What comes next: {}?", "Continue the sequence {}, ... with one number."))
    return Item(ask.format(", ".join(map(str, terms[:5]))), (str(terms[5]),))


def _parity(rng: random.Random) -> Item:
    switches, who = rng.randint(5, 99), one_of(rng, PEOPLE)
    text = (
        f"A lamp is dark. {who} presses its only switch {switches} times. Is the lamp lit or dark"
        " afterwards? One word."
    )
    return Item(text, ("lit",) if switches % 2 else ("dark",))
