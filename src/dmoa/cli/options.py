"""Options that several commands share."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from dmoa.protocol.aggregation import Aggregation

Node = Annotated[str, typer.Option(help="URL of the node.", envvar="DMOA_NODE")]
Model = Annotated[
    str, typer.Option(help="dmoa, dmoa-mM-kK (M layers, k other devices), or the node's own model.")
]
MaxTokens = Annotated[
    int | None, typer.Option(min=1, help="Longest answer, and longest draft, in tokens.")
]
Temperature = Annotated[
    float | None, typer.Option(min=0.0, max=2.0, help="0 for the likeliest words.")
]
Key = Annotated[
    str | None,
    typer.Option(envvar="DMOA_API_KEY", help="The node's API key; better in the environment."),
]
How = Annotated[
    str,
    typer.Option(
        help="What is done with the drafts: synthesise, select (the best is the answer) or vote."
    ),
]
EarlyStop = Annotated[
    bool, typer.Option("--early-stop", help="Stop when the drafts of a layer agree.")
]
Fallback = Annotated[
    bool,
    typer.Option("--fallback", help="The own LLM alone while others' drafts are hardly better."),
]


def aggregation(method: str, early_stop: bool, fallback: bool) -> "Aggregation":
    """What is done with drafts.

    Raises:
        UsageError: there is no such method.
    """
    from dmoa.errors import UsageError
    from dmoa.protocol.aggregation import METHODS, Aggregation

    for known in METHODS:
        if method == known:
            return Aggregation(known, early_stop, fallback)
    raise UsageError(f"--method {method!r} is none of {', '.join(METHODS)}")


def parameters(max_tokens: int | None, temperature: float | None) -> dict[str, Any]:
    """OpenAI's parameters, those that were given."""
    given = {"max_tokens": max_tokens, "temperature": temperature}
    return {name: value for name, value in given.items() if value is not None}
