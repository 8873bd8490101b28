"""The shape of the package: which way imports point, and what stays light."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

import dmoa

PACKAGE = Path(dmoa.__file__).parent

# A module may import those of its own line and of the lines below it.
LINES = [
    ["cli"],
    ["demo"],
    ["evaluation", "report"],
    ["node"],
    ["api"],
    ["client", "device"],
    ["llm", "network", "simulation"],
    ["protocol", "theory"],
    ["policies", "selection"],
    ["text"],
    ["errors", "folders"],
]
LIGHT = ["protocol", "policies", "selection", "theory"]
HEAVY = ["fastapi", "starlette", "uvicorn", "zenoh", "xllamacpp", "openai", "typer", "rich"]


def imports(path: Path, *, top: bool = False) -> set[str]:
    """Modules that a file imports; with `top`, only those it cannot do without."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    nodes = tree.body if top else list(ast.walk(tree))
    found: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def parts() -> list[tuple[str, Path]]:
    return [
        (path.relative_to(PACKAGE).parts[0].removesuffix(".py"), path)
        for path in sorted(PACKAGE.rglob("*.py"))
        if path.relative_to(PACKAGE).parts[0] not in ("__init__.py", "__main__.py")
    ]


def test_every_part_of_the_package_has_its_line() -> None:
    assert {part for part, _ in parts()} == {part for line in LINES for part in line}


def test_imports_point_downwards() -> None:
    height = {part: -i for i, line in enumerate(LINES) for part in line}
    wrong = [
        f"{path.relative_to(PACKAGE)} imports {name}"
        for part, path in parts()
        for name in imports(path)
        if name.startswith("dmoa.") and height[part] < height.get(name.split(".")[1], -len(LINES))
    ]
    assert not wrong


@pytest.mark.parametrize("part", LIGHT)
def test_the_protocol_and_the_theory_know_nothing_of_servers_and_transports(part: str) -> None:
    for name, path in parts():
        if name == part:
            roots = {module.partition(".")[0] for module in imports(path)}
            assert not roots & set(HEAVY), path


def test_the_theory_reads_and_writes_nothing() -> None:
    outside = {"asyncio", "http", "io", "json", "os", "pathlib", "socket", "urllib"}
    for name, path in parts():
        if name == "theory":
            assert not {module.partition(".")[0] for module in imports(path)} & outside, path


@pytest.mark.parametrize("part", ["theory", "simulation"])
def test_theory_and_simulation_never_import_the_live_side(part: str) -> None:
    live = {"api", "client", "demo", "device", "llm", "network", "node", "protocol"}
    for name, path in parts():
        if name == part:
            used = {m.split(".")[1] for m in imports(path) if m.startswith("dmoa.")}
            assert not used & live, path


def test_the_network_interface_stays_small() -> None:
    lines = (PACKAGE / "network" / "interface.py").read_text(encoding="utf-8").splitlines()
    assert len(lines) < 100


def loaded_by(code: str) -> set[str]:
    """Top-level packages that a fresh interpreter has after some code."""
    report = "import json, sys; print(json.dumps(sorted({m.split('.')[0] for m in sys.modules})))"
    out = subprocess.run(
        [sys.executable, "-c", f"{code}\n{report}"], capture_output=True, text=True, check=True
    )
    return set(json.loads(out.stdout.splitlines()[-1]))


def test_help_and_import_load_nothing_heavy() -> None:
    heavy = {"openai", "fastapi", "zenoh", "numba", "numpy", "matplotlib", "xllamacpp", "pydantic"}
    help_code = (
        "import sys; sys.argv = ['dmoa', '--help']\n"
        "from dmoa.cli.main import app\n"
        "try: app()\nexcept SystemExit: pass"
    )
    assert not loaded_by(help_code) & heavy
    assert not loaded_by("import dmoa") & (heavy | {"msgspec"})


def test_no_file_names_a_package_index() -> None:
    root = PACKAGE.parent.parent
    index = "index" + "-url"
    for path in [root / "pyproject.toml", root / "Makefile", *PACKAGE.rglob("*.py")]:
        assert index not in path.read_text(encoding="utf-8"), path


def test_the_reference_of_the_command_line_is_up_to_date() -> None:
    generate = PACKAGE.parent.parent / "docs" / "generate.py"
    done = subprocess.run([sys.executable, str(generate), "--check"], check=False)
    assert done.returncode == 0, "run `make docs`"
