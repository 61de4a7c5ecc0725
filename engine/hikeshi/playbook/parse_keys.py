"""The keys of the language: every table that the parser reads by and the JSON Schema is made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from hikeshi.playbook.model import Concurrency, Escalation, EventWait, MaxFailures, Phase, ReadWait, Retry, UndoOverride
from hikeshi.playbook.parse_inputs import DECLARATIONS, FORM
from hikeshi.playbook.parse_kinds import (
    ANY_TEMPLATE,
    EXPRESSION,
    MAP_TEMPLATE,
    NAME,
    NAME_RULE,
    TEXT,
    TEXT_TEMPLATE,
    Choice,
    Duration,
    Kind,
    ListOf,
    MapOf,
    Number,
    Schema,
    Text,
)
from hikeshi.playbook.parse_record import Key, OneOf, Record
from hikeshi.playbook.parse_report import INVALID, Report
from hikeshi.playbook.parse_triggers import TRIGGERS
from hikeshi.playbook.template import Template, parse_value
from hikeshi.playbook.yaml_tree import Node, Scalar

__all__ = [
    "COMMON_KEYS",
    "LOOP_KEYS",
    "PLAYBOOK_KEYS",
    "RESERVED_IDS",
    "STEP_KINDS",
    "WHILE_KEYS",
    "StepKind",
    "StepsKey",
]

PLAYBOOK_ID = "[a-z][a-z0-9_-]*"
ACTION_NAME = r"[A-Za-z][A-Za-z0-9_-]*\.[a-z][a-z0-9_]*"
ERROR_KINDS = (
    "not_found", "ambiguous", "unauthorized", "forbidden", "rate_limited", "unavailable", "timeout", "conflict",
    "invalid", "unsupported",
)  # fmt: skip

RESERVED_IDS = frozenset(
    [
        "steps",
        "parallel",
        "on_error",
        "on_failure",
        "finally",
        "inputs",
        "vars",
        "status",
        "errors",
        "error",
        "event",
        "result",
        "run",
        "now",
        "outputs",
    ]
)
"""Names that mean something else in a step's path or in an expression."""


class StepsKey(Kind):
    """A list of steps. It is read by parse_steps, which knows what it is inside of."""

    expected = "a list of steps"

    def read(self, node: Node, report: Report) -> Any:
        del report
        return node

    def schema(self) -> Schema:
        return {"$ref": "#/$defs/steps"}


class _OnError(StepsKey):
    expected = "'continue', a list of steps, or {steps: [...], then: continue}"
    forms: ClassVar[dict[str, Kind | None]] = {"continue": None, "a handler": None, "a handler, then continue": None}

    def schema(self) -> Schema:
        handler = {
            "type": "object",
            "properties": {"steps": {"$ref": "#/$defs/steps"}, "then": {"const": "continue"}},
            "required": ["steps"],
            "additionalProperties": False,
        }
        return {"anyOf": [{"const": "continue"}, {"$ref": "#/$defs/steps"}, handler]}


class _MaxFailures(Kind):
    expected = "a count or a share of the items, such as 3 or 10%"

    def read(self, node: Node, report: Report) -> Any:
        value = node.value if isinstance(node, Scalar) else None
        if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
            return MaxFailures(count=value)
        if isinstance(value, str) and value.endswith("%"):
            try:
                percent = float(value[:-1])
            except ValueError:
                percent = -1
            if 0 <= percent <= 100:
                return MaxFailures(percent=percent)
        return report.wrong_type(node, self.expected)

    def schema(self) -> Schema:
        share = {"type": "string", "pattern": r"^\d+(\.\d+)?%$"}
        return {"anyOf": [{"type": "integer", "minimum": 0}, share]}


class _DurationTemplate(Kind):
    """A duration, or text with an expression that gives one."""

    expected = 'a duration such as 8h, or "{{ inputs.hours }}h"'

    def __init__(self, *, as_template: bool) -> None:
        self.as_template = as_template

    def read(self, node: Node, report: Report) -> Any:
        if isinstance(node, Scalar) and isinstance(node.value, str) and "{{" in node.value:
            return TEXT_TEMPLATE.read(node, report)
        seconds = _DURATION.read(node, report)
        if seconds is INVALID or not self.as_template:
            return seconds
        assert isinstance(node, Scalar)
        return parse_value(node.value)

    def schema(self) -> Schema:
        return {"anyOf": [_DURATION.schema(), {"type": "string", "pattern": r"\{\{"}]}


_PLAYBOOK_ID = Text("an ID: lower-case letters, digits, '_' and '-', a letter first", PLAYBOOK_ID)
_TECHNIQUE = Text("an ATT&CK technique, such as T1486 or T1059.001", r"T\d{4}(?:\.\d{3})?")
_ID = Text(f"a name ({NAME_RULE})", NAME)
_DURATION = Duration()
_ACTION = Text("an action, such as edr.get_host", ACTION_NAME)
_PEOPLE = ListOf(TEXT, "[role:soc_lead]", unique=True)
_IDS = ListOf(_ID, "[find, ask]", unique=True)
_NO_ARGUMENTS: Template = parse_value({})

_RETRY = Record(
    "'retry'",
    "{attempts: 5, wait: 2s}",
    (
        Key("attempts", Number(1, 100), "How many attempts in all"),
        Key("wait", Duration(minimum_s=0.001, maximum_s=86400), "The time before the second attempt"),
        Key("factor", Number(1, 10, fraction=True), "What each further wait is multiplied by"),
        Key("max_wait", Duration(minimum_s=0.001, maximum_s=86400), "The longest wait"),
        Key(
            "kinds",
            ListOf(Choice(ERROR_KINDS), "[rate_limited, unavailable]", unique=True),
            "The errors to retry after",
        ),
    ),
    lambda values, _: _retry(values),
)
_UNDO_ACTION = Record(
    "'undo'",
    "{action: edr.release_host, with: {...}}",
    (
        Key("action", _ACTION, "The action that undoes the change", required=True),
        Key("with", MAP_TEMPLATE, "Its arguments"),
    ),
    lambda values, _: UndoOverride(values["action"], values.get("with", _NO_ARGUMENTS)),
)
_UNDO = OneOf(
    "none, or a map such as {action: edr.release_host, with: {...}}",
    scalar=Choice(("none",), lambda _: UndoOverride(None, None)),
    mapping=_UNDO_ACTION,
)
_ESCALATE = Record(
    "'escalate'",
    "{to: [role:ciso], within: 30m}",
    (
        Key("to", _PEOPLE, "Who may decide besides", required=True),
        Key("within", _DURATION, "How long they have", required=True),
    ),
    lambda values, _: Escalation(values["to"], values["within"]),
)
_READ_WAIT = Record(
    "a 'wait' for a read",
    "{action: edr.isolation_of, with: {...}, until: result.state == 'isolated', every: 10s, at_most: 5m}",
    (
        Key("action", _ACTION, "The read action to repeat", required=True),
        Key("with", MAP_TEMPLATE, "Its arguments"),
        Key("until", EXPRESSION, "Whether the 'result' is what is waited for", required=True),
        Key("every", _DURATION, "The time from one read to the next", required=True),
        Key("at_most", _DURATION, "The longest wait", required=True),
    ),
    lambda values, _: ReadWait(
        values["action"], values.get("with", _NO_ARGUMENTS), values["until"], values["every"], values["at_most"]
    ),
)
_EVENT_WAIT = Record(
    "a 'wait' for an event",
    "{event: scan_finished, when: event.host == inputs.hostname, at_most: 2h}",
    (
        Key("event", TEXT, "The name of the event", required=True),
        Key("when", EXPRESSION, "Whether it is the one that is waited for"),
        Key("at_most", _DURATION, "The longest wait", required=True),
    ),
    lambda values, _: EventWait(values["event"], values.get("when"), values["at_most"]),
)


class _Wait(Kind):
    """A duration, a read that is repeated, or an event."""

    expected = "a duration, {action, with, until, every, at_most} or {event, when, at_most}"
    forms: ClassVar[dict[str, Kind | None]] = {
        "for a time": _DurationTemplate(as_template=False),
        "for a read": _READ_WAIT,
        "for an event": _EVENT_WAIT,
    }

    def read(self, node: Node, report: Report) -> Any:
        entries = getattr(node, "entries", {})
        if isinstance(node, Scalar):
            form = "for a time"
        elif "event" in entries:
            form = "for an event"
        elif "action" in entries:
            form = "for a read"
        else:
            return report.wrong_type(node, self.expected)
        kind = self.forms[form]
        assert kind is not None
        return kind.read(node, report)

    def schema(self) -> Schema:
        return {"anyOf": [kind.schema() for kind in self.forms.values() if kind is not None]}


_STOP = Record(
    "'stop'",
    "{status: succeeded, message: nothing to do}",
    (
        Key("status", Choice(("succeeded", "failed")), "How the playbook ends", required=True),
        Key("message", TEXT_TEMPLATE, "Why"),
    ),
)
_CONCURRENCY = Record(
    "'concurrency'",
    '{key: "{{ inputs.hostname }}", on_conflict: queue}',
    (
        Key("key", TEXT_TEMPLATE, "Runs with the same key are not under way at the same time", required=True),
        Key("on_conflict", Choice(("queue", "join", "reject")), "What happens to the later run; queue if left out"),
    ),
    lambda values, _: Concurrency(values["key"], values.get("on_conflict", "queue")),
)


def _retry(values: dict[str, Any]) -> Retry:
    kinds = values.get("kinds")
    standard = Retry()
    return Retry(
        attempts=values.get("attempts", standard.attempts),
        wait_s=values.get("wait", standard.wait_s),
        factor=values.get("factor", standard.factor),
        max_wait_s=values.get("max_wait", standard.max_wait_s),
        kinds=None if kinds is None else frozenset(kinds),
    )


COMMON_KEYS = (
    Key("id", _ID, "Its name, unique in the playbook; others read it as steps.<id>"),
    Key("name", TEXT, "What people see"),
    Key(
        "needs",
        ListOf(_ID, "[find, ask]", unique=True, empty=True),
        "The siblings it waits for, instead of the one before",
    ),
    Key("when", EXPRESSION, "Whether it runs; if false it is skipped"),
    Key("on_error", _OnError(), "continue, or the steps that run when it has failed"),
    Key("phase", Choice(tuple(Phase), Phase), "The phase of incident response"),
)
LOOP_KEYS = (
    Key("for_each", EXPRESSION, "The list whose items it is done for"),
    Key("as", _ID, "What the item is called; 'item' if left out"),
    Key("concurrency", Number(1, 1000), "How many items at the same time; 10 if left out"),
    Key("batch", Number(1, 10_000), "Items are lists of this many entries"),
    Key("max_failures", _MaxFailures(), "How many items may fail before the step does: a count or 10%"),
    Key("stop_after", Number(1, 1_000_000), "After how many failures no more items are started"),
)
WHILE_KEYS = (
    Key("while", EXPRESSION, "Whether the block is done once more; asked after each pass"),
    Key("at_most", Number(1, 10_000), "The greatest number of passes"),
)
_WITH = Key("with", MAP_TEMPLATE, "The arguments")
_BY = Key("by", _PEOPLE, "Who may do it: role:<role> or a person", required=True)
_WITHIN = Key("within", _DURATION, "How long they have", required=True)


@dataclass(frozen=True, slots=True)
class StepKind:
    """One kind of step: the key that makes a step one, and the keys that go with it besides the common ones."""

    key: Key
    own: tuple[Key, ...] = ()
    loops: bool = False
    repeats: bool = False

    @property
    def name(self) -> str:
        return self.key.name

    @property
    def keys(self) -> tuple[Key, ...]:
        """Return every key that may stand in such a step."""
        loops = (LOOP_KEYS if self.loops else ()) + (WHILE_KEYS if self.repeats else ())
        return (self.key, *self.own, *COMMON_KEYS, *loops)


STEP_KINDS = (
    StepKind(
        Key("action", _ACTION, "Calls an action: capability.verb or instance.verb", required=True),
        (
            _WITH,
            Key("retry", _RETRY, "How it is tried again"),
            Key("timeout", Duration(maximum_s=86400), "The bound of one attempt"),
            Key("hold", _DurationTemplate(as_template=True), "The change is undone after this time"),
            Key("undo", _UNDO, "none, or the action that undoes the change instead of the declared one"),
            Key("at", EXPRESSION, "The instances it is limited to, by name or tag:<word>"),
            Key(
                "if_unsupported",
                Choice(("fail", "skip")),
                "What happens where the product that owns the target cannot do it; fail if left out",
            ),
        ),
        loops=True,
    ),
    StepKind(
        Key("playbook", Text("the ID of a playbook", PLAYBOOK_ID), "Runs another playbook", True), (_WITH,), loops=True
    ),
    StepKind(
        Key("approve", TEXT_TEMPLATE, "Waits for a decision: the question", required=True),
        (
            _BY,
            _WITHIN,
            Key("quorum", Number(1, 100), "How many must approve"),
            Key("escalate", _ESCALATE, "Who may decide when nobody has in time"),
            Key("covers", _IDS, "The steps it covers, instead of every change written after it"),
        ),
    ),
    StepKind(
        Key("ask", TEXT_TEMPLATE, "A manual task: what a person is to do", required=True),
        (Key("form", FORM, "The fields of the answer", required=True), _BY, _WITHIN),
    ),
    StepKind(Key("wait", _Wait(), "Waits for a time, a read or an event", required=True)),
    StepKind(
        Key("set", MapOf(EXPRESSION, "{total: inputs.a + inputs.b}", empty=False), "Computes variables", required=True)
    ),
    StepKind(Key("release", EXPRESSION, "Closes the holds of these targets by their inverse", required=True)),
    StepKind(
        Key("steps", StepsKey(), "A block: its steps one after the other", required=True), loops=True, repeats=True
    ),
    StepKind(Key("parallel", StepsKey(), "A block: its steps all at once", required=True), loops=True, repeats=True),
    StepKind(Key("stop", _STOP, "Ends this playbook", required=True)),
)

PLAYBOOK_KEYS = (
    Key("id", _PLAYBOOK_ID, "How it is called", required=True),
    Key("name", TEXT, "What people see"),
    Key("version", Number(1, 1_000_000_000), "Counts up when it changes"),
    Key("description", TEXT, "What it does, for people"),
    Key("phase", Choice(tuple(Phase), Phase), "The phase of incident response"),
    Key("severity", Choice(("low", "medium", "high", "critical")), "How severe the incidents are it answers"),
    Key("attack", ListOf(_TECHNIQUE, "[T1486]", unique=True), "MITRE ATT&CK techniques it answers"),
    Key("owner", TEXT, "Who keeps it"),
    Key("tags", ListOf(TEXT, "[ransomware]", unique=True), "Words to find it by"),
    Key("references", ListOf(TEXT, "[https://example.com/runbook]", unique=True), "Where to read on"),
    Key("inputs", DECLARATIONS, "What it takes, by name"),
    Key("vars", MapOf(ANY_TEMPLATE, '{channel: "#incidents"}'), "Values with a name, computed when the run starts"),
    Key("triggers", TRIGGERS, "What starts it by itself"),
    Key("steps", StepsKey(), "What it does", required=True),
    Key("on_failure", StepsKey(), "Runs once, at the first failure that nothing continued"),
    Key("finally", StepsKey(), "Runs at the end, always"),
    Key("outputs", MapOf(ANY_TEMPLATE, '{host: "{{ steps.find }}"}'), "What it gives"),
    Key("timeout", _DURATION, "The longest run; after it the run is cancelled"),
    Key("concurrency", _CONCURRENCY, "Which runs may not be under way at the same time"),
)  # fmt: skip
