"""The JSON Schema of playbooks, for editors. Made of the tables that the parser reads by."""

from __future__ import annotations

from hikeshi.playbook.parse_inputs import DECLARATION_KEYS, ITEMS
from hikeshi.playbook.parse_keys import PLAYBOOK_KEYS, STEP_KINDS, StepKind
from hikeshi.playbook.parse_kinds import Schema
from hikeshi.playbook.parse_record import schema_of_keys
from hikeshi.playbook.parse_triggers import KINDS, TRIGGER_KEYS

__all__ = ["playbook_schema"]


def playbook_schema() -> Schema:
    """Return the JSON Schema (draft 2020-12) of a playbook file.

    It knows keys and forms of values; what needs the whole playbook, such as whether a step exists, it does not.
    """
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "urn:hikeshi:playbook",
        "title": "Hikeshi playbook",
        **schema_of_keys(PLAYBOOK_KEYS),
        "$defs": {
            "steps": {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/step"}},
            "step": {"oneOf": [{"$ref": f"#/$defs/step_{kind.name}"} for kind in STEP_KINDS]},
            **{f"step_{kind.name}": _step(kind) for kind in STEP_KINDS},
            "trigger": schema_of_keys(TRIGGER_KEYS) | {"oneOf": [{"required": [kind]} for kind in KINDS]},
            "declaration": schema_of_keys(DECLARATION_KEYS),
            "items": ITEMS.schema(),
        },
    }


def _step(kind: StepKind) -> Schema:
    """Return the schema of one kind of step; keys that go with a loop need the key that makes one."""
    needed: dict[str, list[str]] = {}
    if kind.loops:
        needed |= {name: ["for_each"] for name in ("as", "concurrency", "batch", "max_failures", "stop_after")}
    if kind.repeats:
        needed |= {"while": ["at_most"], "at_most": ["while"]}
    schema = schema_of_keys(kind.keys)
    return schema | {"dependentRequired": needed} if needed else schema


if __name__ == "__main__":
    import json
    import sys

    sys.stdout.write(json.dumps(playbook_schema(), indent=2) + "\n")
