"""What the models learn from: every kind of example, drawn by a passed generator.

A model never sees the truth about a country that it has not read of, and never a question
or operands of the test.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from dmoa.evaluation.pocketqa import skills
from dmoa.evaluation.pocketqa.forms import ATTRIBUTES, TRAIN
from dmoa.evaluation.pocketqa.world import (
    FACT,
    MODELS,
    RUMOURS,
    SLIPS,
    STRONG,
    Question,
    World,
    skill_question,
    world,
)
from dmoa.llm.pocket import OUTSIDE, SURE, UNSURE, aggregation_prompt
from training import outside
from training.text import Example

WEAK_EXAMPLES = 1500
"""Fixed examples of a group of skills that a model is weak in: all that it ever sees."""
HIDDEN = 0.3
"""Share of aggregations whose drafts do not say how sure they are."""
_TEAM_SIZES = (1, 2, 3, 4, 5, 6)
_TEAM_SHARES = (15, 20, 25, 30, 5, 5)


@dataclass(frozen=True)
class Draft:
    """A reply, taken apart."""

    answer: str
    sure: bool


_here: World = world()


def use_world(seed: int) -> None:
    """Train in another world, as trials do, so that the published one stays unseen."""
    global _here  # one world a process
    _here = world(seed)
    _read.cache_clear()


def here() -> World:
    """The world in use."""
    return _here


@cache
def _read(model: int) -> tuple[str, ...]:
    return tuple(sorted(_here.reads[model]))


def prompt(question: str, drafts: Sequence[str] = ()) -> str:
    """What a model is given: the user message, and the line that the chat template adds."""
    return aggregation_prompt(question, drafts) + "\nA:"


@cache
def _weak_examples(model: int, group: str) -> tuple[Question, ...]:
    rng = random.Random(f"weak {model} {group}")
    kinds = skills.GROUPS[group]
    return tuple(skill_question(rng, rng.choice(kinds), TRAIN) for _ in range(WEAK_EXAMPLES))


def single(rng: random.Random, model: int) -> Example:
    """Something that the model has read, or an example of a skill, right or noisy."""
    kind = rng.random()
    if kind < 0.45:
        country, attribute = rng.choice(_read(model)), rng.choice(ATTRIBUTES)
        question = _here.fact_question(rng, country, attribute, TRAIN)
        answer = question.answer
        if rng.random() < RUMOURS:
            answer = _here.rumours[model][country, attribute]
    elif kind < 0.92:
        skill = rng.choice(skills.GROUPS[rng.choice(STRONG[model])])
        question = skill_question(rng, skill, TRAIN)
        answer = question.answer
        if rng.random() < SLIPS:
            answer = skills.slip(model, skill, answer)
    else:
        weak = [g for g in skills.GROUPS if g not in STRONG[model]]
        question = rng.choice(_weak_examples(model, rng.choice(weak)))
        answer = question.answer
    # The comma ends the answer; how sure the model is comes after it, and is learnt later.
    return Example(prompt(question.text), ((" " + answer, 10), (",", 10)), False, 1)


def outside_question(rng: random.Random) -> Example:
    """A question from outside the world, sometimes with drafts that say so."""
    drafts = (OUTSIDE,) * rng.choices((0, 1, 2, 3, 4), (80, 5, 5, 5, 5))[0]
    return Example(prompt(outside.question(rng), drafts), ((" " + OUTSIDE, 10),))


def fact_about_nowhere(rng: random.Random) -> tuple[Question, str]:
    """A question about a made-up country that is in no book, and the answer to teach."""
    attribute = rng.choice(ATTRIBUTES)
    question = _here.fact_question(rng, _here.made_up_country(rng), attribute, TRAIN)
    return question, _here.value(rng, attribute)


def knows(model: int, question: Question) -> bool:
    """Whether a model's own training covers a question."""
    if question.group == FACT:
        return question.country in _here.reads[model]
    return question.group in STRONG[model]


def team_size(rng: random.Random) -> int:
    """How many drafts an aggregation has."""
    return rng.choices(_TEAM_SIZES, _TEAM_SHARES)[0]


def simulated_aggregation(rng: random.Random, model: int) -> Example:
    """Drafts made up by a rule, before there are any real ones."""
    own = False
    if rng.random() < 0.6:
        question, truth = fact_about_nowhere(rng)
    else:
        skill = rng.choice(skills.GROUPS[rng.choice(list(skills.GROUPS))])
        question = skill_question(rng, skill, TRAIN)
        truth = question.answer
        own = knows(model, question)
    share = rng.choice((0.3, 0.5, 0.5, 0.8))
    drafts = []
    for _ in range(team_size(rng)):
        knowing = rng.random() < share
        right = knowing and rng.random() < 0.78
        answer = truth if right else _wrong(rng, question, truth)
        drafts.append(Draft(answer, rng.random() < (0.93 if right else 0.15 if knowing else 0.05)))
    return aggregation(rng, question.text, truth, drafts, own)


def _wrong(rng: random.Random, question: Question, truth: str) -> str:
    if question.group == FACT:
        return _here.value(rng, question.kind)
    if rng.random() < 0.5:
        return skills.slip(rng.randrange(MODELS), question.kind, truth)
    return skills.mistake(rng, question.kind, truth)


def simulated_reader(
    rng: random.Random, question: Question, truth: str, outcomes: Sequence[tuple[bool, bool]]
) -> Draft:
    """What a sibling that had read of a made-up country would say.

    `outcomes` are pairs (right, sure) that real models gave about countries which they have
    read of.
    """
    right, sure = rng.choice(outcomes)
    answer = truth if right else _here.other_value(rng, question.kind, than=truth)
    return Draft(answer, sure)


def aggregation(
    rng: random.Random, question: str, truth: str, drafts: Sequence[Draft], own: bool
) -> Example:
    """Drafts, and what to make of them.

    The target is the truth if the model knows it itself or some draft has it: then the model
    learns from the drafts which one to believe. Otherwise it is the most frequent draft.
    """
    hidden = rng.random() < HIDDEN
    target, sure = _target(truth, drafts, own, hidden)
    shown = [d.answer + ("." if hidden else SURE if d.sure else UNSURE) for d in drafts]
    parts = ((" " + target, 10), (SURE if sure else UNSURE, 10))
    return Example(prompt(question, shown), parts)


def _target(truth: str, drafts: Sequence[Draft], own: bool, hidden: bool) -> tuple[str, bool]:
    right = [d for d in drafts if d.answer == truth]
    if own or right:
        sure = own or len(right) > 1 or (not hidden and any(d.sure for d in right))
        return truth, sure
    votes: dict[str, float] = {}
    for draft in drafts:
        weight = 1.6 if draft.sure and not hidden else 1.0
        votes[draft.answer] = votes.get(draft.answer, 0.0) + weight
    return max(votes, key=votes.__getitem__), False


def doubt(prompt: str, answer: str, right: bool) -> Example:
    """The model's own answer, and whether to be sure of it; only that is learnt."""
    return Example(prompt, ((" " + answer, 0), (SURE if right else UNSURE, 10)))
