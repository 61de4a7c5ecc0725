"""Names of hosts and domains, and the places of a text in which one may stand."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import unquote

from hikeshi.guardrails.distinguished_name import parse_distinguished_name
from hikeshi.guardrails.spelling import fold

__all__ = ["canonical_host", "first_label", "hosts_in", "is_plain", "without_port"]

# A line of a long list that needs none of the work below: no capitals, address, MAC, punycode, pattern or comment.
_PLAIN = re.compile(
    r"(?![0-9a-f]{4}(?:\.[0-9a-f]{4}){2}$)(?![0-9a-f]{12}$)(?!.*xn--)[a-z][a-z0-9_-]*(?:\.[a-z0-9_-]+)*", re.ASCII
)
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*:[/\\]{2,}|(?:https?|ftps?|wss?):[/\\]*|[/\\]{2,}")
_MAC = re.compile(r"[0-9a-f]{2}(?:[:-][0-9a-f]{2}){5}|[0-9a-f]{4}(?:\.[0-9a-f]{4}){2}|[0-9a-f]{12}")
_PORT = re.compile(r"^([^:]+|\[.*\]):[0-9]{1,5}$")
# Service principals name the host behind the slash, where a URL has its path.
_SERVICES = ("host", "cifs", "ldap", "gc", "dns", "http", "rpc", "termsrv", "wsman", "restrictedkrbhost", "mssqlsvc")


def is_plain(text: str) -> bool:
    """Say whether a text is a host name in its canonical spelling already."""
    return _PLAIN.fullmatch(text) is not None


def canonical_host(text: str) -> str:
    """Return the one spelling of a folded host name: Unicode for punycode, without outer dots and trailing `$`.

    A MAC address becomes its twelve digits.
    """
    if _MAC.fullmatch(text):
        return re.sub(r"[:.-]", "", text)
    name = text.strip(".{}").removesuffix("$")
    if "xn--" in name:
        name = ".".join(map(_decoded, name.split(".")))
    return name


def first_label(host: str) -> str:
    """Return a host name without its domain."""
    return host.partition(".")[0]


def without_port(authority: str) -> str:
    """Return the host of `host:port`. An IPv6 address has colons of its own, so its port stands behind brackets."""
    return _PORT.sub(r"\1", authority)


def hosts_in(text: str) -> Iterator[str]:
    """Yield every part of a folded text that may be the host it speaks of; not yet canonical.

    That is the text itself, and the host of a URL, a UNC path, `host:port`, `DOMAIN\\host`, a service principal or a
    distinguished name. Where programs read a URL differently, each reading counts.
    """
    yield text
    named = parse_distinguished_name(text)
    if named is not None:
        yield named.name
        if named.domain:
            yield f"{named.name}.{named.domain}"
        return
    scheme = _SCHEME.match(text)
    rest = text[scheme.end() :] if scheme else text
    for authority in {re.split(r"[/?#]", rest)[0], re.split(r"[/?#\\]", rest)[0]}:
        yield from _of_authority(authority, is_url=scheme is not None)
    if scheme is None:
        yield from _qualified(text)


def _of_authority(authority: str, *, is_url: bool) -> Iterator[str]:
    hosts = {authority.rpartition("@")[2], authority.partition("@")[0]} if is_url else {authority}
    for host in hosts:
        for spelling in {host, fold(unquote(host))} if "%" in host else {host}:
            yield spelling
            yield without_port(spelling)


def _qualified(text: str) -> Iterator[str]:
    yield text.partition("\\")[2]
    service, slash, name = text.partition("/")
    if slash and service in _SERVICES:
        yield without_port(name.partition("/")[0])


def _decoded(label: str) -> str:
    if not label.startswith("xn--"):
        return label
    try:
        return fold(label[4:].encode("ascii").decode("punycode"))
    except ValueError:
        return label
