"""What the author of a vendor simulator derives from.

A simulator answers the part of a vendor's API that a connector uses, over the estate. It keeps to the vendor's
documented statuses, envelopes and delays. Recording, faults and rate limits are not its business: the simulation
does them around every simulator.
"""

import json
import secrets
from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime, timedelta
from typing import Any, ClassVar

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute

from hikeshi.testing.change_log import ChangeLog
from hikeshi.testing.estate import Estate
from hikeshi.testing.faults import Faults

READING_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


class Simulator(ABC):
    """A vendor's API over an estate, served below `/<product>`.

    Handlers are ordinary Starlette handlers. Before each request the estate has caught up with its time; the body can
    be read with `await request.body()`, `.json()` or `.form()` as usual.
    """

    product: ClassVar[str]
    """The product's name, as connectors give it: "crowdstrike"."""
    instance_name: ClassVar[str]
    """The name of the connector instance in the project that the simulation proposes: "falcon"."""
    demo_settings: ClassVar[Mapping[str, str]] = {}
    """The settings that such an instance needs besides its base URL. The secrets in it are obviously invented."""
    rate_limit: tuple[int, float] | None = None
    """(requests, seconds): a bucket of so many requests that fills up again in so many seconds. None: no limit."""
    lockout_s: float | None = None
    """For how long everything is refused after one request more than the limit allows in any span of that length.

    None: for no longer than until the bucket has filled again."""

    def __init__(self, estate: Estate, *, faults: Faults, credentials: Mapping[str, str] | None = None) -> None:
        self.estate = estate
        self.faults = faults
        self.log = ChangeLog()  # the simulation's, once there is one
        self.credentials: Mapping[str, str] = dict(self.demo_settings if credentials is None else credentials)
        self.tokens = Tokens(estate)

    def beside(self) -> AbstractContextManager[None]:
        """Return what runs for as long as the simulation is served: the server of a protocol that is not HTTP.

        It listens on the loopback interface, on a port that the system chooses, in a thread of its own; `settings_at`
        then says where.
        """
        return nullcontext()

    def settings_at(self, base_url: str) -> dict[str, Any]:
        """Return the settings of a connector instance that talks to this very simulator, served at `base_url`."""
        return self.connector_settings(base_url)

    def shows(self) -> dict[str, Any]:
        """Return what a person would look for in this product after a run: what it blocks, holds or was told."""
        return {}

    def record_change(self, method: str, url: str, body: Any, *, applied: bool) -> None:
        """Record a change that came over a protocol that is not HTTP, in the form in which its preview shows it."""
        content = b"" if body is None else json.dumps(body).encode()
        now = self.estate.now()
        change = self.log.open_change(now, self.product, method, url, "application/json", content)
        change.applied = applied

    @abstractmethod
    def routes(self) -> list[BaseRoute]:
        """Return the routes of the vendor's API, with paths as the vendor has them."""

    def is_change(self, request: Request, body: bytes) -> bool:  # noqa: ARG002 - the body is for vendors that need it
        """Say whether the request asks for a change. Override where reads are POSTs: tokens, searches, show commands.
        What is not known to be a read must count as a change."""
        return request.method not in READING_METHODS

    def succeeded(self, status: int, body: bytes) -> bool:  # noqa: ARG002
        """Say whether an answer means that the change was accepted. Override for a vendor that reports failures
        with status 200."""
        return 200 <= status < 300

    def authenticate(self, request: Request, body: bytes) -> Response | None:  # noqa: ARG002
        """Return the answer for a caller who may not do this, or None to go on. The default lets everybody in."""
        return None

    def error(self, status: int, detail: str) -> Response:
        """Return the vendor's way of saying no. Used for unknown paths (404), wrong methods (405), and for every
        `HTTPException` that a handler raises."""
        return JSONResponse({"error": detail}, status_code=status)

    def too_many_requests(self, retry_after_s: float) -> Response:
        """Return the vendor's answer when its rate limit is reached. Override for vendors with other headers."""
        answer = self.error(429, "too many requests")
        answer.headers["Retry-After"] = str(max(1, round(retry_after_s)))
        return answer

    def reset(self) -> None:  # noqa: B027 - most simulators keep nothing of their own
        """Forget what the simulator itself remembers; the estate has just gone back to its beginning."""

    @classmethod
    def connector_settings(cls, base_url: str) -> dict[str, Any]:
        """Return the settings of a connector instance that talks to this simulator, served at `base_url`."""
        return {"product": cls.product, "base_url": f"{base_url}/{cls.product}", **cls.demo_settings}


class Tokens:
    """Bearer tokens that end by the estate's clock."""

    def __init__(self, estate: Estate) -> None:
        self._estate = estate
        self._expiry: dict[str, datetime] = {}

    def issue(self, life_s: float) -> str:
        """Return a new token that is valid for `life_s`."""
        token = f"simulated-{secrets.token_hex(16)}"
        self._expiry[token] = self._estate.now() + timedelta(seconds=life_s)
        return token

    def is_valid(self, token: str) -> bool:
        """Say whether a token was issued here and has neither ended nor been revoked."""
        expires_at = self._expiry.get(token)
        return expires_at is not None and self._estate.now() < expires_at

    def revoke(self, token: str) -> None:
        """End one token."""
        self._expiry.pop(token, None)

    def revoke_all(self) -> None:
        """End every token, as a rotated secret does."""
        self._expiry.clear()


def bearer_token(request: Request) -> str | None:
    """Return the token of an `Authorization: Bearer` header, or None."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" and token.strip() else None
