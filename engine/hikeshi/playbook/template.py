"""Values of a playbook with expressions in them: `with`, `inputs`, `outputs`, messages.

A text that is exactly one `{{ expression }}` keeps the value's type; in longer text the value becomes text. Only what
the author wrote is ever searched for braces; values that expressions give are never looked at again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias, cast

from hikeshi.playbook.evaluate import join_text
from hikeshi.playbook.expression import MAX_SOURCE, Expression, parse_expression, raw_tokens
from hikeshi.playbook.plain_data import Budget, EvaluationError, describe
from hikeshi.playbook.syntax import ExpressionError
from hikeshi.playbook.unknown import JSON, MAX_DEPTH, Value
from hikeshi.quick_dataclass import dataclass

MAX_TEMPLATE_TEXT = 256 * 1024
MAX_EXPRESSIONS_IN_TEXT = 500

Path: TypeAlias = tuple[str | int, ...]


class TemplateError(ExpressionError):
    """One problem or more in the expressions of a value. `problems` has each with its path and offset."""

    def __init__(self, problems: list[LocatedProblem]) -> None:
        super().__init__("; ".join(problem.message for problem in problems), problems[0].offset)
        self.problems = problems


@dataclass(frozen=True, slots=True)
class LocatedProblem:
    """What is wrong with a value: where in it (`path`), and at which character of the text there."""

    path: Path
    offset: int
    message: str


@dataclass(frozen=True, slots=True)
class LocatedExpression:
    """An expression in a value: where (`path`), at which character of the text its own text starts, and how it is used.

    `whole`: it is the whole value and keeps its type; otherwise it is put into text.
    """

    path: Path
    offset: int
    expression: Expression
    whole: bool


@dataclass(frozen=True, slots=True)
class Text:
    """Text with expressions in it: pieces of text and expressions in turn."""

    pieces: tuple[str | LocatedExpression, ...]


@dataclass(frozen=True, slots=True)
class Literal:
    """A value without any expression."""

    value: JSON


Part: TypeAlias = "Literal | LocatedExpression | Text | list[Part] | dict[str, Part]"


class Template:
    """A value of a playbook, parsed once."""

    __slots__ = ("expressions", "part")

    def __init__(self, part: Part) -> None:
        self.part = part
        self.expressions: tuple[LocatedExpression, ...] = tuple(_expressions(part))

    @property
    def is_constant(self) -> bool:
        """Whether it has no expressions at all."""
        return not self.expressions

    def evaluate(self, scope: Mapping[str, object]) -> Value:
        """Return the value: plain data that may contain Unknown.

        Raises EvaluationError, with the path of the expression.
        """
        return cast(Value, _evaluate(self.part, scope))


def parse_value(value: object) -> Template:
    """Return the template that a value from YAML or JSON is. Raises TemplateError with every problem in it."""
    problems: list[LocatedProblem] = []
    part = _parse(value, (), problems)
    if problems:
        raise TemplateError(problems)
    return Template(part)


def _parse(value: object, path: Path, problems: list[LocatedProblem]) -> Part:
    if len(path) > MAX_DEPTH:
        problems.append(LocatedProblem(path, 0, f"the value is nested deeper than {MAX_DEPTH} levels"))
    elif isinstance(value, str):
        try:
            return _parse_text(str(value), path)
        except ExpressionError as error:
            problems.append(LocatedProblem(path, error.offset, error.message))
    elif isinstance(value, dict):
        return _folded(
            {key: _parse(entry, (*path, key), problems) for key, entry in _keyed(value, path, problems).items()}
        )
    elif isinstance(value, list):
        return _folded([_parse(entry, (*path, at), problems) for at, entry in enumerate(value)])
    elif value is None or isinstance(value, bool):
        return Literal(value)
    elif isinstance(value, (int, float)):
        return Literal(int(value) if isinstance(value, int) else float(value))
    else:
        problems.append(LocatedProblem(path, 0, f"a {type(value).__name__} cannot stand here; write it in quotes"))
    return Literal(None)


def _keyed(value: dict[object, object], path: Path, problems: list[LocatedProblem]) -> dict[str, object]:
    found: dict[str, object] = {}
    for key, entry in value.items():
        if not isinstance(key, str):
            problems.append(LocatedProblem(path, 0, f"the key {key!r} is not text; write it in quotes"))
        elif "{{" in key or "{%" in key:
            problems.append(LocatedProblem((*path, key), 0, f"the key {key!r} has an expression; keys are written out"))
        else:
            found[str(key)] = entry
    return found


def _folded(parts: list[Part] | dict[str, Part]) -> Part:
    """Take a list or map of literals as one literal."""
    if isinstance(parts, dict):
        if all(isinstance(part, Literal) for part in parts.values()):
            return Literal({key: cast(Literal, part).value for key, part in parts.items()})
    elif all(isinstance(part, Literal) for part in parts):
        return Literal([cast(Literal, part).value for part in parts])
    return parts


def _parse_text(text: str, path: Path) -> Part:
    if "{" not in text:
        return Literal(text)
    if len(text) > MAX_TEMPLATE_TEXT:
        raise ExpressionError(f"text with braces in it has at most {MAX_TEMPLATE_TEXT // 1024} KiB")
    pieces: list[str | LocatedExpression] = []
    end = 0
    while (start := _next_opening(text, end)) >= 0:
        pieces.append(text[end:start])
        inside = start + 2
        close = _closing(text, inside)
        pieces.append(LocatedExpression(path, inside, _expression(text[inside:close], inside), whole=False))
        end = close + 2
        if len(pieces) > 2 * MAX_EXPRESSIONS_IN_TEXT:
            raise ExpressionError(f"one text has at most {MAX_EXPRESSIONS_IN_TEXT} expressions", start)
    pieces.append(text[end:])
    if len(pieces) == 1:
        return Literal(text)
    before, only, after = pieces[:3]
    if len(pieces) == 3 and isinstance(only, LocatedExpression) and not f"{before}{after}".strip():
        return LocatedExpression(path, only.offset, only.expression, whole=True)
    return Text(tuple(piece for piece in pieces if piece != ""))


def _next_opening(text: str, position: int) -> int:
    """The next `{{`. Raises ExpressionError for the signs of statements and comments before it."""
    at = text.find("{", position)
    while at >= 0:
        following = text[at + 1 : at + 2]
        if following == "{":
            return at
        if following and following in "%#":
            what = "statements are" if following == "%" else "comments in braces are"
            raise ExpressionError(
                f"{what} not part of the language; to mean the text, write {{{{ '{{{following}' }}}}", at
            )
        at = text.find("{", at + 1)
    return -1


def _closing(text: str, inside: int) -> int:
    """The place of the `}}` that ends the expression; braces in its texts and maps do not."""
    if text[inside : inside + 1] in ("-", "+"):
        raise ExpressionError("white space control is not part of the language; put a space after {{", inside)
    for token in _shifted(text[inside : inside + MAX_SOURCE + 3], inside):
        if token[0] == "variable_end":
            if token[1].startswith("-"):
                raise ExpressionError(
                    "white space control is not part of the language; put a space before }}", token[2]
                )
            return token[2]
    raise ExpressionError("this {{ is not closed by }}; to mean the text, write {{ '{{' }}", inside - 2)


def _shifted(text: str, start: int) -> list[tuple[str, str, int]]:
    found: list[tuple[str, str, int]] = []
    try:
        for token in raw_tokens(text):
            found.append((token.kind, token.text, start + token.offset))
            if token.kind == "variable_end":
                break
    except ExpressionError as error:
        raise ExpressionError(error.message, start + error.offset) from None
    return found


def _expression(text: str, start: int) -> Expression:
    try:
        return parse_expression(text)
    except ExpressionError as error:
        raise ExpressionError(error.message, start + error.offset) from None


def _expressions(part: Part) -> list[LocatedExpression]:
    match part:
        case Literal():
            return []
        case LocatedExpression():
            return [part]
        case Text(pieces=pieces):
            return [piece for piece in pieces if isinstance(piece, LocatedExpression)]
        case dict():
            return [found for entry in part.values() for found in _expressions(entry)]
        case list():
            return [found for entry in part for found in _expressions(entry)]


def _evaluate(part: Part, scope: Mapping[str, object]) -> object:
    match part:
        case Literal(value=value):
            return value
        case LocatedExpression():
            return _value(part, scope)
        case Text(pieces=pieces):
            values = [piece if isinstance(piece, str) else _scalar(piece, scope) for piece in pieces]
            return join_text(Budget(), values, 0)
        case dict():
            return {key: _evaluate(entry, scope) for key, entry in part.items()}
        case list():
            return [_evaluate(entry, scope) for entry in part]


def _value(located: LocatedExpression, scope: Mapping[str, object]) -> object:
    try:
        return located.expression.evaluate(scope)
    except EvaluationError as error:
        error.path = located.path
        raise


def _scalar(located: LocatedExpression, scope: Mapping[str, object]) -> object:
    value = _value(located, scope)
    if value is None or isinstance(value, (list, dict)):
        advice = "use `default`" if value is None else "use `join` or `tojson`"
        source = located.expression.text.strip()
        error = EvaluationError(f"`{source}` is {describe(value)}, which cannot be put into text; {advice}", 0)
        error.expression, error.path = located.expression.text, located.path
        raise error
    return value
