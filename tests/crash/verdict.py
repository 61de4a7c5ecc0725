"""The judgement of one case, from what the product has processed and what the journal says of it.

lost      an effect did not happen, or happened and the run does not know it
doubled   an effect happened twice, or something that was confirmed was asked again
stuck     the run neither ends nor waits for a person who is really needed
wrong     sent before it was stored, a story that is not complete, a journal that is not intact
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from evidence import Ending, Told
from playbooks import Playbook
from product import CLASSES
from simulator import Arrival

__all__ = ["KINDS", "Moment", "Verdict", "judge"]

KINDS = ("lost", "doubled", "stuck", "wrong")


@dataclass(frozen=True)
class Moment:
    """How things stood when a process of the case had ended, or was interrupted.

    `how`: killed, done, halted, failed, hangs; stopped and waits for a process that goes on later.
    """

    how: str
    arrivals: Sequence[Arrival]
    told: Told
    detail: str = ""
    stale: bool = False  # its process had lost the run: it may still read, and nothing else


@dataclass
class Verdict:
    """What one case came to: each problem by its kind, and whether a person was asked."""

    problems: list[tuple[str, str]] = field(default_factory=list)
    asked: bool = False
    kills: int = 0
    halts: int = 0  # processes that ended by themselves, since the journal could not be written or was not theirs
    interruptions: int = 0

    def add(self, kind: str, text: str) -> None:
        self.problems.append((kind, text))

    @property
    def kinds(self) -> set[str]:
        return {kind for kind, _ in self.problems}


def judge(playbook: Playbook, moments: Sequence[Moment], ending: Ending | None) -> Verdict:
    """Judge a case by the moments at which its processes ended, and by what was left in the end."""
    ways = Counter(moment.how for moment in moments)
    interruptions = ways["killed"] + ways["halted"] + ways["stopped"]
    verdict = Verdict(kills=ways["killed"], halts=ways["halted"], interruptions=interruptions)
    verdict.asked = any(moment.told.unknown for moment in moments)
    _judge_moments(playbook, moments, verdict)
    last = moments[-1]
    if ending is None:
        verdict.add("stuck", f"it ended neither well nor badly, and waits for nobody: {last.how} {last.detail}".strip())
        return verdict
    _judge_effects(playbook, last, verdict)
    _judge_messages(playbook, last, verdict)
    if last.told.runs != 1 + len(playbook.later):
        verdict.add("wrong", f"there are {last.told.runs} runs, not {1 + len(playbook.later)}")
    for gap in ending.gaps:
        verdict.add("wrong", f"the story is not complete: {gap}")
    expected = {playbook.ends, "failed"} if last.told.denied else {playbook.ends}
    if last.told.finished not in expected or ending.status != last.told.finished:
        verdict.add("wrong", f"it ended as {last.told.finished} (folded: {ending.status}), not as {playbook.ends}")
    return verdict


def _judge_moments(playbook: Playbook, moments: Sequence[Moment], verdict: Verdict) -> None:
    undone = {effect.partition(" ")[2] for effect in playbook.effects if effect.startswith(("release ", "unblock "))}
    before = Moment("begin", [], Told())
    for moment in moments:
        if moment.how in ("failed", "hangs"):
            verdict.add("stuck", f"a process {moment.how}: {moment.detail}")
        for problem in moment.told.problems:
            verdict.add("wrong", problem)
        for effect in {each.effect for each in moment.arrivals if each.result != "read"} - moment.told.intended:
            verdict.add("wrong", f"{effect} was sent before it was stored that it would be")
        again = {
            each.effect
            for each in moment.arrivals[len(before.arrivals) :]
            # What is undone is read again for that, by right.
            if each.result != "read" or not (moment.stale or each.effect.partition(" ")[2] in undone)
        }
        if moment.stale:  # both may have told people, who are told so: see _judge_messages
            again -= {effect for effect in again if _class(effect) == "notification"}
        for effect in again & before.told.confirmed:
            verdict.add("doubled", f"{effect} was confirmed, and asked again")
        for path, effects in moment.told.unknown.items():
            known = [effect for effect in effects if CLASSES[effect.partition(" ")[0]] != "manual"]
            if known or not effects:
                verdict.add("stuck", f"{path} waits for a person, though the product could be asked: {known}")
        before = moment


def _judge_effects(playbook: Playbook, last: Moment, verdict: Verdict) -> None:
    applied = Counter(each.effect for each in last.arrivals if each.result == "applied")
    told = last.told
    for effect in applied.keys() - set(playbook.effects):
        verdict.add("wrong", f"{effect} was never asked for")
    for effect in playbook.effects:
        happened, word = applied[effect] > 0, told.outcomes.get(effect)
        if _class(effect) != "notification" and applied[effect] > 1:
            verdict.add("doubled", f"{effect} happened {applied[effect]} times")
        if not happened and told.denied and (effect in told.denied or word is None):
            continue  # a person said that it did not happen, and what needs it did not run
        if not happened:
            verdict.add("lost", f"{effect} did not happen, and the run says {word}")
        elif word not in ("done", "already"):
            verdict.add("lost", f"{effect} happened, and the run says {word}")


def _judge_messages(playbook: Playbook, last: Moment, verdict: Verdict) -> None:
    """What may be sent again is sent again only for a reason, and people who may have been told twice are told so."""
    sent = Counter(each.effect for each in last.arrivals if each.result in ("applied", "repeated"))
    reasons = verdict.interruptions + sum(fault.get("times", 1) for fault in playbook.faults)
    for effect in _of("notification", "idempotent", playbook.effects):
        if sent[effect] > 1 + reasons:
            verdict.add("doubled", f"{effect} was sent {sent[effect]} times, with {reasons} reasons to repeat it")
        if _class(effect) == "notification" and sent[effect] > 1 and effect not in last.told.repeated:
            verdict.add("doubled", f"{effect} was said {sent[effect]} times, and nobody is told so")


def _of(one: str, other: str, effects: Iterable[str]) -> list[str]:
    return [effect for effect in effects if _class(effect) in (one, other)]


def _class(effect: str) -> str:
    return CLASSES[effect.partition(" ")[0]]
