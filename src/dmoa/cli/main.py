"""The tour of commands, and how errors and Ctrl-C become exit statuses."""

import sys
from typing import Annotated

import typer

from dmoa import __version__
from dmoa.cli import output
from dmoa.cli.ask import ask
from dmoa.cli.chat import chat
from dmoa.cli.demo import demo
from dmoa.cli.eval import evaluate
from dmoa.cli.exam import exam
from dmoa.cli.from_model import options_of
from dmoa.cli.models import models
from dmoa.cli.network import network
from dmoa.cli.plan import plan
from dmoa.cli.replay import replay
from dmoa.cli.reproduce import reproduce
from dmoa.cli.score import score
from dmoa.cli.simulate import simulate, tables
from dmoa.cli.status import status
from dmoa.cli.up import settings, up
from dmoa.errors import DmoaError, UsageError

app = typer.Typer(
    name="dmoa",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

TRY, RUN, STUDY = "1. See it", "2. Run it", "3. Study it"


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def tour(
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version.", callback=_print_version, is_eager=True
        ),
    ] = False,
) -> None:
    """Several local LLMs on several machines, one better answer, no server."""


app.command(rich_help_panel=TRY)(demo)
app.command(cls=options_of(settings), rich_help_panel=RUN)(up)
app.command(rich_help_panel=RUN)(ask)
app.command(rich_help_panel=RUN)(chat)
app.command(rich_help_panel=RUN)(status)
app.command(rich_help_panel=RUN)(exam)
app.add_typer(network, name="network", rich_help_panel=RUN)
app.add_typer(models, name="models", rich_help_panel=RUN)
app.command(rich_help_panel=STUDY)(plan)
app.command(cls=options_of(tables), rich_help_panel=STUDY)(simulate)
app.command(rich_help_panel=STUDY)(replay)
app.add_typer(evaluate, name="eval", rich_help_panel=STUDY)
app.command(rich_help_panel=STUDY)(score)
app.add_typer(reproduce, name="reproduce", rich_help_panel=STUDY)


def main() -> None:
    """Run the command line; a `DmoaError` becomes one line on stderr and its exit status."""
    output.prepare_streams()
    status = 0
    try:
        app(prog_name="dmoa")
    except SystemExit as ended:  # how Typer ends
        status = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except DmoaError as error:
        status = _fail(str(error), error.exit_status)
    except UnicodeDecodeError as error:
        status = _fail(str(output.not_decoded(error)), UsageError.exit_status)
    except OSError as error:
        if not output.is_of_output(error):
            raise
        status = _without_output(output.give_up_output(error))
    except KeyboardInterrupt:
        status = 130
    if (cause := output.finish_output()) is not None:
        status = _without_output(cause)
    sys.exit(status)


def _without_output(cause: str | None) -> int:
    return _fail(cause, 1) if cause else 1


def _fail(cause: str, status: int) -> int:
    typer.secho(f"error: {cause}", fg="red", err=True)
    return status
