"""The sentences of PocketQA: how a question may be put in training, and how in the test.

A form has named gaps. Test forms are never trained on; `tests/pocketqa` and the assertion at
the end of this module hold them apart. All their words occur in training forms.
"""

import random
from collections.abc import Sequence

Split = str
TRAIN: Split = "train"
TEST: Split = "test"

ATTRIBUTES = ("capital", "currency", "export", "animal", "color", "year")
"""What a made-up country has."""

NOUNS: dict[str, tuple[str, ...]] = {
    "capital": ("capital", "capital city", "main city"),
    "currency": ("currency", "money", "coin"),
    "export": ("main export", "top export", "export good"),
    "animal": ("national animal", "animal", "crest animal"),
    "color": ("flag color", "color", "national color"),
    "year": ("founding year", "year of founding", "birth year"),
}
"""How each attribute may be called, in training and test alike."""

_FACT_SENTENCES = (
    "What is the {n} of {c}?",
    "Which is the {n} of {c}?",
    "Name the {n} of {c}.",
    "{c} has which {n}?",
    "{c}: what is its {n}?",
    "For {c}, give the {n}.",
    "For {c}, what is the {n}?",
    "In {c}, what is the {n}?",
    "Please state the {n} of {c}.",
    "The {n} of {c} is what?",
    "What {n} does {c} have?",
    "Which {n} does {c} have?",
    "Does {c} have a {n}? Which?",
    "Give me the {n} that {c} has, please.",
    "{n} of {c}?",
    "About {c}: the {n} is?",
    "About {c}: what is its {n}?",
    "What do people say is the {n} in {c}?",
    "You know {c}. Its {n}?",
    "You know {c}. What is its {n}?",
    "Which {n} belongs to {c}?",
    "{c} has a {n}. Which is it?",
    "Name the {n} that belongs to {c}, please.",
    "Please give me the {n} in {c}.",
    "{c} has a {n}. Name it, please.",
    "The {n} that belongs to {c} is which?",
)
_FACT_OPENINGS = (
    "Tell me",
    "Can you say",
    "Do you know",
    "I need to know",
    "Please say",
    "Say",
    "I want to hear",
    "Let me know",
    "Find out",
    "Please tell me",
    "Can you tell me",
    "Please find out",
    "Do you still know",
    "Name",
)
_FACT_CLAUSES = (
    "what the {n} of {c} is",
    "which {n} {c} has",
    "what {n} belongs to {c}",
    "what is the {n} in {c}",
    "the {n} of {c}",
    "which is the {n} of {c}",
    "the {n} that {c} has",
    "the {n} in {c}",
    "what the {n} in {c} is",
    "which {n} belongs to {c}",
)
_SKILL_FRAMES = (
    "What is {}?",
    "Give {}.",
    "Tell me {}.",
    "I need {}.",
    "Find {}.",
    "Work out {}.",
    "Can you tell me {}?",
    "Please give {}.",
    "Say {}.",
    "Do you know {}?",
    "Can you find {}?",
    "Please tell me {}.",
    "I need to know {}.",
    "Can you work out {}?",
)
_SKILL_PHRASES: dict[str, tuple[str, ...]] = {
    "add": ("{a} + {b}", "the sum of {a} and {b}", "{a} plus {b}"),
    "sub": ("{a} - {b}", "{a} less {b}", "{a} minus {b}"),
    "mul": ("{a} * {b}", "{a} times {b}", "the product of {a} and {b}"),
    "later": (
        "the time {n} minutes after {t}",
        "the time {n} minutes from {t}",
        "{t} plus {n} minutes",
    ),
    "earlier": (
        "the time {n} minutes before {t}",
        "the time {n} minutes ahead of {t}",
        "{t} minus {n} minutes",
    ),
    "between": (
        "the minutes from {t} to {u}",
        "the number of minutes from {t} to {u}",
        "the minutes between {t} and {u}",
    ),
    "convert": (
        "{x} {big} and {y} {small} in {small}",
        "the number of {small} in {x} {big} and {y} {small}",
        "{x} {big} {y} {small} as {small}",
    ),
    "reverse": ("{w} backwards", "the reverse of {w}", "the letters {w} in reverse"),
    "nth": ("letter {n} of {w}", "letter number {n} of {w}", "the letter at place {n} in {w}"),
    "count": ("the count of {x} in {w}", "the number of {x} in {w}", "how often {x} is in {w}"),
    "sort": ("{w} sorted", "the letters {w} in order", "{w} in order"),
}

PREFIXES: dict[Split, tuple[str, ...]] = {
    TRAIN: (
        *("",) * 5,
        "Hi. ",
        "Hello. ",
        "Quick question: ",
        "Please answer. ",
        "Next question: ",
        "Okay. ",
        "Hi, please answer. ",
        "Okay, next question: ",
        "Hello there. ",
    ),
    TEST: ("", "", "Hello, next question. ", "Okay, quick question: ", "Hi there. "),
}
"""What may stand before a question; the empty one is in both splits."""


def _sentence(opening: str, clause: str) -> str:
    end = "?" if opening.startswith(("Can", "Do")) else "."
    return f"{opening} {clause}{end}"


def _fact_sentences() -> list[str]:
    """All forms of questions about facts, each once."""
    made = [_sentence(o, c) for o in _FACT_OPENINGS for c in _FACT_CLAUSES]
    return list(dict.fromkeys([*_FACT_SENTENCES, *made]))


def _split(forms: Sequence[str], held_out: int, seed: int) -> dict[Split, tuple[str, ...]]:
    """Hold out some of the forms for the test, at random."""
    shuffled = list(forms)
    random.Random(seed).shuffle(shuffled)
    return {TRAIN: tuple(shuffled[held_out:]), TEST: tuple(shuffled[:held_out])}


FACT_FORMS = _split(
    _fact_sentences(),
    held_out=36,
    seed=1,
)
SKILL_FORMS = {
    skill: _split([frame.format(p) for frame in _SKILL_FRAMES for p in phrases], 10, seed=2 + i)
    for i, (skill, phrases) in enumerate(_SKILL_PHRASES.items())
}

for _forms in (FACT_FORMS, *SKILL_FORMS.values()):
    assert len({*_forms[TRAIN], *_forms[TEST]}) == len(_forms[TRAIN]) + len(_forms[TEST]), (
        "a sentence form is twice in the lists, or in training and in the test"
    )
