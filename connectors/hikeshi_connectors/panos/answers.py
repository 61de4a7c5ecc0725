"""What the firewall answered: the XML of it, and the error that it stands for.

Source: "PAN-OS XML API Error Codes",
https://docs.paloaltonetworks.com/pan-os/11-1/pan-os-panorama-api/get-started-with-the-pan-os-xml-api/pan-os-xml-api-error-codes
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any
from xml.etree import ElementTree as ET

from hikeshi.connector import (
    Applied,
    Conflict,
    ConnectorError,
    Forbidden,
    Invalid,
    NotFound,
    Response,
    Unauthorized,
    Unavailable,
    error_of_status,
)
from hikeshi_connectors.panos.addresses import canonical

__all__ = ["check_answer", "parse", "refused_entries"]

_KINDS: dict[str, type[ConnectorError]] = {
    "1": Invalid,  # unknown command
    "6": Invalid,  # bad XPath
    "7": NotFound,
    "8": Conflict,  # not unique
    "10": Conflict,  # still referred to
    "12": Invalid,  # incomplete XPath or element
    # The table says "object not found", but a commit gets this as well while another one is in the way.
    "13": Conflict,
    "14": Conflict,  # not possible now
    "15": Forbidden,
    "16": Forbidden,
    "17": Invalid,
    "18": Invalid,
    "22": Unauthorized,  # session timed out
    "400": Invalid,
}
_INTERNAL = frozenset({"2", "3", "4", "5", "11", "21"})

# Tags need no more than to be there, or not to be. The API gives these texts and no code.
_HARMLESS = ("already exists, ignore", "does not exist, ignore unreg")


class _WithoutDoctype(ET.TreeBuilder):
    """Refuses document types: nothing of the API has one, and entities are a weapon."""

    def doctype(self, name: str, pubid: str | None, system: str | None) -> None:  # noqa: ARG002 - expat calls it so
        raise ET.ParseError("a document type")


def parse(response: Response) -> ET.Element:
    """Return the root of an answer. Raises Invalid for anything that is not the API's XML."""
    root = _root(response.content)
    if root is None or root.tag != "response":
        kind = response.headers.get("content-type", "no content type")
        # The request was answered, so a change may have had its effect.
        raise Invalid(f"{response.where}: the answer is not PAN-OS's XML ({kind})", applied=Applied.MAYBE)
    return root


@lru_cache(maxsize=1)  # an answer is judged, and at once taken apart
def _root(content: bytes) -> ET.Element | None:
    """Return the root of a document, which nobody changes; None for what is no XML."""
    try:
        parser = ET.XMLParser(target=_WithoutDoctype())  # noqa: S314 - document types, hence entities, are refused
        parser.feed(content)
        root: Any = parser.close()
    except (ET.ParseError, LookupError, ValueError):
        return None
    return root if isinstance(root, ET.Element) else None


def check_answer(response: Response) -> None:
    """Raise the error that an answer stands for, whatever its HTTP status.

    An answer that refuses single entries of a User-ID message passes: `refused_entries` tells them apart.
    """
    if response.status in (408, 429) or response.status >= 500:
        raise error_of_status(response)
    try:
        root = parse(response)
    except Invalid:
        if response.status == 404:
            # It says that this is no firewall, not that something is absent on it.
            raise Invalid(f"{response.where}, and not as PAN-OS does; check base_url") from None
        if response.status >= 400:
            raise error_of_status(response) from None
        raise
    if root.find("msg/line/uid-response") is not None:
        return
    if root.get("status") != "success" or response.status >= 400:
        raise _error(response, root)


def refused_entries(response: Response, values: Mapping[str, list[str]]) -> dict[str, ConnectorError]:
    """Return the entries of a User-ID message that the firewall refused, as indicator value -> error.

    `values` maps each address that was sent to the values of its indicators. What was so already is not refused. Raises
    Invalid for a refusal that names none of the addresses.
    """
    refused: dict[str, ConnectorError] = {}
    for entry in parse(response).iterfind("msg/line/uid-response/payload/*/entry"):
        message = entry.get("message", "")
        if message.endswith(_HARMLESS):
            continue
        address = canonical(entry.get("ip", ""))
        if address not in values:
            raise Invalid(f"{response.where}: {message or 'an entry was refused'}", applied=Applied.MAYBE)
        error = Invalid(f"the firewall refuses {address}: {message or 'no reason given'}")
        refused.update(dict.fromkeys(values[address], error))
    return refused


def _error(response: Response, root: ET.Element) -> ConnectorError:
    code, text = root.get("code", ""), _text(root)
    message = f"{response.where}, code {code or 'none'}: {text or 'no message'}"
    if code == "403" or response.status == 403:
        return _not_allowed(message, text)
    if code in _INTERNAL:
        return Unavailable(message, applied=Applied.MAYBE)
    if code in _KINDS:
        return _KINDS[code](message)
    if text == "No such node":
        return NotFound(message)
    return Invalid(message, applied=Applied.MAYBE)


def _not_allowed(message: str, text: str) -> ConnectorError:
    # One code for a bad key and for a missing privilege: only the text tells them apart.
    if "not authorized" in text.lower():
        return Forbidden(f"{message}; grant the API key's administrator what the connector's README lists")
    return Unauthorized(f"{message}; check api_key in hikeshi.yaml: keys end with their lifetime or a password change")


def _text(root: ET.Element) -> str:
    messages = [line for line in root.iterfind(".//msg//line") if line.find("line") is None] or root.findall(".//msg")
    texts = (" ".join("".join(message.itertext()).split()) for message in messages)
    return "; ".join(text for text in texts if text)
