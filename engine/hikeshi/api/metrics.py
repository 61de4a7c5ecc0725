"""What a service counts, in the text format of Prometheus. Everything is read from the journal's tables when asked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from hikeshi import __version__
from hikeshi.api.list_routes import lists_of
from hikeshi.connector import ConnectorError
from hikeshi.service.service import Service

__all__ = ["CONTENT_TYPE", "metrics_text"]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_STATUSES = ("pending", "running", "waiting", "succeeded", "failed", "cancelled")


def metrics_text(service: Service) -> str:
    """Return every figure. Raises JournalError."""
    return "\n".join(_lines(service)) + "\n"


def _lines(service: Service) -> Iterator[str]:
    app = service.app
    query = app.journal.query
    yield from _gauge("hikeshi_info", "What runs here.", {f'version="{__version__}"': 1})
    counted = {row["status"]: row["n"] for row in query("SELECT status, COUNT(*) AS n FROM runs GROUP BY status")}
    runs = {f'status="{status}"': counted.get(status, 0) for status in _STATUSES}
    yield from _gauge("hikeshi_runs", "Runs in the journal by their status; dry runs count.", runs)
    holds = app.tally()
    yield from _gauge("hikeshi_holds", "Changes that are held now, or may be.", {"": holds.kept})
    late = {"": holds.overdue}
    yield from _gauge("hikeshi_holds_overdue", "Holds whose time is over and that are not released.", late)
    failed = {"": holds.release_failed}
    yield from _gauge("hikeshi_holds_release_failed", "Holds whose release was tried and failed.", failed)
    asked = query("SELECT COUNT(*) AS n FROM questions")[0]["n"]
    yield from _gauge("hikeshi_questions", "Approvals and forms that wait for people.", {"": asked})
    unknown = query("SELECT COUNT(*) AS n FROM run_unknown")[0]["n"]
    yield from _gauge("hikeshi_unknown_outcomes", "Changes that were sent, of unknown outcome.", {"": unknown})
    stops = len(app.kill_switch.engaged())
    yield from _gauge("hikeshi_stops", "Kill switches that are engaged.", {"": stops})
    audit = app.audit.state()
    yield from _gauge("hikeshi_journal_records", "Records in the journal.", {"": audit["records"]})
    yield from _gauge("hikeshi_journal_signed", "Records that a checkpoint has signed.", {"": audit["signed"]})
    anchored = {f'anchor="{_escaped(name)}"': size for name, size in audit["anchors"].items()}
    yield from _gauge("hikeshi_journal_anchored", "Records whose checkpoint an anchor has got.", anchored)
    yield from _lists(service)
    yield "# HELP hikeshi_requests_refused_total Requests that were turned away since the start."
    yield "# TYPE hikeshi_requests_refused_total counter"
    yield f"hikeshi_requests_refused_total {service.requests.refused}"


def _lists(service: Service) -> Iterator[str]:
    """Give the figures of published lists; what cannot be read has none."""
    entries, polled = {}, {}
    for instance in service.app.config.connectors:
        lists = lists_of(service, instance)
        try:
            standings = [] if lists is None else lists.standings()
        except ConnectorError:
            continue
        for each in standings:
            label = f'instance="{_escaped(instance)}",list="{_escaped(each.name)}"'
            entries[label] = each.entries
            polled[label] = 0 if each.polled_at is None else int(each.polled_at.timestamp())
    if entries:
        yield from _gauge("hikeshi_list_entries", "Entries of a published list.", entries)
        about = "When a published list was fetched last, in seconds since 1970; 0 for never."
        yield from _gauge("hikeshi_list_polled_at_seconds", about, polled)


def _gauge(name: str, about: str, values: Mapping[str, int]) -> Iterator[str]:
    yield f"# HELP {name} {about}"
    yield f"# TYPE {name} gauge"
    for labels, value in values.items():
        yield f"{name}{{{labels}}} {value}" if labels else f"{name} {value}"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
