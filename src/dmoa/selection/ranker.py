"""A ranker of drafts, learnt from published judgements: which draft would a judge prefer?

A draft's score is linear in its features (`features`), as in a Bradley-Terry model fitted
to pairs of drafts. What is known of the peers adds to it:

- nothing given: the peers count as equal, or as what `PeerQuality` learnt of them from the
  same scores over earlier prompts (no judgement needed);
- win rates given, for example from `dmoa eval` or a leaderboard: a second set of weights,
  fitted beside the win rates.

The weights ship in `ranker.json`, with the data, seed and command that made them;
`docs/selection.md` has the study. `consensus.select` needs none of this.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from dmoa.selection.features import FEATURES, describe
from dmoa.selection.peers import PeerQuality


@dataclass(frozen=True)
class Ranker:
    """Weights by feature name, and what the peers' quality adds.

    Attributes:
        alone: weights when only the drafts are known.
        trust: what a peer's quality, learnt from the scores with `alone`, weighs beside
            the score of its draft.
        informed: weights beside known win rates.
        win_rate: weight of a win rate (0 to 1).
    """

    alone: dict[str, float]
    trust: float
    informed: dict[str, float]
    win_rate: float

    def evidence(self, drafts: Sequence[str]) -> list[float]:
        """Scores of drafts by their texts alone, with mean 0: what `PeerQuality` learns from."""
        return _scores(drafts, self.alone)

    def rank(self, drafts: Sequence[str], quality: Sequence[float] | None = None) -> list[float]:
        """Scores of drafts, higher is better.

        Args:
            drafts: n texts.
            quality: of each draft's peer, from `PeerQuality.of`; None for equal peers.

        Raises:
            ValueError: the lengths differ.
        """
        return _plus(self.evidence(drafts), quality, self.trust)

    def rank_informed(self, drafts: Sequence[str], win_rates: Sequence[float]) -> list[float]:
        """As `rank`, with the win rate (0 to 1) of each draft's LLM against one baseline."""
        return _plus(_scores(drafts, self.informed), win_rates, self.win_rate)


@cache
def shipped() -> Ranker:
    """The ranker that comes with dmoa."""
    text = resources.files("dmoa.selection").joinpath("ranker.json").read_text("utf-8")
    return ranker_from(json.loads(text))


def ranker_from(weights: dict[str, Any]) -> Ranker:
    """A ranker from the object that `ranker.json` holds.

    Raises:
        ValueError: it weighs a feature that does not exist.
    """
    ranker = Ranker(**{name: weights[name] for name in ("alone", "trust", "informed", "win_rate")})
    unknown = (ranker.alone.keys() | ranker.informed.keys()) - set(FEATURES)
    if unknown:
        raise ValueError(f"no feature is called {', '.join(sorted(unknown))}")
    return ranker


def select(
    drafts: Sequence[str],
    peers: Sequence[str],
    known: PeerQuality,
    *,
    win_rates: Sequence[float] | None = None,
    ranker: Ranker | None = None,
) -> int:
    """Index of the best draft, and learn from this layer for the next.

    Args:
        drafts: at least one text, the own draft first, so that a tie costs no transfer.
        peers: who wrote each.
        known: what this device has learnt of the peers; this layer is added to it.
        win_rates: of each draft's LLM, 0 to 1 against one baseline, where all are known
            from a source of this device's own; they then count instead of `known`.
        ranker: the shipped one if None.

    Raises:
        ValueError: there is no draft, or the lengths differ.
    """
    if not drafts:
        raise ValueError("no draft to select from")
    ranker = ranker or shipped()
    evidence = ranker.evidence(drafts)
    if win_rates is None:
        scores = _plus(evidence, [known.of(peer) for peer in peers], ranker.trust)
    else:
        scores = ranker.rank_informed(drafts, win_rates)
    known.observe(peers, evidence)
    return best(drafts, scores)


def best(drafts: Sequence[str], scores: Sequence[float]) -> int:
    """Index of the highest score; empty drafts come last, ties go to the first."""
    return max(range(len(drafts)), key=lambda i: (bool(drafts[i].strip()), scores[i], -i))


def _scores(drafts: Sequence[str], weights: dict[str, float]) -> list[float]:
    weight = [weights.get(name, 0.0) for name in FEATURES]
    return [math.fsum(w * x for w, x in zip(weight, row, strict=True)) for row in describe(drafts)]


def _plus(scores: list[float], quality: Sequence[float] | None, weight: float) -> list[float]:
    if quality is None:
        return scores
    if len(quality) != len(scores):
        raise ValueError(f"{len(quality)} qualities for {len(scores)} drafts")
    return [score + weight * q for score, q in zip(scores, quality, strict=True)]
