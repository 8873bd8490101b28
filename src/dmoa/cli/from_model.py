"""Options of a command made from a pydantic model: a new field is a new flag by itself.

    app.command(cls=options_from(load))(command)

where `load` imports and returns the model. It is called when the command runs or shows its own
help, never for `dmoa --help`, which loads no pydantic. The command asks `given(ctx)` for what
was given; the model checks it, so that no bound stands twice.

A field is `--its-name`. In a model of tables, the fields of each table are flags, and a table's
`law` is `--its-table`; a name that is taken already gets its table in front.
"""

import inspect
import types
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin

import typer
from typer.core import TyperCommand

from dmoa.cli.numbers import parse_numbers, parse_whole_numbers

if TYPE_CHECKING:
    from pydantic import BaseModel
    from pydantic.fields import FieldInfo


@dataclass(frozen=True)
class Flag:
    """One option.

    Attributes:
        name: as a name of Python.
        table: of the model, "" if it has none.
        key: of the field.
        kind: what the command line reads: a type that Typer knows.
        help: the field's description, its bounds and its default.
        required: whether the model has no default.
        parse: makes the field's value of what was read.
    """

    name: str
    table: str
    key: str
    kind: Any
    help: str
    required: bool
    parse: Callable[[str, Any], Any]

    @property
    def spelling(self) -> str:
        """As it is written."""
        return "--" + self.name.replace("_", "-")


class ModelCommand(TyperCommand):
    """A command whose options are those of its function and those of a model."""

    def load(self) -> "type[BaseModel]":
        """The model."""
        raise NotImplementedError

    @property
    def left_out(self) -> Sequence[str]:
        """Names of fields that are no flags."""
        return ()

    def flags(self) -> list[Flag]:
        """Those of the model."""
        taken = {parameter.name for parameter in self.params}
        found: list[Flag] = []
        for flag in _flags(self.load(), self.left_out):
            name = flag.name if flag.name not in taken else f"{flag.table}_{flag.key}"
            taken.add(name)
            found.append(replace(flag, name=name))
        return found

    def get_params(self, ctx: Any) -> Any:
        """Arguments, the model's options, then the function's."""
        own = super().get_params(ctx)
        count = sum(parameter.param_type_name == "argument" for parameter in own)
        return [*own[:count], *self._options(), *own[count:]]

    def invoke(self, ctx: Any) -> Any:
        """Keep the model's values for `given`; the function gets its own."""
        ctx.obj = [(flag, ctx.params.pop(flag.name)) for flag in self.flags()]
        return super().invoke(ctx)

    def _options(self) -> Any:
        """Made by Typer, of a function that has them as parameters."""

        def nothing() -> None:
            pass

        parameters = [
            inspect.Parameter(
                flag.name,
                inspect.Parameter.KEYWORD_ONLY,
                default=None,
                annotation=Annotated[
                    flag.kind | None,
                    typer.Option(
                        f"{flag.spelling}/--no-{flag.spelling[2:]}"
                        if flag.kind is bool
                        else flag.spelling,
                        help=flag.help,
                    ),
                ],
            )
            for flag in self.flags()
        ]
        nothing.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        nothing.__annotations__ = {p.name: p.annotation for p in parameters}
        app = typer.Typer(add_completion=False)
        app.command()(nothing)
        return typer.main.get_command(app).params


def options_from(
    load: "Callable[[], type[BaseModel]]", left_out: Sequence[str] = ()
) -> type[ModelCommand]:
    """The class of a command with the options of a model.

    Args:
        load: imports the model.
        left_out: names of fields that are no flags, such as secrets.
    """
    return type(
        "OptionsFromModel",
        (ModelCommand,),
        {"load": lambda self: load(), "left_out": tuple(left_out)},
    )


def given(ctx: typer.Context) -> dict[str, Any]:
    """The values that were given, by the names of fields; those of tables in dictionaries.

    Raises:
        UsageError: a list of numbers is none.
    """
    found: dict[str, Any] = {}
    for flag, value in ctx.obj:
        if value not in (None, [], ()):
            place = found.setdefault(flag.table, {}) if flag.table else found
            place[flag.key] = flag.parse(flag.spelling, value)
    return found


def required(ctx: typer.Context) -> list[Flag]:
    """The flags without which, or a file, there is no model."""
    return [flag for flag, _ in ctx.obj if flag.required]


# --- fields ----------------------------------------------------------------------------------


def _flags(model: "type[BaseModel]", left_out: Sequence[str]) -> Iterator[Flag]:
    from pydantic import BaseModel

    for name, field in model.model_fields.items():
        tables = [
            kind
            for kind in _members(field.annotation)[0]
            if isinstance(kind, type) and issubclass(kind, BaseModel)
        ]
        if tables:
            for key, inner in tables[0].model_fields.items():
                yield from _flag(name, key, inner, always=field.is_required())
        elif name not in left_out:
            yield from _flag("", name, field, always=True)


def _flag(table: str, key: str, field: "FieldInfo", *, always: bool) -> Iterator[Flag]:
    """The flag of a field, if its values can be written as one."""
    kinds, bounds = _members(field.annotation)
    readable = _readable(kinds)
    if readable is None:
        return
    kind, parse = readable
    required = field.is_required()
    yield Flag(
        name=table if table and key == "law" else key,
        table=table,
        key=key,
        kind=kind,
        help=_help(field, [*field.metadata, *bounds]),
        required=required and always,
        parse=parse,
    )


def _members(annotation: Any) -> tuple[list[Any], list[Any]]:
    """The types of a union without None, and the bounds that they carry."""
    origin = get_origin(annotation)
    if origin is Annotated:
        inner, *marks = get_args(annotation)
        kinds, bounds = _members(inner)
        return kinds, [*(bound for mark in marks for bound in mark.metadata), *bounds]
    if origin in (Union, types.UnionType):
        parts = [_members(part) for part in get_args(annotation) if part is not type(None)]
        return [k for kinds, _ in parts for k in kinds], [b for _, bounds in parts for b in bounds]
    return [annotation], []


def _readable(kinds: Sequence[Any]) -> tuple[Any, Callable[[str, Any], Any]] | None:
    """What the command line reads for such types, and what makes a value of it."""
    lists = [_members(get_args(kind)[0])[0] for kind in kinds if get_origin(kind) is list]
    single = [kind for kind in kinds if get_origin(kind) is not list]
    if not lists and len(single) == 1:
        kind = single[0]
        if kind in (bool, int, float, str, Path) or get_origin(kind) is Literal:
            return kind, lambda spelling, value: value
    elif lists == [[str]] and not single:
        return list[str], lambda spelling, value: list(value)
    elif lists in ([[int]], [[float]]) and single in ([], lists[0]):
        parse = parse_whole_numbers if lists == [[int]] else parse_numbers
        if single:
            return str, parse
        return str, lambda spelling, value: _listed(parse(spelling, value))
    return None


def _listed(numbers: Any) -> list[Any]:
    return numbers if isinstance(numbers, list) else [numbers]


def _help(field: "FieldInfo", bounds: Sequence[Any]) -> str:
    """Description, bounds and default."""
    text = " ".join((field.description or "").split())
    notes = _ranges(bounds)
    if isinstance(field.default, str | int | float) and field.default is not False:
        notes.append(f"default {field.default}")
    return f"{text}  ({'; '.join(notes)})" if notes else text


def _ranges(bounds: Sequence[Any]) -> list[str]:
    """What numbers may be, in words."""
    words = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}
    found = {
        name: getattr(bound, name) for bound in bounds for name in words if hasattr(bound, name)
    }
    if found.keys() == {"ge", "le"}:
        return [f"{found['ge']} to {found['le']}"]
    return [f"{words[name]} {value}" for name, value in found.items()]
