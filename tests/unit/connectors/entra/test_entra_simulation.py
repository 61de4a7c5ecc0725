"""The parts of the simulated Graph that decide: filters, and what arrives late."""

from datetime import UTC, datetime, timedelta

import pytest

from hikeshi_connectors.entra.connector import Entra
from hikeshi_connectors.entra.replica import Replica
from hikeshi_connectors.entra.simulator import ALL_PERMISSIONS
from hikeshi_connectors.microsoft.simulated_filter import FilterError, parse_filter

MEI = {"mail": "Mei@minato.example", "userPrincipalName": "o'neil@minato.example", "accountEnabled": False}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("mail eq 'mei@MINATO.example'", True),
        ("mail eq 'mei'", False),
        ("userPrincipalName eq 'o''neil@minato.example'", True),
        ("mail eq 'x' or userPrincipalName eq 'o''neil@minato.example'", True),
        ("mail eq 'x' or (accountEnabled eq false and not mail eq 'x')", True),
        ("mail eq 'x' and accountEnabled eq false or mail ne null", True),
        ("department eq null", True),
        ("mail eq 'a' or 'x' eq 'x'", True),
    ],
)
def test_filters_mean_what_odata_says(text, found):
    """Doubled quotes, precedence, constants and comparisons of two literals, regardless of case."""
    assert parse_filter(text).test(MEI.get) is found


@pytest.mark.parametrize(
    "text",
    ["", "mail", "mail eq", "mail eq 'x' 'y'", "mail eq 'o'neil'", "mail eq 'x", "(mail eq 'x'", "mail lt 'x'", "*"],
)
def test_a_broken_filter_is_refused(text):
    """What a careless quotation leaves over is a syntax error."""
    with pytest.raises(FilterError):
        parse_filter(text)


def test_reads_see_each_write_when_it_has_arrived():
    """Before its time a write is not seen, the one before it is; afterwards the directory itself decides."""
    at = datetime(2026, 1, 1, tzinfo=UTC)
    replica = Replica(lambda: at)
    replica.wrote("key", True, False, 10)
    at += timedelta(seconds=5)
    replica.wrote("key", False, True, 10)
    assert replica.seen("key", "actual") is True
    at += timedelta(seconds=6)
    assert replica.seen("key", "actual") is False
    at += timedelta(seconds=5)
    assert replica.seen("key", "actual") == "actual"
    assert replica.seen("other", "actual") == "actual"


def test_the_simulated_app_has_just_the_documented_permissions():
    """What the connector asks people to grant is what it is simulated with."""
    assert set(Entra.least_privileges) == ALL_PERMISSIONS
