"""The text of messages: outside text is shown as it is and can neither notify people nor disguise a link.

Slack reads `<...>` as a mention or a link, and `&` as the beginning of an entity; nothing else in a text notifies
anybody while `parse` is "none" and `link_names` is off. A text over the limit would be cut by Slack without a trace.
Source: https://docs.slack.dev/messaging/formatting-message-text ("Escaping text"), and
https://docs.slack.dev/changelog/2018-04-truncating-really-long-messages (40,000 characters).
"""

from __future__ import annotations

__all__ = ["TEXT_MOST_CHARACTERS", "escaped", "message_text"]

TEXT_MOST_CHARACTERS = 40_000
_ENTITIES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})


def escaped(text: str) -> str:
    """Return the text as Slack has to be given it to show exactly that."""
    return text.translate(_ENTITIES)


def message_text(text: str, prefix: str = "", most: int = TEXT_MOST_CHARACTERS) -> str:
    """Return the prefix, which is ours and not escaped, and the escaped text, within Slack's limit.

    What does not fit is replaced by a note that says how many characters of the original are missing.
    """
    whole = prefix + escaped(text)
    if len(whole) <= most:
        return whole
    room = most - len(prefix) - len(_note(len(text)))
    kept = _longest_that_fits(text, room)
    return prefix + escaped(text[:kept]) + _note(len(text) - kept)


def _note(characters: int) -> str:
    return f"… ({characters} characters cut)"


def _longest_that_fits(text: str, room: int) -> int:
    """Count the characters of the original that fit, so that no entity is cut in two."""
    for position, character in enumerate(text):
        room -= len(_ENTITIES.get(ord(character), " "))
        if room < 0:
            return position
    return len(text)
