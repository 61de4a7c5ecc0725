"""Small defects that are put into a module's source, one at a time.

Texts for people are left alone: that an error says something else is not what is asked here. So is what no test can
see: that a file was flushed to the disk, and with which flags it was opened; how a class is made; what is written for
the type checker alone; what says only that two things are of one length; and that None stands where False did, which
decides the same (that True stands there is a defect of its own).
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Callable, Iterator
from types import CodeType
from typing import NamedTuple

__all__ = ["NO_DEFECT", "Function", "Mutant", "code_of", "functions_of", "mutants_of", "with_mutant"]

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

NO_DEFECT = -1


class Function(NamedTuple):
    """A function that no other is around, by its name in the module. `begin` is its first line, decorators included."""

    name: str
    begin: int
    body: range


class Mutant(NamedTuple):
    """The line of a defect, and what it is. Whoever executes it executes one of its `lines`.

    `function` is the one around it; without one the defect is in what a module does when it is imported.
    """

    line: int
    what: str
    lines: frozenset[int]
    function: Function | None


class _Defects(ast.NodeTransformer):
    """Counts the places where a defect can be, and puts one in at place `at`."""

    def __init__(self, at: int | None) -> None:
        self._at = at
        self._names: list[str] = []
        self._function: Function | None = None
        self._statement = 0
        self.found: list[Mutant] = []

    def visit(self, node: ast.AST) -> ast.AST | list[ast.AST]:
        if isinstance(node, ast.stmt):
            self._statement = node.lineno
        visited: ast.AST | list[ast.AST] = super().visit(node)
        return visited

    def _place(self, node: ast.AST, what: str, changed: Callable[[], ast.AST]) -> ast.AST:
        assert isinstance(node, ast.expr | ast.stmt)
        shown = node.test if isinstance(node, ast.If) else node
        lines = frozenset({node.lineno, *range(shown.lineno, (shown.end_lineno or 0) + 1), self._statement})
        self.found.append(Mutant(node.lineno, what, lines, self._function))
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

    def visit_keyword(self, node: ast.keyword) -> ast.AST:
        if node.arg != "strict":  # of zip: like an assert, it says what never happens
            node.value = self._expression(node.value)
        return node

    def visit_If(self, node: ast.If) -> ast.AST:
        if isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            return node
        self.generic_visit(node)
        changed = copy.copy(node)
        changed.test = ast.Constant(value=False)
        return self._place(node, "the condition never holds", lambda: changed)

    def visit_Return(self, node: ast.Return) -> ast.AST:
        self.generic_visit(node)
        if node.value is None or ast.unparse(node.value) in ("None", "False"):
            return node
        return self._place(node, "nothing is returned", lambda: ast.Return(ast.Constant(value=None)))

    def visit_Expr(self, node: ast.Expr) -> ast.AST:
        self.generic_visit(node)
        if not isinstance(node.value, ast.Call | ast.Await) or "sync" in ast.unparse(node.value).partition("(")[0]:
            return node  # what a flush is for shows only when the power fails
        return self._place(node, "the call is left out", lambda: ast.Pass())

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        if node.value is not None:
            node.value = self._expression(node.value)
        return node  # an annotation does nothing

    def visit_arg(self, node: ast.arg) -> ast.AST:
        return node

    def visit_Raise(self, node: ast.Raise) -> ast.AST:
        return self._place(node, "nothing is raised", lambda: ast.Pass())

    def visit_Assert(self, node: ast.Assert) -> ast.AST:
        return node  # what it says is for the type checker

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        # How a class is made (frozen, with slots) shows in no behaviour.
        self._names.append(node.name)
        self._within(node)
        self._names.pop()
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        return self._visit_function(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        return self._visit_function(node)

    def _visit_function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> ast.AST:
        node.args.defaults = [self._expression(each) for each in node.args.defaults]
        node.args.kw_defaults = [None if each is None else self._expression(each) for each in node.args.kw_defaults]
        around = self._function
        if around is None:
            self._function = _function_of(node, ".".join([*self._names, node.name]))
        self._within(node)
        self._function = around
        return node

    def _within(self, node: ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        body = [each for old in node.body for each in _listed(self.visit(old))]
        node.body = [each for each in body if isinstance(each, ast.stmt)]

    def _expression(self, node: ast.expr) -> ast.expr:
        visited = self.visit(node)
        assert isinstance(visited, ast.expr)
        return visited


def _listed(node: ast.AST | list[ast.AST]) -> Iterator[ast.AST]:
    yield from node if isinstance(node, list) else [node]


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))


def _function_of(node: ast.FunctionDef | ast.AsyncFunctionDef, name: str) -> Function:
    begin = min([node.lineno, *(each.lineno for each in node.decorator_list)])
    return Function(name, begin, range(node.body[0].lineno, (node.end_lineno or node.lineno) + 1))


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


def code_of(source: str, at: int, path: str) -> CodeType:
    """Return the source with one defect, compiled."""
    code: CodeType = compile(with_mutant(source, at), path, "exec", dont_inherit=True)
    return code


def functions_of(code: CodeType) -> Iterator[CodeType]:
    """Yield the functions that a compiled module or class defines, at any depth."""
    for each in code.co_consts:
        if isinstance(each, CodeType):
            yield each
            yield from functions_of(each)
