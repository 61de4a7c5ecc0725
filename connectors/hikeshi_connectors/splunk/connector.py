"""Splunk: searches by its search jobs, notable events and fired alerts.

Sources: https://docs.splunk.com/Documentation/Splunk/9.4.0/RESTREF/RESTsearch and RESTaccess (auth/login);
splunk-sdk-python's client.py (search/v2/jobs, 204 while a job is not ready).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, ClassVar, Final, Literal, Self

from pydantic import Field, model_validator

from hikeshi.capabilities import Alert, Indicator, LogEntry, Severity, Siem, supports
from hikeshi.connector import (
    Connector,
    ConnectorSettings,
    Invalid,
    Response,
    Route,
    Secret,
    TokenCache,
    all_pages,
    json_object,
    objects_under,
    understood,
)
from hikeshi_connectors.splunk.answers import JOBS, LOGIN, check_answer
from hikeshi_connectors.splunk.detection import NOTABLES, alert_of_fired, alert_of_notable, at_least
from hikeshi_connectors.splunk.log_entry import entry_of
from hikeshi_connectors.splunk.search_job import SearchJobs
from hikeshi_connectors.splunk.spl import quoted, refusal_of, whole_search

__all__ = ["Splunk"]

_FIRED: Final = "/services/alerts/fired_alerts/-"
_FIRED_PAGE: Final = 200
_ROWS_MOST: Final = 500_000
_DETECTIONS_MOST: Final = 10_000
# Sessions end an hour after they were last used, unless an administrator says otherwise.
_SESSION_S: Final = 3600.0
IndexName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_*][A-Za-z0-9_*-]{0,79}$")]
Name = Annotated[str, Field(pattern=r"^[A-Za-z_][\w.-]{0,99}$")]


class Splunk(Connector, Siem, product="splunk"):
    """One search head. Everything here only reads."""

    class Settings(ConnectorSettings):
        token: Secret | None = None
        username: str | None = None
        password: Secret | None = None
        indexes: tuple[IndexName, ...] = Field(default=("*",), min_length=1)
        detections: Literal["notable", "fired_alerts"] = "notable"
        commands: tuple[Name, ...] = ()
        macros: tuple[Name, ...] = ()
        search_within_s: float = Field(default=120.0, gt=0, le=3600)

        @model_validator(mode="after")
        def _one_way_to_sign_in(self) -> Self:
            session = (self.username, self.password)
            if (self.token is None) == (session == (None, None)) or (self.token is None and None in session):
                raise ValueError("either 'token', or 'username' and 'password'")
            return self

    settings: Settings
    probes: ClassVar[Mapping[str, Mapping[str, Any] | None]] = {
        "search_logs": {"query": "| makeresults", "since_s": 60, "limit": 1},
        "search_logs_for": {"since_s": 60, "limit": 1},
    }
    least_privileges: ClassVar[tuple[str, ...]] = (
        "a role with the capability 'search' and the indexes to be searched, 'notable' among them",
        "for fired alerts: read permission on the saved searches that fire them",
        "not 'delete_by_keyword', which is more than this needs",
    )

    @classmethod
    def routes_of(cls, settings: ConnectorSettings) -> tuple[Route, ...]:
        """Return the read routes. A search is one only if all of its commands are known to read."""
        assert isinstance(settings, cls.Settings)
        commands, macros = settings.commands, settings.macros
        only_reads: dict[str, str | Callable[[str], bool]] = {
            "form:search": lambda text: refusal_of(text, commands, macros) is None,
            "form:exec_mode": "normal",
        }
        login = Route("POST", LOGIN) if settings.token is None else None
        fired = Route("GET", _FIRED) if settings.detections == "fired_alerts" else None
        return (
            Route("POST", JOBS, where=only_reads),
            Route("GET", f"{JOBS}/*"),
            Route("GET", f"{JOBS}/*/results"),
            *(each for each in (login, fired) if each is not None),
        )

    def set_up(self) -> None:
        self._searches = SearchJobs(self.name, self.http, self.settings.search_within_s)
        self._sessions = TokenCache(self._sign_in, self.redactor)
        self.http.authorize = self._authorization
        if self.settings.token is None:
            self.http.forget_credentials = self._sessions.forget

    async def _authorization(self) -> Mapping[str, str]:
        if self.settings.token is not None:
            return {"authorization": f"Bearer {self.reveal(self.settings.token)}"}
        # A session's key has a scheme of its own.
        key = (await self._sessions.headers())["authorization"].removeprefix("Bearer ")
        return {"authorization": f"Splunk {key}"}

    async def _sign_in(self) -> tuple[str, float]:
        assert self.settings.password is not None
        form = {
            "username": self.settings.username,
            "password": self.reveal(self.settings.password),
            "output_mode": "json",
        }
        answer = json_object(await self.http.post(LOGIN, form=form, auth=False))
        with understood(f"{self.name}: {LOGIN}"):
            key = answer["sessionKey"]
            if not isinstance(key, str) or not key.isprintable() or not key:
                raise ValueError("a session's key that is none")
            return key, _SESSION_S

    def check(self, response: Response) -> None:
        check_answer(response)

    # --- searching

    async def search_logs(self, query: str, since_s: int = 86400, limit: int = 1000) -> list[LogEntry]:
        """Search in SPL. `search` may be left out, as in Splunk's own search bar; a search that changes is refused."""
        if not query.strip():
            raise Invalid(f"{self.name}: the search is empty")
        if not 1 <= limit <= _ROWS_MOST:
            raise Invalid(f"{self.name}: limit is {limit}; it goes from 1 to {_ROWS_MOST}")
        entries = [entry_of(row, self.name) for row in await self._rows(whole_search(query), since_s, limit)]
        if any(each.at is None for each in entries):
            return entries  # statistics, in the order that the search has given them
        return sorted(entries, key=lambda entry: entry.at or datetime.min.replace(tzinfo=UTC), reverse=True)

    @supports(kinds={"ipv4", "ipv6", "domain", "url", "email", "md5", "sha1", "sha256"})
    async def search_logs_for(self, indicator: Indicator, since_s: int = 86400, limit: int = 1000) -> list[LogEntry]:
        """Find events of `indexes` with an indicator in their text, as whole words and in any case."""
        within = " OR ".join(f"index={name}" for name in self.settings.indexes)
        return await self.search_logs(f"search ({within}) {quoted(indicator.value)}", since_s, limit)

    async def _rows(self, search: str, since_s: int, most: int) -> list[dict[str, Any]]:
        if why := refusal_of(search, self.settings.commands, self.settings.macros):
            raise Invalid(f"{self.name}: this search is not run: {why}")
        # Events come newest first. On a line of its own, for the search may end in a comment.
        return await self._searches.rows(f"{search}\n| head {most}", since_s, most)

    # --- detections

    async def list_detections(self, since_s: int = 3600, severity: Severity | None = None) -> list[Alert]:
        """List notable events, or fired alerts if `detections` says so, of the last `since_s` seconds."""
        if self.settings.detections == "fired_alerts":
            found = await self._fired(datetime.now(UTC) - timedelta(seconds=since_s))
        else:
            found = await self._notable(since_s)
        kept = [alert for alert in found if at_least(alert, severity)]
        return sorted(kept, key=lambda alert: alert.at, reverse=True)

    async def _notable(self, since_s: int) -> list[Alert]:
        rows = await self._rows(NOTABLES, since_s, _DETECTIONS_MOST)
        if len(rows) >= _DETECTIONS_MOST:
            raise Invalid(f"{self.name}: {_DETECTIONS_MOST} notable events or more; ask for a shorter time")
        with understood(f"{self.name}: notable events"):
            return [alert_of_notable(row, self.name) for row in rows]

    async def _fired(self, since: datetime) -> list[Alert]:
        params = {"output_mode": "json", "count": _FIRED_PAGE, "sort_key": "trigger_time", "sort_dir": "desc"}

        async def page(mark: int | None) -> tuple[Sequence[dict[str, Any]], int | None]:
            answer = await self.http.get(_FIRED, params={**params, "offset": mark or 0})
            entries = objects_under(answer, "entry")
            with understood(f"{self.name}: {_FIRED}"):
                total = int(json_object(answer)["paging"]["total"])
            end = (mark or 0) + len(entries)
            if not entries and end < total:
                raise Invalid(f"{self.name}: {end} of {total} fired alerts came, and no more")
            return entries, end if end < total else None

        entries = await all_pages(page, f"{self.name}: {_FIRED}")
        with understood(f"{self.name}: {_FIRED}"):
            # One that fires meanwhile moves the others down, so that an entry can come twice.
            alerts = {each["name"]: alert_of_fired(each, self.name) for each in entries}
        return [alert for alert in alerts.values() if alert.at >= since]
