"""A short text, and a question that it answers."""

import random

from dmoa.standings.questions.item import Item, one_of
from dmoa.standings.questions.names import GOODS, PEOPLE, TOWNS

_JOBS = ("baker", "nurse", "teacher", "carpenter", "pilot", "gardener", "plumber", "librarian")
_HOBBIES = ("chess", "sailing", "pottery", "hiking", "photography", "fencing", "origami", "cycling")
_PETS = ("a parrot", "two cats", "an old dog", "a tortoise", "three hens", "a rabbit")
_FILLER = (
    "The weather had been mild all week, and the streets were full.",
    "Nobody remembered exactly when this habit had begun.",
    "Most neighbours agreed that it was a good arrangement.",
    "There was some talk of a new bridge, but nothing came of it that year.",
    "The local paper wrote a short piece about it, with one blurred photograph.",
    "Everyone was to bring something to eat, and most people did.",
    "It rained twice, though never for long.",
    "Some said that prices had gone up since the spring.",
    "The meeting ended late, and the last bus had already left.",
    "A good part of the evening was spent on the question of parking.",
)
_INTROS = ("Read this:", "Here is a short text.", "From an e-mail I got:", "Text:", "", "")


def draw(rng: random.Random) -> Item:
    """People with a town, a job, a hobby and a number; one of these is asked for."""
    people = rng.sample(PEOPLE, rng.randint(2, 4))
    towns, jobs = rng.sample(TOWNS, len(people)), rng.sample(_JOBS, len(people))
    hobbies, goods = rng.sample(_HOBBIES, len(people)), rng.sample(GOODS, len(people))
    amounts = rng.sample(range(11, 400), len(people))
    sentences = []
    for i, who in enumerate(people):
        forms = (
            f"{who}, a {jobs[i]} from {towns[i]}, brought {amounts[i]} {goods[i]} and talked"
            f" mostly about {hobbies[i]}.",
            f"From {towns[i]} came {who}, who works as a {jobs[i]}, has {one_of(rng, _PETS)} and"
            f" loves {hobbies[i]}; {amounts[i]} {goods[i]} were in the car.",
        )
        sentences.append(one_of(rng, forms))
    sentences += rng.sample(_FILLER, rng.randint(0, 7))
    rng.shuffle(sentences)
    i = rng.randrange(len(people))
    asked, answer = one_of(
        rng,
        (
            (f"Which town does {people[i]} come from?", towns[i]),
            (f"What is {people[i]}'s job?", jobs[i]),
            (f"Who is the {jobs[i]}?", people[i]),
            (f"How many {goods[i]} did {people[i]} have along?", str(amounts[i])),
            (f"What hobby does the {jobs[i]} have?", hobbies[i]),
            (f"Which person likes {hobbies[i]}?", people[i]),
        ),
    )
    body = " ".join(sentences)
    order = one_of(
        rng, ("{intro} {body}\n\n{asked}", "{asked}\n\n{body}", "{intro}\n{body}\n{asked}")
    )
    text = order.format(intro=one_of(rng, _INTROS), body=body, asked=asked)
    return Item(text.strip(), (answer,))
