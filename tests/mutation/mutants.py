"""Small defects that are put into a module's source, one at a time.

Texts for people are left alone: that an error says something else is not what is asked here. So is what no test can
see: that a file was flushed to the disk, and with which flags it was opened.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Callable, Iterator

__all__ = ["Mutant", "mutants_of", "with_mutant"]

_COMPARE: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
_ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.BitOr: ast.BitAnd,
    ast.BitAnd: ast.BitOr,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
}

Mutant = tuple[int, str]
"""The line of a defect, and what it is."""


class _Defects(ast.NodeTransformer):
    """Counts the places where a defect can be, and puts one in at place `at`."""

    def __init__(self, at: int | None) -> None:
        self._at = at
        self.found: list[Mutant] = []

    def _place(self, node: ast.AST, what: str, changed: Callable[[], ast.AST]) -> ast.AST:
        self.found.append((getattr(node, "lineno", 0), what))
        return ast.copy_location(changed(), node) if len(self.found) - 1 == self._at else node

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        self.generic_visit(node)
        other = _COMPARE[type(node.ops[0])]

        def changed() -> ast.AST:
            return ast.Compare(node.left, [other(), *node.ops[1:]], node.comparators)

        return self._place(node, f"{type(node.ops[0]).__name__} is {other.__name__}", changed)

    def visit_BoolOp(self, node: ast.BoolOp) -> ast.AST:
        self.generic_visit(node)
        other = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        return self._place(node, f"{type(node.op).__name__} is the other", lambda: ast.BoolOp(other, node.values))

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.AST:
        self.generic_visit(node)
        if not isinstance(node.op, ast.Not):
            return node
        return self._place(node, "not is left out", lambda: node.operand)

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        self.generic_visit(node)
        other = _ARITHMETIC.get(type(node.op))
        if other is None or _is_text(node.left) or _is_text(node.right) or "os.O_" in ast.unparse(node):
            return node
        what = f"{type(node.op).__name__} is {other.__name__}"
        return self._place(node, what, lambda: ast.BinOp(node.left, other(), node.right))

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        if isinstance(node.value, bool):
            return self._place(node, f"{node.value} is the other", lambda: ast.Constant(not node.value))
        if isinstance(node.value, int):
            return self._place(node, f"{node.value} is one more", lambda: ast.Constant(int(str(node.value)) + 1))
        return node

    def visit_If(self, node: ast.If) -> ast.AST:
        self.generic_visit(node)
        changed = copy.copy(node)
        changed.test = ast.Constant(value=False)
        return self._place(node, "the condition never holds", lambda: changed)

    def visit_Return(self, node: ast.Return) -> ast.AST:
        self.generic_visit(node)
        if node.value is None or (isinstance(node.value, ast.Constant) and node.value.value is None):
            return node
        return self._place(node, "nothing is returned", lambda: ast.Return(ast.Constant(value=None)))

    def visit_Expr(self, node: ast.Expr) -> ast.AST:
        self.generic_visit(node)
        if not isinstance(node.value, ast.Call | ast.Await) or "sync" in ast.unparse(node.value).partition("(")[0]:
            return node  # what a flush is for shows only when the power fails
        return self._place(node, "the call is left out", lambda: ast.Pass())

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        if node.value is not None:
            node.value = self.visit(node.value)
        return node  # an annotation does nothing

    def visit_arg(self, node: ast.arg) -> ast.AST:
        return node

    def visit_Raise(self, node: ast.Raise) -> ast.AST:
        return self._place(node, "nothing is raised", lambda: ast.Pass())

    def visit_Assert(self, node: ast.Assert) -> ast.AST:
        return node  # what it says is for the type checker

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        # How a class is made (frozen, with slots) shows in no behaviour.
        node.body = [each for old in node.body for each in _listed(self.visit(old))]
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        return self._function(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        return self._function(node)

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> ast.AST:
        node.args.defaults = [self.visit(each) for each in node.args.defaults]
        node.body = [each for old in node.body for each in _listed(self.visit(old))]
        return node


def _listed(node: ast.AST | list[ast.AST]) -> Iterator[ast.AST]:
    yield from node if isinstance(node, list) else [node]


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))


def mutants_of(source: str) -> list[Mutant]:
    """Return every defect that can be put into a source, in a fixed order."""
    defects = _Defects(None)
    defects.visit(ast.parse(source))
    return defects.found


def with_mutant(source: str, at: int) -> ast.Module:
    """Return the source with one defect."""
    tree = _Defects(at).visit(ast.parse(source))
    assert isinstance(tree, ast.Module)
    return ast.fix_missing_locations(tree)
