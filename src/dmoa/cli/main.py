"""The tour of commands, and how errors and Ctrl-C become exit statuses."""

import sys

import typer

from dmoa.cli import score
from dmoa.errors import DmoaError

app = typer.Typer(
    name="dmoa",
    help="Several local LLMs on several machines, one better answer, no server.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(score.score)


@app.callback()
def _tour() -> None:
    """Several local LLMs on several machines, one better answer, no server."""


def main() -> None:
    """Run the command line; a `DmoaError` becomes one line on stderr and its exit status."""
    try:
        app()
    except DmoaError as error:
        typer.secho(f"error: {error}", fg="red", err=True)
        sys.exit(error.exit_status)
    except KeyboardInterrupt:
        sys.exit(130)
