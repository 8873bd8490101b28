"""`dmoa reproduce`: the paper's tables and theorem, next to ours."""

import typer

reproduce = typer.Typer(
    name="reproduce", help="The paper's tables and theorem, next to ours.", no_args_is_help=True
)
