"""Whoever signs with an HMAC in some other way: hikeshi.yaml says what is signed, and where everything stands."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from hikeshi.triggers.verify.delivery import JSON_TYPES, Delivery, Verified, text_at, wrong_signature
from hikeshi.triggers.verify.signing_secret import SigningSecret

__all__ = ["AnyHmac"]

_NAMES = re.compile(rb"\{(body|timestamp|id)\}")


class AnyHmac:
    """Verifies one header. An ID in a header that is not signed is not trusted: the body is compared as well."""

    content_types = JSON_TYPES

    def __init__(self, secret: SigningSecret, replay_s: int, options: Mapping[str, Any]) -> None:
        self._secret = secret
        self._replay_s = replay_s
        self._options = options
        named = (options[key] for key in ("header", "timestamp_header", "id_header"))
        self.needs = tuple(name.lower() for name in named if name is not None)

    async def verify(self, delivery: Delivery) -> Verified:
        """Return what a message is. Raises Refused, Unavailable."""
        options = self._options
        given, sent_s, parts = delivery.header(options["header"]), None, {b"body": delivery.body}
        if options["timestamp_header"] is not None:
            sent_s = delivery.seconds(options["timestamp_header"])
            parts[b"timestamp"] = delivery.header(options["timestamp_header"]).encode()
        name = None if options["id_header"] is None else delivery.id_in(options["id_header"])
        parts[b"id"] = (name or "").encode()
        content = _NAMES.sub(lambda found: parts[found[1]], options["signed"].encode())
        if not given.startswith(options["prefix"]) or not self._secret.is_signed(
            content,
            [given.removeprefix(options["prefix"])],
            algorithm=options["algorithm"],
            encoding=options["encoding"],
        ):
            raise wrong_signature()
        if sent_s is not None:
            delivery.refuse_stale(sent_s, self._replay_s)
        data = delivery.object()
        if name is None:
            return Verified(text_at(data, options["id_path"].split(".")), data)
        return Verified(name, data, also=() if "{id}" in options["signed"] else (delivery.digest,))
