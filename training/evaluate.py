"""The table of PocketQA: accuracy by layers M and neighbours k, with every baseline.

For each row, model and question one bit is kept: right or wrong. Intervals and paired
comparisons are computed from these bits later (`training/report.py`), on any machine.
"""

import random
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from dmoa.evaluation.pocketqa import answer_of, is_right, is_sure, without_confidence
from dmoa.evaluation.pocketqa.world import MODELS, Question
from training.examples import prompt

Ask = Callable[[Sequence[Sequence[str]], float], list[list[str]]]
"""Prompts for each model and a temperature in, replies of each model out."""
Bits = dict[str, NDArray[np.bool_]]
"""Row name -> right or wrong [models, questions]; the model is the owner of the question."""
Teams = list[list[list[int]]]

NETS = ("same", "diverse")
NEIGHBOURS = (0, 1, 2, 3)
LAYERS = (1, 2)


def evaluate(
    ask: Ask, questions: Sequence[Question], temperature: float = 0.7, seed: int = 0
) -> Bits:
    """All rows of the table.

    Row names: `alone T`, `NET M=m k=k T` with the final answer at temperature T, `hidden ...`
    for drafts without their confidence, and per net and k `plurality` and `some right` of the
    drafts of the first layer, and `sure plurality`, which counts only drafts that are sure.
    """
    rng = random.Random(f"neighbours {seed}")
    texts = [q.text for q in questions]
    n = len(texts)
    alone = [[prompt(t) for t in texts]] * MODELS
    bits: Bits = {}
    for final in (temperature, 0.0):
        bits[f"alone T={final}"] = _right(ask(alone, final), questions)
    samples = [ask(alone, temperature) for _ in range(max(NEIGHBOURS) + 1)]
    others = [
        [rng.sample([j for j in range(MODELS) if j != m], MODELS - 1) for _ in range(n)]
        for m in range(MODELS)
    ]
    for net in NETS:
        for k in NEIGHBOURS:
            if net == "diverse" and k == 0:
                continue  # the same as for the other net
            teams: Teams = [
                [[m, *(others[m][i][:k] if net == "diverse" else [m] * k)] for i in range(n)]
                for m in range(MODELS)
            ]
            drafts = [
                [[samples[s][j][i] for s, j in enumerate(teams[m][i])] for i in range(n)]
                for m in range(MODELS)
            ]
            for name, rule in _RULES.items():
                bits[f"{name} {net} k={k}"] = _of_drafts(drafts, questions, rule)
            for hidden in (False, True):
                _rows(ask, questions, temperature, net, k, teams, drafts, hidden, bits)
    return bits


def _rows(
    ask: Ask,
    questions: Sequence[Question],
    temperature: float,
    net: str,
    k: int,
    teams: Teams,
    drafts: list[list[list[str]]],
    hidden: bool,
    bits: Bits,
) -> None:
    """The rows of one network: each number of layers, each temperature of the last answer."""
    shown = _hide(drafts) if hidden else drafts
    for layers in LAYERS:
        if layers > 1:
            shown = _next_layer(ask, questions, temperature, teams, shown)
            shown = _hide(shown) if hidden else shown
        last = [
            [prompt(q.text, shown[m][i]) for i, q in enumerate(questions)] for m in range(MODELS)
        ]
        for final in (temperature,) if hidden else (temperature, 0.0):
            name = f"{'hidden ' if hidden else ''}{net} M={layers} k={k} T={final}"
            bits[name] = _right(ask(last, final), questions)


def _next_layer(
    ask: Ask,
    questions: Sequence[Question],
    temperature: float,
    teams: Teams,
    shown: list[list[list[str]]],
) -> list[list[list[str]]]:
    """Every member of every team answers again, given the drafts of its team."""
    made = [[[""] * len(team) for team in per_owner] for per_owner in teams]
    for slot in range(len(teams[0][0])):
        jobs: list[list[tuple[int, int]]] = [[] for _ in range(MODELS)]
        for m, per_owner in enumerate(teams):
            for i, team in enumerate(per_owner):
                jobs[team[slot]].append((m, i))
        prompts = [[prompt(questions[i].text, shown[m][i]) for m, i in mine] for mine in jobs]
        longest = max(map(len, prompts))
        filled = [p + [prompt("Hi.")] * (longest - len(p)) for p in prompts]
        for mine, replies in zip(jobs, ask(filled, temperature), strict=True):
            for (m, i), reply in zip(mine, replies, strict=False):
                made[m][i][slot] = reply
    return made


def plurality(drafts: Sequence[str]) -> str:
    """The most frequent answer; of equally frequent ones the first, which is the owner's."""
    answers = [answer_of(d) for d in drafts]
    return max(answers, key=answers.count)


def sure_plurality(drafts: Sequence[str]) -> str:
    """The most frequent answer among the drafts that are sure, or among all if none is."""
    return plurality([d for d in drafts if is_sure(d)] or drafts)


_RULES: dict[str, Callable[[Sequence[str], Question], bool]] = {
    "plurality": lambda drafts, q: plurality(drafts) == q.answer,
    "sure plurality": lambda drafts, q: sure_plurality(drafts) == q.answer,
    "some right": lambda drafts, q: any(is_right(d, q) for d in drafts),
}


def _hide(drafts: list[list[list[str]]]) -> list[list[list[str]]]:
    return [[[without_confidence(d) for d in team] for team in owner] for owner in drafts]


def _right(replies: list[list[str]], questions: Sequence[Question]) -> NDArray[np.bool_]:
    return np.array(
        [[is_right(r, q) for r, q in zip(mine, questions, strict=True)] for mine in replies]
    )


def _of_drafts(
    drafts: list[list[list[str]]],
    questions: Sequence[Question],
    rule: Callable[[Sequence[str], Question], bool],
) -> NDArray[np.bool_]:
    return np.array([[rule(d, q) for d, q in zip(mine, questions, strict=True)] for mine in drafts])


def save(bits: Bits, path: str) -> None:
    """Write the bits compactly."""
    packed = {name: np.packbits(row, axis=1) for name, row in bits.items()}
    n = next(iter(bits.values())).shape[1]
    np.savez_compressed(path, questions=np.array(n), **packed)  # type: ignore[arg-type]


def load(path: str) -> Bits:
    """Read what `save` wrote."""
    with np.load(path) as saved:
        n = int(saved["questions"])
        return {
            name: np.unpackbits(saved[name], axis=1, count=n).astype(bool)
            for name in saved.files
            if name != "questions"
        }
