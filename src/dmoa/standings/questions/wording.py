"""How a question is put: the ways in which users write, from two words to half a page.

Register, greeting, reason, wish for the form of the answer, spelling and length vary
independently, so that no prefix, ending or format tells an examination from a prompt. What a
device's own user sends goes before what is made up here: system prompts, sampling and lengths are
those of `Manner`s that were seen lately.
"""

import random
from dataclasses import dataclass

from dmoa.standings.questions.item import one_of


@dataclass(frozen=True)
class Manner:
    """What comes with a prompt beside its words.

    Attributes:
        system: the system prompt, if any.
        temperature, max_tokens: of the sampling; None leaves it to the device that answers.
        length: characters of the prompt; None if it is not to be imitated.
    """

    system: str | None = None
    temperature: float | None = None
    max_tokens: int | None = None
    length: int | None = None


USUAL = (
    Manner(),
    Manner(),
    Manner(),
    Manner(temperature=0.7),
    Manner(temperature=0.0),
    Manner(temperature=1.0),
    Manner(temperature=0.2, max_tokens=512),
    Manner(max_tokens=1024),
    Manner("You are a helpful assistant."),
    Manner("You are a helpful assistant.", temperature=0.7),
    Manner("You are a helpful assistant. Answer briefly.", max_tokens=512),
    Manner("Answer in English.", temperature=0.8),
)
"""Manners until the own user's are known: what common clients send."""

_GREETINGS = (
    "hi, ",
    "Hello! ",
    "Hey, ",
    "Good morning. ",
    "hi there. ",
    "ok so ",
    "Hi! ",
    "Quick one: ",
)
_REASONS = (
    "My daughter asked me this and I had no idea. ",
    "I'm preparing a quiz for Friday. ",
    "We were arguing about this at lunch. ",
    "I need this for a form that I have to send off today. ",
    "This is from an old exercise book. ",
    "I want to check my own result before I hand it in. ",
    "Sorry if this is trivial, it has been a long day. ",
    "A colleague left me a note with this on it, and I can't reach her. ",
    "I'm writing a small script and would like to know what to expect. ",
    "I'm learning English, so please keep the words simple. ",
)
_BACKGROUND = (
    "Some background: we run a small shop and do most of the paperwork in the evening.",
    "I have asked two people already and got two different replies.",
    "I had a look in the books that I have here, but the one that would help is missing.",
    "It does not have to be perfect prose, I will rewrite it anyway.",
    "There is no hurry, but I would like to be done with it before the weekend.",
    "Last time I tried this with a calculator app, and it crashed twice.",
    "If anything about it is unclear, take the most usual meaning.",
    "I know that there are websites for this sort of thing, but the connection here is poor.",
    "My notes on it are a mess, so I start again from the beginning.",
    "I will use it as an example when I explain the thing to my class.",
)
_WISHES = (
    " Please think step by step.",
    " Let's think step by step.",
    " Explain how you got there, briefly.",
    " Show your work.",
    " Just the answer, please.",
    " Only the result.",
    " Short answer please",
    "\n\nThink step by step in a few short sentences, then write the final answer alone on the"
    " last line.",
    " Be brief.",
    " Take your time.",
    " Thanks!",
    " thx",
    ' Please finish with a line that says "Answer:" and the answer.',
    " Answer in one sentence.",
    " No explanation needed.",
    " Walk me through it.",
)


def put(rng: random.Random, text: str) -> str:
    """A question, as some user would put it.

    Args:
        rng: what is drawn from.
        text: whole sentences.
    """
    plain = "\n" not in text
    if plain and rng.random() < 0.3:
        return _terse(rng, text)
    parts = []
    if rng.random() < 0.2:
        parts.append(one_of(rng, _GREETINGS))
    if rng.random() < 0.25:
        parts.append(one_of(rng, _REASONS))
    if rng.random() < 0.1:
        told = rng.sample(_BACKGROUND, rng.randint(1, 6))
        parts.append(" ".join(told) + one_of(rng, (" ", "\n\n")))
    parts.append(text)
    if rng.random() < 0.5:
        wish = one_of(rng, _WISHES)
        parts.append(wish if plain else "\n" + wish.strip())
    said = "".join(parts)
    return said if rng.random() < 0.85 else _careless(rng, said)


def _terse(rng: random.Random, text: str) -> str:
    """Without ceremony: small letters, no full stop."""
    said = text.rstrip("?.! ")
    return said[:1].lower() + said[1:] if rng.random() < 0.5 else said


def _careless(rng: random.Random, text: str) -> str:
    """As typed in a hurry: doubled or missing spaces, a missing capital. Never inside words."""
    said = text
    if rng.random() < 0.5 and said[:1].isalpha():
        said = said[0].lower() + said[1:]
    if rng.random() < 0.5:
        said = said.replace(". ", ".  ", 1)
    return said.rstrip(" ?.") + one_of(rng, ("??", " ?", "", "...", "!"))


def filled(rng: random.Random, text: str, length: int) -> str:
    """A question with as much background before it as comes near a length, in characters."""
    told: list[str] = []
    for sentence in rng.sample(_BACKGROUND, len(_BACKGROUND)):
        if len(text) + sum(len(s) + 1 for s in told) + len(sentence) / 2 > length:
            break
        told.append(sentence)
    return " ".join([*told, text])
