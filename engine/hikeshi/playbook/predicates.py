"""The tests: questions about one value, answered with true or false."""

# ruff: noqa: ARG001  every entry of the table is called alike, with the budget first
from __future__ import annotations

from collections.abc import Callable

from hikeshi.playbook import indicator_text
from hikeshi.playbook.plain_data import NUMBERS, Budget, EvaluationError, describe, equal


def none(budget: Budget, value: object) -> bool:
    return value is None


def string(budget: Budget, value: object) -> bool:
    return value.__class__ is str


def number(budget: Budget, value: object) -> bool:
    return value.__class__ in NUMBERS


def integer(budget: Budget, value: object) -> bool:
    return value.__class__ is int


def boolean(budget: Budget, value: object) -> bool:
    return value.__class__ is bool


def true(budget: Budget, value: object) -> bool:
    return value is True


def false(budget: Budget, value: object) -> bool:
    return value is False


def mapping(budget: Budget, value: object) -> bool:
    return value.__class__ is dict


def sequence(budget: Budget, value: object) -> bool:
    return value.__class__ is list


def eq(budget: Budget, value: object, other: object) -> bool:
    return equal(value, other)


def ne(budget: Budget, value: object, other: object) -> bool:
    return not equal(value, other)


def _comparable(left: object, right: object, sign: str) -> None:
    """Raise EvaluationError unless both are numbers or both are text."""
    kinds = (left.__class__, right.__class__)
    if kinds != (str, str) and not (kinds[0] in NUMBERS and kinds[1] in NUMBERS):
        raise EvaluationError(
            f"`{sign}` compares two numbers or two texts, not {describe(left)} with {describe(right)}"
        )


def lt(budget: Budget, value: object, other: object) -> bool:
    _comparable(value, other, "<")
    return value < other  # type: ignore[operator,no-any-return]  # comparable, see above


def le(budget: Budget, value: object, other: object) -> bool:
    _comparable(value, other, "<=")
    return value <= other  # type: ignore[operator,no-any-return]  # comparable, see above


def gt(budget: Budget, value: object, other: object) -> bool:
    _comparable(value, other, ">")
    return value > other  # type: ignore[operator,no-any-return]  # comparable, see above


def ge(budget: Budget, value: object, other: object) -> bool:
    _comparable(value, other, ">=")
    return value >= other  # type: ignore[operator,no-any-return]  # comparable, see above


def in_(budget: Budget, value: object, container: object) -> bool:
    if isinstance(container, str):
        if not isinstance(value, str):
            raise EvaluationError(f"`in` looks for text in a text, not for {describe(value)}")
        budget.read_text(container)
        return value in container
    if isinstance(container, dict):
        return isinstance(value, str) and value in container
    if not isinstance(container, list):
        raise EvaluationError(f"`in` looks into a list, a map or a text, not into {describe(container)}")
    budget.spend(len(container) // 16)
    if isinstance(value, str):
        return value in container  # plain data: no text equals anything but a text
    return any(equal(value, entry) for entry in container)


def containing(budget: Budget, value: object, part: object) -> bool:
    return in_(budget, part, value)


def even(budget: Budget, value: int) -> bool:
    return value % 2 == 0


def odd(budget: Budget, value: int) -> bool:
    return value % 2 == 1


def startswith(budget: Budget, value: str, start: str) -> bool:
    return value.startswith(start)


def endswith(budget: Budget, value: str, end: str) -> bool:
    return value.endswith(end)


def _accepts(parse: Callable[[str], object], value: object) -> bool:
    if not isinstance(value, str) or len(value) > indicator_text.MAX_INDICATOR:
        return False
    try:
        parse(value)
    except ValueError:
        return False
    return True


def ip(budget: Budget, value: object) -> bool:
    return _accepts(indicator_text.parse_address, value)


def ipv4(budget: Budget, value: object) -> bool:
    return ip(budget, value) and ":" not in value  # type: ignore[operator]  # an address is text


def ipv6(budget: Budget, value: object) -> bool:
    return ip(budget, value) and ":" in value  # type: ignore[operator]  # an address is text


def domain(budget: Budget, value: object) -> bool:
    return _accepts(indicator_text.normalise_domain, value)


def url(budget: Budget, value: object) -> bool:
    return _accepts(indicator_text.normalise_url, value)


def email(budget: Budget, value: object) -> bool:
    return _accepts(indicator_text.normalise_email, value)


def hash_(budget: Budget, value: object) -> bool:
    return _accepts(indicator_text.normalise_hash, value)


def private_ip(budget: Budget, value: str) -> bool:
    """Raises EvaluationError for text that is no address: "not private" would read as "public"."""
    try:
        return indicator_text.is_private(value[:100])
    except ValueError as error:
        raise EvaluationError(f"`private_ip`: {error}; ask `is ip` first") from None


def in_cidr(budget: Budget, value: str, networks: object) -> bool:
    """Raises EvaluationError if the value is no address or a network is none."""
    wanted = networks if isinstance(networks, list) else [networks]
    budget.spend(len(wanted) * 4)
    try:
        address = indicator_text.parse_address(value[:100])
        found = False
        for network in wanted:
            if not isinstance(network, str):
                raise EvaluationError(f"`in_cidr` takes a network or a list of networks, not {describe(network)}")
            parsed = indicator_text.parse_network(network[:100])
            found = found or (parsed.version == address.version and address in parsed)
    except ValueError as error:
        raise EvaluationError(f"`in_cidr`: {error}") from None
    return found
