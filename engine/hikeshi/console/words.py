"""The console's words, in English and in Japanese."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hikeshi.console.wording import WORDING

__all__ = ["LANGUAGES", "Words", "has_words", "language_of", "words"]

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
    "login.sign_on": ("Sign in with {name}", "{name}でサインイン"),
    "login.no_provider": (
        "This project has no single sign-on. Sign in with a token.",
        "このプロジェクトにはシングルサインオンが設定されていません。トークンでサインインしてください。",
    ),
    "login.sign_on_failed": (
        "Signing in did not work: the provider could not be reached, or its answer was not valid. Try again.",
        "サインインできませんでした。認証プロバイダーに接続できないか、応答が不正です。もう一度お試しください。",
    ),
    "login.no_person": (
        "You are known there, and not here: an administrator has to add you to 'people', with 'access'.",
        "認証されましたが、このプロジェクトには登録されていません。管理者に「people」への追加と「access」の設定を依頼してください。",
    ),
    "login.from_elsewhere": (
        "This came from another site. Open this page by itself and sign in here.",
        "別のサイトからの送信です。このページを直接開いてサインインしてください。",
    ),
}

_ALL: Mapping[str, tuple[str, str]] = {**_WORDS, **WORDING}


class Words:
    """The words of one language: call it with a key, and what stands in the braces."""

    def __init__(self, language: str) -> None:
        self.language = language
        self._at = list(LANGUAGES).index(language)

    def __call__(self, key: str, **values: Any) -> str:
        """Return the words for a key. Raises KeyError for one that is not there: a test asks for all of them."""
        text = _ALL[key][self._at]
        return text.format(**values) if values else text


def has_words(key: str) -> bool:
    """Say whether there are words for a key."""
    return key in _ALL


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
