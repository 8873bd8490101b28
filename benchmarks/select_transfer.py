"""Do the ranker's weights hold for models whose drafts they were not fitted to?

    python -m benchmarks.select_transfer DIR

Weights are fitted to some models' judged drafts on half of the prompts and used on a
committee with other models on the other half (both ways round, repeated with seeds). Of the
new models nothing is known and the peers count as equal, or their quality is learnt from
texts on the way, or their win rates on the first half are known. Prints one JSON line a
pair. Needs the extra `eval`.
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
    WIN_RATES_KNOWN,
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
    with_win_rates,
)

OTHERS = ("OpenHermes-2.5-Mistral-7B", "vicuna-13b-v1.5")


def transferred(source: Committee, target: Committee, seed: int) -> dict[str, Array]:
    """Wins with peers equal, learnt on the way, or of known win rates, p each."""
    wins = {name: np.zeros(len(target.y)) for name in ("equal", "learnt", "known")}
    for train, test in KFold(2, shuffle=True, random_state=seed).split(target.x):
        x, y, new, won = source.x[train], source.y[train], target.x[test], target.y[test]
        fit, settings = learners()[PEERS_LEARNT]
        name, penalty, trust = best_setting(x, y, fit, settings, seed)
        evidence = subset(new, name) @ pairwise(subset(x, name), y, penalty)
        wins["equal"][test] = chosen(evidence, won)
        choices = live_choices(evidence, np.full(len(test), trust), seed)
        wins["learnt"][test] = won[np.arange(len(test)), choices]

        fit, settings = learners()[WIN_RATES_KNOWN]
        name, penalty = best_setting(x, y, fit, settings, seed)
        w = pairwise(with_win_rates(subset(x, name), y), y, penalty)
        rates = target.y[train].mean(0)
        wins["known"][test] = chosen(subset(new, name) @ w[:-1] + w[-1] * rates, won)
    return wins


def row(
    folder: Path, source: Sequence[str], target: Sequence[str], seeds: int
) -> dict[str, object]:
    """One line of the table."""
    fitted, used = read(folder, source), read(folder, target)
    runs = [transferred(fitted, used, seed) for seed in range(seeds)]
    wins = {name: np.mean([run[name] for run in runs], 0) for name in runs[0]}
    best = used.y[:, used.y.mean(0).argmax()]
    return {
        "fitted_to": list(source),
        "used_on": list(target),
        "best_single": round(100 * float(best.mean()), 2),
        "random": round(100 * float(used.y.mean()), 2),
        "medoid": round(100 * float(used.y[np.arange(len(used.y)), used.medoid].mean()), 2),
        **{name: round(100 * float(w.mean()), 2) for name, w in wins.items()},
        "learnt_against_best": [round(v, 2) for v in interval(wins["learnt"] - best)],
        "known_against_best": [round(v, 2) for v in interval(wins["known"] - best)],
        "oracle": round(100 * float(used.y.max(1).mean()), 2),
    }


def main() -> None:
    """Run the study."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    pairs = [(COMMITTEE, COMMITTEE)]
    pairs += [(tuple(m for m in COMMITTEE if m != left_out), COMMITTEE) for left_out in COMMITTEE]
    pairs += [
        (COMMITTEE, COMMITTEE + OTHERS),
        (COMMITTEE, OTHERS + COMMITTEE[2:]),
        (COMMITTEE, COMMITTEE[:3]),
        (COMMITTEE, COMMITTEE[:2]),
    ]
    for source, target in pairs:
        print(json.dumps(row(options.folder, source, target, options.seeds)), flush=True)


if __name__ == "__main__":
    main()
