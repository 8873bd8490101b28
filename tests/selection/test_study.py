"""The study's own machinery, on made-up drafts; needs the extra `eval`."""

import json
import random
from pathlib import Path

import pytest

pytest.importorskip("sklearn", reason="the extra `eval` is not installed")

import numpy as np
from benchmarks.select_recorded import (
    SETS,
    best_setting,
    chosen,
    fit_alone,
    interval,
    live_choices,
    nested,
    pairwise,
    read,
)

WORDS = "river stone bread north engine paper silver garden winter copper lantern".split()  # noqa: SIM905


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three models that repeat a common text; the more of it, the better they are judged."""
    folder = tmp_path_factory.mktemp("recorded")
    rng = random.Random(5)
    rows: dict[str, list[dict[str, object]]] = {"ada": [], "bob": [], "cyd": []}
    for i in range(60):
        truth = rng.sample(WORDS, 8)
        for share, model in zip((6, 4, 2), rows, strict=True):
            known = share + rng.choice((-1, 0, 1, 2))
            text = " ".join(truth[:known] + [f"noise{rng.random()}" for _ in range(8 - known)])
            row = {"instruction": f"p{i}", "output": text, "generator": model}
            rows[model].append({**row, "preference": 1 + known / 8})
    for model, lines in rows.items():
        (folder / f"{model}.jsonl").write_text("\n".join(map(json.dumps, lines)))
    return folder


def test_the_ranker_learns_that_confirmed_drafts_win(folder: Path) -> None:
    data = read(folder, ["ada", "bob", "cyd"])
    scores, settings = nested(data, fit_alone, [("agreement", 0.1, 0.0)], seed=1, folds=5)
    assert settings == [("agreement", 0.1, 0.0)] * 5
    assert chosen(scores, data.y).mean() > data.y.mean() + 0.1


def test_judgements_without_meaning_teach_nothing(folder: Path) -> None:
    data = read(folder, ["ada", "bob", "cyd"])
    noise = np.random.default_rng(1).uniform(size=(400, 3))
    x = np.tile(data.x, (7, 1, 1))[:400]
    w = pairwise(x, noise, 0.01)
    true = pairwise(x, np.tile(data.y, (7, 1))[:400], 0.01)
    assert np.linalg.norm(w) < np.linalg.norm(true) / 2


def test_advisers_shape_the_features_and_are_never_chosen(folder: Path) -> None:
    alone, advised = read(folder, ["bob", "cyd"]), read(folder, ["bob", "cyd"], ["ada"])
    assert advised.x.shape == alone.x.shape
    assert not np.allclose(advised.x, alone.x)
    assert advised.x.mean(1) == pytest.approx(0, abs=1e-9)


def test_settings_are_chosen_by_wins_in_the_training_prompts(folder: Path) -> None:
    data = read(folder, ["ada", "bob", "cyd"])
    good, bad = ("agreement", 0.1, 0.0), ("agreement", 0.1, -1000.0)
    assert best_setting(data.x, data.y, fit_alone, [bad, good], seed=1) == good


def test_peers_are_learnt_on_the_way() -> None:
    evidence = np.tile([[0.1, -0.1]], (200, 1))
    evidence[::2] = [-0.05, 0.05]  # the better peer has worse days
    trusting = live_choices(evidence, np.full(200, 10.0), seed=1)
    assert (trusting == 0).mean() > (live_choices(evidence, np.zeros(200), seed=1) == 0).mean()


def test_the_interval_covers_the_mean_and_narrows() -> None:
    rng = np.random.default_rng(2)
    difference = rng.normal(0.02, 0.1, 2000)
    low, high = interval(difference)
    assert low < 100 * difference.mean() < high
    assert high - low == pytest.approx(2 * 1.96 * 10 / 2000**0.5, rel=0.1)


def test_the_sets_of_features_are_nested() -> None:
    sizes = [len(names) for names in SETS.values()]
    assert sizes == sorted(sizes)
