"""A harness over one fake product that knows three computers."""

import pytest

from hikeshi.testing.run_harness import RunHarness


@pytest.fixture
def harness() -> RunHarness:
    made = RunHarness()
    for name in ("pc1", "pc2", "pc3"):
        made.world.add_host(name)
    made.world.add_user("mei@example.com")
    made.world.add_group("vpn")
    return made
