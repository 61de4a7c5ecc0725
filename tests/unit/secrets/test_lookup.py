"""A store outside is asked within a time, not for every use, and its words reach nobody."""

import threading
import time
from collections.abc import Callable

import pytest

from hikeshi.secrets import SecretUnavailable
from hikeshi.secrets.lookup import KEPT_S, Lookup

CANARY = "canary-5f1d0c9a7e"


class Store:
    """Answers in turn; an exception is raised. Each answer takes `takes_s` on its clock."""

    def __init__(self, *answers: str | Exception, takes_s: float = 0.0) -> None:
        self.answers = list(answers)
        self.takes_s = takes_s
        self.now_s = 100.0

    def ask(self) -> str:
        self.now_s += self.takes_s
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def clock(self) -> float:
        return self.now_s


def lookup_in(store: Store) -> Lookup:
    return Lookup("the test secret a", store.ask, clock=store.clock)


def said_by(lookup: Callable[[], str]) -> str:
    with pytest.raises(SecretUnavailable) as caught:
        lookup()
    assert caught.value.__context__ is None
    return str(caught.value)


def test_a_value_is_asked_for_once_and_again_after_five_minutes() -> None:
    """Nothing is asked before the first use; a new value counts when the old one has been kept long enough."""
    store = Store("first", "second")
    lookup = lookup_in(store)
    assert len(store.answers) == 2
    assert [lookup(), lookup()] == ["first", "first"]
    store.now_s += KEPT_S - 1
    assert lookup() == "first"
    store.now_s += 1
    assert lookup() == "second"


def test_a_failure_counts_once_its_cause_is_mended() -> None:
    """A store that answers at once is asked again at once."""
    lookup = lookup_in(Store(SecretUnavailable("sealed"), "value"))
    assert said_by(lookup) == "sealed"
    assert lookup() == "value"


def test_a_store_that_hangs_is_left_alone_for_three_times_as_long() -> None:
    """Or else a store that does not answer would take all the time of every run."""
    store = Store(SecretUnavailable("slow"), "value", takes_s=4.0)
    lookup = lookup_in(store)
    assert said_by(lookup) == "slow"
    store.now_s += 11
    assert said_by(lookup) == "slow"
    store.now_s += 1
    assert lookup() == "value"


def test_a_value_that_is_no_longer_available_is_not_used_any_more() -> None:
    """Somebody took it away, and meant it."""
    store = Store("first", SecretUnavailable("deleted"))
    lookup = lookup_in(store)
    lookup()
    store.now_s += KEPT_S
    assert said_by(lookup) == "deleted"


def test_a_store_that_never_answers_is_given_up() -> None:
    """The limit counts from beginning to end, whatever the store does meanwhile."""
    over = threading.Event()

    def ask() -> str:
        over.wait(30)
        return CANARY

    began = time.monotonic()
    lookup = Lookup("the test secret a", ask, limit_s=0.05)
    try:
        assert said_by(lookup).startswith("the test secret a: no answer within 0.05 s")
    finally:
        over.set()
    assert time.monotonic() - began < 10


@pytest.mark.safety(27)
def test_the_words_of_a_store_are_not_repeated() -> None:
    """An exception of a store may hold the value: its kind is told, and it does not hang on."""
    lookup = lookup_in(Store(RuntimeError(f"cannot parse {CANARY}")))
    assert said_by(lookup) == "the test secret a: cannot be asked: RuntimeError"
