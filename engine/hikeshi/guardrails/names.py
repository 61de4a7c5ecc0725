"""Every name that a target has: what a guardrail is asked about."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field, replace
from typing import Any

from hikeshi.quick_dataclass import dataclass

__all__ = ["Names"]

_FOR_PEOPLE = ("reason", "note", "comment", "message", "text", "title", "description")
_HOST_FIELDS = ("name", "aliases", "fqdn", "hostname", "host_name", "ips", "addresses", "mac")
_ACCOUNT_FIELDS = ("name", "aliases", "logins", "email", "upn", "user_name", "display_name")


@dataclass(frozen=True, slots=True)
class Names:
    """A target and all of its names, as plain data.

    `kind` is that of its entity (`host`, `user`, `group`, ...), `indicator:<kind>` or `text`. `ids` are its product's
    own. `groups` and `tags` of None mean that they are not known; an empty tuple means that it has none.
    `further` are texts that may be names of anything: arguments of the call that are no targets.
    """

    label: str
    kind: str
    ids: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    accounts: tuple[str, ...] = ()
    groups: tuple[str, ...] | None = ()
    tags: tuple[str, ...] | None = ()
    value: str = ""
    further: tuple[str, ...] = field(default=())

    @classmethod
    def of(cls, target: Any, kind: str | None = None, *, arguments: Mapping[str, Any] | None = None) -> Names:
        """Return the names of an entity or indicator as plain data, or of a text.

        `kind` is the kind of entity (`Entity.entity_kind`), which its plain data does not say. `arguments` are the
        other arguments of the call, as plain data: each text in them is compared as a whole, but for those that are
        written for people.
        """
        if isinstance(target, Mapping):
            names = _of_indicator(target) if _is_indicator(target, kind) else _of_entity(target, kind or "entity")
        else:
            names = _of_text("" if target is None else str(target))
        return replace(names, further=cls.further_in(arguments)) if arguments else names

    @classmethod
    def of_indicator(cls, kind: str, value: str, further: tuple[str, ...] = ()) -> Names:
        """Return the names of an indicator, as `of` does; `further` is what `further_in` gives for the whole call."""
        return cls(value, f"indicator:{kind}", value=value, further=further)

    @staticmethod
    def further_in(arguments: Mapping[str, Any] | None) -> tuple[str, ...]:
        """Return the texts in other arguments of a call that may be names of anything."""
        given = (arguments or {}).items()
        return tuple(text for key, value in given if key not in _FOR_PEOPLE for text in _texts(value))

    @property
    def is_blockable(self) -> bool:
        """Whether it is, or may be, something to block: an indicator or a text."""
        return self.kind == "text" or self.kind.startswith("indicator:")

    @property
    def not_known(self) -> frozenset[str]:
        """Which facts about the target are not known: `groups`, `tags`."""
        return frozenset(word for word, fact in (("groups", self.groups), ("tags", self.tags)) if fact is None)

    def with_groups(self, groups: Iterable[str] | None) -> Names:
        """Return these names with the groups that were read for the target; None if they could not be read."""
        return replace(self, groups=None if groups is None else (*(self.groups or ()), *groups))

    def with_hosts(self, hosts: Iterable[str]) -> Names:
        """Return these names with further names and addresses of the same host."""
        return replace(self, hosts=(*self.hosts, *hosts))


def _is_indicator(target: Mapping[str, Any], kind: str | None) -> bool:
    return kind == "indicator" or (kind is None and "value" in target and "id" not in target)


def _of_indicator(target: Mapping[str, Any]) -> Names:
    return Names.of_indicator(str(target.get("kind") or ""), str(target.get("value") or ""))


def _of_text(text: str) -> Names:
    return Names(text, "text", hosts=(text,), accounts=(text,), groups=(text,), tags=(text,), value=text)


def _of_entity(target: Mapping[str, Any], kind: str) -> Names:
    id_ = str(target.get("id") or "")
    hosts = _of_fields(target, _HOST_FIELDS)
    accounts = _of_fields(target, _ACCOUNT_FIELDS)
    # Whose groups nobody says is not known, and that is not the same as none: a key opens what its owner may.
    groups = _known(target, "groups") if kind in ("host", "user", "access_key") else ()
    if kind == "machine":
        groups = (*_texts(target.get("network")), *_texts(target.get("account")))
    if kind == "group":
        groups = (id_, *accounts)
    return Names(
        str(target.get("name") or id_),
        kind,
        ids=(id_,),
        hosts=() if kind in ("user", "group") else hosts,
        accounts=() if kind in ("host", "group") else accounts,
        groups=groups,
        tags=_known(target, "tags") if kind == "host" else tuple(_texts(target.get("tags"))),
    )


def _known(target: Mapping[str, Any], key: str) -> tuple[str, ...] | None:
    value = target.get(key)
    return None if value is None else tuple(_texts(value))


def _of_fields(target: Mapping[str, Any], fields: Sequence[str]) -> tuple[str, ...]:
    return tuple(text for key in fields for text in _texts(target.get(key)))


def _texts(value: Any) -> Iterable[str]:
    """The texts in plain data that can name something.

    Of an entity, its texts but neither its connector's name nor the page where people look at it: that is on the
    product's own host, which the engine's lifeline protects.
    """
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        unnamed = ("connector", "url") if "connector" in value else ()
        yield from (text for key, inner in value.items() if key not in unnamed for text in _texts(inner))
    elif isinstance(value, list | tuple | set | frozenset):
        yield from (text for inner in value for text in _texts(inner))
