"""Load of variants of the protocol: answers that are selected, layers that stop early.

Each is the mean service time that one prompt asks of a device, times its user's rate, for
equal devices; below 1 the network is stable. They follow from counting tasks as in Theorem 1
and are exact under the assumption that `mean_layers` states.
"""

from dmoa.errors import UsageError
from dmoa.theory.checks import check_not_negative, check_positive


def mean_layers(layers: int, agreement: float) -> float:
    """Layers that a prompt goes through when it stops at the first one that agrees.

    E = (1 - (1-p)^M) / p, if every layer agrees with the same probability p independently.
    Prompts differ, so measure the mean number of layers where you can: the mean of p put in
    here gives too few.
    """
    _check_probability(agreement)
    if agreement == 0:
        return float(layers)
    return (1 - (1 - agreement) ** layers) / agreement


def load_selected(alpha: float, rate: float, layers: int, proposers: int) -> float:
    """Load when an answer is selected among the last layer's, without a last inference."""
    _check(alpha, rate)
    tasks = (proposers + 1) * layers if layers else 1
    return alpha * tasks * rate


def load_early_stop(
    alpha: float, rate: float, layers: int, proposers: int, agreement: float
) -> float:
    """Load when layers stop at agreement and the own LLM then aggregates."""
    _check(alpha, rate)
    return alpha * ((proposers + 1) * mean_layers(layers, agreement) + 1) * rate


def load_early_answer(
    alpha: float, rate: float, layers: int, proposers: int, agreement: float
) -> float:
    """Load when the draft that agreed is the answer; others are aggregated after layer M."""
    _check(alpha, rate)
    aggregated = (1 - agreement) ** layers
    return alpha * ((proposers + 1) * mean_layers(layers, agreement) + aggregated) * rate


def load_early_selected(
    alpha: float, rate: float, layers: int, proposers: int, agreement: float
) -> float:
    """Load when layers stop at agreement and an answer is always selected."""
    _check(alpha, rate)
    if layers == 0:
        return alpha * rate
    return alpha * (proposers + 1) * mean_layers(layers, agreement) * rate


def _check(alpha: float, rate: float) -> None:
    check_positive("alpha", alpha)
    check_not_negative("rate", rate)


def _check_probability(value: float) -> None:
    if not 0 <= value <= 1:
        raise UsageError(f"agreement is {value}; use a probability, 0 to 1")
