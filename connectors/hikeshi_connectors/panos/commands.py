"""The XML and the XPaths that are sent. Everything is built from parts and escaped; nothing is pasted.

Sources: http://api-lab.paloaltonetworks.com/registered-ip.html (User-ID messages),
https://docs.paloaltonetworks.com/ngfw/api/pan-os-xml-api-request-types-and-actions/commit (partial commits).
"""

from __future__ import annotations

from collections.abc import Iterable
from xml.etree import ElementTree as ET
from xml.sax.saxutils import quoteattr

__all__ = [
    "category_path",
    "member_path",
    "members",
    "partial_commit",
    "register",
    "show_registered",
    "unregister",
]


def register(addresses: Iterable[str], tag: str, timeout_s: int | None) -> str:
    """Return the User-ID message that puts a tag on addresses, for `timeout_s` seconds or for good."""
    return _user_id_message("register", addresses, tag, {} if timeout_s is None else {"timeout": str(timeout_s)})


def unregister(addresses: Iterable[str], tag: str) -> str:
    """Return the User-ID message that takes one tag, and no other, off addresses."""
    return _user_id_message("unregister", addresses, tag, {})


def show_registered(tag: str, start: int, limit: int) -> str:
    """Return the command that shows addresses with a tag: at most `limit`, from the `start`-th on, counted from 1."""
    root = ET.Element("show")
    registered = ET.SubElement(ET.SubElement(root, "object"), "registered-ip")
    ET.SubElement(registered, "limit").text = str(limit)
    ET.SubElement(registered, "start-point").text = str(start)
    ET.SubElement(ET.SubElement(registered, "tag"), "entry", name=tag)
    return _text(root)


def category_path(vsys: str, category: str) -> str:
    """Return the XPath of a custom URL category."""
    return (
        f"/config/devices/entry[@name='localhost.localdomain']/vsys/entry[@name={_literal(vsys)}]"
        f"/profiles/custom-url-category/entry[@name={_literal(category)}]"
    )


def member_path(category: str, entries: Iterable[str]) -> str:
    """Return the XPath of entries in the list of the category that has the XPath `category`."""
    return f"{category}/list/member[{' or '.join(f'text()={_literal(entry)}' for entry in entries)}]"


def members(entries: Iterable[str]) -> str:
    """Return the elements that are set below a category's list."""
    return "".join(_text(_element("member", entry)) for entry in entries)


def partial_commit(admin: str) -> str:
    """Return the command that commits the changes of one administrator, and none to shared objects or the device."""
    root = ET.Element("commit")
    partial = ET.SubElement(root, "partial")
    ET.SubElement(partial, "device-and-network").text = "excluded"
    ET.SubElement(partial, "shared-object").text = "excluded"
    ET.SubElement(ET.SubElement(partial, "admin"), "member").text = admin
    return _text(root)


def _user_id_message(verb: str, addresses: Iterable[str], tag: str, attributes: dict[str, str]) -> str:
    tags = ET.Element("tag")
    ET.SubElement(tags, "member", attributes).text = tag
    # An element for each of ten thousand addresses takes longer than the firewall's answer.
    inside = f"{_text(tags)}</entry>"
    entries = "".join(f"<entry ip={quoteattr(address)}>{inside}" for address in addresses)
    head = "<uid-message><version>1.0</version><type>update</type><payload>"
    return f"{head}<{verb}>{entries}</{verb}></payload></uid-message>"


def _element(name: str, text: str) -> ET.Element:
    element = ET.Element(name)
    element.text = text
    return element


def _text(element: ET.Element) -> str:
    return ET.tostring(element, encoding="unicode")


def _literal(text: str) -> str:
    """Return an XPath string for any text. XPath 1.0 has no escape, so a quote needs concat()."""
    if "'" not in text:
        return f"'{text}'"
    return "concat(" + ', "\'", '.join(f"'{part}'" for part in text.split("'")) + ")"
