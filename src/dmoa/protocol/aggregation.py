"""How a last layer's drafts become one answer.

* `synthesise`: the owner's LLM writes it from all drafts, as in arXiv 2412.21200;
* `select`: the best draft is the answer, without a last inference: the ranker's choice from
  agreement, length and what this device has learnt of each peer (`docs/selection.md`);
* `vote`: the most frequent short answer is.

With `early_stop`, layers end as soon as the drafts of one agree, and their answer is the
answer. With `fallback`, the committee is left out while it has not been worth asking
(`experience.py`).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from dmoa.selection import consensus

Method = Literal["synthesise", "select", "vote"]
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


def agreed(drafts: Sequence[str]) -> int | None:
    """Index of the draft that stands for all, if a layer's drafts say the same."""
    return consensus.select(drafts) if consensus.agree(drafts) else None
