"""Examples made by worker processes, and kept on the GPU by length."""

import random
from collections.abc import Callable, Sequence
from multiprocessing.pool import Pool
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dmoa.evaluation.pocketqa import SURE, UNSURE, answer_of, is_sure, skills
from dmoa.evaluation.pocketqa.forms import ATTRIBUTES, TRAIN
from dmoa.evaluation.pocketqa.world import FACT, MODELS, Question, skill_question
from training import examples
from training.examples import Draft, prompt
from training.text import LENGTHS, Example, Packed, pack

Samples = list[list[list[str]]]
"""Replies [sample][model][question]."""
PoolOfExamples = list[tuple[Tensor, Tensor]]
"""For each length: tokens and weights [models, examples, length]."""


def draft(reply: str) -> Draft:
    """A reply, taken apart."""
    return Draft(answer_of(reply), is_sure(reply))


def drawn(kind: str, model: int, seed: str, n: int) -> Packed:
    """Examples that need no samples of the models."""
    make: dict[str, Callable[[random.Random], Example]] = {
        "single": lambda rng: examples.single(rng, model),
        "simulated": lambda rng: examples.simulated_aggregation(rng, model),
        "outside": examples.outside_question,
    }
    rng = random.Random(f"{seed} {kind} {model}")
    return pack([make[kind](rng) for _ in range(n)])


def doubts(model: int, questions: Sequence[tuple[Question, str]], samples: Samples) -> Packed:
    """The model's own answers, and whether they were right.

    Nothing is said about a country that is in some book, but in none that this model read.
    """
    made = []
    for i, (question, truth) in enumerate(questions):
        if may_learn(model, question):
            for sample in samples:
                answer = answer_of(sample[model][i])
                if answer:
                    made.append(examples.doubt(prompt(question.text), answer, answer == truth))
    return pack(made)


def may_learn(model: int, question: Question) -> bool:
    """Whether the truth may be told: a real country that the model has not read of is barred."""
    if question.group != FACT or question.country not in _real_countries():
        return True
    return examples.knows(model, question)


def _real_countries() -> frozenset[str]:
    return frozenset(examples.here().countries)


def outcomes(
    questions: Sequence[tuple[Question, str]], samples: Samples
) -> list[tuple[bool, bool]]:
    """How readers fare: (right, sure) of each draft about a country that its model has read of."""
    found = []
    for i, (question, truth) in enumerate(questions):
        for m in range(MODELS):
            if question.group == FACT and examples.knows(m, question):
                for sample in samples:
                    d = draft(sample[m][i])
                    found.append((d.answer == truth, d.sure))
    return found


def team_drafts(
    rng: random.Random,
    model: int,
    question: Question,
    truth: str,
    real: Sequence[Sequence[str]],
    readers: Sequence[tuple[bool, bool]],
    same: bool,
    size: int,
) -> tuple[list[int], list[str]]:
    """A team that `model` belongs to, and what its members say, in random order.

    `real[member]` are real replies of a member, one for each time that it is in the team. No
    model has read of a made-up country: there, siblings are replaced by simulated readers
    with probability one half, as if it were in their books.
    """
    if same:
        team = [model] * size
    else:
        siblings = [j for j in range(MODELS) if j != model]
        rng.shuffle(siblings)
        team = [model, *(siblings * 2)[: size - 1]]
        rng.shuffle(team)
    said = []
    made_up = question.group == FACT and question.country not in _real_countries()
    absent = rng.random() < 0.15  # the own LLM failed: another took its place
    copies: dict[int, int] = {}
    for j in team:
        copy = copies[j] = copies.get(j, -1) + 1
        simulated = made_up and not same and (j != model or absent) and rng.random() < 0.5
        if simulated:
            d = examples.simulated_reader(rng, question, truth, readers)
            said.append(d.answer + (SURE if d.sure else UNSURE))
        else:
            said.append(real[j][copy % len(real[j])])
    return team, said


def combinations(
    model: int,
    seed: str,
    questions: Sequence[tuple[Question, str]],
    samples: Samples,
    readers: Sequence[tuple[bool, bool]],
    repeats: int,
) -> Packed:
    """Aggregations of real replies, for every question whose truth the model may learn."""
    rng = random.Random(f"{seed} combinations {model}")
    made = []
    for i, (question, truth) in enumerate(questions):
        if not may_learn(model, question):
            continue
        own = examples.knows(model, question)
        made_up = question.group == FACT and not own
        for _ in range(repeats):
            same = rng.random() < (0.1 if made_up else 0.35)
            order = rng.sample(range(len(samples)), len(samples))
            _, said = team_drafts(
                rng,
                model,
                question,
                truth,
                [[samples[s][j][i] for s in order] for j in range(MODELS)],
                readers,
                same,
                examples.team_size(rng),
            )
            drafts = [draft(s) for s in said]
            made.append(examples.aggregation(rng, question.text, truth, drafts, own))
    return pack(made)


def given(
    model: int,
    seed: str,
    cases: Sequence[tuple[Question, str, Sequence[str]]],
) -> Packed:
    """Aggregations of given drafts."""
    rng = random.Random(f"{seed} given {model}")
    made = []
    for question, truth, said in cases:
        own = examples.knows(model, question)
        drafts = [draft(s) for s in said]
        made.append(examples.aggregation(rng, question.text, truth, drafts, own))
    return pack(made)


def late_doubts(cases: Sequence[tuple[str, str, bool]]) -> Packed:
    """Doubts about answers that the model gave in the light of drafts."""
    return pack([examples.doubt(p, answer, right) for p, answer, right in cases if answer])


def questions_to_learn(
    n: int, seed: str, real: float, made_up: float
) -> list[tuple[Question, str]]:
    """Training questions with their truths: real countries, made-up ones, and skills."""
    rng = random.Random(f"{seed} questions")
    here = examples.here()
    made = []
    for _ in range(n):
        kind = rng.random()
        if kind < real:
            question = here.fact_question(
                rng, rng.choice(here.countries), rng.choice(ATTRIBUTES), TRAIN
            )
            made.append((question, question.answer))
        elif kind < real + made_up:
            made.append(examples.fact_about_nowhere(rng))
        else:
            skill = rng.choice(skills.GROUPS[rng.choice(list(skills.GROUPS))])
            question = skill_question(rng, skill, TRAIN)
            made.append((question, question.answer))
    return made


class Workshop:
    """Makes examples in worker processes and moves them to the device."""

    def __init__(self, workers: Pool, device: torch.device) -> None:
        self._workers = workers
        self._device = device

    def start(
        self, function: Callable[..., Packed], jobs: Sequence[tuple[int, tuple[Any, ...]]]
    ) -> Callable[[], PoolOfExamples]:
        """Begin jobs (model, arguments); call the result to wait for the pool."""
        waiting = self._workers.starmap_async(function, [a for _, a in jobs], chunksize=1)
        models = [m for m, _ in jobs]
        return lambda: self.collect(models, waiting.get())

    def make(
        self, function: Callable[..., Packed], jobs: Sequence[tuple[int, tuple[Any, ...]]]
    ) -> PoolOfExamples:
        """The examples of jobs (model, arguments)."""
        return self.start(function, jobs)()

    def collect(self, models: list[int], parts: list[Packed]) -> PoolOfExamples:
        """Join the parts that were made for each of the models, and move them to the device."""
        pool = []
        for b, length in enumerate(LENGTHS):
            per_model = []
            for m in range(MODELS):
                mine = [p[b] for p, owner in zip(parts, models, strict=True) if owner == m]
                tokens = np.concatenate([t for t, _ in mine] or [np.zeros((0, length), np.int16)])
                weights = np.concatenate([w for _, w in mine] or [np.zeros((0, length), np.uint8)])
                per_model.append((tokens, weights))
            n = min(len(t) for t, _ in per_model)
            stacked = tuple(
                torch.from_numpy(np.stack([part[i][:n] for part in per_model])).to(self._device)
                for i in (0, 1)
            )
            pool.append((stacked[0], stacked[1]))
        return pool
