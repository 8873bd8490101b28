"""Options that several commands share."""

from typing import Annotated, Any

import typer

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


def parameters(max_tokens: int | None, temperature: float | None) -> dict[str, Any]:
    """OpenAI's parameters, those that were given."""
    given = {"max_tokens": max_tokens, "temperature": temperature}
    return {name: value for name, value in given.items() if value is not None}
