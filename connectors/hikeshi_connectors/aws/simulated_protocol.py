"""The envelopes of AWS's protocols, for simulators: operations out of requests, answers and refusals into bytes."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any
from xml.sax.saxutils import escape

from starlette.requests import Request
from starlette.responses import Response

__all__ = ["answered", "operation_of", "parameters_of", "refused"]

_REQUEST_ID = "7d9d5f1e-0000-4000-8000-000000000000"
_NAMESPACES = {
    "iam": "https://iam.amazonaws.com/doc/2010-05-08/",
    "sts": "https://sts.amazonaws.com/doc/2011-06-15/",
    "ec2": "http://ec2.amazonaws.com/doc/2016-11-15/",
}
_VERSIONS = {service: url.rstrip("/").rpartition("/")[2] for service, url in _NAMESPACES.items()}
_TARGET = re.compile(r"[A-Za-z0-9_.]+\.([A-Za-z0-9]+)")
_NUMBERED = re.compile(r"(.+?)\.(?:member\.)?(\d+)(?:\.(.+))?")


def operation_of(service: str, request: Request, body: bytes) -> str:
    """Return the operation that a request asks for: a form's Action, the end of x-amz-target, or method and path."""
    if service in _NAMESPACES:
        form = parameters_of(service, body)
        return form.get("Action", "") if form.get("Version") == _VERSIONS[service] else ""
    target = _TARGET.fullmatch(request.headers.get("x-amz-target", ""))
    if target is not None and request.headers.get("content-type") == "application/x-amz-json-1.1":
        return target[1]
    return f"{request.method} /{request.path_params['path']}"


def parameters_of(service: str, body: bytes) -> dict[str, Any]:
    """Return the parameters of a request; of a form, `Name.1` and `Name.member.1` as lists."""
    from urllib.parse import parse_qsl

    if service not in _NAMESPACES:
        found: dict[str, Any] = json.loads(body or b"{}")
        return found
    flat: dict[str, Any] = {}
    for key, value in parse_qsl(body.decode(), keep_blank_values=True):
        _put(flat, key, value)
    return flat


def _put(into: dict[str, Any], key: str, value: str) -> None:
    numbered = _NUMBERED.fullmatch(key)
    if numbered is None:
        into[key] = value
        return
    items = into.setdefault(numbered[1], [])
    if numbered[3] is None:
        items.append(value)
        return
    number = int(numbered[2])
    while len(items) < number:
        items.append({})
    _put(items[number - 1], numbered[3], value)


def answered(service: str, operation: str, result: Mapping[str, Any] | None) -> Response:
    """Return an answer in the service's own form."""
    if service not in _NAMESPACES:
        return Response(json.dumps(result or {}), media_type="application/x-amz-json-1.1")
    inner = "".join(
        _xml(name, value, "item" if service == "ec2" else "member") for name, value in (result or {}).items()
    )
    if service == "ec2":
        content = f"<requestId>{_REQUEST_ID}</requestId>{inner}"
    else:
        content = f"<{operation}Result>{inner}</{operation}Result>" if result is not None else ""
        content += f"<ResponseMetadata><RequestId>{_REQUEST_ID}</RequestId></ResponseMetadata>"
    text = f'<{operation}Response xmlns="{_NAMESPACES[service]}">{content}</{operation}Response>'
    return Response(text, media_type="text/xml")


def refused(service: str, status: int, code: str, message: str) -> Response:
    """Return a refusal in the service's own form."""
    if service not in _NAMESPACES:
        body = json.dumps({"__type": code, "message": message})
        kind = "application/x-amz-json-1.1"
        return Response(body, status, headers={"x-amzn-errortype": code}, media_type=kind)
    parts = f"<Code>{escape(code)}</Code><Message>{escape(message)}</Message>"
    if service == "ec2":
        text = f"<Response><Errors><Error>{parts}</Error></Errors><RequestID>{_REQUEST_ID}</RequestID></Response>"
    else:
        text = f'<ErrorResponse xmlns="{_NAMESPACES[service]}"><Error><Type>Sender</Type>{parts}</Error>'
        text += f"<RequestId>{_REQUEST_ID}</RequestId></ErrorResponse>"
    return Response(text, status, media_type="text/xml")


def _xml(name: str, value: Any, member: str) -> str:
    if isinstance(value, Mapping):
        inner = "".join(_xml(key, each, member) for key, each in value.items())
    elif isinstance(value, (list, tuple)):
        inner = "".join(_xml(member, each, member) for each in value)
    elif isinstance(value, bool):
        inner = "true" if value else "false"
    else:
        inner = escape(str(value))
    return f"<{name}>{inner}</{name}>"
