"""Do the ranker's weights hold for models whose drafts they were not fitted to?

    python -m benchmarks.select_transfer DIR

Weights are fitted to some models' judged drafts on half of the prompts and used on a
committee with other models on the other half (both ways round, five seeds); the peers'
quality is learnt from texts on the way, so nothing about the new models is known. Prints a
table and one JSON line. Needs the extra `eval`.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from sklearn.model_selection import KFold

from benchmarks.select_recorded import (
    COMMITTEE,
    PEERS_LEARNT,
    Array,
    Committee,
    best_setting,
    chosen,
    interval,
    learners,
    live_choices,
    pairwise,
    read,
    subset,
)

OTHERS = ("OpenHermes-2.5-Mistral-7B", "vicuna-13b-v1.5")


def transferred(source: Committee, target: Committee, seed: int) -> tuple[Array, Array]:
    """Wins with peers equal, and with peers learnt on the way, p each."""
    fit, settings = learners()[PEERS_LEARNT]
    equal, learnt = np.zeros(len(target.y)), np.zeros(len(target.y))
    for train, test in KFold(2, shuffle=True, random_state=seed).split(target.x):
        x, y = source.x[train], source.y[train]
        name, penalty, trust = best_setting(x, y, fit, settings, seed)
        evidence = subset(target.x[test], name) @ pairwise(subset(x, name), y, penalty)
        equal[test] = chosen(evidence, target.y[test])
        choices = live_choices(evidence, np.full(len(test), trust), seed)
        learnt[test] = target.y[test, choices]
    return equal, learnt


def row(
    folder: Path, source: Sequence[str], target: Sequence[str], seeds: int
) -> dict[str, object]:
    """One line of the table."""
    fitted, used = read(folder, source), read(folder, target)
    runs = [transferred(fitted, used, seed) for seed in range(seeds)]
    equal, learnt = np.mean([r[0] for r in runs], 0), np.mean([r[1] for r in runs], 0)
    best = used.y[:, used.y.mean(0).argmax()]
    return {
        "fitted_to": list(source),
        "used_on": list(target),
        "best_single": round(100 * float(best.mean()), 2),
        "random": round(100 * float(used.y.mean()), 2),
        "medoid": round(100 * float(used.y[np.arange(len(used.y)), used.medoid].mean()), 2),
        "peers_equal": round(100 * float(equal.mean()), 2),
        "peers_learnt": round(100 * float(learnt.mean()), 2),
        "learnt_against_best": [round(v, 2) for v in interval(learnt - best)],
        "oracle": round(100 * float(used.y.max(1).mean()), 2),
    }


def main() -> None:
    """Run the study."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, default=5)
    options = parser.parse_args()
    pairs = [(COMMITTEE, COMMITTEE)]
    pairs += [(tuple(m for m in COMMITTEE if m != left_out), COMMITTEE) for left_out in COMMITTEE]
    pairs += [
        (COMMITTEE, COMMITTEE + OTHERS),
        (COMMITTEE, OTHERS + COMMITTEE[2:]),
        (COMMITTEE, COMMITTEE[:3]),
        (COMMITTEE, COMMITTEE[:2]),
    ]
    rows = []
    for source, target in pairs:
        rows.append(row(options.folder, source, target, options.seeds))
        print(json.dumps(rows[-1]), flush=True)
    print(json.dumps(rows))


if __name__ == "__main__":
    main()
