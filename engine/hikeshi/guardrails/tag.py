"""Tags of hosts, which products write with a family before them and with any of several separators."""

from __future__ import annotations

__all__ = ["tags_in"]

_SEPARATORS = str.maketrans("_ ", "--")


def tags_in(text: str) -> tuple[str, ...]:
    """Return what a folded tag is called: all of it, then without its family (`FalconGroupingTags/no-touch`)."""
    whole = text.translate(_SEPARATORS)
    _, slash, name = whole.rpartition("/")
    return (whole, name) if slash and name else (whole,)
