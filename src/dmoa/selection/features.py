"""Numbers that describe a draft beside the other drafts of its committee.

Each feature is taken relative to the committee: minus the mean over its drafts, so that a
hard prompt or a long-winded committee says nothing about one draft. Names, in order, are
`FEATURES`; `describe` computes them.
"""

import math
import re
import zlib
from collections.abc import Callable, Sequence, Set
from itertools import pairwise
from typing import Any

from dmoa.selection.agreement import cosine, vectors, words

AGREEMENT = (
    "similarity_mean",  # TF-IDF cosine with the other drafts
    "similarity_max",
    "similarity_min",
    "pairs_of_words",  # Jaccard index of pairs of neighbouring words
    "opening",  # TF-IDF cosine of the first words
    "numbers",  # share of the draft's numbers that another draft has
    "names",  # share of the draft's capitalised words that some other draft has
    "covers",  # share of another draft's words that this one has
    "covered",  # share of this draft's words that another one has
)
SHAPE = (
    "length",  # logarithm of characters
    "distinct_words",  # share of words that are new
    "compressed",  # compressed size over size: low for repetitive text
    "repeated",  # share of runs of four words that stood before
    "finished",  # ends like a sentence, a list or a code block
    "refuses",  # opens with "I cannot ..." and the like
)
MARKUP = ("bold", "bullets", "numbered", "headings", "code")  # logarithms of counts
FEATURES = AGREEMENT + SHAPE + MARKUP

_OPENING = 40  # words
_NAME = re.compile(r"(?<=[a-z,] )[A-Z][a-z]+")
_BULLET = re.compile(r"^\s*[-*•+]\s", re.MULTILINE)
_NUMBERED = re.compile(r"^\s*(?:\*\*)?\d+[.)]\s", re.MULTILINE)
_HEADING = re.compile(r"^#", re.MULTILINE)
_REFUSAL = re.compile(
    r"\b(?:i can(?:'|no|’)t|i cannot|i am unable|i'm unable|as an ai|i'm sorry|i apologi[sz]e"
    r"|i do not have|i don't have)\b",
    re.IGNORECASE,
)


def describe(drafts: Sequence[str]) -> list[list[float]]:
    """Features of each draft relative to its committee.

    Args:
        drafts: n texts.

    Returns:
        n lists in the order of `FEATURES`; over the drafts each feature has mean 0.
    """
    texts = [words(draft) for draft in drafts]
    columns = [*_agreement(drafts, texts), *_shape(drafts, texts), *_markup(drafts)]
    centred = [[value - math.fsum(column) / len(column) for value in column] for column in columns]
    return [list(row) for row in zip(*centred, strict=True)]


def _agreement(drafts: Sequence[str], texts: Sequence[list[str]]) -> list[list[float]]:
    n = len(drafts)
    whole, opening = vectors(texts), vectors([text[:_OPENING] for text in texts])
    vocabulary = [set(text) for text in texts]
    pairs = [set(pairwise(text)) for text in texts]
    numbers = [{word for word in text if word[0].isdigit()} for text in texts]
    names = [set(_NAME.findall(draft)) for draft in drafts]

    similar = _with_others(n, lambda i, j: cosine(whole[i], whole[j]))
    covers = _with_others(n, lambda i, j: _share(vocabulary[j], vocabulary[i]), symmetric=False)
    covered = _with_others(n, lambda i, j: _share(vocabulary[i], vocabulary[j]), symmetric=False)
    return [
        [_mean(row) for row in similar],
        [max(row, default=0.0) for row in similar],
        [min(row, default=0.0) for row in similar],
        [_mean(row) for row in _with_others(n, lambda i, j: _jaccard(pairs[i], pairs[j]))],
        [_mean(row) for row in _with_others(n, lambda i, j: cosine(opening[i], opening[j]))],
        [
            _mean(row)
            for row in _with_others(n, lambda i, j: _share(numbers[i], numbers[j]), symmetric=False)
        ],
        [
            _share(own, set().union(*(other for j, other in enumerate(names) if j != i)))
            for i, own in enumerate(names)
        ],
        [_mean(row) for row in covers],
        [_mean(row) for row in covered],
    ]


def _shape(drafts: Sequence[str], texts: Sequence[list[str]]) -> list[list[float]]:
    return [
        [math.log1p(len(draft)) for draft in drafts],
        [len(set(text)) / max(1, len(text)) for text in texts],
        [_compressed(draft.encode("utf-8", "replace")) for draft in drafts],
        [_repeated(text) for text in texts],
        [float(draft.rstrip()[-1:] in set(".!?`)*\"|'")) for draft in drafts],
        [float(bool(_REFUSAL.search(draft[:300]))) for draft in drafts],
    ]


def _markup(drafts: Sequence[str]) -> list[list[float]]:
    counts: tuple[Callable[[str], int], ...] = (
        lambda draft: draft.count("**") // 2,
        lambda draft: len(_BULLET.findall(draft)),
        lambda draft: len(_NUMBERED.findall(draft)),
        lambda draft: len(_HEADING.findall(draft)),
        lambda draft: draft.count("```") // 2,
    )
    return [[math.log1p(count(draft)) for draft in drafts] for count in counts]


def _with_others(
    n: int, measure: Callable[[int, int], float], *, symmetric: bool = True
) -> list[list[float]]:
    """For each of n drafts, a measure of it with each of the others."""
    if not symmetric:
        return [[measure(i, j) for j in range(n) if j != i] for i in range(n)]
    rows: list[list[float]] = [[] for _ in range(n)]
    for i in range(n):
        for j in range(i):
            value = measure(i, j)
            rows[i].append(value)
            rows[j].append(value)
    return rows


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values) if values else 0.0


def _share(part: Set[Any], whole: Set[Any]) -> float:
    return len(part & whole) / max(1, len(part))


def _jaccard(a: Set[Any], b: Set[Any]) -> float:
    shared = len(a & b)
    return shared / max(1, len(a) + len(b) - shared)


def _compressed(raw: bytes) -> float:
    return len(zlib.compress(raw)) / max(1, len(raw))


def _repeated(text: Sequence[str]) -> float:
    runs = [tuple(text[i : i + 4]) for i in range(len(text) - 3)]
    return 1 - len(set(runs)) / max(1, len(runs))
