"""One spelling for texts that people and products write in many ways.

Rule of this package: what is protected and what is aimed at go through the same functions. Whatever a function here
makes equal is refused, so each of them errs towards equal: a refusal too many costs a question, one too few a network.
"""

from __future__ import annotations

import re
import unicodedata

__all__ = ["fold", "matches", "refang"]

_PLAIN = re.compile(r"(?:[!-~]+(?: [!-~]+)*)?")
_QUOTES = " \"'`"
_UNSEEN = frozenset({"Cc", "Cf"})
# Drawn as nothing, though Unicode counts them among marks and letters.
_BLANK = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\ufe00-\ufe0f\U000e0100-\U000e01ef]")
# NFKC leaves these as they are; the first ends labels of domains, the others are typed for a hyphen.
_SIGNS = str.maketrans({"\u3002": ".", **dict.fromkeys("\u2010\u2012\u2013\u2014\u2015\u2212", "-")})
_FANGS = (
    (re.compile(r"[\[({]+(?:\.|dot)[\])}]+"), "."),
    (re.compile(r"[\[({]+(?:@|at)[\])}]+"), "@"),
    (re.compile(r"[\[({]+:(//)?[\])}]+"), r":\1"),
    (re.compile(r"\bh(?:xx|tx|xt)p(?=s?:)"), "http"),
    (re.compile(r"\bfxp(?=s?:)"), "ftp"),
)
_FANGED = re.compile(r"[\[({]|xt?p")  # is in whatever a pattern above finds


def fold(text: str) -> str:
    """Return the text without case, width, invisible characters, outer quotes and repeated spaces."""
    if not _PLAIN.fullmatch(text):
        text = _seen(unicodedata.normalize("NFKC", text)).casefold()
        text = " ".join(_seen(unicodedata.normalize("NFKC", text)).translate(_SIGNS).split())
    return refang(text.lower().strip(_QUOTES))


def refang(text: str) -> str:
    """Return a folded text with its defanged dots, at signs, colons and schemes made real again."""
    if _FANGED.search(text):
        for pattern, real in _FANGS:
            text = pattern.sub(real, text)
    return text


def matches(pattern: str, text: str) -> bool:
    """Say whether a text is what a pattern means: `*` stands for any characters, `?` for one; both are folded.

    It takes time in proportion to the product of both lengths, whatever the pattern.
    """
    at = star = after = 0
    seen_star = False
    place = 0
    while place < len(text):
        if at < len(pattern) and pattern[at] == "*":
            star, after, seen_star = at, place, True
            at += 1
        elif at < len(pattern) and pattern[at] in ("?", text[place]):
            at, place = at + 1, place + 1
        elif seen_star:
            after += 1
            at, place = star + 1, after
        else:
            return False
    return not pattern[at:].strip("*")


def _seen(text: str) -> str:
    drawn = _BLANK.sub("", text)
    return "".join(sign for sign in drawn if sign.isspace() or unicodedata.category(sign) not in _UNSEEN)
