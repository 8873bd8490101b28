"""The mutants of a file: small changes of one place each, as text."""

import ast
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

OPPOSITES: dict[type[ast.AST], type[ast.AST]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.And: ast.Or,
    ast.Or: ast.And,
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
}

# Read by type checkers, or about what a thing is and not what it does, as `frozen=True` is.
UNTOUCHED = ("annotation", "returns", "decorator_list", "bases")


@dataclass(frozen=True)
class Mutant:
    """One change: `before`, at a place of a file, becomes `after`."""

    path: Path
    line: int
    start: int
    end: int
    before: str
    after: str

    def source(self) -> bytes:
        """The whole file with the change."""
        text = self.path.read_bytes()
        return text[: self.start] + self.after.encode() + text[self.end :]

    def __str__(self) -> str:
        before, after = (" ".join(text.split())[:70] for text in (self.before, self.after))
        return f"{self.path}:{self.line}: {before}  ->  {after}"


def mutants(path: Path) -> list[Mutant]:
    """All mutants of a file, in order, those of a whole before those of its parts."""
    text = path.read_bytes()
    starts = [0]
    for line in text.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    found = []
    for node, after in _changes(ast.parse(text)):
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        start = starts[node.lineno - 1] + node.col_offset
        end = starts[node.end_lineno - 1] + node.end_col_offset
        before = text[start:end].decode()
        found.append(Mutant(path, node.lineno, start, end, before, after))
    return sorted(found, key=lambda mutant: (mutant.start, -mutant.end))


def _changes(tree: ast.AST) -> Generator[tuple[ast.expr | ast.stmt, str], None, None]:
    for name, value in ast.iter_fields(tree):
        if name in UNTOUCHED or (isinstance(tree, ast.ClassDef) and name == "keywords"):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.expr | ast.stmt):
                for after in _afters(child):
                    yield child, after
            if isinstance(child, ast.AST):
                yield from _changes(child)


def _afters(node: ast.expr | ast.stmt) -> Generator[str, None, None]:
    """What a node may become."""
    match node:
        case ast.Compare(left=left, ops=[op], comparators=[right]):
            yield f"({ast.unparse(ast.Compare(left, [_opposite(op)], [right]))})"
        case ast.BoolOp(op=op, values=values):
            yield f"({ast.unparse(ast.BoolOp(_opposite(op), values))})"  # type: ignore[arg-type]
        case ast.BinOp(left=left, op=op, right=right) if type(op) in OPPOSITES:
            yield f"({ast.unparse(ast.BinOp(left, _opposite(op), right))})"  # type: ignore[arg-type]
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            yield f"({ast.unparse(operand)})"
        case ast.IfExp(test=test, body=body, orelse=orelse):
            yield f"({ast.unparse(ast.IfExp(test, orelse, body))})"
        case ast.Constant(value=bool(value)):
            yield str(not value)
        case ast.Constant(value=int(value) | float(value)):
            yield repr(value + 1)
        case ast.AugAssign(target=target, op=op, value=value) if type(op) in OPPOSITES:
            yield ast.unparse(ast.AugAssign(target, _opposite(op), value))  # type: ignore[arg-type]
        case ast.Expr(value=ast.Call() | ast.Await()) | ast.Delete():
            yield "pass"
        case ast.Return(value=ast.expr() as value) if ast.unparse(value) != "None":
            yield "return None"
        case ast.Continue():
            yield "break"
        case ast.Break():
            yield "continue"
        case ast.Raise():
            yield "pass"
        case _:
            return


def _opposite(op: ast.AST) -> ast.cmpop:
    return OPPOSITES[type(op)]()  # type: ignore[return-value]
