"""Words and their letters."""

import random

from dmoa.standings.questions.item import Item, one_of
from dmoa.standings.questions.names import PEOPLE, WORDS

_PLACES = ("first", "second", "third", "fourth", "fifth", "sixth")


def draw(rng: random.Random) -> Item:
    """Count letters, find one, sort words, join initials, pick the longest."""
    return one_of(rng, (_count, _place, _sorted, _initials, _longest, _backwards, _length))(rng)


def _count(rng: random.Random) -> Item:
    word = one_of(rng, WORDS)
    letter = one_of(rng, word)
    ask = one_of(
        rng,
        (
            'How many times does the letter "{}" appear in the word "{}"?',
            "How many {}'s are in {}?",
            "Count the letter {} in: {}.",
        ),
    )
    return Item(ask.format(letter, word), (str(word.count(letter)),))


def _place(rng: random.Random) -> Item:
    word, place = one_of(rng, WORDS), rng.randrange(5)
    while word[place] in "ai":  # words of their own: a reply could say them without meaning it
        word, place = one_of(rng, WORDS), rng.randrange(5)
    ask = one_of(rng, ('What is the {} letter of "{}"?', "Tell me the {} letter of the word {}."))
    return Item(ask.format(_PLACES[place], word), (word[place], word[place].upper()))


def _sorted(rng: random.Random) -> Item:
    words = rng.sample(WORDS, rng.randint(4, 7))
    first = rng.random() < 0.5
    which = "first" if first else "last"
    text = f"Which of these words comes {which} in alphabetical order: {', '.join(words)}?"
    return Item(text, (min(words) if first else max(words),))


def _initials(rng: random.Random) -> Item:
    names = rng.sample(PEOPLE, rng.randint(4, 6))
    said = "".join(name[0] for name in names)
    text = f"Write the initials of these names as one word, in this order: {', '.join(names)}."
    return Item(text, (said, ".".join(said), " ".join(said)))


def _longest(rng: random.Random) -> Item:
    while True:
        words = rng.sample(WORDS, 4)
        lengths = sorted(map(len, words))
        if lengths[-1] > lengths[-2]:
            break
    text = f"Which word has the most letters: {', '.join(words[:-1])} or {words[-1]}?"
    return Item(text, (max(words, key=len),))


def _backwards(rng: random.Random) -> Item:
    word = one_of(rng, [w for w in WORDS if len(w) <= 7])
    ask = one_of(rng, ('Spell "{}" backwards.', "What is {} written in reverse?"))
    return Item(ask.format(word), (word[::-1], "-".join(word[::-1]), " ".join(word[::-1])))


def _length(rng: random.Random) -> Item:
    words = rng.sample(WORDS, 2)
    text = f'How many letters do "{words[0]}" and "{words[1]}" have together?'
    return Item(text, (str(len(words[0]) + len(words[1])),))
