"""What a device learns from the drafts of its own prompts: who is good, and whether to ask.

Nothing of it is told by peers: it follows from their drafts alone, layer by layer, whatever is
done with the drafts afterwards.
"""

from collections import deque
from collections.abc import Sequence

import msgspec

from dmoa.policies.limits import LIMITS
from dmoa.selection import consensus, ranker
from dmoa.selection.peers import PeerQuality

SHORT_WORDS = 15
"""The ranker was fitted to long answers. Of short ones it takes the longer, which is the one
that doubts (46 % right where a vote is in 63, `docs/quality.md`), so these are voted on."""


class KeptExperience(msgspec.Struct, frozen=True):
    """What a device has learnt, as it is kept between its runs."""

    quality: PeerQuality
    own_was_best: list[bool]
    hopeless_prompts: int


class Experience:
    """What a device has learnt from the layers of its own prompts.

    Args:
        kept: what it had learnt before.

    Attributes:
        quality: of each LLM, by its device's id.
    """

    OBSERVED = 20
    """Layers that must have been seen before the committee may be left out."""

    HOPELESS = 0.9
    """Share of them in which the own draft was the best one."""

    EXPLORE = 10
    """While it is hopeless, every so-many-th prompt asks it all the same."""

    def __init__(self, kept: KeptExperience | None = None) -> None:
        kept = kept or KeptExperience(PeerQuality(), [], 0)
        self.quality = kept.quality
        self._own_was_best: deque[bool] = deque(kept.own_was_best, maxlen=100)
        self._hopeless_prompts = kept.hopeless_prompts

    def kept(self) -> KeptExperience:
        """What is kept of it."""
        return KeptExperience(self.quality, list(self._own_was_best), self._hopeless_prompts)

    def learn(self, drafts: Sequence[str], devices: Sequence[str]) -> int:
        """Take in the drafts of a layer; returns the index of the best one.

        Args:
            drafts: at least one; the own one first, so that on a tie it wins.
            devices: who wrote each.
        """
        # Judging drafts takes time of the owner's device, and others say how long theirs are.
        each = LIMITS.judged_characters // len(drafts)
        drafts = [draft[:each] for draft in drafts]
        best = ranker.select(drafts, devices, self.quality)
        if max(len(draft.split()) for draft in drafts) <= SHORT_WORDS:
            best = consensus.vote(drafts)
        if len(drafts) > 1:
            self._own_was_best.append(best == 0)
        return best

    @property
    def hopeless(self) -> bool:
        """Whether the others' drafts are hardly ever better than the own ones."""
        seen = len(self._own_was_best)
        return seen >= self.OBSERVED and sum(self._own_was_best) >= self.HOPELESS * seen

    @property
    def explores(self) -> bool:
        """Whether the next prompt asks the committee even so: peers and tasks change."""
        return (self._hopeless_prompts + 1) % self.EXPLORE == 0

    def count_hopeless_prompt(self) -> None:
        """A prompt came while the committee was hopeless."""
        self._hopeless_prompts += 1
