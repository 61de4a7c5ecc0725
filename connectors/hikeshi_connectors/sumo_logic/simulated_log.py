"""The estate as messages, and the little of the query language that the simulation understands."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Any

from hikeshi.testing.estate import Estate

__all__ = ["Found", "QueryError", "messages_of", "search", "writes"]

Message = Mapping[str, str]
Test = Callable[[Message], bool]
_TOKEN = re.compile(r'"(?:\\.|[^"\\])*"|[()]|[^\s()"]+')
_STAGE = re.compile(r'((?:"(?:\\.|[^"\\])*"|[^"|])*)(?:\||$)')


class QueryError(ValueError):
    """A query is wrong."""


class Found:
    """What a query gives: messages, and records if it is an aggregation."""

    def __init__(self, messages: Sequence[Message], records: Sequence[Message] | None) -> None:
        self.messages = messages
        self.records = records


def writes(query: str) -> bool:
    """Say whether a query has the operator that writes."""
    return any(stage.split()[:1] == ["save"] for stage in _stages(query)[1:])


def search(query: str, messages: Sequence[Message]) -> Found:
    """Return what a query finds. Raises QueryError."""
    if query.replace('\\"', "").count('"') % 2:
        raise QueryError("Unbalanced quotation marks.")
    terms, *operators = _stages(query)
    tokens = _TOKEN.findall(terms)
    test = _either(tokens) if tokens else (lambda message: True)  # noqa: ARG005 - everything
    if tokens:
        raise QueryError("Unexpected token.")
    found = [message for message in messages if test(message)]
    records: list[Message] | None = None
    for operator in operators:
        counted = re.fullmatch(r"count by (\w+)", operator)
        least = re.fullmatch(r"where _count > (\d+)", operator)
        if counted:
            counts = Counter(message.get(counted[1].lower(), "") for message in found)
            records = [{counted[1].lower(): value, "_count": str(n)} for value, n in sorted(counts.items())]
        elif least and records is not None:
            records = [record for record in records if int(record["_count"]) > int(least[1])]
        else:
            raise QueryError(f"Unknown operator {operator[:40]!r}.")
    return Found(found, records)


def messages_of(estate: Estate, since: datetime, until: datetime) -> list[Message]:
    """Return the messages of a span of time, newest first."""
    made = [
        _message(number, at, category, fields)
        for number, (at, category, fields) in enumerate(_records(estate))
        if since <= at <= until
    ]
    return sorted(made, key=lambda message: int(message["_messagetime"]), reverse=True)


def _records(estate: Estate) -> Iterator[tuple[datetime, str, dict[str, Any]]]:
    names = {host.id: host.name for host in estate.hosts.values()}
    for each in estate.connections:
        fields = {"src": each.source_ip, "dst": each.address, "port": each.port, "domain": each.domain or ""}
        yield each.at, "firewall", {**fields, "action": each.action}
    for user in estate.users.values():
        for session in user.sign_ins:
            yield session.at, "auth", {"user": user.upn, "src": session.ip, "app": session.app}
    for logon in estate.logons:
        person = estate.users.get(logon.user_id)
        signed_in = {"host": names.get(logon.host_id, ""), "user": person.sam if person else ""}
        yield logon.at, "windows", signed_in
    for seen in estate.sightings:
        yield seen.at, "edr", {"host": names.get(seen.host_id, ""), "sha256": seen.sha256, "path": seen.path}


def _message(number: int, at: datetime, category: str, fields: Mapping[str, Any]) -> Message:
    own = {"_messageid": str(number), "_messagetime": str(int(at.timestamp() * 1000)), "_sourcecategory": category}
    return {**{name: str(value) for name, value in fields.items()}, **own, "_raw": json.dumps(fields)}


def _stages(query: str) -> list[str]:
    text = re.sub(r"/\*.*?\*/", " ", query, flags=re.DOTALL)
    return [" ".join(each.split()) for each in _STAGE.findall(text)[:-1]] or [""]


def _either(tokens: list[str]) -> Test:
    tests = [_both(tokens)]
    while tokens and tokens[0] == "OR":
        tokens.pop(0)
        tests.append(_both(tokens))
    return lambda message: any(test(message) for test in tests)


def _both(tokens: list[str]) -> Test:
    tests: list[Test] = []
    while tokens and tokens[0] not in ("OR", ")"):
        word = tokens.pop(0)
        if word == "(":
            tests.append(_either(tokens))
            if not tokens or tokens.pop(0) != ")":
                raise QueryError("Missing ).")
        elif word != "AND":
            tests.append(_term(word))
    return lambda message: all(test(message) for test in tests)


def _term(word: str) -> Test:
    name, equals, value = word.partition("=")
    if equals and not word.startswith('"'):
        return lambda message: fnmatchcase(message.get(name.lower(), "").lower(), value.lower())
    text = re.sub(r"\\(.)", r"\1", word[1:-1]) if word[0] == '"' else word
    shape = re.escape(text).replace(r"\*", ".*")
    pattern = re.compile(rf"(?<![\w.-]){shape}(?![\w-])(?!\.\w)" if text != "*" else "", re.IGNORECASE)
    return lambda message: bool(pattern.search(message["_raw"]))
