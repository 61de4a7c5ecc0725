"""CrowdSec, by its Local API: decisions of an origin of our own, which bouncers on firewalls and proxies enforce.

A machine's account writes decisions and deletes them; a bouncer's key reads them. Every deletion names the value, the
scope, the origin and the scenario, so that nobody else's decision is ever deleted.
Source: pkg/models/localapi_swagger.yaml and pkg/database in crowdsecurity/crowdsec (a88b497b), and LAPI 1.4.6 as it
answered.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import StringConstraints

from hikeshi.capabilities import Block, Firewall, Indicator, supports
from hikeshi.connector import (
    Applied,
    Connector,
    ConnectorError,
    ConnectorSettings,
    Invalid,
    PartialFailure,
    Response,
    Route,
    Secret,
    TokenCache,
    Unauthorized,
    Unavailable,
    error_of_status,
    json_list,
    json_object,
    said_in,
    understood,
)
from hikeshi_connectors.crowdsec.decisions import KINDS, Subject, alert_of, seconds_of, subject_of

if TYPE_CHECKING:
    from hikeshi.connector.route import SeenRequest

__all__ = ["CrowdSec"]

_DECISIONS = "/v1/decisions"
_ALERTS = "/v1/alerts"
_LOGIN = "/v1/watchers/login"
_DECISIONS_A_REQUEST = 5_000
_WRONG_KEY = "access forbidden"

# The Local API takes lists with commas in its filters.
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9/._-]{0,63}$")]
Wanted = dict[Subject, list[str]]


class CrowdSecSettings(ConnectorSettings):
    """What hikeshi.yaml says of one Local API."""

    machine_id: Annotated[str, StringConstraints(min_length=1)]
    password: Secret
    bouncer_key: Secret
    origin: Name = "hikeshi"
    scenario: Name = "hikeshi/block"
    remediation: Name = "ban"


class CrowdSec(Connector, Firewall, product="crowdsec"):
    """One Local API. What its bouncers pull, they enforce; how soon is theirs to say."""

    Settings = CrowdSecSettings
    read_routes = (Route("POST", _LOGIN), Route("GET", _DECISIONS))
    volatile = ("start_at", "stop_at")
    least_privileges = (
        "a machine of its own (cscli machines add): it writes and deletes decisions",
        "a bouncer's key of its own (cscli bouncers add): it reads decisions",
    )

    settings: CrowdSecSettings

    def set_up(self) -> None:
        self.clock: Callable[[], datetime] = lambda: datetime.now(UTC)
        self._tokens = TokenCache(self._log_in, self.redactor)
        self.http.sign = self._credentials
        self.http.forget_credentials = self._tokens.forget

    def check(self, response: Response) -> None:
        """Judge an answer. A wrong bouncer's key is answered 403 with a text of its own."""
        if response.status < 400:
            response.json()  # every success is JSON: a list, an object or null
            return
        said = said_in(response, "message")
        if response.status == 403 and said == _WRONG_KEY:
            raise Unauthorized(f"{response.where}: the bouncer's key is not accepted; check it in hikeshi.yaml")
        raise error_of_status(response, said)

    @supports(kinds=KINDS)
    async def blocks_of(self, indicators: list[Indicator]) -> list[Block]:
        """Read the decisions of our origin and scenario; those of others do not count, whatever they decide.

        `expires_at` is UTC, and rounded up to a full minute: the Local API tells how long a decision still has.
        """
        ends, _ = await self._ends()
        return [self._block(indicator, ends) for indicator in indicators]

    @supports(kinds=KINDS)
    async def block_indicators(self, indicators: list[Indicator], reason: str, expires_in_s: int | None = None) -> None:
        """Decide on each that has no decision of ours; CrowdSec ends it after `expires_in_s`, or after ten years.

        Raises PartialFailure for what is no address or network.
        """
        if expires_in_s is not None and expires_in_s < 1:
            raise Invalid(f"a block cannot expire in {expires_in_s} s")
        wanted, refused = _sorted(indicators)
        ends, ahead = await self._ends() if wanted else ({}, timedelta())
        new = [subject for subject in wanted if subject not in ends]
        lots = [new[start : start + _DECISIONS_A_REQUEST] for start in range(0, len(new), _DECISIONS_A_REQUEST)]

        async def send(lot: list[Subject]) -> None:
            alert = alert_of(
                lot,
                origin=self.settings.origin,
                scenario=self.settings.scenario,
                kind=self.settings.remediation,
                reason=reason,
                lasts_s=expires_in_s,
                at=self.clock() + ahead,
            )
            await self.http.post(_ALERTS, json=[alert])

        await _one_after_another(lots, send, wanted, refused)

    @supports(kinds=KINDS)
    async def unblock_indicators(self, indicators: list[Indicator], reason: str) -> None:  # noqa: ARG002 - a deletion has no reason
        """Delete our decisions on each, one request for each; where there is none, nothing happens.

        Raises PartialFailure for those that were not deleted, if the first one was.
        """
        wanted, refused = _sorted(indicators)

        async def send(lot: list[Subject]) -> None:
            (subject,) = lot
            # "ip" and "range" would also match networks around it.
            params = {"scopes": subject.scope, "value": subject.value}
            ours = {"origin": self.settings.origin, "scenario": self.settings.scenario}
            await self.http.delete(_DECISIONS, params={**params, **ours})

        await _one_after_another([[subject] for subject in wanted], send, wanted, refused)

    # --- requests

    async def _credentials(self, seen: SeenRequest) -> Mapping[str, str]:
        if seen.method == "GET":
            return {"x-api-key": self.reveal(self.settings.bouncer_key)}
        return await self._tokens.headers()

    async def _log_in(self) -> tuple[str, float]:
        body = {"machine_id": self.settings.machine_id, "password": self.reveal(self.settings.password)}
        response = await self.http.post(_LOGIN, json=body, auth=False)
        answer = json_object(response)
        with understood(response.where):
            until = datetime.fromisoformat(answer["expire"])
            return str(answer["token"]), max(0.0, (until - self._now(response)).total_seconds())

    def _now(self, response: Response) -> datetime:
        """Return the Local API's time, by which decisions and tokens end; ours only if it does not tell."""
        try:
            now = parsedate_to_datetime(response.headers["date"])
        except (KeyError, ValueError):
            return self.clock()
        return now.replace(tzinfo=now.tzinfo or UTC)

    async def _ends(self) -> tuple[dict[Subject, datetime], timedelta]:
        """Return what our decisions are about, each with its end, and how far the Local API's clock is ahead of ours.

        The Local API lists them all in one answer.
        """
        params = {"origins": self.settings.origin}
        response = await self.http.get(_DECISIONS, params=params)
        # Where there is no decision the answer is null.
        decisions = json_list(response) if response.json() is not None else []
        left_s: dict[Subject, float] = {}
        with understood(response.where):
            for decision in decisions:
                if self._is_ours(decision):
                    subject = Subject(decision["scope"], decision["value"])
                    left_s[subject] = max(seconds_of(decision["duration"]), left_s.get(subject, 0.0))
        now = self._now(response)
        ends = {subject: now + timedelta(seconds=left) for subject, left in left_s.items() if left > 0}
        return ends, now - self.clock()

    # --- decisions

    def _is_ours(self, decision: Mapping[str, Any]) -> bool:
        settings = self.settings
        said = (decision["origin"], decision["scenario"], decision["type"])
        return said == (settings.origin, settings.scenario, settings.remediation)

    def _block(self, indicator: Indicator, ends: Mapping[Subject, datetime]) -> Block:
        try:
            end = ends.get(subject_of(indicator))
        except ConnectorError:
            end = None  # what CrowdSec cannot decide on is not blocked by it
        return Block(
            connector=self.name,
            kind=indicator.kind,
            value=indicator.value,
            blocked=end is not None,
            # Rounded, so that readings of one decision hardly differ.
            expires_at=None if end is None else end.replace(second=0, microsecond=0) + timedelta(minutes=1),
        )


def _sorted(indicators: Iterable[Indicator]) -> tuple[Wanted, dict[str, ConnectorError]]:
    """Return subjects with the values of their indicators, and what is refused. Raises it if nothing is left."""
    wanted: Wanted = {}
    refused: dict[str, ConnectorError] = {}
    for indicator in indicators:
        try:
            wanted.setdefault(subject_of(indicator), []).append(indicator.value)
        except ConnectorError as exc:
            refused[indicator.value] = exc
    if not wanted and len(refused) == 1:
        raise next(iter(refused.values()))
    return wanted, refused


async def _one_after_another(
    lots: list[list[Subject]], send: Callable[[list[Subject]], Any], wanted: Wanted, refused: dict[str, ConnectorError]
) -> None:
    """Send lots in their order until one fails. Raises PartialFailure for it and what comes after it; the first one's
    error as it is, since nothing was accepted then.
    """
    for number, lot in enumerate(lots):
        try:
            await send(lot)
        except ConnectorError as error:
            if number == 0 and not refused:
                raise
            refused |= {value: error for subject in lot for value in wanted[subject]}
            rest = [subject for later in lots[number + 1 :] for subject in later]
            unsent = Unavailable(f"not sent, because the request before failed: {error.message}", applied=Applied.NO)
            refused |= {value: unsent for subject in rest for value in wanted[subject]}
            break
    if refused:
        raise PartialFailure(refused)
