"""Does choosing one of the recorded drafts beat the best single model?

    python -m benchmarks.select_recorded DIR [--seeds 5] [--write src/dmoa/selection/ranker.json]

DIR holds recorded outputs with judgements, one file a model in AlpacaEval's formats. Ten
folds by prompt, repeated with seeds; every choice of features and penalty is made inside
the training folds (nested cross-validation). Prints a table and one JSON line. Needs the
extra `eval`; takes a few minutes on one core.
"""

import argparse
import hashlib
import itertools
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.ensemble import ExtraTreesRegressor, HistGradientBoostingRegressor
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import KFold

from dmoa.formats.alpacaeval import read_annotations
from dmoa.selection import consensus
from dmoa.selection.features import AGREEMENT, FEATURES, SHAPE, describe
from dmoa.selection.peers import PeerQuality

Array = Any  # numpy arrays; shapes are in the comments
COMMITTEE: tuple[str, ...] = (
    "FuseChat-Qwen-2.5-7B-Instruct",
    "FuseChat-Llama-3.1-8B-Instruct",
    "FuseChat-Llama-3.2-3B-Instruct",
    "FuseChat-Llama-3.2-1B-Instruct",
)
SETS = {
    "agreement": AGREEMENT,
    "agreement and shape": AGREEMENT + SHAPE,
    "all": FEATURES,
}
PEERS_LEARNT = "ranker, peers learnt from texts"
WIN_RATES_KNOWN = "ranker, win rates of the models known"
PENALTIES = (0.003, 0.01, 0.03, 0.1)
TRUSTS = (0.0, 1.0, 2.0, 4.0, 8.0, 16.0)


@dataclass(frozen=True)
class Committee:
    """Judged drafts of n models for p prompts.

    Attributes:
        x: features relative to the committee, p by n by f.
        y: wins against the baseline, 0 to 1, p by n.
        medoid: index of the consensus draft, p.
        length: characters, p by n.
        prompts: the instructions.
    """

    x: Array
    y: Array
    medoid: Array
    length: Array
    prompts: list[str]


def read(folder: Path, models: Sequence[str], advisers: Sequence[str] = ()) -> Committee:
    """Read the recorded outputs of some models.

    Args:
        folder: where the files are.
        models: those whose drafts can be chosen; they need judgements.
        advisers: peers whose drafts count for agreement only, for want of judgements.
    """
    columns = [read_annotations(_file(folder, model)) for model in models]
    advice = [read_annotations(_file(folder, model)) for model in advisers]
    drafts = [[row.output for row in rows] for rows in zip(*columns, *advice, strict=True)]
    for model, rows in zip(models, columns, strict=True):
        if any(row.preference is None for row in rows):
            sys.exit(f"not all outputs of {model} are judged; it can only advise (--advisers)")
    wins = [[(row.preference or 0) - 1 for row in rows] for rows in zip(*columns, strict=True)]
    x = np.array([describe(d) for d in drafts])[:, : len(models)]
    supported = np.array([consensus.support(d) for d in drafts])[:, : len(models)]
    return Committee(
        x=x - x.mean(1, keepdims=True),
        y=np.array(wins),
        medoid=supported.argmax(1),
        length=np.array([[len(text) for text in d[: len(models)]] for d in drafts]),
        prompts=[row.instruction for row in columns[0]],
    )


def _file(folder: Path, model: str) -> Path:
    found = sorted(folder.glob(f"{model}.json*"))
    if not found:
        sys.exit(f"{folder} has no outputs of {model}")
    return found[0]


# --- learners: each is given training prompts and scores test prompts ---------------------


def pairwise(x: Array, y: Array, penalty: float) -> Array:
    """Weights of a Bradley-Terry model: of two drafts, which won more?

    Args:
        x: features, p by n by f.
        y: wins, p by n; a pair weighs as much as its wins differ.
        penalty: inverse strength C of the quadratic penalty on weights in units of the
            pairs' root mean square.

    Returns:
        Weights in units of the features, f.
    """
    a, b = np.triu_indices(x.shape[1], 1)
    d = (x[:, a] - x[:, b]).reshape(-1, x.shape[2])
    won = (y[:, a] - y[:, b]).ravel()
    # Not the standard deviation: a column that has none, as two models' win rates, is no noise.
    scale = np.sqrt((d * d).mean(0)) + 1e-12
    model = LogisticRegression(C=penalty, fit_intercept=False, max_iter=1000)
    model.fit(
        np.concatenate([d, -d]) / scale,
        np.concatenate([won > 0, won < 0]),
        sample_weight=np.concatenate([abs(won), abs(won)]),
    )
    return model.coef_[0] / scale


def subset(x: Array, name: str) -> Array:
    """The columns of one of `SETS`."""
    return x[:, :, [FEATURES.index(f) for f in SETS[name]]]


def with_win_rates(x: Array, y: Array) -> Array:
    """Features and the models' mean wins in y."""
    rate = np.broadcast_to(y.mean(0)[None, :, None], (*x.shape[:2], 1))
    return np.concatenate([x, rate], -1)


def with_identity(x: Array) -> Array:
    """Features and one indicator a model."""
    n = x.shape[1]
    return np.concatenate([x, np.broadcast_to(np.eye(n), (len(x), n, n))], -1)


def chosen(scores: Array, y: Array) -> Array:
    """Wins of the drafts with the highest scores, p."""
    return y[np.arange(len(y)), scores.argmax(1)]


Fit = Callable[[Array, Array, Any], Callable[[Array], Array]]
"""Fit on features and wins with a setting; gives a function from features to scores."""


def fit_alone(x: Array, y: Array, setting: tuple[str, float, float]) -> Callable[[Array], Array]:
    """Drafts only; peers as their mean score in training, whose judgements are not used."""
    name, penalty, trust = setting
    w = pairwise(subset(x, name), y, penalty)
    quality = (subset(x, name) @ w).mean(0)
    return lambda new: subset(new, name) @ w + trust * quality


def fit_informed(x: Array, y: Array, setting: tuple[str, float]) -> Callable[[Array], Array]:
    """Drafts and the win rates of the models in training."""
    name, penalty = setting
    w = pairwise(with_win_rates(subset(x, name), y), y, penalty)
    return lambda new: subset(new, name) @ w[:-1] + w[-1] * y.mean(0)


def fit_identity(x: Array, y: Array, setting: tuple[str, float]) -> Callable[[Array], Array]:
    """Drafts and one free constant a model."""
    name, penalty = setting
    w = pairwise(with_identity(subset(x, name)), y, penalty)
    return lambda new: with_identity(subset(new, name)) @ w


def fit_ridge(x: Array, y: Array, penalty: float) -> Callable[[Array], Array]:
    """Ridge regression of centred wins on all features and identity."""
    return _regression(Ridge(penalty), x, y, scale=True)


def fit_boosting(x: Array, y: Array, depth: int) -> Callable[[Array], Array]:
    """Gradient boosting of centred wins on all features and identity."""
    return _regression(
        HistGradientBoostingRegressor(
            max_depth=depth,
            learning_rate=0.03,
            max_iter=150,
            min_samples_leaf=20,
            l2_regularization=5,
            random_state=0,
        ),
        x,
        y,
    )


def fit_trees(x: Array, y: Array, leaf: int) -> Callable[[Array], Array]:
    """Extremely randomised trees on centred wins."""
    return _regression(
        ExtraTreesRegressor(100, min_samples_leaf=leaf, max_features=0.3, random_state=0), x, y
    )


def fit_both(x: Array, y: Array, setting: tuple[str, float, int]) -> Callable[[Array], Array]:
    """The linear ranker with identity and gradient boosting, each in units of its spread."""
    name, penalty, depth = setting
    parts = [fit_identity(x, y, (name, penalty)), fit_boosting(x, y, depth)]
    spreads = [(part(x) - part(x).mean(1, keepdims=True)).std() for part in parts]

    def scores(new: Array) -> Array:
        return sum(part(new) / spread for part, spread in zip(parts, spreads, strict=True))

    return scores


def _regression(model: Any, x: Array, y: Array, *, scale: bool = False) -> Callable[[Array], Array]:
    spread = with_identity(x).reshape(-1, x.shape[2] + x.shape[1]).std(0) + 1e-12

    def flat(new: Array) -> Array:
        rows = with_identity(new)
        return (rows / spread if scale else rows).reshape(-1, rows.shape[2])

    model.fit(flat(x), (y - y.mean(1, keepdims=True)).ravel())
    return lambda new: model.predict(flat(new)).reshape(new.shape[:2])


def nested(
    data: Committee, fit: Fit, settings: Sequence[Any], seed: int, folds: int = 10, inner: int = 5
) -> tuple[Array, list[Any]]:
    """Scores of every prompt by models that never saw it, p by n, and the settings chosen."""
    scores = np.zeros(data.y.shape)
    picks = []
    for train, test in KFold(folds, shuffle=True, random_state=seed).split(data.x):
        x, y = data.x[train], data.y[train]
        setting = best_setting(x, y, fit, settings, seed, inner)
        scores[test] = fit(x, y, setting)(data.x[test])
        picks.append(setting)
    return scores, picks


def best_setting(
    x: Array, y: Array, fit: Fit, settings: Sequence[Any], seed: int, folds: int = 5
) -> Any:
    """The setting with the most wins in cross-validation within x and y."""
    if len(settings) == 1:
        return settings[0]
    wins = dict.fromkeys(settings, 0.0)
    for train, test in KFold(folds, shuffle=True, random_state=seed + 1000).split(x):
        for setting in settings:
            scores = fit(x[train], y[train], setting)(x[test])
            wins[setting] += float(chosen(scores, y[test]).sum())
    return max(settings, key=lambda s: wins[s])


def live(data: Committee, settings: Sequence[tuple[str, float, float]], seed: int) -> Array:
    """Wins as a device would have them, prompt after prompt, all peers unknown at first, p.

    Each prompt's weights come from the folds without it; the peers' quality comes from the
    texts of the prompts before it, in a random order, as `dmoa.selection.ranker.select`
    learns it.

    Args:
        data: the committee.
        settings: one a fold, as `nested` chose them.
        seed: of the folds (as in `nested`) and of the order.
    """
    evidence = np.zeros(data.y.shape)
    trust = np.zeros(len(data.y))
    folds = KFold(len(settings), shuffle=True, random_state=seed).split(data.x)
    for (train, test), (name, penalty, trust_) in zip(folds, settings, strict=True):
        w = pairwise(subset(data.x[train], name), data.y[train], penalty)
        evidence[test], trust[test] = subset(data.x[test], name) @ w, trust_
    return data.y[np.arange(len(data.y)), live_choices(evidence, trust, seed)]


def live_choices(evidence: Array, trust: Array, seed: int) -> Array:
    """Which draft is chosen when the peers are learnt of on the way, p."""
    peers = [str(i) for i in range(evidence.shape[1])]
    known = PeerQuality()
    choice = np.zeros(len(evidence), int)
    for p in np.random.default_rng(seed).permutation(len(evidence)):
        quality = np.array([known.of(peer) for peer in peers])
        choice[p] = (evidence[p] + trust[p] * quality).argmax()
        known.observe(peers, list(evidence[p]))
    return choice


# --- the table ---------------------------------------------------------------------------


def interval(difference: Array, resamples: int = 10_000, seed: int = 0) -> tuple[float, float]:
    """95 % bootstrap interval of the mean over prompts, in points."""
    rng = np.random.default_rng(seed)
    n = len(difference)
    means = np.array([difference[rng.integers(0, n, n)].mean() for _ in range(resamples)])
    low, high = np.percentile(100 * means, [2.5, 97.5])
    return float(low), float(high)


def first_half(prompts: Sequence[str]) -> Array:
    """The half of the prompts (by hash) on which features and learners were explored."""
    return np.array([hashlib.sha256(p.encode()).digest()[0] % 2 == 0 for p in prompts])


def learners() -> dict[str, tuple[Fit, list[Any]]]:
    """Names, fits and the settings that the inner folds choose from."""
    linear = list(itertools.product(SETS, PENALTIES))
    return {
        "ranker, drafts only": (fit_alone, [(*s, 0.0) for s in linear]),
        PEERS_LEARNT: (
            fit_alone,
            [(*s, t) for s in linear for t in TRUSTS],
        ),
        WIN_RATES_KNOWN: (fit_informed, linear),
        "ranker, one constant a model": (fit_identity, linear),
        "ridge on all features and identity": (fit_ridge, [100.0, 1000.0, 10000.0]),
        "gradient boosting, the same": (fit_boosting, [2, 3]),
        "random trees, the same": (fit_trees, [5, 10]),
        "linear and boosting together": (fit_both, [("agreement", 0.01, d) for d in (2, 3)]),
    }


def study(data: Committee, models: Sequence[str], seeds: int, quick: bool) -> dict[str, Any]:
    """All rows: name -> wins by prompt, averaged over seeds."""
    wins: dict[str, Array] = {model: data.y[:, i] for i, model in enumerate(models)}
    wins["random"] = data.y.mean(1)
    wins["longest"] = chosen(data.length, data.y)
    wins["medoid (TF-IDF)"] = data.y[np.arange(len(data.y)), data.medoid]
    picks: dict[str, Any] = {}
    spread: dict[str, list[float]] = {}
    for name, (fit, settings) in learners().items():
        heavy = fit in (fit_boosting, fit_trees, fit_both)
        if quick and heavy:
            continue
        runs, alive = [], []
        for seed in range(min(seeds, 2) if heavy else seeds):
            scores, settings_chosen = nested(data, fit, settings, seed)
            runs.append(chosen(scores, data.y))
            if name == PEERS_LEARNT:
                alive.append(live(data, settings_chosen, seed))
            picks.setdefault(name, []).extend(settings_chosen)
            print(f"{name}, seed {seed}: {100 * runs[-1].mean():.2f}", file=sys.stderr, flush=True)
        wins[name] = np.mean(runs, 0)
        spread[name] = [round(100 * float(run.mean()), 2) for run in runs]
        if alive:
            wins[f"{name}, on the way"] = np.mean(alive, 0)
            spread[f"{name}, on the way"] = [round(100 * float(run.mean()), 2) for run in alive]
    wins["oracle"] = data.y.max(1)
    best = max(models, key=lambda m: wins[m].mean())
    seen = first_half(data.prompts)
    rows = {}
    for name, w in wins.items():
        difference = w - wins[best]
        low, high = interval(difference)
        rows[name] = {
            "win_rate": round(100 * float(w.mean()), 2),
            "difference": round(100 * float(difference.mean()), 2),
            "interval": [round(low, 2), round(high, 2)],
            "explored_half": round(100 * float(w[seen].mean()), 2),
            "other_half": round(100 * float(w[~seen].mean()), 2),
            "other_half_difference": round(100 * float(difference[~seen].mean()), 2),
            "other_half_interval": [round(v, 2) for v in interval(difference[~seen])],
            "by_seed": spread.get(name),
        }
    return {"best_single": best, "rows": rows, "settings": _counted(picks)}


def _counted(picks: dict[str, list[Any]]) -> dict[str, dict[str, int]]:
    return {
        name: {str(s): chosen_.count(s) for s in sorted(set(chosen_), key=chosen_.count)[::-1][:4]}
        for name, chosen_ in picks.items()
    }


def weights(data: Committee, seed: int) -> dict[str, Any]:
    """The ranker that ships: settings by cross-validation, then fitted to all prompts."""
    fits = learners()
    fit, settings = fits[PEERS_LEARNT]
    alone = best_setting(data.x, data.y, fit, settings, seed, 10)
    fit, settings = fits[WIN_RATES_KNOWN]
    informed = best_setting(data.x, data.y, fit, settings, seed, 10)
    w_alone = pairwise(subset(data.x, alone[0]), data.y, alone[1])
    w_informed = pairwise(with_win_rates(subset(data.x, informed[0]), data.y), data.y, informed[1])
    return {
        "alone": _named(alone[0], w_alone),
        "trust": alone[2],
        "informed": _named(informed[0], w_informed[:-1]),
        "win_rate": float(f"{w_informed[-1]:.6g}"),
        "made": {
            "command": f"python -m benchmarks.select_recorded DIR --write FILE --seed {seed}",
            "data": f"AlpacaEval 2.0, {len(data.prompts)} prompts, published outputs and"
            f" judgements (weighted_alpaca_eval_gpt4_turbo) of {', '.join(COMMITTEE)}",
            "settings": {"alone": alone, "informed": informed},
        },
    }


def _named(name: str, w: Array) -> dict[str, float]:
    return {f: float(f"{v:.6g}") for f, v in zip(SETS[name], w, strict=True)}


def main() -> None:
    """Run the study, or write the weights."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0, help="of --write")
    parser.add_argument("--write", type=Path, help="fit to all prompts and write the weights")
    parser.add_argument("--quick", action="store_true", help="leave the trees out")
    parser.add_argument("--models", nargs="+", default=list(COMMITTEE))
    parser.add_argument("--advisers", nargs="*", default=[], help="peers that cannot be chosen")
    options = parser.parse_args()
    data = read(options.folder, options.models, options.advisers)
    if options.write:
        options.write.write_text(json.dumps(weights(data, options.seed), indent=1) + "\n")
        return
    result = study(data, options.models, options.seeds, options.quick)
    print(f"{'':42s} win rate  against the best single model")
    for name, row in result["rows"].items():
        low, high = row["interval"]
        print(
            f"{name:42s} {row['win_rate']:8.2f}  {row['difference']:+6.2f}"
            f" [{low:+.2f}, {high:+.2f}]"
        )
    print(json.dumps(result))


if __name__ == "__main__":
    main()
