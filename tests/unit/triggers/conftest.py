"""What the tests of triggers work with."""

import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))  # tests are no package, and all of these speak of the same watch

from watch import Watch


@pytest.fixture
async def watch(tmp_path: Path) -> AsyncIterator[Watch]:
    """A project whose triggers work in memory, on a clock that tests set."""
    watch = Watch(tmp_path)
    yield watch
    await watch.close()
