"""What `make mutants` breaks, and that it breaks one thing each time."""

import ast
from pathlib import Path

from tests.mutation.mutants import mutants

SOURCE = '''"""Doc."""

LIMIT = 3


def f(x: int | None = 2, *, strict: bool = True) -> int:
    """Doc."""
    if x is None or not strict:
        raise ValueError("ä")
    print(x)
    x += 1
    return x if x < LIMIT else x * 2
'''


def test_every_place_is_changed_once_and_the_rest_stays(tmp_path: Path) -> None:
    path = tmp_path / "f.py"
    path.write_text(SOURCE, encoding="utf-8")
    found = mutants(path)
    assert [(m.line, m.before, m.after) for m in found] == [
        (3, "3", "4"),
        (6, "2", "3"),
        (6, "True", "False"),
        (8, "x is None or not strict", "(x is None and (not strict))"),
        (8, "x is None", "(x is not None)"),
        (8, "not strict", "(strict)"),
        (9, 'raise ValueError("ä")', "pass"),
        (10, "print(x)", "pass"),
        (11, "x += 1", "x -= 1"),
        (11, "1", "2"),
        (12, "return x if x < LIMIT else x * 2", "return None"),
        (12, "x if x < LIMIT else x * 2", "(x * 2 if x < LIMIT else x)"),
        (12, "x < LIMIT", "(x <= LIMIT)"),
        (12, "x * 2", "(x / 2)"),
        (12, "2", "3"),
    ]
    for mutant in found:
        changed = mutant.source().decode()
        ast.parse(changed)
        assert len(changed) - len(SOURCE) == len(mutant.after) - len(mutant.before)
