"""What a device has learnt of each peer's answers, from what it saw itself.

A peer is never asked how good it is. Each layer shows how the ranker scores every draft
beside the others, by their texts alone; a peer whose drafts keep scoring above those beside
them earns a higher quality. Judged drafts can be learnt from in the same way.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from dmoa.policies.limits import LIMITS

MEMORY = 500.0
"""Observations that an estimate remembers; older ones fade, so that a changed peer shows."""

NEWCOMER = 10.0
"""Observations' worth of doubt: a new peer counts as average until it has shown itself."""


@dataclass
class Standing:
    """Running mean of what one peer's drafts were worth, and its weight in observations."""

    mean: float = 0.0
    weight: float = 0.0


@dataclass
class PeerQuality:
    """Quality of peers by name, learnt locally.

    Attributes:
        standings: the estimates, those of the peers observed last at the end; keep them over
            restarts as they are. There are at most `LIMITS.standings`: who has not been
            observed for longest is forgotten.
    """

    standings: dict[str, Standing] = field(default_factory=dict)

    def of(self, peer: str) -> float:
        """Quality in units of the evidence: 0 for an average or unknown peer."""
        seen = self.standings.get(peer)
        return 0.0 if seen is None else seen.mean * seen.weight / (seen.weight + NEWCOMER)

    def observe(self, peers: Sequence[str], evidence: Sequence[float]) -> None:
        """Learn from the drafts of one layer.

        Args:
            peers: who wrote each draft.
            evidence: what each draft was worth, for example `Ranker.evidence`; only
                differences within the layer count.

        Raises:
            ValueError: the lengths differ.
        """
        if len(peers) != len(evidence):
            raise ValueError(f"{len(peers)} peers for the evidence of {len(evidence)} drafts")
        if len(peers) < 2:  # nothing to compare with
            return
        average = math.fsum(evidence) / len(evidence)
        for peer, value in zip(peers, evidence, strict=True):
            seen = self.standings.pop(peer, None) or Standing()
            self.standings[peer] = seen
            seen.weight = min(seen.weight + 1, MEMORY)
            seen.mean += (value - average - seen.mean) / seen.weight
        while len(self.standings) > LIMITS.standings:
            del self.standings[next(iter(self.standings))]
