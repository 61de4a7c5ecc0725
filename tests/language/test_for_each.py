"""`for_each` and the keys that go with it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from hikeshi.connector.errors import NotFound
from hikeshi.testing.fake_connector import Call
from hikeshi.testing.run_harness import RunHarness

Codes = Callable[..., list[str]]

LOOP = "for_each: inputs.names\naction: edr.get_host\nwith: {name: '{{ item }}'}\n"
ALL = "['pc1', 'pc2', 'pc3', 'pc4']"


def refuses(key: str, text: str, code: str) -> Any:
    return pytest.param(text, code, id=key, marks=pytest.mark.language("for_each", key, refuses=True))


@pytest.mark.parametrize(
    ("keys", "code"),
    [
        refuses("as", LOOP + "as: host", "unknown-name"),
        refuses("as", LOOP + "as: inputs", "reserved-id"),
        refuses("as", "action: edr.list_alerts\nas: host", "misplaced-key"),
        refuses("concurrency", LOOP + "concurrency: 0", "wrong-value"),
        refuses("concurrency", "action: edr.list_alerts\nconcurrency: 3", "misplaced-key"),
        refuses("batch", LOOP + "batch: 0", "wrong-value"),
        refuses("batch", LOOP + "batch: 5", "wrong-argument"),
        refuses("max_failures", LOOP + "max_failures: 200%", "wrong-type"),
        refuses("max_failures", "set: {a: '1'}\nmax_failures: 1", "misplaced-key"),
        refuses("stop_after", LOOP + "stop_after: 0", "wrong-value"),
    ],
)
def test_a_loop_that_is_written_wrong_is_refused(codes_of_step: Codes, keys: str, code: str) -> None:
    """One mistake is one problem."""
    assert set(codes_of_step(keys)) == {code}


@pytest.mark.language("action", "for_each", runs=True)
@pytest.mark.language("for_each", "as", runs=True)
@pytest.mark.language("for_each", "max_failures", runs=True)
@pytest.mark.parametrize(
    ("most", "status"), [("0", "failed"), ("1", "succeeded"), ("25%", "succeeded"), ("24%", "failed")]
)
async def test_a_loop_gives_an_outcome_for_each_item(harness: RunHarness, most: str, status: str) -> None:
    """In the order of the items; it fails if more of them failed than may."""
    outcome = await harness.run(f"""
id: t
steps:
  - id: loop
    for_each: "{ALL}"
    as: name
    max_failures: {most}
    action: edr.get_host
    with: {{name: "{{{{ name }}}}"}}
finally:
  - {{id: all, set: {{found: "steps.loop | map(attribute='status')"}}}}
""")

    assert outcome.node("loop").status.value == status
    assert outcome.node("finally.all").output == {"found": ["succeeded", "succeeded", "succeeded", "failed"]}


@pytest.mark.language("for_each", "concurrency", runs=True)
async def test_only_so_many_items_are_under_way(harness: RunHarness) -> None:
    """The next one starts when one has ended."""
    under_way, most = 0, 0

    async def note(_: Call) -> None:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        for _ in range(5):
            await asyncio.sleep(0)
        under_way -= 1

    harness.world.on_call = note
    await harness.run(f"""
id: t
steps:
  - {{for_each: "{ALL}", concurrency: 2, max_failures: 1, action: edr.get_host, with: {{name: "{{{{ item }}}}"}}}}
""")

    assert most == 2


@pytest.mark.language("for_each", "batch", runs=True)
async def test_with_batch_an_item_is_a_list(harness: RunHarness) -> None:
    """The last one holds what is left."""
    outcome = await harness.run(f"""
id: t
steps:
  - {{id: loop, for_each: "{ALL}", batch: 3, steps: [{{id: many, set: {{n: item | length}}}}]}}
outputs: {{sizes: "{{{{ steps.loop | map(attribute='output.many.n') }}}}"}}
""")

    assert outcome.outputs == {"sizes": [3, 1]}


@pytest.mark.language("for_each", "stop_after", runs=True)
async def test_after_so_many_failures_no_more_items_start(harness: RunHarness) -> None:
    """Those that never began are skipped in the output."""
    harness.world.script("find_hosts", NotFound("gone"))
    outcome = await harness.run(f"""
id: t
steps:
  - id: loop
    for_each: "{ALL}"
    concurrency: 1
    stop_after: 1
    action: edr.get_host
    with: {{name: "{{{{ item }}}}"}}
finally:
  - {{id: all, set: {{found: "steps.loop | map(attribute='status')"}}}}
""")

    assert outcome.node("finally.all").output == {"found": ["failed", "skipped", "skipped", "skipped"]}
    assert len(harness.world.called("find_hosts")) == 1
