"""The console's words, in English and in Japanese."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["LANGUAGES", "Words", "language_of", "words"]

LANGUAGES: Mapping[str, str] = {"en": "English", "ja": "日本語"}

_WORDS: Mapping[str, tuple[str, str]] = {
    "login.title": ("Sign in", "サインイン"),
    "login.about": (
        "Playbooks for incidents: plan, run, approve, undo.",
        "インシデント対応プレイブックの計画・実行・承認・取り消し",
    ),
    "login.token": ("Your token", "トークン"),
    "login.enter": ("Sign in", "サインイン"),
    "login.how": (
        "An administrator makes one on the server: hikeshi token new",
        "トークンは管理者がサーバーで発行します: hikeshi token new",
    ),
    "login.wrong_token": (
        "This token opens nothing here. It is wrong, expired or revoked; ask for a new one.",
        "このトークンは使えません。誤り、期限切れ、または失効しています。新しいトークンを依頼してください。",
    ),
    "login.too_many": (
        "Too many attempts from here. Wait a minute, then try again.",
        "試行回数が多すぎます。1分ほど待ってから、もう一度お試しください。",
    ),
    "login.from_elsewhere": (
        "This came from another site. Open this page by itself and sign in here.",
        "別のサイトからの送信です。このページを直接開いてサインインしてください。",
    ),
}


class Words:
    """The words of one language: call it with a key, and what stands in the braces."""

    def __init__(self, language: str) -> None:
        self.language = language
        self._at = list(LANGUAGES).index(language)

    def __call__(self, key: str, **values: Any) -> str:
        """Return the words for a key. Raises KeyError for one that is not there: a test asks for all of them."""
        text = _WORDS[key][self._at]
        return text.format(**values) if values else text


def words(language: str) -> Words:
    """Return the words of a language."""
    return Words(language)


def language_of(accepted: str | None, chosen: str | None = None) -> str:
    """Return the language for somebody: the one they chose, or the first that their browser asks for and we have."""
    if chosen in LANGUAGES:
        return str(chosen)
    for each in (accepted or "").split(","):
        name = each.split(";")[0].strip().lower().split("-")[0]
        if name in LANGUAGES:
            return name
    return "en"
