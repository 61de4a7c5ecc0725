"""Registered addresses and their tags, which act without a commit."""

from __future__ import annotations

import ipaddress
import math
from itertools import islice
from xml.etree import ElementTree as ET

from hikeshi.testing.estate import Estate
from hikeshi_connectors.panos.simulated.envelope import Refusal, child, success

__all__ = ["RegisteredIps"]

_MOST_SHOWN = 500
_MOST_TAGS = 32
_LONGEST_TAG = 127
_LONGEST_TIMEOUT_S = 2_592_000


class RegisteredIps:
    """The tags of the estate's firewall, as User-ID messages change them and `show object registered-ip` lists them."""

    def __init__(self, estate: Estate) -> None:
        self._estate = estate

    def update(self, command: ET.Element) -> ET.Element:
        """Carry out a message: everything it unregisters first, then what it registers."""
        payload = command.find("payload")
        if command.tag != "uid-message" or command.findtext("type") != "update" or payload is None:
            raise Refusal("Invalid uid-message", "17")
        if unknown := [part.tag for part in payload if part.tag not in ("register", "unregister")]:
            raise Refusal(f"{unknown[0]} is not simulated", "17")
        refused = ET.Element("payload")
        for verb in ("unregister", "register"):
            for part in payload.iterfind(verb):
                answers = child(refused, verb)
                for entry in part.iterfind("entry"):
                    for text in self._carry_out(verb, entry):
                        child(answers, "entry", ip=entry.get("ip", ""), message=text)
        root = success()
        if refused.find("*/entry") is not None:
            root = ET.Element("response", status="error")
            where = child(child(child(root, "msg"), "line"), "uid-response")
        else:
            where = child(child(root, "result"), "uid-response")
        child(where, "version", "2.0")
        where.append(refused)
        return root

    def show(self, command: ET.Element) -> ET.Element:
        """Show at most 500 addresses; those with a tag or one address, if asked so, and each with all its tags."""
        limit = min(int(command.findtext("limit") or _MOST_SHOWN), _MOST_SHOWN)
        start = int(command.findtext("start-point") or 1)
        if limit < 1 or start < 1:
            raise Refusal("registered-ip -> limit or start-point is out of range", "17")
        tag, address = command.find("tag/entry"), command.findtext("ip")
        name = None if tag is None else tag.get("name")
        found = (
            (ip, tags)
            for ip, tags in self._estate.firewall.registered_tags.items()
            if (name is None or name in tags) and (address is None or ip == address)
        )
        result, now, count = ET.Element("result"), self._estate.now(), 0
        for ip, tags in islice(found, start - 1, start - 1 + limit):
            count += 1
            shown = child(child(result, "entry", ip=ip, from_agent="0", persistent="1"), "tag")
            for text, expires_at in tags.items():
                left = {} if expires_at is None else {"timeout": str(math.ceil((expires_at - now).total_seconds()))}
                child(shown, "member", text, **left)
        child(result, "count", str(count))
        return success(result)

    def _carry_out(self, verb: str, entry: ET.Element) -> list[str]:
        """Return what is wrong with an entry, or with its tags."""
        ip = _normal(entry.get("ip", ""))
        if ip is None:
            return ["invalid ip address"]
        members = entry.findall("tag/member")
        if verb == "unregister" and not members:
            # As at the firewall: without a tag, all of them go.
            if self._estate.firewall.registered_tags.pop(ip, None) is None:
                return [f"ip {ip} does not exist, ignore unreg"]
            return []
        texts = (self._register(ip, each) if verb == "register" else self._unregister(ip, each) for each in members)
        return [text for text in texts if text]

    def _register(self, ip: str, member: ET.Element) -> str:
        tag, timeout = member.text or "", member.get("timeout", "0")
        if not 0 < len(tag) <= _LONGEST_TAG or "'" in tag or '"' in tag:
            return f"tag {tag} is invalid"
        if not timeout.isdecimal() or int(timeout) > _LONGEST_TIMEOUT_S:
            return f"tag {tag} has an invalid timeout"
        if len(self._estate.firewall.registered_tags.get(ip, {}).keys() | {tag}) > _MOST_TAGS:
            return f"tag {tag} exceeds the most tags of an ip"
        if not self._estate.register_tag(ip, tag, int(timeout) or None):
            return f"tag {tag} already exists, ignore"
        return ""

    def _unregister(self, ip: str, member: ET.Element) -> str:
        if ip not in self._estate.firewall.registered_tags:
            return f"ip {ip} does not exist, ignore unreg"
        tag = member.text or ""
        return "" if self._estate.unregister_tag(ip, tag) else f"tag {tag} does not exist, ignore unreg"


def _normal(text: str) -> str | None:
    """Return a host address, or an IPv4 network, in its usual form; None for everything else."""
    try:
        network = ipaddress.ip_network(text)
    except ValueError:
        return None
    if network.prefixlen == network.max_prefixlen:
        return str(network.network_address)
    return str(network) if network.version == 4 else None
