"""What Microsoft's products share: literals that stay literals, and the query language as it is simulated."""

from datetime import UTC, datetime, timedelta

import pytest

from hikeshi.connector import Invalid
from hikeshi.testing.estate import Estate, EstateState
from hikeshi.testing.service_clock import Expiry, ServiceClock
from hikeshi_connectors.microsoft import kql, odata
from hikeshi_connectors.microsoft.simulated_filter import FilterError, parse_filter
from hikeshi_connectors.microsoft.simulated_kql import KqlError, run_query

NOW = datetime(2026, 1, 2, 10, tzinfo=UTC)
ROWS = [
    {"Timestamp": "2026-01-02T09:00:00Z", "Name": "O'Neil", "Port": 443, "Id": "a"},
    {"Timestamp": "2026-01-02T09:30:00Z", "Name": "x\\y", "Port": 80, "Id": "a"},
    {"Timestamp": "2026-01-01T09:00:00Z", "Name": "z", "Port": 80, "Id": "b"},
]


def run(query: str) -> list[object]:
    return list(run_query(query, {"T": ROWS}.get, NOW, ["T"]))


@pytest.mark.parametrize("name", ["O'Neil", "x\\y", "z"])
def test_a_quoted_text_is_compared_as_it_is(name):
    """Quotes and backslashes come back as they were."""
    assert len(run(f"T | where Name == {kql.text(name)}")) == 1
    assert len(run(f"T | where {kql.among('Name', [name.upper()])}")) == 1
    assert parse_filter(f"Name eq {odata.quoted(name)}").test({"Name": name}.get)


@pytest.mark.parametrize("text", ["a\nb", "a\x00", "a\u2028b"])
def test_a_literal_has_one_line(text):
    """What would end it, or hide in it, is refused."""
    with pytest.raises(Invalid):
        kql.text(text)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("T | where Port == 80 and Id == 'a' or Port == 443 | count", [{"Count": 2}]),
        ("T | where Timestamp > ago(2h) | summarize n = count() by Id", [{"Id": "a", "n": 2}]),
        (
            "T | summarize arg_max(Timestamp, Port) by Id | where Id == 'a'",
            [{"Id": "a", "Timestamp": "2026-01-02T09:30:00Z", "Port": 80}],
        ),
        ("T | distinct Port | order by Port asc", [{"Port": 80}, {"Port": 443}]),
        ("T | order by column_ifexists('Timestamp', datetime(null)) desc | take 1 | project Id", [{"Id": "a"}]),
        ("search 'neil' | project Id", [{"Id": "a"}]),
        ("search in (T) 'nei' | count", [{"Count": 0}]),
    ],
)
def test_the_simulated_stages_mean_what_kusto_says(query, found):
    """Precedence, time, aggregation, order, and whole words only."""
    assert run(query) == found


@pytest.mark.parametrize(
    "query",
    [
        "",
        "Unknown",
        "T | wher x",
        "T | where Name == 'O'Neil'",
        "T | where Name = 'a'",
        "T |",
        "T | take",
        "* | take 1",
    ],
)
def test_what_kusto_would_not_parse_is_an_error(query):
    """A literal that was put together carelessly among it."""
    with pytest.raises(KqlError):
        run(query)


def test_comparisons_of_order_are_for_services_that_have_them():
    """Dates and beginnings of names, where they are allowed."""
    filters = ("At ge 2026-01-01T00:00:00Z", "startswith(Name,'pc')")
    for text in filters:
        assert parse_filter(text, ordered=True).test({"At": NOW, "Name": "PC-7"}.get)
        with pytest.raises(FilterError):
            parse_filter(text)


def test_records_end_by_the_services_clock():
    """A long list is looked through only when something in it can be over; a later, shorter end counts as well."""
    estate = Estate(EstateState("small", NOW), clock=lambda: NOW)
    clock = ServiceClock(estate)
    expiry = Expiry(clock, lambda record: record["end"])
    records = {name: {"end": clock.shown(NOW + timedelta(seconds=s))} for name, s in (("soon", 60), ("late", 600))}
    records["never"] = {"end": None}
    assert expiry.over(records) == []
    records["sooner"] = {"end": clock.shown(NOW + timedelta(seconds=30))}
    expiry.note(records["sooner"])
    estate.advance(31)
    assert expiry.over(records) == ["sooner"]
    estate.advance(31)
    assert set(expiry.over(records)) == {"sooner", "soon"}
    assert abs(clock.now() - datetime.now(UTC) - timedelta(seconds=62)) < timedelta(seconds=2)
