"""The envelope of every answer: `<response status="..." code="...">`."""

from __future__ import annotations

from xml.etree import ElementTree as ET

from starlette.responses import Response

__all__ = ["Refusal", "child", "envelope", "failure", "message", "success"]


class Refusal(Exception):
    """The firewall says no, with its text and code."""

    def __init__(self, text: str, code: str | None = None, status: int = 200) -> None:
        super().__init__(text)
        self._answer = (text, code, status)

    def answer(self) -> Response:
        return failure(*self._answer)


def child(parent: ET.Element, name: str, text: str | None = None, /, **attributes: str) -> ET.Element:
    """Append an element and return it."""
    element = ET.SubElement(parent, name, attributes)
    element.text = text
    return element


def success(result: ET.Element | None = None, code: str | None = None) -> ET.Element:
    """Return the root of an answer that something worked."""
    root = ET.Element("response", {"status": "success"} | ({} if code is None else {"code": code}))
    if result is not None:
        root.append(result)
    return root


def message(text: str, code: str) -> ET.Element:
    """Return the root of an answer that something worked, and says how."""
    root = success(code=code)
    child(root, "msg", text)
    return root


def failure(text: str, code: str | None = None, status: int = 200) -> Response:
    """Return the answer that something did not work."""
    root = ET.Element("response", {"status": "error"} | ({} if code is None else {"code": code}))
    if status == 403:
        child(child(root, "result"), "msg", text)
    else:
        child(child(root, "msg"), "line", text)
    return envelope(root, status)


def envelope(root: ET.Element, status: int = 200) -> Response:
    """Return a document as an answer."""
    return Response(ET.tostring(root), status_code=status, media_type="application/xml; charset=UTF-8")
