"""What products have in common: pages, long jobs, pace, hints when to come back, answers of a form."""

import asyncio
from datetime import UTC, datetime
from email.utils import format_datetime

import pytest

from hikeshi.connector import (
    Applied,
    Invalid,
    Response,
    Timeout,
    all_pages,
    epoch_or_delay_s,
    finished,
    json_list,
    json_object,
    next_link,
    objects_under,
    said_in,
    understood,
    until_epoch_s,
)
from hikeshi.connector.pace import Pace, Pacer
from hikeshi.testing.virtual_loop import run_virtually

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
DATE = {"date": format_datetime(NOW, usegmt=True)}


# --- pages


async def test_pages_are_read_to_the_last():
    """Whatever marks the next page is handed back, and the entries keep their order."""
    asked: list[int | None] = []

    async def fetch(mark: int | None) -> tuple[list[int], int | None]:
        asked.append(mark)
        at = mark or 0
        return [at, at + 1], at + 2 if at < 4 else None

    assert await all_pages(fetch, "list") == [0, 1, 2, 3, 4, 5]
    assert asked == [None, 2, 4]


async def test_pages_that_do_not_end_are_an_error():
    """A product that names the same next page twice would be asked for ever."""
    marks = iter(["a", "b", "a"])

    async def fetch(_: str | None) -> tuple[list[int], str | None]:
        return [1], next(marks)

    with pytest.raises(Invalid, match="the pages do not end"):
        await all_pages(fetch, "fw: GET /list")


async def test_a_product_may_remember_how_far_it_is():
    """Its mark stays the same, and only an empty page under it is one too many."""
    pages = iter([[1], [2], [3], []])

    async def fetch(mark: str | None) -> tuple[list[int], str | None]:
        found = next(pages)
        return found, "session" if found != [3] else None

    assert await all_pages(fetch, "list", remembered=True) == [1, 2, 3]

    async def for_ever(mark: str | None) -> tuple[list[int], str | None]:
        return [] if mark else [1], "session"

    with pytest.raises(Invalid, match="the pages do not end"):
        await all_pages(for_ever, "list", remembered=True)


@pytest.mark.parametrize(
    ("header", "link"),
    [
        ('<https://a.example/u?after=2>; rel="next"', "https://a.example/u?after=2"),
        ('<https://a.example/u>; rel="self", <https://a.example/u?after=2>; rel="next"', "https://a.example/u?after=2"),
        ('<https://a.example/n>; rel="next", <https://a.example/l>; rel="last"', "https://a.example/n"),
        ("<https://a.example/n>; rel=next", "https://a.example/n"),
        ('<https://a.example/n>; title="x"; rel="next"', "https://a.example/n"),
        ('<https://a.example/n>; rel="prev next"', "https://a.example/n"),
        ('<https://a.example/n?a=1,2>; rel="next"', "https://a.example/n?a=1,2"),
        ('<https://a.example/s>; rel="self"', None),
        ('<https://a.example/s>; rel="nextish"', None),
        ('<https://a.example/s>; title="next"', None),
        ("", None),
        ("nonsense", None),
    ],
)
def test_the_next_page_is_found_in_a_link_header(header: str, link: str | None):
    """By its relation type alone, among several and however it is written. Source: RFC 8288."""
    assert next_link({"link": header} if header else {}) == link


# --- jobs


def test_a_job_is_asked_for_until_it_has_ended():
    """Soon at first, then at the usual distance."""
    times: list[float] = []

    async def main() -> str:
        async def look() -> str | None:
            times.append(round(asyncio.get_running_loop().time(), 1))
            return "done" if len(times) == 6 else None

        return await finished(look, what="job 7", within_s=60, every_s=2)

    assert run_virtually(main()) == "done"
    first = times[0]
    assert [round(each - first, 1) for each in times] == [0.0, 0.2, 0.6, 1.4, 3.0, 5.0]


@pytest.mark.parametrize(("changes", "applied"), [(False, Applied.NO), (True, Applied.MAYBE)])
def test_a_job_that_does_not_end_is_a_timeout(changes: bool, applied: Applied):
    """What changes something may still take effect."""

    async def main() -> None:
        async def look() -> None:
            return None

        await finished(look, what="job 7", within_s=10, changes=changes)

    with pytest.raises(Timeout, match="job 7: not finished after 10 s") as caught:
        run_virtually(main())
    assert caught.value.applied is applied


# --- pace


def passages(pace: Pace, calls: int, takes_s: float = 0.0) -> list[float]:
    """Return when each of so many calls at once began, in seconds after the first."""

    async def main() -> list[float]:
        pacer = Pacer(pace)
        begun: list[float] = []

        async def call() -> None:
            async with pacer.passage():
                begun.append(asyncio.get_running_loop().time())
                await asyncio.sleep(takes_s)

        await asyncio.gather(*(call() for _ in range(calls)))
        return begun

    times = run_virtually(main())
    return [round(each - times[0], 2) for each in times]


def test_more_than_the_pace_allows_wait_their_turn():
    """No span has more, wherever it begins: products lock out who sends one too many."""
    assert passages(Pace(requests=3, per_s=5), 8) == [0.0] * 3 + [5.0] * 3 + [10.0] * 2


def test_each_call_makes_room_for_one_when_its_own_span_is_over():
    """Calls that came one after another may go on like this."""

    async def main() -> list[float]:
        pacer, begun = Pacer(Pace(requests=2, per_s=5)), []
        for wait_s in (0, 3, 0, 0, 9):
            await asyncio.sleep(wait_s)
            async with pacer.passage():
                begun.append(round(asyncio.get_running_loop().time(), 2))
        return [each - begun[0] for each in begun]

    assert run_virtually(main()) == [0.0, 3.0, 5.0, 8.0, 17.0]


def test_a_pace_and_a_number_at_once_hold_together():
    """The span counts from when calls begin, whoever had to wait for a place before."""
    assert passages(Pace(requests=3, per_s=5, at_once=2), 5, takes_s=1.0) == [0.0, 0.0, 1.0, 5.0, 5.0]


def test_no_more_are_under_way_than_allowed():
    """The next begins when one has ended."""
    assert passages(Pace(at_once=2), 5, takes_s=1.0) == [0.0, 0.0, 1.0, 1.0, 2.0]


def test_an_instance_without_a_pace_waits_for_nothing():
    """Nothing is counted, and nobody stands in line."""
    assert passages(Pace(), 50) == [0.0] * 50


def test_a_call_that_ends_with_an_error_gives_its_place_back():
    """Otherwise a product that fails a few times would never be called again."""

    async def main() -> None:
        pacer = Pacer(Pace(at_once=1))
        for _ in range(3):
            with pytest.raises(ValueError, match="out of order"):
                async with pacer.passage():
                    raise ValueError("out of order")

    run_virtually(main())


# --- hints


@pytest.mark.parametrize(
    ("value", "wait_s"),
    [
        (str(int(NOW.timestamp()) + 17), 17.0),
        (str(int(NOW.timestamp()) - 17), 0.0),
        (f"{int(NOW.timestamp()) + 3}, {int(NOW.timestamp()) + 40}", 40.0),
        ("soon", None),
        ("", None),
    ],
)
def test_a_moment_is_counted_from_the_products_own_time(value: str, wait_s: float | None):
    """So a clock that is wrong here makes no difference; of several moments the last counts."""
    assert until_epoch_s({**DATE, "x-rate-limit-reset": value}, "x-rate-limit-reset") == wait_s


@pytest.mark.parametrize(("value", "wait_s"), [("30", 30.0), (str(int(NOW.timestamp()) + 30), 30.0), ("later", None)])
def test_a_delay_and_a_moment_are_told_apart(value: str, wait_s: float | None):
    """A delay of thirty years is none."""
    assert epoch_or_delay_s({**DATE, "x-retry": value}, "x-retry") == wait_s


# --- answers


def answer(content: bytes) -> Response:
    return Response(200, {"content-type": "application/json"}, content, "GET", "https://fw.example/x")


@pytest.mark.parametrize("content", [b"[]", b'"x"', b"null", b"7", b"<html>", b""])
def test_an_answer_that_is_no_object_is_invalid(content: bytes):
    """Never an empty object, which would look like an answer."""
    with pytest.raises(Invalid, match=r"GET fw\.example/x answered 200"):
        json_object(answer(content))


def test_lists_are_lists():
    """Of an answer as a whole, or below a key."""
    assert json_list(answer(b"[1]")) == [1]
    assert objects_under(answer(b'{"items": [{"a": 1}]}'), "items") == [{"a": 1}]
    assert objects_under(answer(b'{"items": null}'), "items") == []
    with pytest.raises(Invalid, match="not a JSON list"):
        json_list(answer(b"{}"))


@pytest.mark.parametrize("content", [b"{}", b'{"items": {}}', b'{"items": [1]}', b'{"items": "x"}'])
def test_a_list_that_is_not_there_is_not_an_empty_one(content: bytes):
    """An answer that does not say what there is does not say that there is nothing."""
    with pytest.raises(Invalid, match="'items'"):
        objects_under(answer(content), "items")


@pytest.mark.parametrize("wrong", [{}, {"a": None}, {"a": []}, {"a": {"b": "x"}}])
def test_what_is_taken_apart_wrongly_is_invalid(wrong: dict[str, object]):
    """With who answered, and without the answer's text."""
    with pytest.raises(Invalid, match=r"fw: GET /x: the answer has an unexpected form"), understood("fw: GET /x"):
        int(wrong["a"]["b"][0])  # type: ignore[index]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'{"error": "bad key", "detail": "d"}', "bad key"),
        (b'{"error": {"code": 7}, "detail": "no\\n such   topic"}', "no such topic"),
        (b'{"error": null}', ""),
        (b'["error"]', ""),
        (b"<html>not found</html>", ""),
        (b"", ""),
    ],
)
def test_what_a_product_says_of_an_error_is_one_line_or_nothing(content: bytes, said: str):
    """An answer of a proxy in between says nothing, and never fails the error that it is about."""
    assert said_in(answer(content), "error", "detail") == said


def test_a_long_explanation_is_cut():
    """It becomes part of a message that people read."""
    assert len(said_in(answer(b'{"error": "' + b"x" * 5000 + b'"}'), "error")) == 300
