"""Times for people: of this place, and how far away."""

import time
from datetime import UTC, datetime

import pytest

from hikeshi.cli.moments import clock_time, deadline, duration

NOW = datetime(2026, 3, 2, 22, 30, tzinfo=UTC)


@pytest.fixture
def tokyo(monkeypatch: pytest.MonkeyPatch) -> object:
    """A machine in Tokyo, where it is the next day already."""
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.04, "0.0 s"),
        (3, "3 s"),
        (59.9, "59.9 s"),
        (60, "1 min"),
        (843, "14 min 3 s"),
        (3600, "1 h"),
        (3660, "1 h 1 min"),
        (90_000, "1 d 1 h"),
        (172_800, "2 d"),
    ],
)
def test_a_time_span_has_its_two_largest_units(seconds: float, text: str) -> None:
    """Whole seconds stay whole."""
    assert duration(seconds) == text


def test_a_time_of_today_is_shown_without_its_date(tokyo: object) -> None:
    """In local time, with the name of the zone; a time of another day has its date."""
    assert clock_time(NOW, NOW) == "07:30:00 JST"
    assert clock_time(datetime(2026, 3, 2, 14, 0, tzinfo=UTC), NOW) == "2026-03-02 23:00:00 JST"


def test_a_deadline_says_how_long_that_is_from_now(tokyo: object) -> None:
    """To come, or over."""
    assert deadline(datetime(2026, 3, 2, 22, 45, tzinfo=UTC), NOW) == "07:45:00 JST (in 15 min)"
    assert deadline(datetime(2026, 3, 2, 22, 29, 55, tzinfo=UTC), NOW) == "07:29:55 JST (over for 5 s)"
