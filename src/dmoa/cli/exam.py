"""`dmoa exam`: what a node has found out about the LLMs around it, and questions of one's own."""

from pathlib import Path
from typing import Annotated, Any

import typer

from dmoa.cli.options import Key, Node


def exam(
    node: Node = "http://127.0.0.1:8765",
    key: Key = None,
    add: Annotated[
        Path | None,
        typer.Option(
            help="Add questions of your own: JSON lines with question, answers and, if you"
            " like, topic."
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show how many examination questions each LLM and plan got right, as a node has found."""
    import asyncio

    from dmoa.cli.output import print_json, say, stdout
    from dmoa.client import add_questions, fetch_standings

    if add is not None:
        import msgspec

        from dmoa.standings.questions.own import read_questions

        questions = [msgspec.to_builtins(question) for question in read_questions(add)]
        taken = asyncio.run(add_questions(questions, node, key))
        say(f"{taken['added']} questions were added; there are {taken['questions']} of your own")
    found = asyncio.run(fetch_standings(node, key))
    if json:
        print_json(found)
        return
    stdout().print(_devices(found["devices"]))
    if found["plans"]:
        stdout().print(_plans(found["plans"]))
    if found.get("distrusted"):
        from rich.markup import escape

        from dmoa.text import printable

        names = ", ".join(escape(printable(name)) for name in found["distrusted"])
        stdout().print(f"Not asked any more, as they answer users worse than examinations: {names}")


def _devices(devices: list[dict[str, Any]]) -> Any:
    from rich.markup import escape
    from rich.table import Table

    from dmoa.text import printable

    table = Table(title="Devices", caption="skill: probability of a right answer, 95 % interval")
    for column in ("device", "model"):
        table.add_column(column)
    for column in ("right", "skill", "best topics"):
        table.add_column(column, justify="right")
    for device in devices:
        topics = sorted(device["topics"].items(), key=lambda item: -item[1]["skill"]["mean"])
        table.add_row(
            escape(printable(device["name"])),
            escape(printable(device["model"])),
            _right(device),
            _skill(device["skill"]) if device["asked"] else "–",
            escape(", ".join(printable(name, 40) for name, _ in topics[:3])),
        )
    return table


def _plans(plans: list[dict[str, Any]]) -> Any:
    from rich.markup import escape
    from rich.table import Table

    from dmoa.text import printable

    table = Table(title="Plans")
    for column in ("plan", "devices", "aggregator"):
        table.add_column(column)
    for column in ("right", "skill"):
        table.add_column(column, justify="right")
    for plan in plans:
        table.add_row(
            f"M = {plan['layers']}, k = {plan['proposers']}, {plan['method']}",
            escape(", ".join(printable(name) for name in plan["devices"])),
            escape(printable(plan["aggregator"])),
            _right(plan),
            _skill(plan),
        )
    return table


def _right(counted: dict[str, Any]) -> str:
    return f"{counted['right']} of {counted['asked']}" if counted["asked"] else "–"


def _skill(skill: dict[str, Any]) -> str:
    return f"{skill['mean']:.2f} ({skill['low']:.2f}–{skill['high']:.2f})"
