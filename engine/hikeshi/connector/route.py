"""Read routes: which requests change nothing, declared by method, path and, where one path serves both, more.

The rule: anything that could make one reader see a read and another see a change is refused, not interpreted.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import field
from fnmatch import fnmatchcase
from functools import cached_property
from urllib.parse import parse_qsl, urlsplit

from hikeshi.connector.errors import RouteRefused
from hikeshi.quick_dataclass import dataclass

__all__ = ["Route", "SeenRequest", "xml_root"]

Wanted = str | Callable[[str], bool]
_SUSPICIOUS = re.compile(r"%2e|%2f|%5c|%00|\\|;|//|/\.{1,2}(/|$)", re.IGNORECASE)
_OVERRIDES = frozenset(
    {"x-http-method-override", "x-http-method", "x-method-override", "x-original-url", "x-rewrite-url", "host"}
)


@dataclass(frozen=True)
class SeenRequest:
    """A request as the guard sees it, taken apart once."""

    method: str
    url: str
    headers: Mapping[str, str]
    content: bytes

    @property
    def is_form(self) -> bool:
        return self.headers.get("content-type", "").lower().startswith("application/x-www-form-urlencoded")

    @cached_property
    def form(self) -> list[tuple[str, str]]:
        """The fields of a form and their values, in order; none for any other body."""
        # Every route asks, and a form that carries a long list takes its time to be decoded.
        return parse_qsl(self.content.decode("utf-8", "replace"), keep_blank_values=True) if self.is_form else []

    def values(self, name: str) -> list[str]:
        """Return every value of a field, wherever a server might look for it: in the query and in a form."""
        pairs = parse_qsl(urlsplit(self.url).query, keep_blank_values=True)
        return [value for key, value in (*pairs, *self.form) if key == name]

    def refuse_tricks(self) -> None:
        """Raise RouteRefused for a request that two readers could understand in two ways."""
        path = urlsplit(self.url).path
        if _SUSPICIOUS.search(path):
            raise RouteRefused(f"{self.method} {path}: encoded dots or slashes, empty or relative segments in a path")
        overriding = _OVERRIDES & self.headers.keys()
        if overriding or self.values("_method"):
            raise RouteRefused(f"{self.method} {path}: a header or field that overrides the method or address")


@dataclass(frozen=True, slots=True)
class Route:
    """One kind of request that changes nothing.

    `path` is below the base address; `*` stands for one segment, `**` for any number. `base` names one of the
    connector's base addresses. `where` maps `form:NAME`, `query:NAME` or `header:NAME` to a pattern or a test that the
    only value of that field must pass.
    """

    method: str
    path: str
    base: str = ""
    where: Mapping[str, Wanted] = field(default_factory=dict)

    def matches(self, request: SeenRequest, base_url: str) -> bool:
        """Say whether a request is of this kind. Raises RouteRefused if a field that decides is there twice."""
        if request.method != self.method or not self._path_matches(request.url, base_url):
            return False
        return all(self._field_matches(request, key, wanted) for key, wanted in self.where.items())

    def _path_matches(self, url: str, base_url: str) -> bool:
        got, base = urlsplit(url), urlsplit(base_url)
        if (got.scheme, got.netloc) != (base.scheme, base.netloc):
            return False
        prefix = base.path.rstrip("/")
        rest = got.path[len(prefix) :]
        if not got.path.startswith(prefix) or rest[:1] not in ("", "/"):
            return False
        return bool(_pattern(self.path).fullmatch(rest))

    def _field_matches(self, request: SeenRequest, key: str, wanted: Wanted) -> bool:
        place, _, name = key.partition(":")
        if place == "header":
            values = [request.headers[name.lower()]] if name.lower() in request.headers else []
        else:
            values = request.values(name)
        if len(values) > 1:
            raise RouteRefused(f"{request.method} {urlsplit(request.url).path}: the field {name!r} is there twice")
        if not values:
            return False
        return wanted(values[0]) if callable(wanted) else fnmatchcase(values[0], wanted)


def xml_root(name: str) -> Callable[[str], bool]:
    """Return a test that accepts one well-formed XML element of this name and nothing beside it."""

    def test(text: str) -> bool:
        from xml.etree import ElementTree as ET

        if "<!" in text or "<?" in text:
            return False
        try:
            return ET.fromstring(text).tag == name  # noqa: S314 - our own request, and no DTD can be in it
        except ET.ParseError:
            return False

    return test


_patterns: dict[str, re.Pattern[str]] = {}


def _pattern(glob: str) -> re.Pattern[str]:
    if glob not in _patterns:
        parts = re.split(r"(\*\*|\*)", glob)
        text = "".join({"**": ".*", "*": "[^/]+"}.get(part, re.escape(part)) for part in parts)
        _patterns[glob] = re.compile(text)
    return _patterns[glob]
