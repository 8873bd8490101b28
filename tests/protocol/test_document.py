"""PROTOCOL.md names, for each invariant, tests that are there."""

import ast
import re
from pathlib import Path

import dmoa

DOCUMENT = Path(dmoa.__file__).parent / "protocol" / "PROTOCOL.md"
TESTS = Path(__file__).parent.parent
TEST = re.compile(r"`(?P<file>[\w/]+\.py)::(?P<name>test_\w+)`")


def invariants() -> dict[int, list[tuple[str, str]]]:
    """The tests of each invariant, by its number."""
    text = DOCUMENT.read_text(encoding="utf-8")
    section = text.partition("\n## Invariants\n")[2].partition("\n## ")[0]
    parts = re.split(r"^(\d+)\. ", section, flags=re.MULTILINE)[1:]
    return {
        int(number): TEST.findall(body)
        for number, body in zip(parts[::2], parts[1::2], strict=True)
    }


def functions(file: str) -> set[str]:
    tree = ast.parse((TESTS / file).read_text(encoding="utf-8"))
    return {
        node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }


def test_each_invariant_names_tests_that_are_there() -> None:
    found = invariants()
    assert list(found) == list(range(1, len(found) + 1))
    assert len(found) >= 8
    for number, tests in found.items():
        assert tests, f"invariant {number} has no test"
        for file, name in tests:
            assert name in functions(file), f"invariant {number}: {file}::{name}"


def test_whatever_the_document_calls_a_test_is_one() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    assert text.count("::test_") == sum(len(tests) for tests in invariants().values())
