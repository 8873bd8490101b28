"""Consensus of drafts: the one that the others support most, and whether they agree at all.

The medoid (the draft with the highest mean similarity to the others) is the text's
counterpart of a majority: what several devices say independently is more likely right
(minimum Bayes risk decoding: Kumar & Byrne 2004; Eikema & Aziz, EMNLP 2020).
"""

import re
from collections import defaultdict
from collections.abc import Sequence

from dmoa.selection.agreement import similarities

AGREED = 0.8
"""Similarity from which two drafts count as saying the same."""

_OUTER = ".,;:!?\"'`*_()[]{}<>“”‘’«»…"
_INTRODUCTIONS = (["the", "answer", "is"], ["answer"], ["it", "is"], ["it's"])
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?:\D|$))")


def support(drafts: Sequence[str]) -> list[float]:
    """Mean similarity of each draft to the others, 0 to 1; 1 for a draft that is alone."""
    if len(drafts) == 1:
        return [1.0]
    return [(sum(row) - 1) / (len(drafts) - 1) for row in similarities(drafts)]


def select(drafts: Sequence[str]) -> int:
    """Index of the medoid; empty drafts are chosen last, ties go to the first.

    Args:
        drafts: at least one text, the own draft first, so that a tie costs no transfer.

    Raises:
        ValueError: there is no draft.
    """
    if not drafts:
        raise ValueError("no draft to select from")
    supported = support(drafts)
    return max(range(len(drafts)), key=lambda i: (bool(drafts[i].strip()), supported[i], -i))


def vote(drafts: Sequence[str]) -> int:
    """Index of the first draft that gives the most frequent short answer.

    Answers are the same when their words are (`normalised`). Of equally frequent answers
    the one that was given first wins; empty drafts have no vote.

    Raises:
        ValueError: there is no draft.
    """
    if not drafts:
        raise ValueError("no draft to vote on")
    voters: dict[str, list[int]] = defaultdict(list)
    for i, draft in enumerate(drafts):
        voters[normalised(draft)].append(i)
    return max(voters.items(), key=lambda item: (item[0] != "", len(item[1]), -item[1][0]))[1][0]


def normalised(answer: str) -> str:
    """A short answer without case, articles, outer punctuation and what introduces it.

    `The answer is **Paris**.` and `paris` are the same, and so are `1,000` and `1000`;
    `3.5` and `35`, `-3` and `3`, `C` and `C++` are not.
    """
    said = [word.strip(_OUTER) for word in answer.casefold().split()]
    said = [word for word in said if word]
    for introduction in _INTRODUCTIONS:
        if said[: len(introduction)] == introduction and len(said) > len(introduction):
            said = said[len(introduction) :]
    meant = [word for word in said if word not in {"a", "an", "the"}] or said
    return " ".join(_THOUSANDS.sub("", word) for word in meant)


def agree(drafts: Sequence[str], threshold: float = AGREED, quorum: float = 1.0) -> bool:
    """Whether a layer may stop here: enough drafts say the same as its medoid.

    Drafts with equal `normalised` answers agree whatever the threshold. One draft alone
    does not agree: nobody has confirmed it.

    Args:
        drafts: texts of one layer.
        threshold: similarity from which a draft agrees with the medoid, 0 to 1.
        quorum: share of the drafts, the medoid included, that must agree, 0 to 1.
    """
    if len(drafts) < 2 or not all(draft.strip() for draft in drafts):
        return False
    answers = [normalised(draft) for draft in drafts]
    row = similarities(drafts)[centre := select(drafts)]
    same = sum(answers[i] == answers[centre] or row[i] >= threshold for i in range(len(drafts)))
    return same >= max(2, quorum * len(drafts))
