"""Result codes of LDAP, and which error each stands for.

Codes decide, and for sign-ins to Active Directory the number after `data`; texts are for people.
Sources: RFC 4511, A.2; what Samba 4.17 and OpenLDAP 2.5 answered; MS-ADTS 3.1.1.5 for Active Directory.
"""

from __future__ import annotations

import re
from typing import Final

from hikeshi.connector import (
    Applied,
    Conflict,
    ConnectorError,
    Forbidden,
    Invalid,
    NotFound,
    RateLimited,
    Timeout,
    Unauthorized,
    Unavailable,
    Unsupported,
)

__all__ = ["error_of_bind", "error_of_result"]

_SHOWN_MOST: Final = 300
_NO_SUCH_ENTRY: Final = 32
# code: (kind, what to do or think)
_KINDS: Final[dict[int, tuple[type[ConnectorError], str]]] = {
    2: (Invalid, "the directory does not understand the request"),
    3: (Timeout, "the directory's time limit"),
    4: (Invalid, "there is more than the directory gives; it must allow paging, or larger results, to this account"),
    7: (Unauthorized, "the directory does not take this kind of sign-in"),
    8: (Unauthorized, "the directory wants a protected connection: use ldaps:// or start_tls"),
    10: (Unsupported, "another server holds this, and referrals are not followed; name that server in base_url"),
    11: (Invalid, "there is more than the directory is willing to look through"),
    12: (Unsupported, "the directory does not know paged results"),
    13: (Unauthorized, "the directory wants a protected connection: use ldaps:// or start_tls"),
    16: (Conflict, "the value is not there, or no longer"),
    20: (Conflict, "the value is there already"),
    _NO_SUCH_ENTRY: (NotFound, "no such entry"),
    48: (Unauthorized, "the account cannot sign in this way"),
    49: (Unauthorized, "name or password is wrong"),
    50: (Forbidden, "the account may not do this"),
    51: (RateLimited, "the directory is busy"),
    52: (Unavailable, "the directory is out of order"),
    53: (Conflict, "the directory is unwilling; it may be so already"),
    65: (Unsupported, "the schema does not allow it; some kinds of group cannot be empty"),
    68: (Conflict, "it is there already"),
}
_DATA: Final = re.compile(r"\bdata ([0-9a-f]{2,4})\b", re.IGNORECASE)
# Source: the Windows error codes (MS-ERREF 2.2) behind a refused sign-in, in hexadecimal.
_REFUSED_SIGN_INS: Final = {
    "525": "there is no such account",
    "52e": "name or password is wrong",
    "530": "not at this time of day",
    "531": "not from this computer",
    "532": "the password has expired",
    "533": "the account is disabled",
    "701": "the account has expired",
    "773": "the password has to be changed first",
    "775": "the account is locked",
}


def error_of_result(code: int, name: str, said: str, where: str, *, is_change: bool) -> ConnectorError:
    """Return the error that a result other than success stands for.

    A directory that failed may have failed after the effect; one that refused has changed nothing.
    """
    text = " ".join(said.replace("\x00", " ").split())[:_SHOWN_MOST]
    kind, hint = _KINDS.get(code, (Unavailable if code in (1, 80) else Invalid, "refused"))
    if code == _NO_SUCH_ENTRY and not is_change:
        # A search that has no place to begin says nothing about what exists.
        kind, hint = Invalid, "base_dn does not exist, or may not be read"
    message = f"{where} answered {code} {name}: {hint}" + (f" ({text})" if text else "")
    unclear = is_change and kind in (Unavailable, Timeout)
    return kind(message, applied=Applied.MAYBE if unclear else Applied.NO)


def error_of_bind(code: int, name: str, said: str, where: str) -> ConnectorError:
    """Return the error that a refused sign-in stands for; nothing else was sent."""
    found = _DATA.search(said)
    if code == 49 and found is not None:
        number = found[1].lower()
        return Unauthorized(f"{where} refuses the sign-in: {_REFUSED_SIGN_INS.get(number, 'refused')} (data {number})")
    if code in (53, 1):
        return Unauthorized(f"{where} refuses the sign-in: {code} {name}")
    return error_of_result(code, name, said, where, is_change=False)
