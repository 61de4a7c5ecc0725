"""The estate as documents of indices, and the little of the query language that the connector uses."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from typing import Any

from hikeshi.testing.estate import Estate

__all__ = ["Document", "QueryError", "documents_of", "passes"]

Document = Mapping[str, Any]
Test = Callable[[Document], bool]
_TOKEN = re.compile(r'[\w.@*-]+:"(?:\\.|[^"\\])*"|"(?:\\.|[^"\\])*"|[()]|[^\s()"]+')


class QueryError(ValueError):
    """A query is wrong; the text is Elasticsearch's."""


def documents_of(estate: Estate) -> Iterator[Document]:
    """Yield all documents: `_index`, `_id`, `at` and the fields, whose names have dots."""
    names = {host.id: host.name for host in estate.hosts.values()}
    for number, each in enumerate(estate.connections):
        yield _document("logs-firewall-default", f"c{number}", each.at, {
            "source.ip": each.source_ip, "destination.ip": each.address, "destination.port": each.port,
            "destination.domain": each.domain, "event.action": each.action, "source.bytes": each.bytes_out,
            "message": f"{each.action} {each.source_ip} to {each.address} port {each.port}",
        })  # fmt: skip
    for user in estate.users.values():
        for session in user.sign_ins:
            fields = {"user.name": user.upn, "source.ip": session.ip, "service.name": session.app}
            yield _document("logs-auth-default", session.id, session.at, fields)
    for number, logon in enumerate(estate.logons):
        person = estate.users.get(logon.user_id)
        signed_in: dict[str, Any] = {"host.name": names.get(logon.host_id), "user.name": person.sam if person else None}
        yield _document("logs-windows-default", f"l{number}", logon.at, signed_in)
    for number, seen in enumerate(estate.sightings):
        file = {"host.name": names.get(seen.host_id), "file.hash.sha256": seen.sha256, "file.path": seen.path}
        yield _document("logs-edr-default", f"s{number}", seen.at, file)
    for alert in estate.alerts.values():
        yield _document(".alerts-security.alerts-default", alert.id, alert.at, {
            "kibana.alert.uuid": alert.id, "kibana.alert.rule.name": alert.title,
            "kibana.alert.severity": "low" if alert.severity == "informational" else alert.severity,
            "kibana.alert.workflow_status": {"new": "open", "in_progress": "acknowledged"}.get(alert.status, "closed"),
            "kibana.alert.rule.threat.technique.id": alert.technique, "host.id": alert.host_id,
            "host.name": alert.host_name or names.get(alert.host_id or ""), "file.hash.sha256": alert.sha256,
        })  # fmt: skip


def _document(index: str, key: str, at: datetime, fields: Mapping[str, Any]) -> Document:
    return {"_index": index, "_id": key, "at": at, "fields": {k: v for k, v in fields.items() if v is not None}}


def passes(query: Mapping[str, Any], now: datetime) -> Test:
    """Return the test that a query stands for. Raises QueryError for one that is not known."""
    if len(query) != 1:
        raise QueryError("[bool] malformed query")
    ((name, body),) = query.items()
    if name not in _QUERIES:
        raise QueryError(f"unknown query [{name}]")
    return _QUERIES[name](body, now)


def _bool(body: Mapping[str, Any], now: datetime) -> Test:
    wanted = [passes(each, now) for each in body.get("filter", [])]
    unwanted = [passes(each, now) for each in body.get("must_not", [])]
    return lambda document: all(t(document) for t in wanted) and not any(t(document) for t in unwanted)


def _range(body: Mapping[str, Any], now: datetime) -> Test:
    ((field, bounds),) = body.items()
    found = re.fullmatch(r"now-(\d+)s", bounds["gte"])
    if field != "@timestamp" or found is None or bounds.get("lte") != "now":
        raise QueryError(f"failed to parse date field [{bounds['gte']}]")
    since = now - timedelta(seconds=int(found[1]))
    return lambda document: since <= document["at"] <= now


def _phrase(body: Mapping[str, Any], now: datetime) -> Test:  # noqa: ARG001 - as the others
    if body.get("type") != "phrase":
        raise QueryError("[multi_match] only phrases are simulated")
    patterns = body.get("fields", ["*"])
    return lambda document: any(
        _mentions(value, body["query"])
        for name, value in document["fields"].items()
        if any(fnmatchcase(name, pattern) for pattern in patterns)
    )


def _mentions(value: Any, words: str) -> bool:
    return bool(re.search(rf"(?<![\w.-]){re.escape(words)}(?![\w-])(?!\.\w)", str(value), re.IGNORECASE))


def _exists(body: Mapping[str, Any], now: datetime) -> Test:  # noqa: ARG001 - as the others
    return lambda document: body["field"] in document["fields"]


def _terms(body: Mapping[str, Any], now: datetime) -> Test:  # noqa: ARG001 - as the others
    ((name, values),) = body.items()
    return lambda document: document["fields"].get(name) in values


def _query_string(body: Mapping[str, Any], now: datetime) -> Test:  # noqa: ARG001 - as the others
    tokens = _TOKEN.findall(body["query"])
    test = _either(tokens)
    if tokens or body["query"].count('"') % 2:
        raise QueryError(f"Failed to parse query [{body['query']}]")
    return test


def _either(tokens: list[str]) -> Test:
    tests = [_both(tokens)]
    while tokens and tokens[0] != ")":
        if tokens[0] == "OR":
            tokens.pop(0)
        tests.append(_both(tokens))
    return lambda document: any(test(document) for test in tests)


def _both(tokens: list[str]) -> Test:
    tests = [_one(tokens)]
    while tokens and tokens[0] == "AND":
        tokens.pop(0)
        tests.append(_one(tokens))
    return lambda document: all(test(document) for test in tests)


def _one(tokens: list[str]) -> Test:
    word = tokens.pop(0) if tokens else ")"
    if word == "NOT":
        test = _one(tokens)
        return lambda document: not test(document)
    if word == "(":
        test = _either(tokens)
        if not tokens or tokens.pop(0) != ")":
            raise QueryError("Failed to parse query: missing )")
        return test
    if word in (")", "AND", "OR"):
        raise QueryError(f"Failed to parse query at {word!r}")
    name, colon, value = word.partition(":")
    if not colon or word.startswith('"'):
        return lambda document: word == "*" or any(_mentions(v, word.strip('"')) for v in document["fields"].values())
    wanted = value.strip('"').casefold()
    return lambda document: name in document["fields"] and fnmatchcase(str(document["fields"][name]).casefold(), wanted)


_QUERIES: Mapping[str, Callable[[Any, datetime], Test]] = {
    "bool": _bool,
    "range": _range,
    "multi_match": _phrase,
    "query_string": _query_string,
    "exists": _exists,
    "terms": _terms,
}
