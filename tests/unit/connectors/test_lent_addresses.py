"""An address names a host while the host is there, and nobody after that."""

from datetime import UTC, datetime, timedelta

import pytest

from hikeshi.connector.lent_addresses import ADDRESS_KEPT, still_has_address

MARGIN = timedelta(minutes=1)


@pytest.mark.parametrize(("unseen", "has_it"), [(ADDRESS_KEPT - MARGIN, True), (ADDRESS_KEPT + MARGIN, False)])
def test_an_address_is_kept_for_a_day(unseen: timedelta, has_it: bool) -> None:
    """A moment without a zone is UTC."""
    seen = datetime.now(UTC) - unseen
    assert still_has_address(seen) is has_it
    assert still_has_address(seen.replace(tzinfo=None)) is has_it
    assert still_has_address(seen - ADDRESS_KEPT, 2 * ADDRESS_KEPT) is has_it


def test_who_does_not_say_when_it_was_seen_counts_as_there() -> None:
    """Otherwise it could not be found by its address at all."""
    assert still_has_address(None)
