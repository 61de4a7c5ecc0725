"""Cards in an order, by key: one that has not changed stays as it is, with what somebody is typing into it."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence

from hikeshi.console.elements import Tag, tag

__all__ = ["Card", "Shelf"]

Card = tuple[Hashable, object, Callable[[], None]]
"""A key, what the card depends on, and what draws it."""


class Shelf:
    """A place for cards. `element` is what each of them is made of."""

    def __init__(self, place: Tag, element: str = "article", classes: str = "card") -> None:
        self._place = place
        self._element = element
        self._classes = classes
        self._cards: dict[Hashable, tuple[object, Tag]] = {}

    def put(self, cards: Sequence[Card]) -> None:
        """Show these cards, and no others."""
        wanted = {key for key, _, _ in cards}
        for key in [key for key in self._cards if key not in wanted]:
            self._cards.pop(key)[1].delete()
        for at, (key, depends, draw) in enumerate(cards):
            known = self._cards.get(key)
            if known is None:
                with self._place:
                    box = tag(self._element, "", self._classes)
                self._cards[key] = (depends, box)
                if at < len(self._cards) - 1:
                    box.move(target_index=at)
            elif known[0] == depends:
                continue
            else:
                box = known[1]
                box.clear()
                self._cards[key] = (depends, box)
            with box:
                draw()

    def box(self, key: Hashable) -> Tag | None:
        """Return the card of a key."""
        known = self._cards.get(key)
        return None if known is None else known[1]
