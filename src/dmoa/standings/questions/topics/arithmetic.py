"""Sums, products and percentages of plain numbers."""

import random

from dmoa.standings.questions.item import Item, one_of

_ASK = (
    "What is {}?",
    "How much is {}?",
    "Calculate {}.",
    "Work out {}.",
    "{} = ?",
    "Compute {} for me.",
    "I get confused with {}. What does it come to?",
    "What does {} equal?",
    "Please evaluate {}.",
    "Can you tell me what {} is?",
)
_TIMES = ("*", "x", "×", "times")


def draw(rng: random.Random) -> Item:
    """An expression of whole numbers, or a part of one."""
    kind = rng.randrange(6)
    a, b, c = rng.randint(12, 980), rng.randint(3, 97), rng.randint(2, 400)
    times = one_of(rng, _TIMES)
    if kind == 0:
        asked, value = f"{a} {times} {b} - {c}", a * b - c
    elif kind == 1:
        asked, value = f"{a} + {b} {times} {c}", a + b * c
    elif kind == 2:
        asked, value = f"({a} + {c}) {times} {b}", (a + c) * b
    elif kind == 3:
        asked, value = f"{a * b} divided by {b}", a
    elif kind == 4:
        asked, value = f"{a + 1000} minus {c} minus {b}", a + 1000 - c - b
    else:
        percent, whole = 5 * rng.randint(1, 19), 20 * rng.randint(2, 400)
        asked, value = f"{percent}% of {whole}", percent * whole // 100
    return Item(one_of(rng, _ASK).format(asked), (str(value),))
