"""Recorded drafts by cost: the best model for a prompt alone, the best two, three, and all.

    python -m benchmarks.route_recorded DIR [--seeds 2]

A router ranks the models for each prompt by a constant a model and by a judged history: their wins
on the training prompts most like it (TF-IDF, weighted by likeness). C of them answer, and for
C > 1 the linear ranker takes one of the drafts by agreement among these C, the constants and the
history. Ten folds by prompt; neighbours and penalty are chosen inside the training folds by
wins. Likeness uses the words of all prompts, and no judgement. --shuffle gives prompts the words of
others, which must gain nothing. Needs the extra `eval`; prints a table and one JSON line.
"""

import argparse
import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.model_selection import KFold

from benchmarks.select_recorded import COMMITTEE, Array, _file, interval, pairwise
from dmoa.formats.alpacaeval import read_annotations
from dmoa.selection.features import AGREEMENT, FEATURES, describe

NEIGHBOURS = (100, 200, 400)
PENALTIES = (0.01, 0.03)
COLUMNS = [FEATURES.index(name) for name in AGREEMENT]


@dataclass(frozen=True)
class Drafts:
    """Judged drafts of n models for p prompts.

    Attributes:
        y: wins, p by n.
        like: cosine of the prompts' TF-IDF, p by p, 0 for a prompt and itself.
        agreement: for each set of models, features relative to the set, p by c by f.
    """

    y: Array
    like: Array
    agreement: dict[tuple[int, ...], Array]


def read(folder: Path, models: Sequence[str], shuffled: bool = False) -> Drafts:
    """Read the recorded outputs of some models."""
    columns = [read_annotations(_file(folder, model)) for model in models]
    prompts = [row.instruction for row in columns[0]]
    if shuffled:
        prompts = [prompts[i] for i in np.random.default_rng(0).permutation(len(prompts))]
    words = TfidfVectorizer(sublinear_tf=True, stop_words="english").fit_transform(prompts)
    like = (words @ words.T).toarray()
    np.fill_diagonal(like, 0.0)
    agreement = {}
    for size in range(2, len(models) + 1):
        for team in itertools.combinations(range(len(models)), size):
            drafts = [[rows[i].output for i in team] for rows in zip(*columns, strict=True)]
            found = np.array([describe(d) for d in drafts])[:, :, COLUMNS]
            agreement[team] = found - found.mean(1, keepdims=True)
    y = np.array([[(r.preference or 0) - 1 for r in rows] for rows in zip(*columns, strict=True)])
    return Drafts(y, like, agreement)


def history(data: Drafts, train: Array, rows: Array, neighbours: int) -> Array:
    """Each model's mean wins on the training prompts most like some prompts, rows by n."""
    like = data.like[np.ix_(rows, train)] + 1e-6
    cut = np.sort(like, 1)[:, -min(neighbours, like.shape[1])][:, None]
    weight = np.where(like >= cut, like, 0.0)
    # A training prompt is no neighbour of itself.
    weight[rows[:, None] == train[None, :]] = 0.0
    return weight @ data.y[train] / weight.sum(1, keepdims=True)


def columns(data: Drafts, rows: Array, past: Array, team: tuple[int, ...]) -> Array:
    """Features of a set's drafts: constants, history, and agreement if there are several."""
    n, members = data.y.shape[1], list(team)
    constants = np.broadcast_to(np.eye(n)[members], (len(rows), len(team), n))
    parts = [constants, past[:, members, None]]
    if team in data.agreement and len(team) > 1:
        parts.append(data.agreement[team][rows])
    return np.concatenate(parts, -1)


def wins(data: Drafts, train: Array, test: Array, size: int, setting: tuple[int, float]) -> Array:
    """Wins of what is chosen for test prompts when so many models answer."""
    neighbours, penalty = setting
    n = data.y.shape[1]
    everyone = tuple(range(n))
    alone = Drafts(data.y, data.like, {})
    seen = history(data, train, train, neighbours)
    past = history(data, train, test, neighbours)
    router = pairwise(columns(alone, train, seen, everyone), data.y[train], penalty)
    order = np.argsort(-(columns(alone, test, past, everyone) @ router), 1, kind="stable")
    if size == 1:
        return data.y[test, order[:, 0]]
    teams = list(itertools.combinations(everyone, size))
    x = np.concatenate([columns(data, train, seen, team) for team in teams])
    y = np.concatenate([data.y[train][:, list(team)] for team in teams])
    ranker = pairwise(x, y, penalty)
    found = np.zeros(len(test))
    picked = [tuple(sorted(row[:size])) for row in order.tolist()]
    for team in set(picked):
        at = np.array([i for i, one in enumerate(picked) if one == team])
        scores = columns(data, test[at], past[at], team) @ ranker
        found[at] = data.y[test[at], np.array(team)[scores.argmax(1)]]
    return found


def nested(data: Drafts, size: int, seed: int) -> Array:
    """Wins of every prompt by what never saw it, p."""
    found = np.zeros(len(data.y))
    settings = list(itertools.product(NEIGHBOURS, PENALTIES))
    for train, test in KFold(10, shuffle=True, random_state=seed).split(data.y):
        total = dict.fromkeys(settings, 0.0)
        for inner, outer in KFold(5, shuffle=True, random_state=seed + 1000).split(train):
            for setting in settings:
                total[setting] += wins(data, train[inner], train[outer], size, setting).sum()
        found[test] = wins(data, train, test, size, max(settings, key=total.__getitem__))
    return found


def main() -> None:
    """Run the study."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--shuffle", action="store_true", help="prompts have others' words")
    parser.add_argument("--models", nargs="+", default=list(COMMITTEE))
    told = parser.parse_args()
    data = read(told.folder, told.models, told.shuffle)
    best = data.y[:, data.y.mean(0).argmax()]
    print(f"best single: {100 * best.mean():.2f}")
    rows: dict[str, Any] = {}
    for size in range(1, len(told.models) + 1):
        runs = [nested(data, size, seed) for seed in range(told.seeds)]
        mean = np.mean(runs, 0)
        low, high = interval(mean - best)
        rows[f"C = {size}"] = {
            "win_rate": round(100 * float(mean.mean()), 2),
            "over_best": [round(v, 2) for v in (100 * float((mean - best).mean()), low, high)],
            "by_seed": [round(100 * float(run.mean()), 2) for run in runs],
        }
        print(f"C = {size}: {rows[f'C = {size}']}", flush=True)
    print(json.dumps({"benchmark": "route_recorded", "shuffled": told.shuffle, "rows": rows}))


if __name__ == "__main__":
    main()
