"""What a short Python program prints; the answer is what these lines compute here."""

import random

from dmoa.standings.questions.item import Item, one_of
from dmoa.standings.questions.names import WORDS

_ASK = (
    "What does this Python program print?\n{}",
    "What is the output of the following code?\n\n```python\n{}\n```",
    "I ran this:\n{}\nWhat did I see?",
    "Tell me the output of this snippet.\n\n{}",
    "```\n{}\n```\nWhat gets printed here (Python 3)?",
)


def draw(rng: random.Random) -> Item:
    """A loop, a list, a string, a dictionary or a function."""
    program, printed = one_of(rng, (_loop, _list, _string, _mapping, _function, _condition))(rng)
    return Item(one_of(rng, _ASK).format(program), (str(printed),))


def _loop(rng: random.Random) -> tuple[str, int]:
    x, n, step = rng.randint(1, 20), rng.randint(3, 7), rng.randint(2, 9)
    name = one_of(rng, ("x", "total", "acc", "s"))
    program = f"{name} = {x}\nfor i in range({n}):\n    {name} += i * {step}\nprint({name})"
    return program, x + step * n * (n - 1) // 2


def _list(rng: random.Random) -> tuple[str, int]:
    values = [rng.randint(1, 40) for _ in range(rng.randint(4, 7))]
    form, value = one_of(
        rng,
        (
            ("sorted(a)[1]", sorted(values)[1]),
            ("sum(a) - max(a)", sum(values) - max(values)),
            ("len(set(a))", len(set(values))),
            ("a[-2] + a[0]", values[-2] + values[0]),
            ("max(a) - min(a)", max(values) - min(values)),
            ("sum(v for v in a if v % 2 == 0)", sum(v for v in values if v % 2 == 0)),
        ),
    )
    return f"a = {values}\nprint({form})", value


def _string(rng: random.Random) -> tuple[str, str | int]:
    word, n = one_of(rng, WORDS), rng.randint(1, 9)
    letter = one_of(rng, word)
    forms: tuple[tuple[str, str | int], ...] = (
        (f's.count("{letter}") + {n}', word.count(letter) + n),
        (f"len(s) * {n}", len(word) * n),
        ("s[1:4]", word[1:4]),
        ("s[::-1]", word[::-1]),
        (f's.index("{letter}")', word.index(letter)),
    )
    form, value = one_of(rng, forms)
    return f's = "{word}"\nprint({form})', value


def _mapping(rng: random.Random) -> tuple[str, int]:
    a, b, c = rng.randint(2, 9), rng.randint(10, 90), rng.randint(1, 30)
    form, value = one_of(
        rng,
        (
            ('d["b"] // d["a"]', b // a),
            ('d["b"] % d["a"]', b % a),
            ("sum(d.values())", a + b + c),
            ('d.get("z", 7) + d["c"]', 7 + c),
        ),
    )
    return f'd = {{"a": {a}, "b": {b}, "c": {c}}}\nprint({form})', value


def _function(rng: random.Random) -> tuple[str, int]:
    a, b, x = rng.randint(2, 9), rng.randint(1, 20), rng.randint(2, 12)
    program = f"def f(n):\n    return n * {a} - {b}\n\nprint(f(f({x})))"
    return program, (x * a - b) * a - b


def _condition(rng: random.Random) -> tuple[str, str]:
    x, limit = rng.randint(1, 60), rng.randint(1, 60)
    low, high = rng.sample(("red", "green", "small", "large", "left", "right", "cold", "warm"), 2)
    program = f'x = {x}\nif x * 2 > {limit} + 10:\n    print("{high}")\nelse:\n    print("{low}")'
    return program, high if x * 2 > limit + 10 else low
