"""PAN-OS firewalls, by the XML API. Sources are named in the modules that know the formats.

Addresses are blocked by a tag that a dynamic address group collects: that acts at once, and the firewall lifts it by
itself. Domains and URLs are blocked by a custom URL category: that is configuration, and acts when a commit is done.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Container, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from xml.etree import ElementTree as ET
from zoneinfo import ZoneInfo

from hikeshi.capabilities import Block, Connection, Firewall, Indicator, supports
from hikeshi.connector import (
    Applied,
    Connector,
    ConnectorError,
    Invalid,
    NotFound,
    PartialFailure,
    Response,
    Route,
    Timeout,
    Unsupported,
    xml_root,
)
from hikeshi_connectors.panos import commands
from hikeshi_connectors.panos.addresses import ADDRESS_KINDS, registered_form
from hikeshi_connectors.panos.answers import check_answer, parse, refused_entries
from hikeshi_connectors.panos.batch import Batch, sort_indicators
from hikeshi_connectors.panos.settings import PanOsSettings
from hikeshi_connectors.panos.sites import SITE_KINDS, entry_key, entry_of
from hikeshi_connectors.panos.tags import registered_forms, tagged_in
from hikeshi_connectors.panos.traffic import connection_of, traffic_query

__all__ = ["PanOs"]

KINDS = {"ipv4", "ipv6", "cidr", "domain", "url"}
LONGEST_TIMEOUT_S = 2_592_000
_CONCURRENT_CALLS = 5  # the vendor's own advice
_REGISTERED_A_PAGE = 500
_LOGS_A_PAGE = 5_000
_LOGS_MOST = 50_000
_QUERY_WAIT_S = 120.0


class PanOs(Connector, Firewall, product="panos"):
    """One firewall, or one virtual system of it."""

    Settings = PanOsSettings
    read_routes = (
        Route("POST", "/api/", where={"form:type": "op", "form:cmd": xml_root("show")}),
        Route("POST", "/api/", where={"form:type": "config", "form:action": "show"}),
        Route("POST", "/api/", where={"form:type": "log", "form:log-type": "traffic", "form:dir": "backward"}),
        Route("POST", "/api/", where={"form:type": "log", "form:action": "get"}),
    )
    least_privileges = (
        "XML API: User-ID Agent (tags), Operational Requests (show), Log (search_traffic)",
        "XML API: Configuration and Commit, for domains and URLs only",
    )

    settings: PanOsSettings

    def set_up(self) -> None:
        self.http.authorize = self._key
        self.clock: Callable[[], datetime] = lambda: datetime.now(UTC)
        self._zone = ZoneInfo(self.settings.timezone)
        self._calls = asyncio.Semaphore(_CONCURRENT_CALLS)

    def check(self, response: Response) -> None:
        """Judge an answer by its envelope: status 200 may be an error."""
        check_answer(response)

    @supports(kinds=KINDS)
    async def blocks_of(self, indicators: list[Indicator]) -> list[Block]:
        """Read the registered tags and the running configuration. What waits for a commit is not blocked.

        `expires_at` is UTC, and rounded up to a full minute: the firewall tells how long a tag still has, not until
        when. Domains and URLs have none.
        """
        kinds = {indicator.kind for indicator in indicators}
        tagged = await self._tagged(registered_forms(indicators)) if kinds & ADDRESS_KINDS else {}
        listed = await self._listed() if kinds & SITE_KINDS else {}
        return [self._block(indicator, tagged, listed) for indicator in indicators]

    @supports(kinds=KINDS)
    async def block_indicators(self, indicators: list[Indicator], reason: str, expires_in_s: int | None = None) -> None:  # noqa: ARG002 - PAN-OS keeps no reason with a tag or an entry
        """Tag the addresses, then list the domains and URLs and commit.

        The firewall lifts tags itself after `expires_in_s`, or after 30 days if that is longer; without it, never. An
        address that has the tag keeps the expiry it has. Domains and URLs stay until they are unblocked. Raises
        PartialFailure for entries that are refused; NotFound if the URL category does not exist: a new one would be in
        no rule, and block nothing.
        """
        timeout_s = _timeout(expires_in_s)
        batch = sort_indicators(indicators, self._entry)
        await self._look_up_category(batch)
        message = commands.register(batch.addresses, self.settings.tag, timeout_s)
        change = {"action": "set", "xpath": f"{self._category}/list", "element": commands.members(batch.sites)}
        await self._send(batch, message, change)

    @supports(kinds=KINDS)
    async def unblock_indicators(self, indicators: list[Indicator], reason: str) -> None:  # noqa: ARG002 - see above
        """Take the tag off the addresses, then domains and URLs off the list, and commit. Raises as blocking does."""
        batch = sort_indicators(indicators, self._entry)
        listed = await self._look_up_category(batch)
        message = commands.unregister(batch.addresses, self.settings.tag)
        # People write entries in other ways (case, no final slash); a path matches only what is written.
        written = {text for entry in batch.sites for text in (entry, *listed.get(entry_key(entry), ()))}
        change = {"action": "delete", "xpath": commands.member_path(self._category, sorted(written))}
        await self._send(batch, message, change)

    async def search_traffic(self, address: str, since_s: int = 86400) -> list[Connection]:
        """Query the traffic log for an address or network.

        Newest first, times in UTC. Raises Invalid for names and for over 50,000 entries, Timeout if the firewall does
        not finish a query within two minutes.
        """
        until = self.clock()
        query = traffic_query(address, until - timedelta(seconds=since_s), until, self._zone)
        found: dict[str, Connection] = {}
        for skip in range(0, _LOGS_MOST, _LOGS_A_PAGE):
            entries = await self._logs(query, skip)
            for number, entry in enumerate(entries, start=skip):
                found[entry.get("logid", str(number))] = connection_of(entry, self.name, self._zone)
            if len(entries) < _LOGS_A_PAGE:
                return sorted(found.values(), key=lambda connection: connection.at, reverse=True)
        raise Invalid(f"{self.name}: over {_LOGS_MOST} log entries for {address}; ask for a shorter time")

    # --- requests

    async def _key(self) -> Mapping[str, str]:
        return {"x-pan-key": self.reveal(self.settings.api_key)}

    async def _post(self, form: Mapping[str, str], *, last: bool = False) -> Response:
        async with self._calls:
            return await self.http.post("/api/", form=form, last=last)

    async def _send(self, batch: Batch, message: str, change: Mapping[str, str]) -> None:
        """Send a User-ID message for the addresses, then a change and a commit for the sites; raise what was refused.

        The first answer is read last, so that a plan shows all requests.
        """
        answer = None
        if batch.addresses:
            user_id = {"type": "user-id", "vsys": self.settings.vsys, "cmd": message}
            answer = await self._post(user_id, last=not batch.sites)
        if batch.sites:
            try:
                await self._configure(change)
            except ConnectorError as exc:
                if answer is None:
                    raise
                batch.refuse(batch.sites, exc)
        if answer is not None:
            batch.refused.update(refused_entries(answer, batch.addresses))
        if batch.refused:
            raise PartialFailure(batch.refused)

    async def _configure(self, change: Mapping[str, str]) -> None:
        """Change the candidate configuration and commit it. The commit ends later than its answer: see `blocks_of`."""
        assert self.settings.admin is not None
        try:
            await self._post({"type": "config", **change})
        except NotFound:
            # Nothing is left to delete. An earlier attempt may have come as far as this, so the commit is still owed.
            if change["action"] != "delete":
                raise
        commit = {"type": "commit", "action": "partial", "cmd": commands.partial_commit(self.settings.admin)}
        try:
            await self._post(commit, last=True)
        except ConnectorError as exc:
            # The change stays in the candidate configuration, and the administrator's next commit carries it.
            exc.applied = Applied.MAYBE
            raise

    async def _tagged(self, wanted: Container[str]) -> dict[str, datetime | None]:
        """Return those of the wanted addresses, canonical, that have our tag, each with its expiry."""
        tagged: dict[str, datetime | None] = {}
        start = 1
        while True:
            command = commands.show_registered(self.settings.tag, start, _REGISTERED_A_PAGE)
            answer = await self._post({"type": "op", "vsys": self.settings.vsys, "cmd": command})
            entries = self._result(answer).findall("entry")
            tagged |= tagged_in(entries, self.settings.tag, wanted, self.clock())
            if len(entries) < _REGISTERED_A_PAGE:
                return tagged
            start += len(entries)

    async def _listed(self) -> dict[str, list[str]]:
        """Return the entries of the running category as they are written, by key; none if there is no such category."""
        try:
            return await self._running_category()
        except NotFound:
            return {}

    async def _running_category(self) -> dict[str, list[str]]:
        answer = await self._post({"type": "config", "action": "show", "xpath": self._category})
        category = self._result(answer).find("entry")
        if category is None:
            raise NotFound(f"{self.name}: the running configuration has no URL category {self.settings.url_category!r}")
        if category.findtext("type") == "Category Match":
            raise Unsupported(f"{self.name}: the URL category {self.settings.url_category!r} lists categories")
        listed: dict[str, list[str]] = {}
        for member in category.iterfind("list/member"):
            text = (member.text or "").strip()
            listed.setdefault(entry_key(text), []).append(text)
        return listed

    async def _logs(self, query: str, skip: int) -> Sequence[ET.Element]:
        """Return one page of the traffic log, newest first. A query is a job; its result is fetched when it is done."""
        form = {"type": "log", "log-type": "traffic", "query": query, "dir": "backward"}
        answer = await self._post({**form, "nlogs": str(_LOGS_A_PAGE), "skip": str(skip)})
        job = self._result(answer).findtext("job", "").strip()
        if not job.isdecimal():
            raise Invalid(f"{self.name}: {answer.where}, without the number of a job")
        waited_s, pause_s = 0.0, 0.05
        while waited_s < _QUERY_WAIT_S:
            answer = await self._post({"type": "log", "action": "get", "job-id": job})
            result = self._result(answer)
            if result.findtext("job/status") == "FIN":
                if result.find("log/logs") is None:
                    raise Invalid(f"{self.name}: {answer.where}, without the logs of a finished query")
                return result.findall("log/logs/entry")
            await asyncio.sleep(pause_s)
            waited_s, pause_s = waited_s + pause_s, min(pause_s * 2, 2.0)
        raise Timeout(f"{self.name}: the log query {job} was not finished after {_QUERY_WAIT_S:.0f} s")

    def _result(self, answer: Response) -> ET.Element:
        """Return the result of a read. Raises Invalid if there is none: that would not mean "nothing found"."""
        result = parse(answer).find("result")
        if result is None or result.find("msg/line/outfile") is not None:
            raise Invalid(f"{self.name}: {answer.where}, without a result")
        return result

    # --- decisions

    @property
    def _category(self) -> str:
        return commands.category_path(self.settings.vsys, self.settings.url_category)

    def _entry(self, indicator: Indicator) -> str:
        if self.settings.admin is None:
            raise Invalid(
                f"{self.name}: domains and URLs need a commit, and that a name: "
                "set `admin` in hikeshi.yaml to the administrator whose API key it is"
            )
        return entry_of(indicator)

    async def _look_up_category(self, batch: Batch) -> dict[str, list[str]]:
        """Return the running entries if there are sites to change; without the category, the sites are refused."""
        if not batch.sites:
            return {}
        try:
            return await self._running_category()
        except (NotFound, Unsupported) as exc:
            hint = f"make a URL list {self.settings.url_category!r}, use it in a deny rule, and commit"
            batch.refuse(batch.sites, type(exc)(f"{exc.message}; {hint}"))
            batch.sites.clear()
            batch.raise_if_empty()
            return {}

    def _block(
        self, indicator: Indicator, tagged: Mapping[str, datetime | None], listed: Mapping[str, list[str]]
    ) -> Block:
        blocked, expires_at = False, None
        try:
            if indicator.kind in ADDRESS_KINDS:
                address = registered_form(indicator)
                blocked, expires_at = address in tagged, tagged.get(address)
            elif indicator.kind in SITE_KINDS:
                blocked = entry_key(entry_of(indicator)) in listed
        except (Unsupported, Invalid):
            pass  # what cannot be written down here is not blocked here
        return Block(
            connector=self.name, kind=indicator.kind, value=indicator.value, blocked=blocked, expires_at=expires_at
        )


def _timeout(expires_in_s: int | None) -> int | None:
    """Return a tag's timeout in seconds. Raises Invalid below 1: the firewall takes 0 for "never"."""
    if expires_in_s is None:
        return None
    if expires_in_s < 1:
        raise Invalid(f"a block cannot expire in {expires_in_s} s")
    return min(expires_in_s, LONGEST_TIMEOUT_S)
