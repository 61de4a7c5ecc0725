"""Evaluation: the tree of an expression, turned once into nested Python closures.

Rule of this file: unknown goes through. A node gives Unknown as soon as anything it looks at is or contains an
Unknown; only what merely passes values on (literals, branches, access to a known part, `default`) may leave it
inside. No node is visited twice in one evaluation, so the nodes are charged to the budget together, before the first.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import TypeAlias, assert_never

from hikeshi.playbook import predicates, syntax
from hikeshi.playbook.functions import KIND_WORDS, KINDS, Function, Kind
from hikeshi.playbook.list_filters import read_path
from hikeshi.playbook.plain_data import (
    MAX_INTEGER_BITS,
    MAX_OPERATIONS,
    NUMBERS,
    SCALARS,
    Budget,
    EvaluationError,
    Missing,
    check_number,
    describe,
    equal,
    hint,
    is_names,
    look_up,
    refuse,
    settle,
    to_text,
)
from hikeshi.playbook.unknown import Unknown


class Evaluation:
    """One evaluation under way: its names and what it may still spend."""

    __slots__ = ("budget", "scope")

    def __init__(self, scope: Mapping[str, object], budget: Budget) -> None:
        self.scope = scope
        self.budget = budget


Closure: TypeAlias = Callable[[Evaluation], object]


def run(closure: Closure, size: int, scope: Mapping[str, object], operations: int = MAX_OPERATIONS) -> object:
    """Return the value of a compiled expression of `size` nodes. Raises EvaluationError and nothing else."""
    budget = Budget(operations)
    budget.spend(size)
    try:
        value = closure(Evaluation(scope, budget))
    except RecursionError:
        raise EvaluationError("the expression or its data is nested too deep") from None
    _passable(value, 0)
    return value


def boolean(value: object, what: str, offset: int) -> bool | Unknown:
    """Return a condition's value. Raises EvaluationError unless it is true, false or unknown."""
    if value is True or value is False:
        return value
    if isinstance(value, Unknown):
        return value
    _passable(value, offset)
    raise EvaluationError(f"{what} gave {describe(value)}; a condition must be true or false", offset)


def build(node: syntax.Node) -> Closure:
    """Return the closure that evaluates a node."""
    match node:
        case syntax.Constant():
            value = node.value
            return lambda _: value
        case syntax.Name() | syntax.Attribute():
            return _path(node)
        case syntax.Item():
            return _item(node)
        case syntax.Slice():
            return _slice(node)
        case syntax.Unary():
            return _unary(node)
        case syntax.Binary():
            return _binary(node)
        case syntax.Concatenation():
            return _concatenation(node)
        case syntax.Comparison():
            return _comparison(node)
        case syntax.Not():
            return _not(node)
        case syntax.Logic():
            return _logic(node)
        case syntax.Conditional():
            return _conditional(node)
        case syntax.ListOf():
            return _list(node)
        case syntax.MapOf():
            return _map(node)
        case syntax.Application():
            return _application(node)
        case _:
            assert_never(node)


def _passable(value: object, offset: int) -> None:
    """Raise EvaluationError for what may not be passed on: what is missing, and what is not plain data."""
    kind = value.__class__
    if kind not in SCALARS and kind is not list and kind is not dict and kind is not Unknown:
        _refuse(value, offset)


def _refuse(value: object, offset: int) -> None:
    try:
        refuse(value, "the value")
    except EvaluationError as error:
        error.offset = offset
        raise


def _settle(evaluation: Evaluation, value: object, offset: int) -> Unknown | None:
    if value.__class__ in SCALARS:
        return None
    try:
        return settle(evaluation.budget, value)
    except EvaluationError as error:
        error.offset = offset
        raise


def _either(left: Unknown | None, right: Unknown | None) -> Unknown:
    found = right if left is None else left
    assert found is not None
    return found


def _path(node: syntax.Name | syntax.Attribute) -> Closure:
    """A name and the fields after it are read in one closure: most of what playbooks evaluate is such paths."""
    keys: list[tuple[str, int]] = []
    while isinstance(node, syntax.Attribute):
        keys.append((node.key, node.offset))
        node = node.subject  # type: ignore[assignment]  # narrowed by the loop and below
    start = None if isinstance(node, syntax.Name) else build(node)
    name, name_offset = (node.name, node.offset) if isinstance(node, syntax.Name) else ("", node.offset)
    steps: list[tuple[str, str, int]] = []
    shown = name or "the value"
    for key, offset in reversed(keys):
        steps.append((key, f"`{shown}`" if name else shown, offset))
        shown += f".{key}"

    def path(evaluation: Evaluation) -> object:
        if start is not None:
            value = start(evaluation)
        else:
            try:
                value = evaluation.scope[name]
            except KeyError:
                message = f"there is no name {name!r} here" + hint(name, evaluation.scope)
                raise EvaluationError(message, name_offset) from None
        for key, before, offset in steps:
            if value.__class__ is dict and key in value:
                value = value[key]
            else:
                try:
                    value = look_up(value, key, before)
                except EvaluationError as error:
                    error.offset = offset
                    raise
        return value

    return path


def _item(node: syntax.Item) -> Closure:
    subject, index, offset = build(node.subject), build(node.index), node.offset

    def item(evaluation: Evaluation) -> object:
        value, key = subject(evaluation), index(evaluation)
        if isinstance(value, Missing):
            return value
        if key.__class__ not in SCALARS:
            _passable(key, offset)
        if isinstance(value, Unknown):
            return value.named(f"{value.shape_name}[...]")
        if isinstance(key, Unknown):
            return key.named("value")
        return _subscript(value, key, offset)

    return item


_READ_BY: dict[type, str] = {
    dict: "a map is read by a text",
    list: "a list is read by an integer",
    str: "text is read by an integer",
}


def _subscript(value: object, key: object, offset: int) -> object:
    if isinstance(value, (list, str)) and key.__class__ is int:
        at: int = key
        if -len(value) <= at < len(value):
            return value[at]
        where = "the list" if isinstance(value, list) else "the text"
        return Missing(f"{where} has {len(value)} items, so it has no item at {describe(at)}")
    if isinstance(key, str) and (value is None or isinstance(value, dict) or is_names(value)):
        return look_up(value, key, "the value")
    if value is None:
        return Missing(f"null has no item {describe(key)}")
    _passable(value, offset)
    message = _READ_BY.get(type(value), "it has no items")
    raise EvaluationError(f"{describe(value)} cannot be read by {describe(key)}: {message}", offset)


def _slice(node: syntax.Slice) -> Closure:
    subject, offset = build(node.subject), node.offset
    bounds = [None if bound is None else build(bound) for bound in (node.start, node.stop, node.step)]

    def cut(evaluation: Evaluation) -> object:
        value = subject(evaluation)
        limits = [None if bound is None else bound(evaluation) for bound in bounds]
        for entry in (value, *limits):
            _passable(entry, offset)
        for entry in (value, *limits):
            if isinstance(entry, Unknown):
                return entry.named("value")
        if not isinstance(value, (list, str)):
            raise EvaluationError(f"{describe(value)} cannot be cut; only a list or a text can", offset)
        for limit in limits:
            if limit is not None and limit.__class__ is not int:
                raise EvaluationError(f"a list or a text is cut at integers, not at {describe(limit)}", offset)
        start, stop, step = limits
        if step == 0:
            raise EvaluationError("the step of a slice cannot be 0", offset)
        evaluation.budget.spend(len(value) // 16)
        return value[start:stop:step]  # type: ignore[index]  # integers or None, see above

    return cut


def _unary(node: syntax.Unary) -> Closure:
    operand, sign, offset = build(node.operand), node.operator, node.offset

    def unary(evaluation: Evaluation) -> object:
        value = operand(evaluation)
        unknown = _settle(evaluation, value, offset)
        if unknown is not None:
            return unknown.named("number")
        if value.__class__ not in NUMBERS:
            raise EvaluationError(f"`{sign}` needs a number, and got {describe(value)}", offset)
        return -value if sign == "-" else value  # type: ignore[operator]  # a number, see above

    return unary


def _power(left: int | float, right: int | float) -> object:
    if isinstance(left, int) and isinstance(right, int) and abs(left) > 1 and right > 0:
        if right > MAX_INTEGER_BITS or (left.bit_length() - 1) * right > MAX_INTEGER_BITS:
            raise EvaluationError(f"the number has more than {MAX_INTEGER_BITS:,} bits")
    elif isinstance(left, int) and isinstance(right, int):
        right = max(-MAX_INTEGER_BITS, right) if right < 0 else right % 2 + 2 * (right > 1)
    return left**right


_ARITHMETIC: dict[str, Callable[..., object]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "//": operator.floordiv,
    "%": operator.mod,
    "**": _power,
}


def _binary(node: syntax.Binary) -> Closure:
    left, right, sign, offset = build(node.left), build(node.right), node.operator, node.offset
    compute = _ARITHMETIC[sign]

    def binary(evaluation: Evaluation) -> object:
        a, b = left(evaluation), right(evaluation)
        unknown = _settle(evaluation, a, offset)
        other = _settle(evaluation, b, offset)
        if unknown is not None or other is not None:
            return _either(unknown, other).named("value")
        if a.__class__ in NUMBERS and b.__class__ in NUMBERS:
            return _arithmetic(compute, a, b, offset)
        if sign == "+" and isinstance(a, str) and isinstance(b, str):
            _at(offset, evaluation.budget.create_text, len(a) + len(b))
            return a + b
        if sign == "+" and isinstance(a, list) and isinstance(b, list):
            _at(offset, evaluation.budget.create_items, len(a) + len(b))
            return a + b
        takes = "two numbers, two texts or two lists" if sign == "+" else "two numbers"
        raise EvaluationError(f"`{sign}` takes {takes}, not {describe(a)} and {describe(b)}", offset)

    return binary


def _arithmetic(compute: Callable[..., object], a: object, b: object, offset: int) -> object:
    try:
        return check_number(compute(a, b))
    except ZeroDivisionError:
        raise EvaluationError("division by zero", offset) from None
    except OverflowError:
        raise EvaluationError("the number is too large", offset) from None
    except EvaluationError as error:
        error.offset = offset
        raise


def _at(offset: int, charge: Callable[[int], None], amount: int) -> None:
    try:
        charge(amount)
    except EvaluationError as error:
        error.offset = offset
        raise


def _concatenation(node: syntax.Concatenation) -> Closure:
    operands, offset = [build(operand) for operand in node.operands], node.offset

    def concatenation(evaluation: Evaluation) -> object:
        values = [operand(evaluation) for operand in operands]
        return join_text(evaluation.budget, values, offset)

    return concatenation


def join_text(budget: Budget, values: list[object], offset: int) -> str | Unknown:
    """Return scalars as one text, or Unknown if one is. Raises EvaluationError for anything else."""
    try:
        found = [unknown for value in values if (unknown := settle(budget, value)) is not None]
        if found:
            return found[0].named("string")
        texts = [to_text(value) for value in values]
        budget.create_text(sum(map(len, texts)))
    except EvaluationError as error:
        error.offset = offset
        raise
    return "".join(texts)


_COMPARISONS: dict[str, Callable[[Budget, object, object], bool]] = {
    "==": lambda _, a, b: equal(a, b),
    "!=": lambda _, a, b: not equal(a, b),
    "<": predicates.lt,
    "<=": predicates.le,
    ">": predicates.gt,
    ">=": predicates.ge,
    "in": predicates.in_,
    "not in": lambda budget, a, b: not predicates.in_(budget, a, b),
}


def _comparison(node: syntax.Comparison) -> Closure:
    offset = node.offset
    first = build(node.operands[0])
    rest = [
        (_COMPARISONS[sign], build(operand)) for sign, operand in zip(node.operators, node.operands[1:], strict=True)
    ]

    def comparison(evaluation: Evaluation) -> object:
        left = first(evaluation)
        for compare, operand in rest:
            right = operand(evaluation)
            unknown = _settle(evaluation, left, offset)
            other = _settle(evaluation, right, offset)
            if unknown is not None or other is not None:
                return _either(unknown, other).named("boolean")
            try:
                holds = compare(evaluation.budget, left, right)
            except EvaluationError as error:
                error.offset = offset
                raise
            if not holds:
                return False
            left = right
        return True

    return comparison


def _not(node: syntax.Not) -> Closure:
    operand, offset = build(node.operand), node.operand.offset

    def negation(evaluation: Evaluation) -> object:
        value = boolean(operand(evaluation), "what follows `not`", offset)
        return value.named("boolean") if isinstance(value, Unknown) else not value

    return negation


def _logic(node: syntax.Logic) -> Closure:
    operands = [(build(operand), operand.offset) for operand in node.operands]
    decides = node.operator == "or"
    what = f"one side of `{node.operator}`"

    def logic(evaluation: Evaluation) -> object:
        for operand, offset in operands:
            value = boolean(operand(evaluation), what, offset)
            if isinstance(value, Unknown):
                return value.named("boolean")
            if value is decides:
                return value
        return not decides

    return logic


def _conditional(node: syntax.Conditional) -> Closure:
    condition, then, offset = build(node.condition), build(node.then), node.condition.offset
    otherwise = None if node.otherwise is None else build(node.otherwise)

    def conditional(evaluation: Evaluation) -> object:
        chosen = boolean(condition(evaluation), "what follows `if`", offset)
        if isinstance(chosen, Unknown):
            return chosen.named("value")
        if chosen:
            return then(evaluation)
        if otherwise is None:
            return Missing("the condition of `if` is false, and there is no `else`")
        return otherwise(evaluation)

    return conditional


def _list(node: syntax.ListOf) -> Closure:
    items = [(build(item), item.offset) for item in node.items]

    def literal(evaluation: Evaluation) -> object:
        values: list[object] = []
        for item, offset in items:
            value = item(evaluation)
            _passable(value, offset)
            values.append(value)
        return values

    return literal


def _map(node: syntax.MapOf) -> Closure:
    pairs = [(build(key), build(value), key.offset) for key, value in zip(node.keys, node.values, strict=True)]

    def literal(evaluation: Evaluation) -> object:
        values: dict[str, object] = {}
        for get_key, get_value, offset in pairs:
            key, value = get_key(evaluation), get_value(evaluation)
            _passable(value, offset)
            if isinstance(key, Unknown):
                return key.named("map")
            if not isinstance(key, str):
                _passable(key, offset)
                raise EvaluationError(f"the keys of a map are text, not {describe(key)}", offset)
            values[key] = value
        return values

    return literal


def _application(node: syntax.Application) -> Closure:
    match node.function.form:
        case "plain":
            return _plain(node)
        case "default":
            return _default(node)
        case "defined":
            return _defined(node)
        case "pick" | "pick by":
            return _each(node, _pick)
        case "map":
            return _each(node, _mapped)
        case _ as form:
            assert_never(form)


def _plain(node: syntax.Application) -> Closure:
    function, offset = node.function, node.offset
    inputs = [build(entry) for entry in ((node.subject, *node.arguments) if node.subject else node.arguments)]

    def plain(evaluation: Evaluation) -> object:
        values = [entry(evaluation) for entry in inputs]
        unknown = _first_unknown(evaluation, values, offset)
        if unknown is not None:
            return unknown.named(function.result_name)
        return call(evaluation.budget, function, values, offset)

    return plain


def _first_unknown(evaluation: Evaluation, values: list[object], offset: int) -> Unknown | None:
    found: Unknown | None = None
    for value in values:
        if value.__class__ not in SCALARS:
            unknown = _settle(evaluation, value, offset)
            found = unknown if found is None else found
    return found


def call(budget: Budget, function: Function, values: list[object], offset: int) -> object:
    """Return what a function of the table gives for known values, the subject first. Raises EvaluationError."""
    assert function.run is not None
    given = values
    if function.role != "function":
        _check_kind(function, function.subject, values[0], "works on", offset)
        given = values[1:]
    for parameter, value in zip(function.parameters, given, strict=True):
        if value is not None or parameter.default is not None:
            _check_kind(function, parameter.kind, value, f"takes as {parameter.name!r}", offset)
    try:
        return function.run(budget, *values)
    except EvaluationError as error:
        error.offset = offset
        raise


def _check_kind(function: Function, kind: Kind, value: object, verb: str, offset: int) -> None:
    if value.__class__ not in KINDS[kind]:
        words = KIND_WORDS.get(kind, f"a {kind}")
        raise EvaluationError(f"`{function.name}` {verb} {words}, and got {describe(value)}", offset)


def _default(node: syntax.Application) -> Closure:
    assert node.subject is not None
    subject, fallback = build(node.subject), build(node.arguments[0])

    def default(evaluation: Evaluation) -> object:
        value = subject(evaluation)
        return fallback(evaluation) if value is None or isinstance(value, Missing) else value

    return default


def _defined(node: syntax.Application) -> Closure:
    assert node.subject is not None
    subject, when_missing, offset = build(node.subject), node.function.name == "undefined", node.offset

    def defined(evaluation: Evaluation) -> object:
        value = subject(evaluation)
        if isinstance(value, Missing):
            return when_missing
        unknown = _settle(evaluation, value, offset)
        return unknown.named("boolean") if unknown is not None else not when_missing

    return defined


ForEach: TypeAlias = Callable[[Budget, syntax.Application, list[object], list[object], list[object]], list[object]]


def _each(node: syntax.Application, perform: ForEach) -> Closure:
    """A filter that applies another filter or a test to each item."""
    assert node.subject is not None
    subject, offset, name = build(node.subject), node.offset, node.function.name
    arguments = [build(entry) for entry in node.arguments]
    inner_arguments = [build(entry) for entry in node.inner_arguments]

    def each(evaluation: Evaluation) -> object:
        items = subject(evaluation)
        own = [entry(evaluation) for entry in arguments]
        inner = [entry(evaluation) for entry in inner_arguments]
        unknown = _first_unknown(evaluation, [items, *own, *inner], offset)
        if unknown is not None:
            return unknown.named("list")
        if not isinstance(items, list):
            raise EvaluationError(f"`{name}` works on a list, and got {describe(items)}", offset)
        _at(offset, evaluation.budget.create_items, len(items))
        return perform(evaluation.budget, node, items, own, inner)

    return each


def _pick(
    budget: Budget, node: syntax.Application, items: list[object], own: list[object], inner: list[object]
) -> list[object]:
    wanted = node.function.name.startswith("select")
    attribute = own[0] if own else None
    return [item for item in items if _passes(budget, node, item, attribute, inner) is wanted]


def _passes(budget: Budget, node: syntax.Application, item: object, attribute: object, inner: list[object]) -> bool:
    value = _attribute(item, attribute, node.offset) if isinstance(attribute, str) else item
    test = node.inner
    if test is not None and test.form == "defined":
        return isinstance(value, Missing) is (test.name == "undefined")
    if isinstance(value, Missing):
        _refuse(value, node.offset)
    if test is not None:
        return call(budget, test, [value, *inner], node.offset) is True
    if value is not True and value is not False:
        message = f"`{node.function.name}` without a test takes booleans, and got {describe(value)}"
        raise EvaluationError(message, node.offset)
    return value


def _attribute(item: object, attribute: str, offset: int) -> object:
    try:
        return read_path(item, attribute)
    except EvaluationError as error:
        error.offset = offset
        raise


def _mapped(
    budget: Budget, node: syntax.Application, items: list[object], own: list[object], inner: list[object]
) -> list[object]:
    function = node.inner
    if function is not None and function.form == "default":
        return [inner[0] if item is None else item for item in items]
    if function is not None:
        return [_present(call(budget, function, [item, *inner], node.offset), node.offset) for item in items]
    attribute, default = own
    if not isinstance(attribute, str):
        raise EvaluationError(f"`map` takes as 'attribute' a string, and got {describe(attribute)}", node.offset)
    found = [_attribute(item, attribute, node.offset) for item in items]
    if default is not None:
        return [default if value is None or isinstance(value, Missing) else value for value in found]
    return [_present(value, node.offset) for value in found]


def _present(value: object, offset: int) -> object:
    if isinstance(value, Missing):
        _refuse(value, offset)
    return value
