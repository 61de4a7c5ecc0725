"""What a simulated Splunk holds, and the little of its search language that it understands."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Any

from hikeshi.testing.estate import Estate

__all__ = ["READING", "SplError", "events_of", "run_search", "stages_of"]

READING = frozenset({"search", "head", "stats", "table", "makeresults"})
_TOKEN = re.compile(r'"(?:\\.|[^"\\])*"|[()]|(?:[^\s()"]|"(?:\\.|[^"\\])*")+')
_STAGE = re.compile(r'((?:"(?:\\.|[^"\\])*"|[^"|])*)(?:\||$)')
Event = Mapping[str, Any]
Test = Callable[[Event], bool]


class SplError(ValueError):
    """A search is wrong; the text is Splunk's."""


def stages_of(search: str) -> list[tuple[str, str]]:
    """Return the commands of a search with their arguments."""
    text = re.sub(r"```.*?```", " ", search, flags=re.DOTALL).strip().removeprefix("|")
    if text.count('"') - text.count('\\"') & 1:
        raise SplError("Unbalanced quotes.")
    found = [each.strip() for each in _STAGE.findall(text)[:-1]]
    pairs = [each.partition(" ") for each in (" ".join(stage.split(None, 1)) for stage in found)]
    return [(command.lower(), rest) for command, _, rest in pairs]


def run_search(search: str, events: Sequence[Event]) -> list[Event]:
    """Return what a search finds among events. Raises SplError."""
    rows: list[Event] = list(events)
    for command, rest in stages_of(search):
        if command not in READING:
            raise SplError(f"Unknown search command '{command}'.")
        rows = _STAGES[command](rows, rest)
    return rows


def events_of(estate: Estate, since: datetime) -> list[Event]:
    """Return the events since a moment, newest first, as indexes of Splunk's hold them."""
    made = [
        _event(number, at, index, fields)
        for number, (at, index, fields) in enumerate(_records(estate))
        if since <= at <= estate.now()
    ]
    return sorted(made, key=lambda event: str(event["_time"]), reverse=True)


def _records(estate: Estate) -> Iterator[tuple[datetime, str, dict[str, Any]]]:
    names = {host.id: host.name for host in estate.hosts.values()}
    for each in estate.connections:
        yield each.at, "firewall", {
            "host": "fw-1", "src": each.source_ip, "dest": each.address, "dest_port": each.port,
            "dest_host": each.domain or "-", "action": each.action, "bytes_out": each.bytes_out,
        }  # fmt: skip
    for user in estate.users.values():
        for session in user.sign_ins:
            yield session.at, "auth", {"user": user.upn, "src": session.ip, "app": session.app}
    for logon in estate.logons:
        person = estate.users.get(logon.user_id)
        fields = {"EventCode": 4624, "host": names.get(logon.host_id, "-"), "user": person.sam if person else "-"}
        yield logon.at, "windows", fields
    for seen in estate.sightings:
        yield seen.at, "edr", {"host": names.get(seen.host_id, "-"), "sha256": seen.sha256, "path": seen.path}
    for alert in estate.alerts.values():
        yield alert.at, "notable", {
            "event_id": f"{alert.id}@@notable@@{alert.id}", "rule_title": alert.title, "severity": alert.severity,
            "urgency": alert.severity, "dest": alert.host_name or names.get(alert.host_id or "", "-"),
            "status": {"new": "1", "in_progress": "2", "closed": "5"}[alert.status],
        }  # fmt: skip


def _event(number: int, at: datetime, index: str, fields: Mapping[str, Any]) -> Event:
    time = at.isoformat(timespec="milliseconds")
    raw = " ".join([time, *(f'{name}="{value}"' for name, value in fields.items())])
    own = {"_raw": raw, "_time": time, "_bkt": f"{index}~0~SIMULATED", "_cd": f"0:{number}", "index": index}
    return {"host": "-", **own, **{name: str(value) for name, value in fields.items()}}


def _searched(rows: Sequence[Event], rest: str) -> list[Event]:
    tokens = _TOKEN.findall(rest)
    test = _any_of(tokens)
    if tokens:
        raise SplError("Error in 'search' command: Unable to parse the search: unbalanced parentheses.")
    return [row for row in rows if test(row)]


def _any_of(tokens: list[str]) -> Test:
    tests = [_all_of(tokens)]
    while tokens and tokens[0] == "OR":
        tokens.pop(0)
        tests.append(_all_of(tokens))
    return lambda event: any(test(event) for test in tests)


def _all_of(tokens: list[str]) -> Test:
    tests: list[Test] = []
    while tokens and tokens[0] not in ("OR", ")"):
        word = tokens.pop(0)
        if word == "(":
            tests.append(_any_of(tokens))
            if not tokens or tokens.pop(0) != ")":
                raise SplError("Error in 'search' command: Unable to parse the search: unbalanced parentheses.")
        elif word != "AND":
            tests.append(_term(word))
    return lambda event: all(test(event) for test in tests)


def _term(word: str) -> Test:
    name, equals, value = word.partition("=")
    if equals and not word.startswith('"'):
        wanted = _plain(value).casefold()
        return lambda event: fnmatchcase(str(event.get(name, "")).casefold(), wanted)
    text = re.escape(_plain(word)).replace(r"\*", ".*")
    if text == ".*":
        return lambda event: True  # noqa: ARG005 - everything
    pattern = re.compile(rf"(?<![\w.-]){text}(?![\w-])(?!\.\w)", re.IGNORECASE)
    return lambda event: bool(pattern.search(str(event["_raw"])))


def _plain(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text[1:-1]) if text[:1] == '"' else text


def _headed(rows: Sequence[Event], rest: str) -> list[Event]:
    if not rest.strip().isdecimal():
        raise SplError("Error in 'head' command: the argument must be a positive number.")
    return list(rows[: int(rest)])


def _counted(rows: Sequence[Event], rest: str) -> list[Event]:
    found = re.fullmatch(r"count by (\w+)", rest.strip())
    if found is None:
        raise SplError("Error in 'stats' command: the argument is invalid.")
    counts = Counter(str(row[found[1]]) for row in rows if found[1] in row)
    return [{found[1]: value, "count": str(count)} for value, count in sorted(counts.items())]


def _tabled(rows: Sequence[Event], rest: str) -> list[Event]:
    names = re.split(r"[\s,]+", rest.strip())
    return [{name: row[name] for name in names if name in row} for row in rows]


_STAGES: Mapping[str, Callable[[Sequence[Event], str], list[Event]]] = {
    "search": _searched,
    "head": _headed,
    "stats": _counted,
    "table": _tabled,
    "makeresults": lambda rows, rest: [{"_time": "2026-01-01T00:00:00.000+00:00"}],  # noqa: ARG005
}
