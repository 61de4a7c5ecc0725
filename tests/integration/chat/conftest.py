"""What the tests of chat work with."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))  # tests are no package, and all of these speak of the same place

from chat_place import SIGNING_SECRET, Place, place_in


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """A project with a chat of each kind, not served yet."""
    monkeypatch.setenv("CHAT_SIGNING_SECRET", SIGNING_SECRET)
    with place_in(tmp_path) as place:
        yield place
