"""The examples of README.md: what is Python runs, and what is a command is one.

And that of CONTRIBUTING.md, which is a test.
"""

import asyncio
import re
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer.main

from dmoa import client
from dmoa.cli import main as cli
from tests.cluster import Cluster
from tests.served import served
from tests.virtual import run_virtual

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
NODE = "http://127.0.0.1:8765"
# Enough to run, on top of what an example says.
SMALL = {"simulate": ["--prompts", "500", "--replications", "2"], "plan": []}


def blocks(language: str, text: str = README) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def commands() -> list[str]:
    """Every command of a console, without its prompt and the words after it."""
    lines = [line for block in blocks("console") for line in block.splitlines()]
    typed = [match[1] for line in lines if (match := re.match(r"\w*\$ (.*)", line))]
    return [re.sub(r"\s+#\s.*", "", command) for command in typed]


def arguments(program: str) -> list[list[str]]:
    return [words[1:] for words in map(shlex.split, commands()) if words[0] == program]


def test_every_program_of_a_console_is_one_that_these_tests_know() -> None:
    assert {shlex.split(command)[0] for command in commands()} == {"dmoa", "make", "pip"}
    assert len(blocks("python")) >= 2
    assert len(arguments("dmoa")) >= 10


@pytest.mark.parametrize("words", arguments("dmoa"), ids=" ".join)
def test_a_command_is_accepted_by_the_parser(words: list[str]) -> None:
    # Any: typer brings its own click, under a name that is not public.
    command: Any = typer.main.get_command(cli.app)
    context = command.make_context("dmoa", list(words))
    while hasattr(command, "resolve_command"):
        rest = [*context._protected_args, *context.args]
        name, command, rest = command.resolve_command(context, rest)
        context = command.make_context(name, rest, parent=context)
    assert not context.args, f"{context.args} are left"


@pytest.mark.parametrize("words", arguments("make"), ids=" ".join)
def test_a_target_is_one_of_the_makefile(words: list[str]) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in words:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


@pytest.fixture
def run(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[[list[str]], str]:
    """Run a command line that must end well; returns stdout."""

    def run(words: list[str]) -> str:
        monkeypatch.setattr(sys, "argv", ["dmoa", *words])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        out, err = capfd.readouterr()
        assert not stop.value.code, err
        return out

    return run


def studies(*, of_a_node: bool) -> list[list[str]]:
    found = [words for words in arguments("dmoa") if words[0] in SMALL]
    return [[*words, *SMALL[words[0]]] for words in found if (NODE in words) == of_a_node]


@pytest.mark.parametrize("words", studies(of_a_node=False), ids=" ".join)
def test_plans_and_simulations_run(words: list[str], run: Callable[[list[str]], str]) -> None:
    assert run(words).strip()


@pytest.mark.parametrize("words", studies(of_a_node=True), ids=" ".join)
async def test_plans_of_a_node_run(words: list[str], run: Callable[[list[str]], str]) -> None:
    async with served() as node:
        for _ in range(2):  # so that there is something measured
            await node.client.chat.completions.create(
                model="dmoa-m1-k3", messages=[{"role": "user", "content": "Why?"}]
            )
        url = f"http://127.0.0.1:{node.port}"
        assert await asyncio.to_thread(run, [url if word == NODE else word for word in words])


@pytest.mark.parametrize("source", blocks("python"))
async def test_python_runs(
    source: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    async with served() as node:
        url = f"http://127.0.0.1:{node.port}"
        for function in (client.ask_async, client.stream):  # who names no node means this one
            defaults: Any = function.__kwdefaults__
            monkeypatch.setitem(defaults, "node", url)
        await asyncio.to_thread(exec, source.replace(NODE, url), {})
    assert "answer of d0" in capfd.readouterr().out


def test_the_example_of_a_test_passes() -> None:
    contributing = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    (source,) = blocks("python", contributing)
    names: dict[str, Any] = {"Cluster": Cluster, "pytest": pytest, "run_virtual": run_virtual}
    exec(source, names)
    (test,) = [value for name, value in names.items() if name.startswith("test_")]
    test()
