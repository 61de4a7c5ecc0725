"""What MISP says of an indicator, as one opinion.

MISP itself has no verdict. It says whether an attribute is meant to be detected by (`to_ids`), who has seen it or calls
it a false positive (sightings), whether a warning list knows it as harmless or too common, and how far it has decayed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from hikeshi_connectors.misp.attribute import is_flagged

__all__ = ["Judgement", "judged"]

_SEEN, _FALSE_POSITIVE, _EXPIRED = "0", "1", "2"  # types of sightings; source: app/Model/Sighting.php
_NAMED_MOST: Final = 3
_INFO_MOST: Final = 80


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict, the reasons for it, and the event that speaks loudest."""

    verdict: str
    score: int | None
    detail: str
    event_id: str | None


def judged(attributes: Sequence[Mapping[str, Any]]) -> Judgement:
    """Return what attributes of one value come to. `score` is the best decay score, None where no model applies.

    malicious: flagged in an event, and nothing speaks against it there. suspicious: flagged, but each time on a warning
    list, called a false positive as often as it was seen, expired or decayed. unknown: in no event, or as context only.
    """
    flagged = [each for each in attributes if is_flagged(each)]
    doubts = [_doubts(each) for each in flagged]
    sure = [each for each, against in zip(flagged, doubts, strict=True) if not against]
    verdict = "malicious" if sure else "suspicious" if flagged else "unknown"
    loudest = next(iter(sure or flagged or attributes), None)
    scores = [float(entry["score"]) for each in flagged for entry in each.get("decay_score") or ()]
    return Judgement(
        verdict,
        round(min(100.0, max(0.0, *scores))) if scores else None,
        _told(attributes, flagged, doubts),
        str(loudest["event_id"]) if loudest else None,
    )


def _doubts(attribute: Mapping[str, Any]) -> list[str]:
    found = [f"on the warning list {each['warninglist_name']!r}" for each in attribute.get("warnings") or ()]
    seen, wrong = _count(attribute, _SEEN), _count(attribute, _FALSE_POSITIVE)
    if wrong and wrong >= seen:
        found.append(f"called a false positive {wrong} times, seen {seen} times")
    if _latest(attribute, _EXPIRED) > _latest(attribute, _SEEN):
        found.append("said to have expired")
    decays = attribute.get("decay_score") or ()
    if decays and all(each["decayed"] for each in decays):
        found.append("decayed")
    return found


def _count(attribute: Mapping[str, Any], kind: str) -> int:
    return sum(str(each["type"]) == kind for each in attribute.get("Sighting") or ())


def _latest(attribute: Mapping[str, Any], kind: str) -> int:
    moments = (int(each["date_sighting"]) for each in attribute.get("Sighting") or () if str(each["type"]) == kind)
    return max(moments, default=0)


def _told(
    attributes: Sequence[Mapping[str, Any]], flagged: Sequence[Mapping[str, Any]], doubts: Sequence[Sequence[str]]
) -> str:
    if not attributes:
        return "no event holds it"
    told = [f"{_events(flagged)} for detection"] if flagged else []
    context = [each for each in attributes if not is_flagged(each)]
    told += [f"{_events(context)} as context"] if context else []
    seen = sum(_count(each, _SEEN) for each in attributes)
    told += [f"seen {seen} times"] if seen else []
    told += dict.fromkeys(doubt for each in doubts for doubt in each)
    return "; ".join(told)


def _events(attributes: Sequence[Mapping[str, Any]]) -> str:
    infos = {str(each["event_id"]): str(each["Event"]["info"])[:_INFO_MOST] for each in attributes}
    shown = ", ".join(f"{name} {info!r}" for name, info in list(infos.items())[:_NAMED_MOST])
    more = len(infos) - _NAMED_MOST
    return f"in event {shown}{f' and {more} more' if more > 0 else ''}"
