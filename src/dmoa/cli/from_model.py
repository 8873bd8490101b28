"""Options made of the fields of models: their types, choices and words stand in the models alone.

    app.command(cls=options_of(lambda: [Source(Settings)]))(up)

The models are only loaded when the command runs or explains itself, so that `dmoa --help` stays
quick. The command gets what was given as `context.obj`: values by model field, or by table and
field where the source is a table of a scenario.
"""

import inspect
import types
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin

import typer
from typer.core import TyperCommand

from dmoa.cli.numbers import parse_numbers, parse_whole_numbers

if TYPE_CHECKING:
    from pydantic import BaseModel

# A table's first word is its flag: `[service] law` is `--service`.
_NAMED_BY_TABLE = ("law", "kind")


@dataclass(frozen=True)
class Source:
    """A model whose fields become flags.

    Attributes:
        model: the model.
        table: its name in a scenario; empty for one that stands alone.
    """

    model: "type[BaseModel]"
    table: str = ""


@dataclass(frozen=True)
class _Flag:
    """A flag, where its value goes, and how it is read."""

    name: str
    table: str
    key: str
    parameter: inspect.Parameter
    read: Callable[[Any], Any]


def options_of(sources: Callable[[], Sequence[Source]]) -> type[TyperCommand]:
    """A kind of command with the fields of models as further options."""

    class ModelCommand(TyperCommand):
        _flags: Sequence[_Flag] | None = None

        def get_params(self, ctx: Any) -> list[Any]:
            """See `click.Command.get_params`."""
            if self._flags is None:
                self._flags = _flags(sources())
                self.params.extend(_options(self._flags))
            return super().get_params(ctx)

        def invoke(self, ctx: Any) -> Any:
            """See `click.Command.invoke`."""
            given: dict[str, Any] = {}
            for flag in self._flags or ():
                value = ctx.params.pop(flag.name)
                if value in (None, (), []):
                    continue
                place = given.setdefault(flag.table, {}) if flag.table else given
                place[flag.key] = flag.read(list(value) if isinstance(value, tuple) else value)
            ctx.obj = given
            return super().invoke(ctx)

    return ModelCommand


def _flags(sources: Sequence[Source]) -> list[_Flag]:
    flags: dict[str, _Flag] = {}
    for source in sources:
        for key, field in source.model.model_fields.items():
            kind = _kind(field.annotation)
            if kind is None:
                continue
            name = source.table if source.table and key in _NAMED_BY_TABLE else key
            if name in flags:
                name = f"{source.table}_{key}"
            flags[name] = _flag(name, source.table, key, kind, field)
    return list(flags.values())


def _flag(name: str, table: str, key: str, kind: Any, field: Any) -> _Flag:
    dashed = name.replace("_", "-")
    # A scenario's file may say yes where its flag says no; a device's is rarely at odds.
    deniable = kind is bool and (bool(table) or field.default is True)
    words = f"--{dashed}/--no-{dashed}" if deniable else f"--{dashed}"
    help_text = " ".join((field.description or "").replace("`", "").split())
    if field.default not in (None, [], False) and not field.is_required():
        help_text += f"  (default {field.default})" if not field.default_factory else ""
    read: Callable[[Any], Any] = lambda value: value  # noqa: E731 - overwritten below
    if kind in (_Numbers, _WholeNumbers):
        parse = parse_numbers if kind is _Numbers else parse_whole_numbers
        read = lambda text: parse(f"--{dashed}", text)  # noqa: E731
        kind = str
    option = typer.Option(words, help=help_text, rich_help_panel=table or None)
    parameter = inspect.Parameter(
        name,
        inspect.Parameter.KEYWORD_ONLY,
        default=None,
        annotation=Annotated[kind | None, option],
    )
    return _Flag(name, table, key, parameter, read)


def _options(flags: Sequence[_Flag]) -> list[Any]:
    def carrier() -> None: ...

    carrier.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [flag.parameter for flag in flags]
    )
    carrier.__annotations__ = {flag.name: flag.parameter.annotation for flag in flags}
    app = typer.Typer(add_completion=False)
    app.command()(carrier)
    return list(typer.main.get_command(app).params)


class _Numbers:
    """One number, or several between commas."""


class _WholeNumbers:
    """The same of whole numbers."""


def _kind(annotation: Any) -> Any:
    """The type of a flag for a field's type; None if there can be no flag."""
    kinds = [_bare(part) for part in _parts(annotation)]
    lists = [kind for kind in kinds if get_origin(kind) is list]
    if lists:
        item = _bare(get_args(lists[0])[0])
        return {float: _Numbers, int: _WholeNumbers, str: list[str]}.get(item)
    single = kinds[0] if len(kinds) == 1 else None
    if single in (bool, int, float, str, Path) or get_origin(single) is Literal:
        return single
    return None


def _parts(annotation: Any) -> list[Any]:
    """The members of a union but None."""
    if get_origin(annotation) in (Union, types.UnionType):
        return [part for part in get_args(annotation) if part is not types.NoneType]
    return [annotation]


def _bare(annotation: Any) -> Any:
    return get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation
