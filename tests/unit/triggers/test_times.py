"""When schedules are due, where clocks are changed too."""

from datetime import UTC, datetime
from itertools import pairwise

import pytest

from hikeshi.triggers.times import Cron, Every, between, last_until


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def due(text: str, zone: str, after: str, until: str) -> list[str]:
    """Return the times of a schedule in UTC, as day and hour and minute."""
    return [f"{each:%d %H:%M}" for each in between(Cron(text, zone), at(after), at(until))]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0 2 * * *", ["02 02:00", "03 02:00", "04 02:00", "05 02:00", "06 02:00", "07 02:00", "08 02:00"]),
        ("30 4 * * 1", ["02 04:30"]),  # Monday, as cron counts
        ("30 4 * * 0", ["08 04:30"]),
        ("30 4 * * 7", ["08 04:30"]),
        ("30 4 * * sun", ["08 04:30"]),
        ("0 0 * * 5-7", ["06 00:00", "07 00:00", "08 00:00"]),
        ("0 0 * * mon-wed", ["02 00:00", "03 00:00", "04 00:00"]),
        ("0 0 3 * 5", ["03 00:00", "06 00:00"]),  # either day, as cron has it
        ("0 0 */3 * 5", []),
        ("0 12 3-8/2 3 *", ["03 12:00", "05 12:00", "07 12:00"]),
        ("0 0 4 Mar *", ["04 00:00"]),
        ("59 23 5/2 * *", ["05 23:59", "07 23:59"]),
        ("*/90 0 2 * *", ["02 00:00"]),
        ("5,10 1 2 * *", ["02 01:05", "02 01:10"]),
        ("0 0 31 2 *", []),
    ],
)
def test_cron_means_what_cron_means(text: str, expected: list[str]) -> None:
    """Fields, lists, ranges, steps and names, over the week from Monday, 2 March 2026."""
    assert due(text, "UTC", "2026-03-01T23:59:59", "2026-03-08T23:59:59") == expected


def test_a_date_that_comes_every_four_years_is_found() -> None:
    """29 February is looked for far enough ahead, a date that never comes is not looked for forever."""
    assert Cron("0 0 29 2 *", "UTC").next_after(at("2026-03-01")) == at("2028-02-29")
    assert Cron("0 0 31 4 *", "UTC").next_after(at("2026-03-01")) is None


def test_a_time_zone_counts() -> None:
    """Two at night in Tokyo is five in the afternoon of the day before in UTC."""
    assert due("0 2 * * *", "Asia/Tokyo", "2026-03-02", "2026-03-03") == ["02 17:00"]


# Berlin: on 29 March 2026 at 01:00 UTC clocks go from 02:00 to 03:00; on 25 October at 01:00 UTC from 03:00 to 02:00.


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("30 2 * * *", ["28 01:30", "29 01:00", "30 00:30"]),
        ("0,15,30 2 * * *", ["28 01:00", "28 01:15", "28 01:30", "29 01:00", "30 00:00", "30 00:15", "30 00:30"]),
        ("0 3 * * *", ["28 02:00", "29 01:00", "30 01:00"]),
        ("0 2,3 29 * *", ["29 01:00"]),
        ("30 1 * * *", ["28 00:30", "29 00:30", "29 23:30"]),
    ],
)
def test_a_time_that_does_not_exist_is_due_once_right_after_the_gap(text: str, expected: list[str]) -> None:
    """Nothing that names an hour is lost in spring, and nothing is due twice."""
    assert due(text, "Europe/Berlin", "2026-03-28T00:10", "2026-03-30T01:10") == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("30 2 * * *", ["24 00:30", "25 00:30", "26 01:30"]),
        ("0 3 * * *", ["24 01:00", "25 02:00", "26 02:00"]),
        ("*/30 2 * * *", ["24 00:00", "24 00:30", "25 00:00", "25 00:30", "26 01:00", "26 01:30"]),
    ],
)
def test_a_time_that_exists_twice_is_due_the_first_time(text: str, expected: list[str]) -> None:
    """Nothing that names an hour is due twice in autumn."""
    assert due(text, "Europe/Berlin", "2026-10-23T23:10", "2026-10-26T02:10") == expected


@pytest.mark.parametrize(("after", "until"), [("2026-03-29", "2026-03-29T03:00"), ("2026-10-25", "2026-10-25T03:00")])
def test_a_schedule_of_every_hour_goes_on_through_both(after: str, until: str) -> None:
    """Every five minutes is every five minutes, whatever clocks show."""
    found = list(between(Cron("*/5 * * * *", "Europe/Berlin"), at(after), at(until)))
    assert len(found) == 36
    assert {(b - a).total_seconds() for a, b in pairwise(found)} == {300}
    hourly = list(between(Cron("17 * * * *", "Europe/Berlin"), at(after), at(until)))
    assert [f"{each:%H:%M}" for each in hourly] == ["00:17", "01:17", "02:17"]


def test_every_is_anchored_at_the_epoch() -> None:
    """Whoever asks, and whenever they began, the times are the same."""
    every = Every(300)
    assert every.next_after(at("2026-03-02T09:00:00")) == at("2026-03-02T09:05:00")
    assert every.next_after(at("2026-03-02T09:04:59.999999")) == at("2026-03-02T09:05:00")
    assert Every(7).next_after(at("1970-01-01")) == at("1970-01-01T00:00:07")


@pytest.mark.parametrize(
    ("text", "after", "until", "expected"),
    [
        ("* * * * *", "2026-03-01", "2026-03-02T09:00:30", "2026-03-02T09:00"),
        ("0 2 * * *", "2026-01-01", "2026-03-02T01:00", "2026-03-01T02:00"),
        ("0 0 1 1 *", "2020-01-01", "2026-03-02", "2026-01-01"),
        ("0 0 29 2 *", "2000-01-01", "2027-03-02", "2024-02-29"),
    ],
)
def test_the_last_time_before_is_found_without_going_through_all(
    text: str, after: str, until: str, expected: str
) -> None:
    """Years of downtime are looked through in a moment."""
    assert last_until(Cron(text, "UTC"), at(after), at(until)) == at(expected)
    assert last_until(Cron(text, "UTC"), at(until), at(until)) is None
