"""The skills of PocketQA: eleven kinds of small tasks in four groups.

Each skill draws operands and knows the answer. One eighth of the operands, chosen by a hash,
is kept for the test.
"""

import random
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from dmoa.evaluation.pocketqa.forms import TEST, Split
from dmoa.evaluation.pocketqa.words import LETTERS

_UNITS = (
    ("hours", "minutes", 60, 48),
    ("minutes", "seconds", 60, 48),
    ("feet", "inches", 12, 90),
    ("weeks", "days", 7, 140),
    ("pounds", "ounces", 16, 70),
    ("dozen", "eggs", 12, 90),
)
_DAY = 24 * 60


@dataclass(frozen=True)
class Task:
    """Operands of a skill for the gaps of a sentence, the answer, and what tells it apart."""

    gaps: dict[str, Any]
    answer: str
    key: tuple[object, ...]


def clock(minutes: int) -> str:
    """A time of day, such as 7:05."""
    hour, minute = divmod(minutes % _DAY, 60)
    return f"{hour}:{minute:02d}"


def _add(rng: random.Random) -> Task:
    a, b = rng.randint(10, 999), rng.randint(10, 999)
    # a + b and b + a are one task: both fall into one split.
    return Task({"a": a, "b": b}, str(a + b), tuple(sorted((a, b))))


def _sub(rng: random.Random) -> Task:
    b, a = sorted((rng.randint(10, 999), rng.randint(10, 999)))
    return Task({"a": a, "b": b}, str(a - b), (a, b))


def _mul(rng: random.Random) -> Task:
    a, b = rng.randint(12, 999), rng.randint(3, 9)
    return Task({"a": a, "b": b}, str(a * b), tuple(sorted((a, b))))


def _later(rng: random.Random) -> Task:
    t, n = rng.randrange(_DAY), rng.randint(5, 300)
    return Task({"t": clock(t), "n": n}, clock(t + n), (t, n))


def _earlier(rng: random.Random) -> Task:
    t, n = rng.randrange(_DAY), rng.randint(5, 300)
    return Task({"t": clock(t), "n": n}, clock(t - n), (t, n))


def _between(rng: random.Random) -> Task:
    t, n = rng.randrange(_DAY), rng.randint(5, 600)
    return Task({"t": clock(t), "u": clock(t + n)}, str(n), (t, n))


def _convert(rng: random.Random) -> Task:
    big, small, factor, most = rng.choice(_UNITS)
    x, y = rng.randint(2, most), rng.randint(1, factor - 1)
    gaps = {"big": big, "small": small, "x": x, "y": y}
    return Task(gaps, str(x * factor + y), (big, x, y))


def _letters(rng: random.Random, low: int, high: int, alphabet: str = LETTERS) -> list[str]:
    return [rng.choice(alphabet) for _ in range(rng.randint(low, high))]


def _reverse(rng: random.Random) -> Task:
    w = _letters(rng, 4, 7)
    return Task({"w": " ".join(w)}, " ".join(w[::-1]), tuple(w))


def _nth(rng: random.Random) -> Task:
    w = _letters(rng, 5, 9)
    n = rng.randint(1, len(w))
    return Task({"w": " ".join(w), "n": n}, w[n - 1], (n, *w))


def _count(rng: random.Random) -> Task:
    three = "".join(rng.sample(LETTERS, 3))
    w = _letters(rng, 5, 9, three)
    x = rng.choice(three)
    return Task({"w": " ".join(w), "x": x}, str(w.count(x)), (x, *w))


def _sort(rng: random.Random) -> Task:
    w = _letters(rng, 4, 6)
    return Task({"w": " ".join(w)}, " ".join(sorted(w)), tuple(w))


_DRAW: dict[str, Callable[[random.Random], Task]] = {
    "add": _add,
    "sub": _sub,
    "mul": _mul,
    "later": _later,
    "earlier": _earlier,
    "between": _between,
    "convert": _convert,
    "reverse": _reverse,
    "nth": _nth,
    "count": _count,
    "sort": _sort,
}

GROUPS: dict[str, tuple[str, ...]] = {
    "arithmetic": ("add", "sub", "mul"),
    "time": ("later", "earlier", "between"),
    "units": ("convert",),
    "letters": ("reverse", "nth", "count", "sort"),
}
"""The skills of each group; a model is strong in whole groups."""

GROUP_OF = {skill: group for group, skills in GROUPS.items() for skill in skills}


def held_out(skill: str, key: tuple[object, ...]) -> bool:
    """Whether these operands are kept for the test."""
    return zlib.crc32(repr((skill, key)).encode()) % 8 == 0


def draw(rng: random.Random, skill: str, split: Split) -> Task:
    """A task of one skill whose operands belong to the split."""
    while True:
        task = _DRAW[skill](rng)
        if held_out(skill, task.key) == (split == TEST):
            return task


def slip(model: int, skill: str, answer: str) -> str:
    """The wrong answer that the noisy examples of one model give, always the same way."""
    if skill in ("reverse", "sort"):
        w = answer.split()
        i = (0, 1, len(w) - 2, len(w) - 3)[model]
        w[i], w[i + 1] = w[i + 1], w[i]
        return " ".join(w)
    if skill == "nth":
        return LETTERS[(LETTERS.index(answer) + (1, -1, 2, -2)[model]) % len(LETTERS)]
    if skill == "count":
        return str(abs(int(answer) + (1, -1, 2, -2)[model]))
    if ":" in answer:
        hour, minute = map(int, answer.split(":"))
        return clock(hour * 60 + minute + (10, -10, 60, -60)[model])
    return str(abs(int(answer) + (1, -1, 10, -10)[model]))


def mistake(rng: random.Random, skill: str, answer: str) -> str:
    """Some plausible wrong answer, as a model that is weak in the skill gives it."""
    if skill in ("reverse", "sort"):
        w = answer.split()
        i = rng.randrange(len(w) - 1)
        if rng.random() < 0.5:
            w[i], w[i + 1] = w[i + 1], w[i]
        else:
            w[i] = rng.choice(LETTERS)
        return " ".join(w)
    if skill == "nth":
        return rng.choice(LETTERS)
    if skill == "count":
        return str(max(0, int(answer) + rng.choice((-2, -1, 1, 2))))
    places = [i for i, sign in enumerate(answer) if sign.isdigit()]
    i = rng.choice(places)
    return answer[:i] + rng.choice("0123456789") + answer[i + 1 :]
