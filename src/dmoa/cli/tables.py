"""Tables on stdout, whole also where stdout is a file and has no width."""

from typing import TYPE_CHECKING

from dmoa.cli.output import stdout

if TYPE_CHECKING:
    from rich.table import Table

_FILE_WIDTH = 110


def print_table(table: "Table") -> None:
    """Print a table as wide as it needs to be, unless a terminal is narrower."""
    console = stdout()
    if not console.is_terminal:
        console.width = max(console.width, _FILE_WIDTH)
    console.print(table)
