"""Options made from models: every field is a flag, and what was given comes back by field."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
import typer
from pydantic import BaseModel, ConfigDict, Field

from dmoa.cli.from_model import given, options_from, required
from dmoa.cli.main import app
from dmoa.errors import UsageError
from dmoa.node.settings import Settings
from dmoa.simulation.scenario import Scenario


class Table(BaseModel):
    model_config = ConfigDict(use_attribute_docstrings=True)

    law: Literal["one", "other"] = "one"
    """Which law."""
    age: Annotated[float, Field(ge=0, le=9)] = 1.5
    """How old."""
    sizes: int | list[int]
    """How large."""


class Second(BaseModel):
    age: int | None = None
    shout: bool = False
    times: list[float] = []
    nested: list[list[int]] = []
    json_file: Path | None = None


class Model(BaseModel):
    table: Table
    second: Second = Second()
    free: dict[str, Any] = {}


Run = Callable[..., tuple[dict[str, Any], list[str]]]


@pytest.fixture
def run() -> Run:
    """Run a command with the model's options; what was given, and the flags that are needed."""
    seen: list[tuple[dict[str, Any], list[str]]] = []
    command = typer.Typer(add_completion=False)

    def work(ctx: typer.Context, shout: int = 0) -> None:
        seen.append((given(ctx), [flag.spelling for flag in required(ctx)]))

    command.command(cls=options_from(lambda: Model))(work)

    def with_line(*line: str) -> tuple[dict[str, Any], list[str]]:
        command(list(line), standalone_mode=False)
        return seen[-1]

    return with_line


def test_what_was_given_comes_back_by_table_and_key(run: Run) -> None:
    line = "--table other --age 3 --sizes 1,2 --second-age 4 --times 2.5 --json-file x --shout 7"
    found, needed = run(*line.split(), "--second-shout")
    assert found == {
        "table": {"law": "other", "age": 3.0, "sizes": [1, 2]},
        "second": {"age": 4, "shout": True, "times": [2.5], "json_file": Path("x")},
    }
    assert needed == ["--sizes"]
    assert run() == ({}, ["--sizes"])
    assert run("--no-second-shout", "--sizes", "3")[0] == {
        "table": {"sizes": 3},
        "second": {"shout": False},
    }


def test_numbers_that_are_none_are_named(run: Run) -> None:
    with pytest.raises(UsageError, match=r"--sizes is 'x'; use a whole number"):
        run("--sizes", "x")
    with pytest.raises(Exception, match="'third' is not one of 'one', 'other'"):
        run("--table", "third")


def options(name: str) -> dict[str, Any]:
    """The options of a command by their spelling."""
    command = typer.main.get_command(app).commands[name]  # type: ignore[attr-defined]
    return {
        spelling: option
        for option in command.get_params(typer.Context(command))
        for spelling in option.opts
    }


def test_help_says_what_the_model_says() -> None:
    found = options("simulate")
    assert found["--layers"].help == "M.  (0 to 8)"
    assert found["--prompts"].help.endswith("  (10 to 100000000; default 200000)")
    assert found["--cv"].help.endswith("(above 0)")


def test_every_key_of_a_scenario_is_a_flag() -> None:
    keys = {
        name if key == "law" else key
        for name, table in Scenario.model_fields.items()
        if isinstance(table.annotation, type) and issubclass(table.annotation, BaseModel)
        for key in table.annotation.model_fields
    }
    flags = {f"--{key.replace('_', '-')}" for key in keys}
    # A list for each device is no flag.
    assert flags - set(options("simulate")) == {"--neighbours"}


def test_every_setting_but_the_secret_is_a_flag() -> None:
    flags = {f"--{key.replace('_', '-')}" for key in Settings.model_fields}
    found = options("up")
    assert flags - set(found) == {"--api-key"}
    assert found["--with-parent"].hidden
    assert all(option.help for option in found.values())
