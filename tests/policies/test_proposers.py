"""Proposers: plain Python and compiled are the same functions."""

import random
from collections import Counter
from itertools import permutations

import numpy as np
import pytest

from dmoa.policies import proposers
from dmoa.simulation.fcfs import kernel


def test_uniform_draws_reach_every_ordered_choice_equally_often():
    counts: Counter = Counter()
    for first in range(12):
        for second in range(12):
            candidates = [0, 1, 2, 3]
            proposers.draw_uniform(candidates, [(first + 0.5) / 12, (second + 0.5) / 12], 2)
            counts[tuple(candidates[:2])] += 1
    assert set(counts) == set(permutations(range(4), 2))
    assert set(counts.values()) == {12}


def test_a_uniform_just_below_one_stays_inside():
    candidates = list(range(7))
    proposers.draw_uniform(candidates, [np.nextafter(1, 0)] * 7, 7)
    assert sorted(candidates) == list(range(7))


@pytest.mark.parametrize("seed", range(5))
def test_compiled_and_plain_draws_are_equal(seed):
    r = random.Random(seed)
    n = r.randint(2, 30)
    k = r.randint(0, n)
    uniforms = [r.random() for _ in range(n)]
    costs = [float(r.randint(0, 3)) for _ in range(n)]
    weights = [r.uniform(0.1, 2) for _ in range(n)]
    for name, extra in (
        ("draw_uniform", (uniforms, k)),
        ("draw_weighted", (weights, sum(weights), uniforms, k)),
        ("keep_least", (costs, n, k)),
    ):
        plain = list(range(n))
        getattr(proposers, name)(plain, *[list(e) if isinstance(e, list) else e for e in extra])
        array = np.arange(n, dtype=np.int32)
        compiled = [np.array(e) if isinstance(e, list) else e for e in extra]
        getattr(kernel, name)(array, *compiled)
        assert array.tolist() == plain


def test_weights_are_odds():
    r = random.Random(1)
    counts: Counter = Counter()
    for _ in range(20_000):
        candidates = [0, 1, 2]
        proposers.draw_weighted(candidates, [1.0, 1.0, 2.0], 4.0, [r.random()], 1)
        counts[candidates[0]] += 1
    assert counts[2] / 20_000 == pytest.approx(0.5, abs=0.02)


def test_the_least_backlog_of_the_drawn_is_taken():
    candidates = [0, 1, 2, 3, 4]
    proposers.least_backlog(candidates, [9.0, 1.0, 5.0, 1.5, 7.0], [0.3] * 5, 5, 2)
    assert candidates[:2] == [1, 3]


def test_ties_fall_at_random():
    r = random.Random(2)
    counts: Counter = Counter()
    for _ in range(6000):
        candidates = [0, 1, 2]
        proposers.least_backlog(candidates, [1.0] * 3, [r.random() for _ in range(3)], 3, 1)
        counts[candidates[0]] += 1
    assert min(counts.values()) > 1800
