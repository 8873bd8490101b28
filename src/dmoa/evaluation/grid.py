"""What an experiment varies: layers M, extra proposers k, and what is done with the drafts."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from dmoa.errors import UsageError
from dmoa.policies.limits import LIMITS
from dmoa.protocol.aggregation import METHODS, Aggregation, Method

_ROW = re.compile(r"m?(\d{1,3})-k?(\d{1,3})")


@dataclass(frozen=True, order=True)
class Row:
    """M layers with k extra proposers each."""

    layers: int
    proposers: int

    @property
    def tasks(self) -> int:
        """Inferences of a prompt, the aggregation included (arXiv 2412.21200)."""
        return (self.proposers + 1) * self.layers + 1


PAPER_ROWS = (Row(0, 0), Row(1, 1), Row(1, 2), Row(2, 1), Row(2, 2), Row(1, 3), Row(2, 3))
"""The rows of the paper's tables, in their order."""


@dataclass(frozen=True)
class Way:
    """One way of answering a question.

    Attributes:
        greedy: temperature 0 instead of the LLM's own.
        sample: tells repeated answers of one LLM apart.
    """

    row: Row
    method: Method = "synthesise"
    greedy: bool = False
    sample: int = 0

    @property
    def aggregation(self) -> Aggregation:
        """What is done with the drafts."""
        return Aggregation(self.method)

    @property
    def tasks(self) -> int:
        """Inferences that it spends."""
        chosen = self.method != "synthesise" and self.row.layers > 0
        return self.row.tasks - chosen

    @property
    def name(self) -> str:
        """As results files call it, such as `m1-k3-select`."""
        size = f"m{self.row.layers}-k{self.row.proposers}{self.aggregation.suffix}"
        return f"{size}{'-greedy' if self.greedy else ''}{f'#{self.sample}' if self.sample else ''}"


def alone(sample: int = 0, *, greedy: bool = False) -> Way:
    """One LLM without the others."""
    return Way(Row(0, 0), greedy=greedy, sample=sample)


def rows_of(text: str, devices: int) -> list[Row]:
    """The rows that `--rows` names.

    Args:
        text: `paper`, or rows such as `m1-k3,m2-k3`.
        devices: how many there are.

    Raises:
        UsageError: a row makes no sense, or needs more devices.
    """
    if text == "paper":
        found = list(PAPER_ROWS)
    else:
        found = [_row(part.strip()) for part in text.split(",")]
    for row in found:
        if row.proposers >= devices:
            raise UsageError(
                f"row m{row.layers}-k{row.proposers}: k = {row.proposers} other devices, but"
                f" there are {devices - 1}; take k up to {devices - 1}"
            )
    return list(dict.fromkeys(found))


def _row(text: str) -> Row:
    match = _ROW.fullmatch(text)
    if match is None:
        raise UsageError(
            f"--rows: {text!r} is no row; write rows such as m1-k3,m2-k3 (M layers, k other"
            " devices), or paper"
        )
    row = Row(int(match[1]), int(match[2]))
    if row.layers > LIMITS.layers:
        raise UsageError(f"--rows: M = {row.layers} layers in {text!r}; at most {LIMITS.layers}")
    if (row.layers == 0) != (row.proposers == 0):
        raise UsageError(
            f"--rows: {text!r} asks for M = {row.layers} and k = {row.proposers}; without layers"
            " nobody else is asked (m0-k0), and a layer of the own LLM alone is no committee"
        )
    return row


def methods_of(text: str) -> list[Method]:
    """The methods that `--method` names, separated by commas.

    Raises:
        UsageError: there is no such method.
    """
    found: list[Method] = []
    for part in text.split(","):
        known = [method for method in METHODS if method == part.strip()]
        if not known:
            raise UsageError(f"--method: {part.strip()!r} is none of {', '.join(METHODS)}")
        found += known
    return list(dict.fromkeys(found))


def one_of(text: str, known: Sequence[str], flag: str) -> list[str]:
    """Names separated by commas, each one of those that are known.

    Raises:
        UsageError: one is not.
    """
    found = [part.strip() for part in text.split(",")]
    for part in found:
        if part not in known:
            raise UsageError(f"{flag}: {part!r} is none of {', '.join(known)}")
    return list(dict.fromkeys(found))
