"""The cookies of one search: Sumo Logic finds it again by them, and answers 404 without.

The client keeps none on purpose, so they are carried here, as long as the search lasts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from hikeshi.secrets import Redactor

__all__ = ["CookieJar"]

# Several headers of this name arrive as one. A comma ends a cookie where a name follows; dates have commas, too.
_NEXT: Final = re.compile(r",\s*(?=[!#$%&'*+.^_`|~0-9A-Za-z-]+=)")
_PAIR: Final = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+)=([!#-+\--:<-\[\]-~]*|\"[!#-+\--:<-\[\]-~]*\")")


class CookieJar:
    """What the answers of one search have set, the latest value of each."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._cookies: dict[str, str] = {}

    def take(self, headers: Mapping[str, str]) -> None:
        """Keep what an answer sets. Their attributes do not matter: all requests go to one host, and soon."""
        for text in _NEXT.split(headers.get("set-cookie", "")):
            found = _PAIR.fullmatch(text.partition(";")[0].strip())
            if found is not None:
                self._redactor.add(found[2])
                self._cookies[found[1]] = found[2]

    def headers(self) -> Mapping[str, str]:
        """Return the header that gives them back, if there are any."""
        if not self._cookies:
            return {}
        return {"cookie": "; ".join(f"{name}={value}" for name, value in self._cookies.items())}
