"""How the contract kit calls external dynamic lists. There is no product: the folder is what is looked at."""

import shutil
import sqlite3
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from starlette.routing import BaseRoute

from hikeshi.capabilities import Indicator
from hikeshi.connector import PreviewedRequest
from hikeshi.testing.contract import Case, Contract
from hikeshi.testing.estate import EstateState
from hikeshi.testing.simulator import Simulator
from hikeshi_connectors.edl import Edl

T = TypeVar("T")
INDICATORS = [
    Indicator(kind="ipv4", value="203.0.113.9"),
    Indicator(kind="ipv6", value="2001:db8::9"),
    Indicator(kind="cidr", value="198.51.100.0/24"),
    Indicator(kind="domain", value="evil.example"),
    Indicator(kind="url", value="https://evil.example/a?b=c"),
]


class EdlFolder(Simulator):
    """A folder in the place of a product. The estate shows what is in it."""

    product = "edl"
    instance_name = "edl"
    current: ClassVar["EdlFolder"]

    folder: Path | None = None

    @contextmanager
    def beside(self) -> Iterator[None]:
        with tempfile.TemporaryDirectory() as folder:
            self.folder = Path(folder)
            EdlFolder.current = self
            yield

    def routes(self) -> list[BaseRoute]:
        return []

    def settings_at(self, base_url: str) -> dict[str, Any]:
        return {"base_url": base_url, "folder": str(self.folder), "pollers": ["192.0.2.1"], "polled_within_s": None}

    def reset(self) -> None:
        if self.folder is None:
            return  # it is made when the simulation runs
        for path in self.folder.iterdir():
            path.unlink() if path.is_file() else shutil.rmtree(path)

    def look(self) -> None:
        """Let the estate show what is in the folder."""
        assert self.folder is not None
        with closing(sqlite3.connect(self.folder / "edl.sqlite")) as db:
            lines = sorted(f"{kind} {line}" for kind, line in db.execute("SELECT kind, line FROM entries"))
        self.estate.product_state.pop("edl", None)
        if lines:
            self.estate.product_state["edl"] = {"lines": lines}


class WatchedEdl(Edl):
    """The connector, with somebody who looks at its folder after each change, and the estate's clock."""

    def set_up(self) -> None:
        super().set_up()
        self.store.clock = lambda: EdlFolder.current.estate.now().timestamp()

    async def commit(self, preview: PreviewedRequest, do: Callable[[], Awaitable[T]], *, last: bool = False) -> T:
        async def watched() -> T:
            done = await do()
            EdlFolder.current.record_change(preview.method, preview.url, preview.body, applied=True)
            EdlFolder.current.look()
            return done

        return await super().commit(preview, watched, last=last)


WatchedEdl.__module__ = Edl.__module__  # its checklist is Edl's


def estate() -> EstateState:
    return EstateState("small", datetime.now(UTC).replace(microsecond=0))


NO_HTTP = "the lists are a file; what can go wrong with it has tests of its own"
AT_THE_SERVICE = "no credential is used here: who may fetch is asked at the service, where it is tested"

CONTRACT = Contract(
    connector=WatchedEdl,
    simulator=EdlFolder,
    estate=estate,
    cases=[
        Case(
            "firewall.block_indicators",
            {"indicators": INDICATORS, "reason": "r", "expires_in_s": 3600},
            expect=lambda estate: "url evil.example/a?b=c" in estate.product_state["edl"]["lines"],
        ),
        Case("firewall.block_indicators", {"indicators": INDICATORS[:1], "reason": "r"}),
        Case(
            "firewall.unblock_indicators", {"indicators": INDICATORS, "reason": "r"}, after="firewall.block_indicators"
        ),
    ],
    exempt={
        **dict.fromkeys(
            (
                *(f"status_{status}" for status in (401, 403, 404, 409, 500, 503)),
                *("rate_limit_hint", "connection_dropped_before", "connection_dropped_after", "no_answer_in_time"),
                *("half_a_body", "html_is_no_answer", "strange_bodies", "large_body"),
            ),
            NO_HTTP,
        ),
        "wrong_credentials": AT_THE_SERVICE,
        "secrets_are_never_shown": AT_THE_SERVICE,
        "pages_are_complete": "a list has no pages",
        # The kit wants an HTTP request of each read that it is told of.
        "actions_run:firewall.blocks_of": NO_HTTP,
        "actions_run:edl.polled_lists": NO_HTTP,
    },
)
