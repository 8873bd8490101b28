"""How a last layer's drafts become one answer.

* `synthesise`: the owner's LLM writes it from all drafts, as in arXiv 2412.21200;
* `select`: the best draft is the answer, without a last inference: the ranker's choice from
  agreement, length and what this device has learnt of each peer (`docs/selection.md`);
* `vote`: the most frequent short answer is.

With `early_stop`, layers end as soon as the drafts of one agree, and their answer is the
answer. With `fallback`, the committee is left out while it has not been worth asking.
"""

import re
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from dmoa.selection import consensus, ranker
from dmoa.selection.peers import PeerQuality

Method = Literal["synthesise", "select", "vote"]
# The ranker was fitted to long answers. Of short ones it takes the longer, which is the one
# that doubts (46 % right where a vote is in 63, `docs/quality.md`), so these are voted on.
SHORT_WORDS = 15

METHODS: tuple[Method, ...] = get_args(Method)

_SUFFIX = re.compile(r"-(select|vote|stop|fallback)")


@dataclass(frozen=True)
class Aggregation:
    """What is done with drafts; the suffix of a model's name."""

    method: Method = "synthesise"
    early_stop: bool = False
    fallback: bool = False

    @property
    def suffix(self) -> str:
        """As it stands in a model's name, such as `-select-stop`."""
        parts = [
            "" if self.method == "synthesise" else f"-{self.method}",
            "-stop" if self.early_stop else "",
            "-fallback" if self.fallback else "",
        ]
        return "".join(parts)

    @classmethod
    def from_suffix(cls, suffix: str) -> "Aggregation | None":
        """What a suffix means; None if it means nothing.

        Each part may stand once, and of `select` and `vote` one.
        """
        parts = _SUFFIX.findall(suffix)
        methods: list[Method] = [m for m in METHODS if m in parts]
        if _SUFFIX.sub("", suffix) or len(set(parts)) < len(parts) or len(methods) > 1:
            return None
        method: Method = methods[0] if methods else "synthesise"
        return cls(method, "stop" in parts, "fallback" in parts)


class Experience:
    """What a device has learnt from the layers of its own prompts.

    Nothing of it is told by peers: it follows from their drafts alone.

    Attributes:
        quality: of each LLM, by its device's id.
    """

    OBSERVED = 20
    """Layers that must have been seen before the committee may be left out."""

    HOPELESS = 0.9
    """Share of them in which the own draft was the best one."""

    EXPLORE = 10
    """While it is left out, every so-many-th prompt asks it all the same."""

    def __init__(self) -> None:
        self.quality = PeerQuality()
        self._own_was_best: deque[bool] = deque(maxlen=100)
        self._left_out = 0

    def choose(self, method: Method, drafts: Sequence[str], devices: Sequence[str]) -> int:
        """Index of the draft that answers; learns from the layer.

        Args:
            method: `vote`, otherwise the ranker chooses.
            drafts: at least one; the own one first.
            devices: who wrote each.
        """
        best = ranker.select(drafts, devices, self.quality)
        if max(len(draft.split()) for draft in drafts) <= SHORT_WORDS:
            best = consensus.vote(drafts)
        if len(drafts) > 1:
            self._own_was_best.append(best == 0)
        return consensus.vote(drafts) if method == "vote" else best

    def leaves_committee_out(self) -> bool:
        """Whether the own LLM should answer alone, because others' drafts are hardly ever better.

        Every tenth time the committee is asked all the same: peers and tasks change.
        """
        seen = len(self._own_was_best)
        if seen < self.OBSERVED or sum(self._own_was_best) < self.HOPELESS * seen:
            return False
        self._left_out += 1
        return self._left_out % self.EXPLORE != 0


def agreed(drafts: Sequence[str]) -> int | None:
    """Index of the draft that stands for all, if a layer's drafts say the same."""
    return consensus.select(drafts) if consensus.agree(drafts) else None
