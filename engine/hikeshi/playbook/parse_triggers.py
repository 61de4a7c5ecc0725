"""Triggers: what starts a run by itself."""

from __future__ import annotations

import re
from typing import Any, Literal

from hikeshi.playbook.model import Trigger
from hikeshi.playbook.parse_kinds import (
    ANY_TEMPLATE,
    EXPRESSION,
    FLAG,
    MAP_TEMPLATE,
    NAME,
    NAME_RULE,
    TEXT,
    Choice,
    Duration,
    Kind,
    ListOf,
    MapOf,
    Schema,
    Text,
)
from hikeshi.playbook.parse_record import Key, OneOf, Record, read_keys
from hikeshi.playbook.parse_report import INVALID, Report
from hikeshi.playbook.yaml_tree import Mapping, Node, Scalar, Sequence

__all__ = ["TRIGGERS", "TRIGGER_KEYS"]

KINDS: tuple[Literal["schedule", "webhook", "poll"], ...] = ("schedule", "webhook", "poll")

_CRON_FIELDS = (
    ("minute", 0, 59),
    ("hour", 0, 23),
    ("day of the month", 1, 31),
    ("month", 1, 12),
    ("day of the week", 0, 7),
)
_CRON_WORDS = {
    word: number
    for words, start in (("jan feb mar apr may jun jul aug sep oct nov dec", 1), ("sun mon tue wed thu fri sat", 0))
    for number, word in enumerate(words.split(), start)
}
_CRON_PART = re.compile(r"(?:\*|(\w{1,3})(?:-(\w{1,3}))?)(?:/(\d{1,2}))?", re.ASCII)


class _Cron(Kind):
    """Five fields: minute, hour, day of the month, month, day of the week."""

    expected = 'a schedule, such as "0 2 * * *" or {every: 5m}'

    def read(self, node: Node, report: Report) -> Any:
        if not isinstance(node, Scalar) or not isinstance(node.value, str):
            return report.wrong_type(node, self.expected)
        fields = node.value.split()
        if len(fields) != len(_CRON_FIELDS):
            return report.add(
                "wrong-value", f"a schedule has five fields, and this has {len(fields)}; {self.expected}", node
            )
        wrong = [
            name
            for field, (name, low, high) in zip(fields, _CRON_FIELDS, strict=True)
            if not _is_cron(field, low, high)
        ]
        if wrong:
            return report.add("wrong-value", f"this is not a schedule: see its {wrong[0]}", node)
        return {"cron": " ".join(fields)}

    def schema(self) -> Schema:
        return {"type": "string", "pattern": r"^\s*\S+(\s+\S+){4}\s*$", "examples": ["0 2 * * *"]}


def _is_cron(field: str, low: int, high: int) -> bool:
    for part in field.split(","):
        found = _CRON_PART.fullmatch(part)
        if found is None:
            return False
        bounds = [_cron_number(word) for word in found.group(1, 2) if word is not None]
        if any(bound is None or not low <= bound <= high for bound in bounds) or found[3] == "0":
            return False
        if len(bounds) == 2 and bounds[0] > bounds[1]:  # type: ignore[operator]  # None was refused above
            return False
    return True


def _cron_number(word: str) -> int | None:
    return int(word) if word.isdigit() else _CRON_WORDS.get(word.lower())


_EVERY = Key("every", Duration(minimum_s=1), "The time from one to the next", required=True)
_ACTION = Text("an action, such as edr.list_alerts", r"[A-Za-z][A-Za-z0-9_-]*\.[a-z][a-z0-9_]*")

_SCHEDULE = OneOf(
    _Cron.expected,
    scalar=_Cron(),
    mapping=Record("'schedule'", "{every: 5m}", (_EVERY,), lambda values, _: {"every_s": values["every"]}),
)
_POLL = Record(
    "'poll'",
    "{action: edr.list_alerts, every: 1m}",
    (
        Key("action", _ACTION, "The read action whose new items are the events", required=True),
        Key("with", MAP_TEMPLATE, "Its arguments"),
        _EVERY,
    ),
    lambda values, _: {"action": values["action"], "arguments": values.get("with"), "every_s": values["every"]},
)

TRIGGER_KEYS = (
    Key("id", Text(f"a name ({NAME_RULE})", NAME), "Its name, unique in the playbook", required=True),
    Key("schedule", _SCHEDULE, 'When: "0 2 * * *" or {every: 5m}'),
    Key("webhook", TEXT, "The configured source whose signed messages are the events"),
    Key("poll", _POLL, "A read action; each new item is an event"),
    Key(
        "timezone",
        Text("a time zone, such as Asia/Tokyo or UTC", r"[A-Za-z]+(?:[/_+-][A-Za-z0-9_+-]+)*"),
        "Of the schedule",
    ),
    Key("when", EXPRESSION, "Which events start a run"),
    Key("inputs", MapOf(ANY_TEMPLATE, '{hostname: "{{ event.host_name }}"}'), "The inputs of the run"),
    Key("dedupe", EXPRESSION, "Events that give the same value within 'window' start one run"),
    Key("window", Duration(), "How long 'dedupe' remembers"),
    Key("mode", Choice(("live", "plan")), "plan: prepares a plan and asks the people in 'by'"),
    Key("by", ListOf(TEXT, "[role:soc_lead]", unique=True), "Whom a prepared plan is shown to"),
    Key("enabled", FLAG, "Whether it starts anything; true if left out"),
    Key("missed", Choice(("run_once", "skip")), "What happens to times that passed while the engine was down"),
)
_BY_NAME = {key.name: key for key in TRIGGER_KEYS}
_DEPENDENT = (
    ("timezone", "schedule"),
    ("missed", "schedule"),
    ("dedupe", "window"),
    ("window", "dedupe"),
)


class _Triggers(Kind):
    expected = 'a list of triggers, such as - {id: nightly, schedule: "0 2 * * *"}'

    def read(self, node: Node, report: Report) -> Any:
        if not isinstance(node, Sequence):
            return report.wrong_type(node, self.expected)
        triggers = [_read_trigger(item, report) for item in node.items]
        seen: dict[str, Node] = {}
        for item in node.items:
            id_node = item.entries["id"].value if isinstance(item, Mapping) and "id" in item.entries else None
            if isinstance(id_node, Scalar) and isinstance(id_node.value, str):
                first = seen.setdefault(id_node.value, id_node)
                if first is not id_node:
                    message = f"the trigger {id_node.value!r} is given twice; first at {report.position(first)}"
                    report.add("duplicate-id", message, id_node)
        return INVALID if INVALID in triggers else tuple(triggers)

    def schema(self) -> Schema:
        return {"type": "array", "items": {"$ref": "#/$defs/trigger"}}


def _read_trigger(node: Node, report: Report) -> Any:
    if not isinstance(node, Mapping):
        return report.wrong_type(node, 'a map, such as {id: nightly, schedule: "0 2 * * *"}')
    before = len(report.problems)
    values = read_keys(TRIGGER_KEYS, node, report, "a trigger")
    kinds = [kind for kind in KINDS if kind in node.entries]
    if len(kinds) != 1:
        found = f"this one has {' and '.join(kinds)}" if kinds else "this one has none"
        report.add("trigger-kind", f"a trigger has exactly one of {', '.join(KINDS)}; {found}", node)
    for name, needed in _DEPENDENT:
        if name in node.entries and needed not in node.entries:
            report.add("misplaced-key", f"{name!r} goes only with {needed!r}", node.entries[name])
    if values.get("mode") == "plan" and "by" not in node.entries:
        report.add(
            "missing-key", "a trigger with 'mode: plan' needs 'by': the people who are asked", node.entries["mode"]
        )
    if len(report.problems) > before:
        return INVALID
    kind = kinds[0]
    source = {"source": values[kind]} if kind == "webhook" else values[kind]
    return Trigger(
        id=values["id"],
        kind=kind,
        source=source,
        when=values.get("when"),
        inputs=values.get("inputs", {}),
        dedupe=values.get("dedupe"),
        window_s=values.get("window"),
        mode=values.get("mode", "live"),
        by=values.get("by", ()),
        enabled=values.get("enabled", True),
        missed=values.get("missed", "skip"),
        timezone=values.get("timezone"),
        position=report.position(node),
    )


TRIGGERS = _Triggers()
