"""Flags of `dmoa up` and `dmoa simulate` are the fields of their models, and no others."""

from typing import Any

import pytest
import typer

from dmoa.cli.main import app
from dmoa.errors import UsageError
from dmoa.node.settings import Settings
from dmoa.simulation.scenario import ProtocolTable, RunTable


def options(name: str) -> dict[str, Any]:
    """The options of a command, by flag."""
    command = typer.main.get_command(app).commands[name]  # type: ignore[attr-defined]
    found = command.get_params(typer.Context(command))
    return {flag: option for option in found for flag in option.opts}


def words(field: Any) -> str:
    """What a model says of a field, as a terminal shows it."""
    found = " ".join((field.description or "").replace("`", "").split())
    assert found
    return found


def given(*arguments: str) -> Any:
    """What a command's function is given of its flags."""
    group: Any = typer.main.get_command(app)
    command = group.commands[arguments[0]]
    taken: list[Any] = []

    def take(**_: Any) -> None:
        taken.append(context.obj)

    command.callback = take
    context = command.make_context(arguments[0], list(arguments[1:]))
    command.invoke(context)
    return taken[0]


def test_every_setting_but_a_secret_is_a_flag_with_its_own_words() -> None:
    flags = options("up")
    for name, field in Settings.model_fields.items():
        flag = f"--{name.replace('_', '-')}"
        if name == "api_key":
            assert flag not in flags, "`ps` shows what stands on a command line"
            continue
        assert flags[flag].help.startswith(words(field))


def test_every_key_of_a_scenario_that_a_line_can_hold_is_a_flag() -> None:
    flags = options("simulate")
    for table in (ProtocolTable, RunTable):
        for name, field in table.model_fields.items():
            assert flags[f"--{name.replace('_', '-')}"].help.startswith(words(field))
    assert {"--service", "--arrivals", "--bound", "--mean-up"} <= set(flags)
    assert not {"--neighbours", "--sweep", "--law"} & set(flags)


def test_what_is_given_goes_to_its_table_and_nothing_else_does() -> None:
    assert given("simulate", "--alpha", "1,1,4", "--slots", "2", "--service", "erlang") == {
        "network": {"alpha": [1.0, 1.0, 4.0], "slots": 2},
        "service": {"law": "erlang"},
    }
    assert given("simulate", "--no-cancel") == {"queue": {"cancel": False}}


def test_flags_of_a_device_are_its_settings() -> None:
    assert given("up", "--name", "ada", "--connect", "a:1", "--connect", "b:2", "--open") == {
        "name": "ada",
        "connect": ["a:1", "b:2"],
        "open": True,
    }


def test_a_list_that_is_none_names_its_flag() -> None:
    with pytest.raises(UsageError, match="--slots is '1,x'"):
        given("simulate", "--slots", "1,x")


def test_what_a_device_does_by_default_can_be_denied() -> None:
    kinds = Settings.model_fields.items()
    usual = [name for name, field in kinds if field.default is True]
    assert {"exams", "background"} <= set(usual)
    for name in usual:
        assert given("up", f"--no-{name.replace('_', '-')}") == {name: False}
