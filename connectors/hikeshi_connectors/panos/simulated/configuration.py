"""The candidate and the running configuration, as far as it is custom URL categories, and the commits between them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from xml.etree import ElementTree as ET

from hikeshi.testing.estate import CommitJob, Estate, FirewallConfig
from hikeshi_connectors.panos.simulated.envelope import Refusal, child, message, success

__all__ = ["PREPARED_CATEGORY", "Configuration"]

PREPARED_CATEGORY = "hikeshi-blocked"
_LONGEST_ENTRY = 255
_CATEGORY = re.compile(
    r"/config/devices/entry\[@name='localhost\.localdomain'\]/vsys/entry\[@name='vsys1'\]"
    r"/profiles/custom-url-category/entry\[@name='(?P<name>[^']+)'\](?P<rest>(?:/list(?:/member\[(?P<test>.+)\])?)?)"
)
_LITERAL = r"'[^']*'|concat\((?:'[^']*'|\"[^\"]*\")(?:, ?(?:'[^']*'|\"[^\"]*\"))+\)"
_TEST = re.compile(rf"text\(\)=({_LITERAL})(?: or |$)")
_PIECE = re.compile(r"'([^']*)'|\"([^\"]*)\"")


class Configuration:
    """The configuration of the estate's firewall, changed and committed by one administrator.

    Others may change the estate's candidate configuration directly: a commit of this administrator's changes leaves
    theirs alone.
    """

    def __init__(self, estate: Estate, admin: str) -> None:
        self._estate = estate
        self._admin = admin
        self._touched: set[tuple[str, str]] = set()

    def request(self, form: Mapping[str, str]) -> ET.Element:
        """Answer a request of the type config."""
        path = _CATEGORY.fullmatch(form.get("xpath", ""))
        action = form.get("action", "")
        if action in ("show", "get"):
            return self._read(action, path)
        if path is None:
            raise Refusal("Bad Xpath", "6")
        if action == "set" and path["rest"] == "/list":
            return self._set(path["name"], form.get("element", ""))
        if action == "delete" and path["test"]:
            return self._delete(path["name"], path["test"])
        raise Refusal(f"action {action} is not simulated for this xpath", "17")

    def commit(self, form: Mapping[str, str], command: ET.Element) -> ET.Element:
        """Begin to commit everything, or what the named administrators have changed."""
        if command.tag != "commit":
            raise Refusal("commit is expected", "17")
        partial = command.find("partial")
        if (partial is None) == (form.get("action") == "partial"):
            raise Refusal("a partial commit has action=partial and the element partial", "17")
        base = self._committed()
        wanted = self._estate.firewall.candidate.copy()
        if partial is not None:
            admins = {member.text for member in partial.iterfind("admin/member")}
            wanted = self._own_changes(base) if self._admin in admins else base
        if wanted == base:
            return message("There are no changes to commit.", "19")
        job = self._enqueue(wanted)
        result = ET.Element("result")
        child(child(result, "msg"), "line", f"Commit job enqueued with jobid {job.id}")
        child(result, "job", str(job.id))
        return success(result, "19")

    def show_job(self, number: str) -> ET.Element:
        """Show a commit's state: ACT and PEND, then FIN with OK or FAIL."""
        job = self._estate.firewall.jobs.get(int(number)) if number.isdecimal() else None
        if job is None:
            raise Refusal(f"job {number} not found", "7")
        result = ET.Element("result")
        shown = child(result, "job")
        for name, text in {
            "id": str(job.id),
            "type": "Commit",
            "status": "ACT" if job.result is None else "FIN",
            "result": job.result or "PEND",
            "progress": "50" if job.result is None else "100",
        }.items():
            child(shown, name, text)
        child(child(shown, "details"), "line", job.error or "Configuration committed successfully")
        return success(result)

    def _read(self, action: str, path: re.Match[str] | None) -> ET.Element:
        firewall = self._estate.firewall
        config = firewall.running if action == "show" else firewall.candidate
        entries = None if path is None or path["rest"] else _entries(config, path["name"])
        if path is None or entries is None:
            # The running configuration and the candidate say it in different ways.
            if action == "show":
                raise Refusal("No such node")
            return success(ET.Element("result"), "7")
        result = ET.Element("result", {"total-count": "1", "count": "1"})
        category = child(result, "entry", name=path["name"])
        listed = child(category, "list")
        for text in sorted(entries):
            child(listed, "member", text)
        child(category, "type", "URL List")
        return success(result, "19" if action == "get" else None)

    def _set(self, name: str, element: str) -> ET.Element:
        try:
            members = list(ET.fromstring(f"<list>{element}</list>"))  # noqa: S314 - what tests send
        except ET.ParseError:
            raise Refusal("Malformed Request", "18") from None
        texts = [member.text or "" for member in members]
        if not members or any(member.tag != "member" or len(member) for member in members):
            raise Refusal("list is invalid", "12")
        if any(not 0 < len(text) <= _LONGEST_ENTRY for text in texts):
            raise Refusal(f"list -> member is too long, at most {_LONGEST_ENTRY} characters", "12")
        entries = self._estate.firewall.candidate.url_categories.setdefault(name, set())
        self._touched.update((name, text) for text in texts if text not in entries)
        entries.update(texts)
        return message("command succeeded", "20")

    def _delete(self, name: str, test: str) -> ET.Element:
        candidate = self._estate.firewall.candidate
        gone = _members(test) & (_entries(candidate, name) or set())
        if not gone:
            return message("Object doesn't exist", "7")
        self._touched.update((name, text) for text in gone)
        candidate.url_categories[name] -= gone
        _drop_if_prepared(candidate, name)
        return message("command succeeded", "20")

    def _committed(self) -> FirewallConfig:
        """Return the configuration that runs when every commit under way has ended well."""
        waiting = [job for job in self._estate.firewall.jobs.values() if job.result is None and job.error is None]
        return (waiting[-1].config if waiting else self._estate.firewall.running).copy()

    def _own_changes(self, base: FirewallConfig) -> FirewallConfig:
        wanted = base.copy()
        for name, text in self._touched:
            if text in (_entries(self._estate.firewall.candidate, name) or ()):
                wanted.url_categories.setdefault(name, set()).add(text)
            else:
                wanted.url_categories.get(name, set()).discard(text)
                _drop_if_prepared(wanted, name)
        return wanted

    def _enqueue(self, config: FirewallConfig) -> CommitJob:
        """Let the estate carry out a commit of this configuration, which need not be the whole candidate."""
        firewall = self._estate.firewall
        candidate = firewall.candidate
        firewall.candidate = config
        try:
            job = self._estate.commit(error="pending")
        finally:
            firewall.candidate = candidate
        assert job is not None
        job.error = None
        return job


def _entries(config: FirewallConfig, name: str) -> set[str] | None:
    """Return the entries of a category, or None if there is no such category."""
    return config.url_categories.get(name, set() if name == PREPARED_CATEGORY else None)


def _drop_if_prepared(config: FirewallConfig, name: str) -> None:
    """The prepared category is there without being written down, so that an undone change leaves the same bytes."""
    if name == PREPARED_CATEGORY and not config.url_categories.get(name):
        config.url_categories.pop(name, None)


def _members(test: str) -> set[str]:
    """Return the texts that an XPath test names: text()='a' or text()=concat('b', "'", 'c'). Nothing else is taken."""
    texts: set[str] = set()
    position = 0
    while position < len(test):
        match = _TEST.match(test, position)
        if match is None:
            raise Refusal("Bad Xpath", "6")
        texts.add("".join(single or double for single, double in _PIECE.findall(match[1])))
        position = match.end()
    return texts
