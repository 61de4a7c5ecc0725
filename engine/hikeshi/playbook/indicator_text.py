"""Indicators of compromise as text: recognising, normalising, defanging and refanging them.

Rule of this file: what `parse_indicator` accepts names one thing. Wildcards, bare top-level domains and networks wider
than /8 (IPv4) or /16 (IPv6) are refused, because a change may be made to whatever comes out of here.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator
from urllib.parse import SplitResult, urlsplit

KINDS = ("ipv4", "ipv6", "cidr", "domain", "url", "email", "md5", "sha1", "sha256")
MAX_INDICATOR = 4_096
WIDEST_PREFIX = {4: 8, 6: 16}

HASH_LENGTHS = {32: "md5", 40: "sha1", 64: "sha256"}
URL_SCHEMES = ("http", "https", "ftp", "ftps")

# Not the whole public-suffix list: the registries under which one often meets a victim's or an attacker's domain.
PUBLIC_SUFFIXES = frozenset(
    """ac.jp ac.uk co.id co.il co.in co.jp co.kr co.nz co.th co.uk co.za com.ar com.au com.br com.cn com.hk com.mx
    com.my com.pl com.sg com.tr com.tw com.ua com.vn edu.au go.jp gob.mx gouv.fr gov.au gov.br gov.cn gov.in gov.uk
    ne.jp net.au net.br net.cn nhs.uk or.jp org.au org.br org.cn org.uk""".split()  # noqa: SIM905  words
)
# Last labels that are far more often a file's extension than a domain, in free text.
FILE_EXTENSIONS = frozenset(
    """7z bat bin cfg cmd conf csv dat db dll doc docm docx elf eml exe gif gz hta htm html img ini iso jar jpeg jpg js
    json jse lnk log md msi php png pdf pl ppt pptx ps1 py rar reg rtf sh so sql svg sys tar tmp txt vbs wsf xls xlsm
    xlsx xml yaml yml zip""".split()  # noqa: SIM905  words
)
# Ours, not ipaddress.is_private: that table differs between versions of Python, and a replay must not.
PRIVATE_NETWORKS = tuple(
    ipaddress.ip_network(text)
    for text in """0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.168.0.0/16
    ::/128 ::1/128 fc00::/7 fe80::/10""".split()  # noqa: SIM905  words
)

_FANGS: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), replacement)
    for pattern, replacement in (
        (r"[\[({]\.[\])}]|[\[({]dot[\])}]", "."),
        (r"\[:\]//|\[://\]", "://"),
        (r"\[:\]", ":"),
        (r"\[/\]", "/"),
        (r"[\[({]@[\])}]|[\[({]at[\])}]", "@"),
        (r"\bh[xt]{2}p(?=s?:)", "http"),
        (r"\bfxp(?=s?:)", "ftp"),
    )
)
_OCTET = r"(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_USUAL_IPV4 = re.compile(rf"(?:{_OCTET}\.){{3}}{_OCTET}")
_EVERY_ADDRESS = frozenset({"0.0.0.0", "::", "255.255.255.255"})  # noqa: S104 - they are refused
_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)", re.ASCII)
_TOP_LEVEL = re.compile(r"(?:[a-z]{2,63}|xn--[a-z0-9-]{1,59})", re.ASCII)
_HEXADECIMAL = re.compile(r"[0-9a-f]+", re.ASCII)
_MAILBOX = re.compile(r"[a-z0-9.!#$%&'*+/=?^_{|}~-]{1,64}", re.ASCII | re.IGNORECASE)
_URL_IN_TEXT = re.compile(r"\b(?:https?|ftps?)://[^\s\"'<>`|\\]+", re.IGNORECASE)
_PORT = re.compile(r"^([^:]{4,253}):\d{1,5}$", re.ASCII)
_WORD_IN_TEXT = re.compile(r"[^\s\"'<>`|\\,;()\[\]{}=]+")


def parse_indicator(text: str) -> dict[str, str]:
    """Return the kind and the normalised value of one indicator, as `{"kind": ..., "value": ...}`.

    Defanged text is taken. Raises ValueError, with the reason, for text that is no indicator or names too much.
    """
    if len(text) > MAX_INDICATOR:
        raise ValueError(f"an indicator has at most {MAX_INDICATOR} characters")
    if _USUAL_IPV4.fullmatch(text):  # most of what long lists hold
        _refuse_every(text)
        return {"kind": "ipv4", "value": text}
    value = refang(text.strip())
    if not value:
        raise ValueError("an empty text is no indicator")
    if "*" in value and "://" not in value:
        raise ValueError(f"{value!r} is a wildcard; an indicator names one thing")
    if len(value) in HASH_LENGTHS and _HEXADECIMAL.fullmatch(value.lower()):
        return {"kind": HASH_LENGTHS[len(value)], "value": value.lower()}
    if "://" in value:
        return {"kind": "url", "value": normalise_url(value)}
    if "@" in value:
        return {"kind": "email", "value": normalise_email(value)}
    if "/" in value:
        return _network_indicator(value)
    if ":" in value or re.fullmatch(r"[\d.]+", value, re.ASCII):
        return _address_indicator(value)
    return {"kind": "domain", "value": normalise_domain(value)}


def _address_indicator(value: str) -> dict[str, str]:
    address = parse_address(value)
    # Packets of an IPv4 address in IPv6's dress are IPv4's, and only as such does a firewall meet them.
    address = getattr(address, "ipv4_mapped", None) or address
    _refuse_every(str(address))
    return {"kind": f"ipv{address.version}", "value": str(address)}


def _refuse_every(address: str) -> None:
    if address in _EVERY_ADDRESS:
        raise ValueError(f"{address} stands for every address; an indicator names one thing")


def _network_indicator(value: str) -> dict[str, str]:
    network = parse_network(value)
    if network.prefixlen == network.max_prefixlen:
        return _address_indicator(str(network.network_address))
    return {"kind": "cidr", "value": str(network)}


def parse_address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """Return the address that `text` is. Raises ValueError, also for leading zeros and zone IDs."""
    value = text.strip()
    if "%" in value:
        raise ValueError(f"{value[:60]!r} has a zone ID, which means something on one host only")
    try:
        return ipaddress.ip_address(value)
    except ValueError:
        raise ValueError(f"{value[:60]!r} is not an IP address") from None


def parse_network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    """Return the network that `text` is. Raises ValueError, also for set host bits and for too wide networks."""
    value = text.strip()
    if "/" not in value:
        raise ValueError(f"{value[:60]!r} is not a network; write it as 192.0.2.0/24")
    try:
        network = ipaddress.ip_network(value, strict=False)
    except ValueError:
        raise ValueError(f"{value[:60]!r} is not a network; write it as 192.0.2.0/24") from None
    if ipaddress.ip_interface(value).ip != network.network_address:
        raise ValueError(f"{value} is a host inside a network; did you mean {network}?")
    widest = WIDEST_PREFIX[network.version]
    if network.prefixlen < widest:
        raise ValueError(f"{network} is too wide: at least /{widest} is needed for IPv{network.version}")
    return network


def is_private(text: str) -> bool:
    """Return whether an address is private, local or reserved for carriers. Raises ValueError if it is no address."""
    address = parse_address(text)
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return any(address in network for network in PRIVATE_NETWORKS if network.version == address.version)


def normalise_domain(text: str) -> str:
    """Return a domain in lower case and punycode, without a trailing dot. Raises ValueError if it is none."""
    value = _ascii_host(text.strip().rstrip("."))
    labels = value.split(".")
    shown = repr(text[:60])
    if len(value) > 253 or not all(map(_LABEL.fullmatch, labels)):
        raise ValueError(f"{shown} is not a domain")
    if len(labels) < 2:
        raise ValueError(f"{shown} is one label; a domain has at least two, as in example.com")
    if not _TOP_LEVEL.fullmatch(labels[-1]) or "_" in labels[-2]:
        raise ValueError(f"{shown} is not a domain: no top-level domain is called {labels[-1][:60]!r}")
    if value in PUBLIC_SUFFIXES:
        raise ValueError(f"{shown} is a registry under which others have their domains; an indicator names one thing")
    return value


def normalise_url(text: str) -> str:
    """Return a URL with its scheme and host normalised, the rest as it is. Raises ValueError if it is none."""
    value = text.strip()
    shown = repr(value[:60])
    if re.search(r"[\s\x00-\x1f\x7f]", value):
        raise ValueError(f"{shown} has spaces or control characters, so it is not a URL")
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError:
        raise ValueError(f"{shown} is not a URL") from None
    if parts.scheme not in URL_SCHEMES or not parts.hostname:
        raise ValueError(f"{shown} is not a URL; write it as https://example.com/path")
    host = _url_host(parts)
    user = parts.netloc.rpartition("@")[0]
    netloc = (f"{user}@" if user else "") + host + (f":{port}" if port is not None else "")
    return SplitResult(parts.scheme, netloc, parts.path, parts.query, parts.fragment).geturl()


def _url_host(parts: SplitResult) -> str:
    host = parts.hostname or ""
    if "[" in parts.netloc:
        return f"[{parse_address(host)}]"
    if re.fullmatch(r"[\d.]+", host, re.ASCII):
        return str(parse_address(host))
    return normalise_domain(host)


def normalise_email(text: str) -> str:
    """Return an e-mail address with its domain normalised, in lower case. Raises ValueError if it is none."""
    mailbox, _, domain = text.strip().rpartition("@")
    if not _MAILBOX.fullmatch(mailbox) or mailbox[0] == "." or mailbox[-1] == "." or ".." in mailbox or "*" in mailbox:
        raise ValueError(f"{text[:60]!r} is not an e-mail address")
    return f"{mailbox.lower()}@{normalise_domain(domain)}"


def normalise_hash(text: str, kind: str | None = None) -> str:
    """Return a hash in lower case. Raises ValueError if it is none, or none of the given kind."""
    value = text.strip().lower()
    found = HASH_LENGTHS.get(len(value)) if _HEXADECIMAL.fullmatch(value) else None
    if found is None or (kind is not None and found != kind):
        wanted = kind or "MD5, SHA-1 or SHA-256 hash"
        raise ValueError(f"{text[:70]!r} is not a {wanted}, which is hexadecimal text of a fixed length")
    return value


def domain_of(text: str) -> str:
    """Return the domain or address of a URL, an e-mail address or a domain. Raises ValueError if it has none."""
    found = parse_indicator(text)
    if found["kind"] == "url":
        return _url_host(urlsplit(found["value"])).strip("[]")
    if found["kind"] == "email":
        return found["value"].rpartition("@")[2]
    if found["kind"] == "domain":
        return found["value"]
    raise ValueError(f"{text[:60]!r} is of the kind {found['kind']}, which has no domain")


def refang(text: str) -> str:
    """Return text with its defanged indicators made real again: hxxp, [.], (dot), [at] and the like."""
    for pattern, replacement in _FANGS:
        text = pattern.sub(replacement, text)
    return text


def defang(text: str) -> str:
    """Return text in which no URL, domain or address can be clicked on. Defanged text stays as it is."""
    plain = refang(text)
    plain = re.sub(r"\bhttp(?=s?://)", "hxxp", plain, flags=re.IGNORECASE)
    plain = re.sub(r"\bftp(?=s?://)", "fxp", plain, flags=re.IGNORECASE)
    plain = re.sub(r"(?<=\w)@(?=\w)", "[at]", plain)
    return re.sub(r"(?<=\w)\.(?=\w)", "[.]", plain)


def find_indicators(text: str, charge: Callable[[int], None] = lambda _: None) -> list[dict[str, str]]:
    """Return every indicator in free text once, in the order in which they stand there, as kind and value.

    File names (`update.exe`) are not taken for domains. A URL gives the URL, not its domain as well. `charge` is told
    of each word that is looked at closely, and may raise to stop.
    """
    found: dict[tuple[str, str], None] = {}
    for word in dict.fromkeys(_candidates(refang(text))):
        charge(1)
        _collect(word, found)
    return [{"kind": kind, "value": value} for kind, value in found]


def _candidates(text: str) -> Iterator[str]:
    position = 0
    for match in _URL_IN_TEXT.finditer(text):
        yield from _words(text[position : match.start()])
        if len(match.group()) <= MAX_INDICATOR:
            yield _without_closing(match.group())
        position = match.end()
    yield from _words(text[position:])


def _words(text: str) -> Iterator[str]:
    for match in _WORD_IN_TEXT.finditer(text):
        word = match.group()
        if len(word) <= MAX_INDICATOR and ("." in word or ":" in word or len(word) in HASH_LENGTHS):
            yield _PORT.sub(r"\1", word.strip(".!?").rstrip(":"))


def _without_closing(url: str) -> str:
    """A URL in a sentence ends before the sentence's own punctuation."""
    while url:
        url = url.rstrip(".,;:!?")
        opening = {")": "(", "]": "[", "}": "{"}.get(url[-1:])
        if opening is None or url.count(opening) >= url.count(url[-1]):
            break
        url = url[:-1]
    return url


def _collect(word: str, found: dict[tuple[str, str], None]) -> None:
    try:
        indicator = parse_indicator(word)
    except ValueError:
        return
    if indicator["kind"] == "domain" and indicator["value"].rpartition(".")[2] in FILE_EXTENSIONS:
        return
    found[indicator["kind"], indicator["value"]] = None


def _ascii_host(host: str) -> str:
    if host.isascii():
        return host.lower()
    import idna  # ten milliseconds of tables, needed for few names

    try:
        return idna.encode(host, uts46=True).decode("ascii")
    except idna.IDNAError:
        raise ValueError(f"{host[:60]!r} is not a domain") from None
