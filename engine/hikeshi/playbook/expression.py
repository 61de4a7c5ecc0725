"""Expressions: parsed by Jinja's parser, evaluated by ours.

Rule of this file: jinja2 is imported here and nowhere else, only when the first expression is parsed, and only for its
lexer and its parser. Nothing is ever compiled to Python; what the tree may hold is written out below, node by node.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from hikeshi.playbook import evaluate, syntax
from hikeshi.playbook.functions import FILTERS, FUNCTIONS, TESTS, Function, Required
from hikeshi.playbook.plain_data import MAX_INTEGER_BITS, MAX_OPERATIONS, EvaluationError, hint
from hikeshi.playbook.references import Reference, references_in
from hikeshi.playbook.syntax import ExpressionError
from hikeshi.playbook.unknown import Unknown, Value

if TYPE_CHECKING:
    from jinja2 import nodes
    from jinja2.lexer import Lexer, Token
    from jinja2.parser import Parser

MAX_SOURCE = 16 * 1024
MAX_BRACKETS = 24
MAX_TREE_DEPTH = 100
MAX_CHAINED_WORDS = 40


class Expression:
    """A parsed expression. Two of the same text are equal. It keeps nothing between evaluations."""

    __slots__ = ("_closure", "_references", "size", "text", "tree")

    def __init__(self, text: str, tree: syntax.Node) -> None:
        self.text = text
        self.tree = tree
        self.size = sum(1 for _ in syntax.walk(tree))
        self._closure: evaluate.Closure | None = None
        self._references: tuple[Reference, ...] | None = None

    def evaluate(self, scope: Mapping[str, object], *, operations: int = MAX_OPERATIONS) -> Value:
        """Return the value: plain data or Unknown, or data that contains Unknown. Parts of the scope are not copied.

        Raises EvaluationError, which is the fault of the playbook or of its data, and nothing else.
        """
        if self._closure is None:
            self._closure = evaluate.build(self.tree)
        try:
            return cast(Value, evaluate.run(self._closure, self.size, scope, operations))
        except EvaluationError as error:
            error.expression = self.text
            raise

    @property
    def references(self) -> tuple[Reference, ...]:
        """What the expression reads: every path from a top-level name, in the order of the text."""
        if self._references is None:
            self._references = tuple(references_in(self.tree))
        return self._references

    @property
    def names(self) -> frozenset[str]:
        """The top-level names it reads."""
        return frozenset(reference.root for reference in self.references)

    @property
    def is_constant(self) -> bool:
        """Whether it reads no name at all."""
        return not self.references

    def __eq__(self, other: object) -> bool:
        return self.text == other.text if isinstance(other, Expression) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.text)

    def __repr__(self) -> str:
        return f"Expression({self.text!r})"


def evaluate_condition(
    expression: Expression, scope: Mapping[str, object], *, key: str = "when", operations: int = MAX_OPERATIONS
) -> bool | Unknown:
    """Return whether a condition holds, or Unknown. Raises EvaluationError if it is neither true nor false.

    `key` is the key of the step in which it stands, for the message.
    """
    value = expression.evaluate(scope, operations=operations)
    try:
        return evaluate.boolean(value, f"`{key}`", 0)
    except EvaluationError as error:
        error.expression = expression.text
        raise


@functools.lru_cache(maxsize=4096)
def parse_expression(text: str) -> Expression:
    """Return the expression that `text` is, without braces around it. Raises ExpressionError with the place."""
    if len(text) > MAX_SOURCE:
        raise ExpressionError(f"an expression has at most {MAX_SOURCE // 1024} KiB of text", MAX_SOURCE)
    if not text.strip():
        raise ExpressionError("there is no expression here")
    if text.lstrip().startswith("{{"):
        raise ExpressionError("this key takes the bare expression, without {{ and }}", text.index("{{"))
    raw: list[RawToken] = []
    for token in raw_tokens(text):
        if token.kind == "variable_end":
            raise ExpressionError("unexpected '}}'", token.offset)
        raw.append(token)
    return _parse(text, raw)


@dataclass(frozen=True, slots=True)
class RawToken:
    """One token as the lexer found it."""

    kind: str
    text: str
    offset: int


class _Jinja:
    """The parts of jinja2 that are used."""

    def __init__(self) -> None:
        import jinja2
        from jinja2 import lexer, parser

        self.syntax_error = jinja2.TemplateSyntaxError
        self.operators = lexer.operators
        self.token: type[Token] = lexer.Token
        self.stream = lexer.TokenStream
        self.environment = jinja2.Environment(keep_trailing_newline=True, autoescape=False)  # noqa: S701  renders nothing
        self.lexer: Lexer = lexer.get_lexer(self.environment)
        self.parser: type[Parser] = parser.Parser


_jinja = functools.cache(_Jinja)


def raw_tokens(text: str) -> Iterator[RawToken]:
    """Yield the tokens of an expression, white space left out, up to and including a closing `}}` if there is one."""
    jinja = _jinja()
    offset = 0
    tokens = jinja.lexer.tokeniter(text.replace("\r", " "), None, None, "variable")
    try:
        for _, kind, value in tokens:
            if kind != "whitespace":
                yield RawToken(kind, value, offset)
            if kind == "variable_end":
                return
            offset += len(value)
    except jinja.syntax_error as error:
        raise ExpressionError(_plainly(error.message or "this is not an expression"), offset) from None


def _parse(text: str, raw: list[RawToken]) -> Expression:
    _check_nesting(raw)
    jinja = _jinja()
    # The parser keeps a line for every node, which for us is always the first. It is given the offset instead.
    tokens = [jinja.token(token.offset, *_token_value(jinja, token)) for token in raw]
    parser = jinja.parser(jinja.environment, "", state="variable")
    parser.stream = jinja.stream(iter(tokens), None, None)
    end = len(text.rstrip())
    try:
        parsed = parser.parse_expression()
        rest = parser.stream.current
        if rest.type != "eof":
            raise ExpressionError(f"unexpected {rest.value!r} after the end of the expression", rest.lineno)
        return Expression(text, _Reader().read(parsed))
    except jinja.syntax_error as error:
        at_end = parser.stream.current.type == "eof"
        raise ExpressionError(_plainly(error.message or ""), end if at_end else error.lineno) from None
    except RecursionError:
        raise ExpressionError("the expression is nested too deep") from None


def _plainly(message: str) -> str:
    return message.replace("unexpected end of template", "the expression ends too early").replace(
        "unexpected 'end of template'", "the expression ends too early"
    )


def _check_nesting(raw: list[RawToken]) -> None:
    """Refuse before parsing what would take Jinja's parser too deep: it is recursive."""
    depth = chained = 0
    for token in raw:
        if token.kind == "operator" and token.text in "([{":
            depth += 1
        elif token.kind == "operator" and token.text in ")]}":
            depth -= 1
        chained += token.text in ("not", "else", "-", "+", "**")
        if depth > MAX_BRACKETS:
            raise ExpressionError(f"brackets are nested deeper than {MAX_BRACKETS} levels", token.offset)
        if chained > MAX_CHAINED_WORDS:
            raise ExpressionError("the expression is too long: too many `not`, `else`, `+`, `-` or `**`", token.offset)


def _token_value(jinja: _Jinja, token: RawToken) -> tuple[str, Any]:
    match token.kind:
        case "operator":
            return jinja.operators[token.text], token.text
        case "string":
            return "string", _unescape(token)
        case "integer":
            return "integer", _integer(token)
        case "float":
            value = float(token.text.replace("_", ""))
            if value in (float("inf"), float("-inf")):
                raise ExpressionError("the number is too large", token.offset)
            return "float", value
        case "name":
            if not token.text.isidentifier():
                raise ExpressionError(f"{token.text!r} is not a name", token.offset)
            if token.text.startswith("_"):
                raise ExpressionError(
                    f"{token.text!r}: names that start with _ are not part of the language", token.offset
                )
            return "name", token.text
    raise ExpressionError(f"unexpected {token.text!r}", token.offset)


_ESCAPE = re.compile(r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.)|$)", re.DOTALL)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\", "'": "'", '"': '"', "0": "\0", "/": "/"}


def _unescape(token: RawToken) -> str:
    def character(found: re.Match[str]) -> str:
        code = found[1] or found[2] or found[3]
        offset = token.offset + 1 + found.start()
        if code is not None:
            number = int(code, 16)
            if number > 0x10FFFF or 0xD800 <= number <= 0xDFFF:
                raise ExpressionError(f"{found[0]!r} is no character", offset)
            return chr(number)
        if found[4] not in _ESCAPES:
            raise ExpressionError(f"{found[0]!r} is no escape; write a backslash as \\\\", offset)
        return _ESCAPES[found[4]]

    return _ESCAPE.sub(character, token.text[1:-1])


def _integer(token: RawToken) -> int:
    digits = token.text.replace("_", "")
    value = int(digits, 0) if len(digits) <= MAX_INTEGER_BITS // 3 else 1 << (MAX_INTEGER_BITS + 1)
    if value.bit_length() > MAX_INTEGER_BITS:
        raise ExpressionError("the number is too large", token.offset)
    return value


_BINARY = {"Add": "+", "Sub": "-", "Mul": "*", "Div": "/", "FloorDiv": "//", "Mod": "%", "Pow": "**"}
_COMPARISONS = {
    "eq": "==", "ne": "!=", "lt": "<", "lteq": "<=", "gt": ">", "gteq": ">=", "in": "in", "notin": "not in",
}  # fmt: skip


class _Reader:
    """Reads Jinja's tree into ours. What has no method here is not part of the language."""

    def __init__(self) -> None:
        self._depth = 0

    def read(self, node: nodes.Node) -> syntax.Node:
        self._depth += 1
        if self._depth > MAX_TREE_DEPTH:
            raise ExpressionError(f"the expression is nested deeper than {MAX_TREE_DEPTH} levels", node.lineno)
        name = type(node).__name__
        if name in _BINARY:
            found: syntax.Node = self._binary(node)
        else:
            reader: Callable[[Any], syntax.Node] | None = getattr(self, f"_{name.lower()}", None)
            if reader is None:
                raise ExpressionError(f"this is not part of the language ({name})", node.lineno)
            found = reader(node)
        self._depth -= 1
        return found

    def _const(self, node: nodes.Const) -> syntax.Node:
        return syntax.Constant(node.value, node.lineno)

    def _name(self, node: nodes.Name) -> syntax.Node:
        if node.name == "null":
            return syntax.Constant(None, node.lineno)
        return syntax.Name(node.name, node.lineno)

    def _getattr(self, node: nodes.Getattr) -> syntax.Node:
        return syntax.Attribute(self.read(node.node), node.attr, node.lineno)

    def _getitem(self, node: nodes.Getitem) -> syntax.Node:
        subject = self.read(node.node)
        if type(node.arg).__name__ == "Slice":
            return self._sliced(subject, cast("nodes.Slice", node.arg), node.lineno)
        index = self.read(node.arg)
        if isinstance(index, syntax.Constant) and isinstance(index.value, str):
            return syntax.Attribute(subject, index.value, node.lineno)
        return syntax.Item(subject, index, node.lineno)

    def _sliced(self, subject: syntax.Node, node: nodes.Slice, offset: int) -> syntax.Node:
        start, stop, step = (None if part is None else self.read(part) for part in (node.start, node.stop, node.step))
        return syntax.Slice(subject, start, stop, step, offset)

    def _neg(self, node: nodes.Neg) -> syntax.Node:
        return syntax.Unary("-", self.read(node.node), node.lineno)

    def _pos(self, node: nodes.Pos) -> syntax.Node:
        return syntax.Unary("+", self.read(node.node), node.lineno)

    def _binary(self, node: Any) -> syntax.Node:
        sign = _BINARY[type(node).__name__]
        return syntax.Binary(sign, self.read(node.left), self.read(node.right), node.lineno)

    def _concat(self, node: nodes.Concat) -> syntax.Node:
        return syntax.Concatenation(self._all(node.nodes), node.lineno)

    def _compare(self, node: nodes.Compare) -> syntax.Node:
        operands = (self.read(node.expr), *(self.read(operand.expr) for operand in node.ops))
        return syntax.Comparison(operands, tuple(_COMPARISONS[operand.op] for operand in node.ops), operands[0].offset)

    def _not(self, node: nodes.Not) -> syntax.Node:
        return syntax.Not(self.read(node.node), node.lineno)

    def _and(self, node: nodes.And) -> syntax.Node:
        return self._logic(node, "and")

    def _or(self, node: nodes.Or) -> syntax.Node:
        return self._logic(node, "or")

    def _logic(self, node: nodes.BinExpr, sign: str) -> syntax.Node:
        operands: list[nodes.Node] = []
        left: nodes.Node = node
        while type(left) is type(node):  # a chain leans to the left, however long it is
            operands.append(left.right)
            left = left.left
        return syntax.Logic(sign, self._all([left, *reversed(operands)]), node.lineno)

    def _condexpr(self, node: nodes.CondExpr) -> syntax.Node:
        otherwise = None if node.expr2 is None else self.read(node.expr2)
        return syntax.Conditional(self.read(node.test), self.read(node.expr1), otherwise, node.lineno)

    def _list(self, node: nodes.List) -> syntax.Node:
        return syntax.ListOf(self._all(node.items), node.lineno)

    def _tuple(self, node: nodes.Tuple) -> syntax.Node:
        return syntax.ListOf(self._all(node.items), node.lineno)

    def _dict(self, node: nodes.Dict) -> syntax.Node:
        keys = self._all([pair.key for pair in node.items])
        return syntax.MapOf(keys, self._all([pair.value for pair in node.items]), node.lineno)

    def _filter(self, node: nodes.Filter) -> syntax.Node:
        assert node.node is not None  # only a filter block has none, and that is a statement
        return self._application(_find(FILTERS, node.name, "filter", node.lineno), self.read(node.node), node)

    def _test(self, node: nodes.Test) -> syntax.Node:
        return self._application(_find(TESTS, node.name, "test", node.lineno), self.read(node.node), node)

    def _call(self, node: nodes.Call) -> syntax.Node:
        if type(node.node).__name__ != "Name":
            raise ExpressionError(f"only {_listed(FUNCTIONS)} can be called; data has no methods", node.lineno)
        name = cast("nodes.Name", node.node).name
        if name not in FUNCTIONS and name in FILTERS:
            raise ExpressionError(f"{name!r} is a filter; write it after the value: `value | {name}`", node.node.lineno)
        if name not in FUNCTIONS:
            message = f"there is no function {name!r}" + hint(name, FUNCTIONS) + f" (functions: {_listed(FUNCTIONS)})"
            raise ExpressionError(message, node.node.lineno)
        return self._application(FUNCTIONS[name], None, node)

    def _all(self, entries: list[Any]) -> tuple[syntax.Node, ...]:
        return tuple(self.read(entry) for entry in entries)

    def _application(self, function: Function, subject: syntax.Node | None, node: Any) -> syntax.Node:
        if node.dyn_args is not None or node.dyn_kwargs is not None:
            raise ExpressionError(f"`{function.name}`: * and ** are not part of the language", node.lineno)
        given = list(self._all(node.args))
        named = {entry.key: self.read(entry.value) for entry in node.kwargs}
        if len(named) != len(node.kwargs):
            raise ExpressionError(f"`{function.name}` is given the same argument twice", node.lineno)
        offset: int = node.lineno
        if function.form in ("plain", "default", "defined"):
            return syntax.Application(function, subject, _bind(function, given, named, offset), None, (), offset)
        if function.form == "map" and not given:
            return self._map_attribute(function, subject, named, offset)
        own: tuple[syntax.Node, ...] = ()
        if function.form == "pick by":
            if not given:
                raise ExpressionError(f"`{function.name}` needs the name of an attribute", offset)
            own, given = (given[0],), given[1:]
        inner = self._inner(function, given, offset)
        arguments = () if inner is None else _bind(inner, given[1:], named, offset)
        if inner is None and named:
            raise ExpressionError(f"`{function.name}` has no argument {next(iter(named))!r}", offset)
        return syntax.Application(function, subject, own, inner, arguments, offset)

    def _map_attribute(
        self, function: Function, subject: syntax.Node | None, named: dict[str, syntax.Node], offset: int
    ) -> syntax.Node:
        if "attribute" not in named:
            message = "`map` needs the name of a filter, as map('lower'), or map(attribute='name')"
            raise ExpressionError(message, offset)
        return syntax.Application(function, subject, _bind(function, [], named, offset), None, (), offset)

    def _inner(self, function: Function, given: list[syntax.Node], offset: int) -> Function | None:
        """The filter or test that is applied to each item. Its name is written out, so that it is known here."""
        table, role = (FILTERS, "filter") if function.form == "map" else (TESTS, "test")
        if not given:
            return None
        name = given[0]
        if not isinstance(name, syntax.Constant) or not isinstance(name.value, str):
            raise ExpressionError(f"`{function.name}` needs the name of a {role}, written out as text", offset)
        inner = _find(table, name.value, role, name.offset)
        if inner.form in ("map", "pick", "pick by"):
            raise ExpressionError(f"`{inner.name}` cannot be applied by `{function.name}`", name.offset)
        return inner


def _find(table: dict[str, Function], name: str, role: str, offset: int) -> Function:
    if name in table:
        return table[name]
    raise ExpressionError(f"there is no {role} {name!r}" + hint(name, table), offset)


def _listed(table: dict[str, Function]) -> str:
    return ", ".join(table)


def _bind(
    function: Function, given: list[syntax.Node], named: dict[str, syntax.Node], offset: int
) -> tuple[syntax.Node, ...]:
    """Put arguments in the order of the parameters. Raises ExpressionError for one too many, too few or unknown."""
    parameters = function.parameters
    if len(given) > len(parameters):
        raise ExpressionError(
            f"`{function.name}` takes at most {len(parameters)} arguments: `{function.signature}`", offset
        )
    for name in named:
        names = [parameter.name for parameter in parameters]
        if name not in names:
            raise ExpressionError(f"`{function.name}` has no argument {name!r}" + hint(name, names), offset)
        if name in names[: len(given)]:
            raise ExpressionError(f"`{function.name}` is given {name!r} twice", offset)
    bound = list(given)
    for parameter in parameters[len(given) :]:
        if parameter.name in named:
            bound.append(named[parameter.name])
        elif isinstance(parameter.default, Required):
            raise ExpressionError(f"`{function.name}` needs {parameter.name!r}: `{function.signature}`", offset)
        else:
            bound.append(syntax.Constant(parameter.default, offset))
    return tuple(bound)


__all__ = ["EvaluationError", "Expression", "ExpressionError", "Reference", "evaluate_condition", "parse_expression"]
