"""Playbook text to the types of the language, or to everything that is wrong with it."""

from __future__ import annotations

import hashlib
from typing import Any

from hikeshi.playbook.model import Playbook, StepList
from hikeshi.playbook.parse_keys import PLAYBOOK_KEYS
from hikeshi.playbook.parse_record import read_keys
from hikeshi.playbook.parse_report import Invalid, Report
from hikeshi.playbook.parse_steps import StepsReader, Surroundings
from hikeshi.playbook.problem import Problem, in_order
from hikeshi.playbook.yaml_tree import Fault, Mapping, Scalar, parse_yaml

__all__ = ["load_playbook"]

_STEP_LISTS = (
    Surroundings("steps"),
    Surroundings("on_failure", "in 'on_failure'"),
    Surroundings("finally", "in 'finally'"),
)


def load_playbook(text: str, file: str) -> tuple[Playbook | None, list[Problem]]:
    """Return the playbook of a file, or None and all its problems in the order of the text.

    `file` is the name that positions give. Nothing outside the text is looked at: whether its actions and playbooks
    exist is for `check_playbook`. Raises RuntimeError if ruamel.yaml's C parser is not installed.
    """
    report = Report(file)
    root, faults = parse_yaml(text)
    for fault in faults:
        _report_fault(fault, report)
    playbook = None
    if isinstance(root, Mapping):
        playbook = _playbook(root, text, report)
    elif root is not None:
        report.wrong_type(root, "a playbook: a map with the keys id and steps")
    problems = in_order(report.problems)
    return (None if problems else playbook), problems


def _report_fault(fault: Fault, report: Report) -> None:
    report.add(fault.code, fault.message, Scalar(None, fault.line, fault.column, None))


def _playbook(root: Mapping, text: str, report: Report) -> Playbook | None:
    values = read_keys(PLAYBOOK_KEYS, root, report, "a playbook")
    steps = _step_lists(root, report)
    if report.problems or any(isinstance(found, Invalid) for found in steps.values()):
        return None
    return Playbook(
        id=values["id"],
        name=values.get("name", values["id"]),
        version=values.get("version", 1),
        description=values.get("description", ""),
        phase=values.get("phase"),
        severity=values.get("severity"),
        attack=values.get("attack", ()),
        owner=values.get("owner"),
        tags=values.get("tags", ()),
        references=values.get("references", ()),
        inputs=values.get("inputs", {}),
        vars=values.get("vars", {}),
        triggers=values.get("triggers", ()),
        steps=steps["steps"],
        on_failure=steps["on_failure"],
        finally_=steps["finally"],
        outputs=values.get("outputs", {}),
        timeout_s=values.get("timeout"),
        concurrency=values.get("concurrency"),
        source=text,
        digest=hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest(),
        position=report.position(root),
    )


def _step_lists(root: Mapping, report: Report) -> dict[str, Any]:
    reader = StepsReader(report)
    found: dict[str, Any] = {}
    for around in _STEP_LISTS:
        entry = root.entries.get(around.list_name)
        found[around.list_name] = StepList(()) if entry is None else reader.read(entry.value, around)
    return found
