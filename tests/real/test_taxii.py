"""Sharing indicators over a real TAXII 2.1 server."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest
import taxii_server

from hikeshi.capabilities import Effect, Indicator
from hikeshi.connector import NotFound, Secret, Unauthorized
from hikeshi.connector.door import Door, through
from hikeshi.connector.registry import build
from hikeshi.secrets import Redactor
from hikeshi_connectors.taxii import Taxii

pytestmark = pytest.mark.skipif(taxii_server.why_not() is not None, reason=str(taxii_server.why_not()))
T = TypeVar("T")
MANY = [Indicator(kind="ipv4", value=f"198.51.100.{n}") for n in range(1, 60)]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the API root of a server."""
    folder: Path = tmp_path_factory.mktemp("taxii")
    with taxii_server.served(folder) as url:
        yield url


def through_door(effect: Effect, work: Coroutine[Any, Any, T], key: str = "k") -> T:
    async def main() -> T:
        with through(Door(mode="live", effect=effect, action="intel", intended=True, key=key)):
            return await work

    return asyncio.run(main())


def connector(root: str, password: str = taxii_server.PASSWORD) -> Taxii:
    given = {"base_url": root, "username": taxii_server.USER, "password": Secret.of_value(password)}
    made = build(Taxii, "sector", given, Redactor())
    assert isinstance(made, Taxii)
    return made


def test_what_is_shared_is_listed_whole_and_once(root: str) -> None:
    """More than two pages of it, and a repetition adds nothing."""
    feed = "Shared with partners"
    for _ in range(2):
        report = through_door(Effect.NOTIFY, connector(root).share_indicators(feed, MANY, "Seen here"))
        assert report.id
    found = through_door(Effect.READ, connector(root).list_indicators(feed.upper(), 3600))

    assert len(MANY) > 2 * taxii_server.PAGE
    assert sorted(each.value for each in found) == sorted(each.value for each in MANY)


def test_an_empty_collection_is_an_empty_list(root: str) -> None:
    """And one that is not there is an error."""
    assert through_door(Effect.READ, connector(root).list_indicators(taxii_server.SECTOR, 3600)) == []
    with pytest.raises(NotFound, match="From the sector"):
        through_door(Effect.READ, connector(root).list_indicators("nowhere", 3600))


def test_wrong_credentials_are_told(root: str) -> None:
    """By the server's own answer."""
    with pytest.raises(Unauthorized):
        through_door(Effect.READ, connector(root, "wrong").list_indicators("From the sector", 3600))
