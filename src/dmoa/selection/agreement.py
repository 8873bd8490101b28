"""How much the drafts of one committee say the same: lexical agreement, in plain Python.

Drafts are compared as TF-IDF vectors of their words. The document frequencies come from
the drafts themselves, so no table is shipped and any language with words works. A
committee of 65 drafts of a few KB takes well under a second on one core.
"""

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence

_WORD = re.compile(r"\w+(?:[.,]\d+)*")

Vector = dict[str, float]
"""A sparse vector of length 1 (or empty)."""


def words(text: str) -> list[str]:
    """Words of a text in lower case; `1,000.5` and `3.14` stay whole."""
    return _WORD.findall(text.lower())


def vectors(documents: Sequence[Iterable[str]]) -> list[Vector]:
    """TF-IDF vectors of documents given as terms.

    Term frequency is damped (1 + ln tf) and the inverse document frequency smoothed,
    ln((1 + n) / (1 + df)) + 1, as is usual (Manning et al., Introduction to Information
    Retrieval, chapter 6).

    Args:
        documents: n documents, each an iterable of terms.

    Returns:
        n vectors of Euclidean length 1; a document without terms gives an empty one.
    """
    counts = [Counter(document) for document in documents]
    frequency = Counter(term for count in counts for term in count)
    idf = {t: math.log((1 + len(counts)) / (1 + df)) + 1 for t, df in frequency.items()}
    return [
        _normalised({term: (1 + math.log(tf)) * idf[term] for term, tf in count.items()})
        for count in counts
    ]


def _normalised(vector: Vector) -> Vector:
    length = math.sqrt(sum(weight * weight for weight in vector.values()))
    return {term: weight / length for term, weight in vector.items()} if length else {}


def cosine(a: Vector, b: Vector) -> float:
    """Cosine of the angle between two vectors of length 1: 0 (nothing shared) to 1."""
    if len(a) > len(b):
        a, b = b, a
    return min(1.0, sum(weight * b[term] for term, weight in a.items() if term in b))


def similarities(drafts: Sequence[str]) -> list[list[float]]:
    """Pairwise agreement of drafts.

    Args:
        drafts: n texts.

    Returns:
        A symmetric n by n matrix of cosines in [0, 1]. The diagonal is 1, also for a
        draft without words, which agrees with no other.
    """
    vs = vectors([words(draft) for draft in drafts])
    n = len(vs)
    matrix = [[1.0] * n for _ in range(n)]
    for i in range(n):
        for j in range(i):
            matrix[i][j] = matrix[j][i] = cosine(vs[i], vs[j])
    return matrix
