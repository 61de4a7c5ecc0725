"""How two plans differ, in one line each: what is done to whom, under which condition, and what was read for it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from hikeshi.report.plan import lasting_action

__all__ = ["plan_differences"]

_WORDS = {
    "action": "the action",
    "connector": "where it goes",
    "target": "the target",
    "certainty": "whether it is certain",
    "condition": "its condition",
    "requests": "what would be sent",
    "complete": "whether all requests are shown",
    "already": "whether it is so already",
    "prior": "the state of its target",
    "hold_s": "how long it is held",
    "approvals": "which approvals it needs",
    "consents": "which approvals the guardrails require",
}

Report = Mapping[str, Any]


def plan_differences(before: Report, after: Report) -> list[dict[str, Any]]:
    """Return how the report of a plan differs from that of an earlier one: `[{path, what, was, now, text}]`."""
    return [*_inputs(before, after), *_actions(before, after), *_reads(before, after), *_problems(before, after)]


def _difference(path: str, what: str, was: Any, now: Any, text: str) -> dict[str, Any]:
    return {"path": path, "what": what, "was": was, "now": now, "text": text}


def _inputs(before: Report, after: Report) -> Iterator[dict[str, Any]]:
    for name in sorted({*before["inputs"], *after["inputs"]}):
        was, now = before["inputs"].get(name), after["inputs"].get(name)
        if was != now:
            yield _difference("", f"inputs.{name}", was, now, f"the input {name!r} differs")


def _actions(before: Report, after: Report) -> Iterator[dict[str, Any]]:
    old, new = _by_path(before["actions"]), _by_path(after["actions"])
    for path in [*old, *(path for path in new if path not in old)]:
        was, now = old.get(path), new.get(path)
        if was is None or now is None:
            shown = was or now
            assert shown is not None
            word = "is not done any more" if now is None else "is new"
            yield _difference(path, "action", was, now, f"{path}: {shown['action']} on {_label(shown)} {word}")
            continue
        for key, word in _WORDS.items():
            if was[key] != now[key]:
                yield _difference(path, key, was[key], now[key], f"{path}: {word} differs{_detail(key, was, now)}")


def _by_path(actions: Any) -> dict[str, dict[str, Any]]:
    return {action["path"]: lasting_action(action) for action in actions}


def _detail(key: str, was: Report, now: Report) -> str:
    if key == "target":
        return f": {_label(was)} then, {_label(now)} now"
    if key == "prior":
        changed = _changed_states(was["prior"], now["prior"])
        return f": {changed}" if changed else ""
    return "" if isinstance(was[key], (list, dict)) else f": {was[key]!r} then, {now[key]!r} now"


def _changed_states(was: Any, now: Any) -> str:
    if not isinstance(was, list) or not isinstance(now, list):
        return ""
    old = {entry["target"]: entry["state"] for entry in was}
    found = [
        f"{key} was {old[entry['target']].get(key)!r}, is {value!r}"
        for entry in now
        if isinstance(old.get(entry["target"]), Mapping) and isinstance(entry["state"], Mapping)
        for key, value in entry["state"].items()
        if old[entry["target"]].get(key) != value
    ]
    return ", ".join(found)


def _label(action: Report) -> str:
    target = action["target"]
    entries = target if isinstance(target, list) else [target]
    names = [str(entry["label"]) for entry in entries if isinstance(entry, Mapping) and "label" in entry]
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "") or "a target not known yet"


def _reads(before: Report, after: Report) -> Iterator[dict[str, Any]]:
    old = {read["path"]: read for read in before["reads"]}
    new = {read["path"]: read for read in after["reads"]}
    for path in [*old, *(path for path in new if path not in old)]:
        was, now = (each.get(path, {}).get("answer_sha256") for each in (old, new))
        if was != now:
            action = (old.get(path) or new[path])["action"]
            word = "was read only once" if None in (was, now) else "gives something else"
            yield _difference(path, "answer", was, now, f"{path}: {action} {word}")


def _problems(before: Report, after: Report) -> Iterator[dict[str, Any]]:
    was, now = (_messages(each) for each in (before, after))
    if was != now:
        text = "; ".join(sorted(now - was)) or "what would not have worked does now"
        yield _difference("", "problems", sorted(was), sorted(now), text)


def _messages(report: Report) -> set[str]:
    found = {f"{each['path']}: {each['error']['message']}" for each in report["problems"]}
    return found | ({report["error"]["message"]} if report["error"] is not None else set())
