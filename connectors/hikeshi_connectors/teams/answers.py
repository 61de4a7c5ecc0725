"""Answers of a workflow's address: 202, or an error of Logic Apps, `{"error": {"code", "message"}}`.

Messages of errors are not quoted: they name the workflow, which is a part of its address.
"""

from __future__ import annotations

import re
from typing import Final

from hikeshi.connector import Applied, Conflict, ConnectorError, Invalid, NotFound, Response, error_of_status

__all__ = ["check_answer"]

_CODE = re.compile(r"[A-Za-z0-9_.-]{1,100}")
_AGAIN = "copy the address again from the workflow, in Power Automate"
_ADVICE: Final = {401: _AGAIN, 403: _AGAIN, 404: f"the workflow does not exist any more; {_AGAIN}"}
_CODES: Final[dict[str, tuple[type[ConnectorError], str]]] = {
    "WorkflowNotFound": (NotFound, _ADVICE[404]),
    "WorkflowTriggerIsNotEnabled": (Conflict, "the workflow is switched off; turn it on in Power Automate"),
}


def check_answer(response: Response) -> None:
    """Raise the ConnectorError that an answer stands for. 202 passes: accepted, and posted a little later."""
    if response.status < 400:
        if response.status != 202:
            raise Invalid(f"{response.where}: not an answer of a workflow", applied=Applied.MAYBE)
        return
    code = _code_in(response)
    if code in _CODES:
        kind, advice = _CODES[code]
        raise kind(f"{response.where}: {code} ({advice})", applied=Applied.NO)
    hint = f"({_ADVICE[response.status]})" if response.status in _ADVICE else ""
    raise error_of_status(response, " ".join(part for part in (code, hint) if part))


def _code_in(response: Response) -> str:
    try:
        body = response.json()
    except Invalid:
        return ""
    error = body.get("error") if isinstance(body, dict) else None
    code = error.get("code") if isinstance(error, dict) else None
    return code if isinstance(code, str) and _CODE.fullmatch(code) else ""
