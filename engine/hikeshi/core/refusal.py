"""Why a decision cannot be made, which fails its step."""

from __future__ import annotations

__all__ = ["Refused"]


class Refused(Exception):
    """A step cannot begin; `kind` is that of its error."""

    def __init__(self, message: str, kind: str = "invalid") -> None:
        super().__init__(message)
        self.kind = kind
