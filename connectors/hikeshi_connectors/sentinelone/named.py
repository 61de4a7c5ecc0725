"""What is changed is named one by one, or nothing leaves.

The rule: SentinelOne acts on everything that a filter matches, and an empty filter matches everything. So an action on
agents carries `{"filter": {"ids": [...]}}` with at least one ID and nothing beside it; a deletion from the blocklist
carries IDs; a new entry carries a hash and a scope, since any other `type` would make an exclusion, which lets a file
run. Every request is looked at once more in the moment before it leaves, whoever wrote it, and what is not known here
is refused.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, Literal
from urllib.parse import urlsplit

from hikeshi.connector import Invalid, RouteRefused
from hikeshi.connector.route import SeenRequest

__all__ = ["API", "QUERIES_PATH", "action_body", "deletion_body", "is_id", "refuse_unnamed"]

API: Final = "/web/api/v2.1"
QUERIES_PATH: Final = "/sdl/v2/api/queries"
# The API refuses smaller numbers: "Must be greater than or equal to 100000000000000000."
_ID = re.compile(r"[1-9][0-9]{17,18}")
_HASH = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_SCOPES: Final = ("tenant", "accountIds")

Body = Mapping[str, Any]


def is_id(text: object) -> bool:
    """Say whether this has the form of an ID: 18 or 19 digits."""
    return isinstance(text, str) and bool(_ID.fullmatch(text))


def action_body(ids: Iterable[str]) -> dict[str, Any]:
    """Return the body of an action on exactly these agents. Raises Invalid if there are none, or for what is no ID."""
    return {"filter": {"ids": _checked(ids, "an agent's ID")}}


def deletion_body(ids: Iterable[str]) -> dict[str, Any]:
    """Return the body that deletes exactly these blocklist entries. Raises Invalid as `action_body` does."""
    return {"data": {"ids": _checked(ids, "the ID of a blocklist entry"), "type": "black_hash"}}


def refuse_unnamed(seen: SeenRequest) -> None:
    """Raise RouteRefused for a change that does not name exactly what it changes, or that is not known here."""
    parts = urlsplit(seen.url)
    if seen.method == "GET" or (seen.method == "POST" and parts.path.endswith(QUERIES_PATH)):
        return
    what = (seen.method, parts.path.partition(API)[2])
    test = _CHANGES.get(what)
    if test is None:
        raise RouteRefused(f"{seen.method} {parts.path} is no change that this connector makes")
    if parts.query or not _passes(seen.content, test):
        raise RouteRefused(
            f"{seen.method} {parts.path} was stopped: its body does not name exactly what is to be changed, "
            "and SentinelOne would change everything that it matches"
        )


def _checked(ids: Iterable[str], what: str) -> list[str]:
    given: Sequence[object] = [ids] if isinstance(ids, str) else list(ids)
    if not given:
        raise Invalid("no IDs: SentinelOne would take that for all of them; nothing was sent")
    strange = [each for each in given if not is_id(each)]
    if strange:
        raise Invalid(f"{str(strange[0])[:80]!r} is not {what} (18 or 19 digits); nothing was sent")
    return list(dict.fromkeys(str(each) for each in given))


def _passes(content: bytes, test: Callable[[Body], bool]) -> bool:
    try:
        body = json.loads(content, object_pairs_hook=_once)
    except ValueError:
        return False
    return isinstance(body, dict) and test(body)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Make an object of its members. A member that is there twice could be read either way."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a member is there twice")
    return found


def _names_agents(body: Body) -> bool:
    wanted = body.get("filter")
    return body.keys() == {"filter"} and isinstance(wanted, dict) and wanted.keys() == {"ids"} and _ids(wanted["ids"])


def _names_entries(body: Body) -> bool:
    data = body.get("data")
    return (
        body.keys() == {"data"}
        and isinstance(data, dict)
        and data.keys() == {"ids", "type"}
        and data["type"] == "black_hash"
        and _ids(data["ids"])
    )


def _is_one_hash(body: Body) -> bool:
    data, scope = body.get("data"), body.get("filter")
    if body.keys() != {"data", "filter"} or not isinstance(data, dict) or not isinstance(scope, dict):
        return False
    hashes = [data[name] for name in ("value", "sha256Value") if name in data]
    return (
        data.get("type") == "black_hash"
        and data.keys() <= {"type", "osType", "value", "sha256Value", "description"}
        and len(hashes) == 1
        and isinstance(hashes[0], str)
        and bool(_HASH.fullmatch(hashes[0]))
        and len(scope) == 1
        and (scope.get("tenant") is True or _ids(scope.get("accountIds")))
    )


def _ids(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(is_id(each) for each in value)


_CHANGES: Final[Mapping[tuple[Literal["POST", "DELETE"] | str, str], Callable[[Body], bool]]] = {
    ("POST", "/agents/actions/disconnect"): _names_agents,
    ("POST", "/agents/actions/connect"): _names_agents,
    ("POST", "/restrictions"): _is_one_hash,
    ("DELETE", "/restrictions"): _names_entries,
}
