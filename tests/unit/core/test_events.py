"""Events and their stored form: what goes in comes out, whatever it contains."""

import json
from dataclasses import fields
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hikeshi.core import decode_event, encode_event
from hikeshi.core import events as ev
from hikeshi.core.codec import UnknownEvent
from hikeshi.core.events import EVENTS, ErrorRecord, Event
from hikeshi.journal import decode_record, encode_record
from hikeshi.playbook.unknown import Unknown
from hikeshi.report.timeline import timeline

AT = datetime(2026, 3, 2, 9, 0, 0, 123456, tzinfo=UTC)
UNKNOWN = Unknown("Isolation", "the action is only planned")
LOOKS_UNKNOWN = {"$hikeshi": "unknown", "of": "Isolation", "why": "an attacker says so"}
LOOKS_WRAPPED = {"$hikeshi": "data", "value": {"x": 1}}
ODD = {"text": "\ud800 {{ 1 }} \u0000", "n": [1, 1.5, True, None], "deep": {"a": [{"b": LOOKS_UNKNOWN}]}, "": "key"}
ERROR = ErrorRecord("ambiguous", "two", "maybe", 1.5, [{"id": "1", "$hikeshi": "unknown"}])

SAMPLES: list[Event] = [
    ev.RunStarted("", "t", {"t": "id: t"}, {"t": "d"}, {"x": ODD}, "kei", "plan", {"a.b": {"instances": {}}}, "1", "o"),
    ev.RunTakenOver("", "o2"),
    ev.StepSkipped("a", "`when` is false"),
    ev.StepStarted("a", maybe=True),
    ev.LoopStarted("a", [1, UNKNOWN, LOOKS_UNKNOWN], more_unknown=True),
    ev.ActionRequested("a", "edr.get_host", {"name": UNKNOWN, "other": LOOKS_WRAPPED}, ["fake"], maybe=True),
    ev.FannedOut("a", "messaging.post", {"fake": {"text": LOOKS_UNKNOWN}}, maybe=True),
    ev.PlaybookEntered("a", {"x": UNKNOWN}, maybe=True),
    ev.PlaybookFinished("a", {"x": ODD}, ERROR),
    ev.VariablesSet("", {"x": LOOKS_UNKNOWN}, ERROR),
    ev.ValuesSet("a", {"x": [UNKNOWN, LOOKS_UNKNOWN, LOOKS_WRAPPED]}, maybe=True),
    ev.StopReached("a", "failed", UNKNOWN, maybe=True),
    ev.DecisionFailed("a", ERROR),
    ev.ActionIntended("a", 2, "edr.isolate_host", "fake", "k", [{"identity": "i", "label": "l"}], [ODD], True),
    ev.HoldsOpened(
        "a",
        "edr.isolate_host",
        "fake",
        [ev.OpenedHold("h", "i", "l", ODD, LOOKS_WRAPPED), ev.OpenedHold("h2", "i2", "l2", UNKNOWN, LOOKS_UNKNOWN)],
        {"action": "x", "arguments": LOOKS_UNKNOWN},
        "hosts",
        AT,
    ),
    ev.TargetsSettled(
        "a",
        [
            ev.SettledTarget("i", "unknown", ERROR, "h"),
            ev.SettledTarget("i2", "done", None, "h2", {"odd": ODD, "looks": LOOKS_WRAPPED, "unknown": UNKNOWN}),
        ],
    ),
    ev.ActionSucceeded("a", 2, ODD, already=True),
    ev.ActionFailed("a", 1, ERROR),
    ev.ActionUnknown("a", 1, ERROR),
    ev.ChangeRefused("a", 1, "protected", "guardrails.protected[0]", "dc01", "it is", "role:admin", stops=True),
    ev.PlanSaved("", "d", AT, "kei"),
    ev.ConsentNeeded("a", 1, "hikeshi.yaml:3", "Go?", ["mei"], 2, 60.0, [{"action": "x", "target": "t"}]),
    ev.TargetsCounted("a", [{"key": "k", "target": "t", "rule": "r", "most": 1, "within_s": None, "consented": False}]),
    ev.PlanDenied("", "kei", ["too old"]),
    ev.PlanTaken("", "r-2", "kei"),
    ev.ActionPlanned("a", "edr.x", "change", None, UNKNOWN, [LOOKS_UNKNOWN], False, ["all"], UNKNOWN, True),
    ev.RetryScheduled("a", 2, AT),
    ev.TimerFired("a"),
    ev.StepFailed("a", ERROR),
    ev.StepResolved("a", True, "kei", ODD),
    ev.HandlerStarted("a"),
    ev.OnFailureStarted(""),
    ev.FinallyStarted(""),
    ev.RunFinished("", "failed", {"x": UNKNOWN}, ["a"], ERROR),
    ev.RunParked("", AT, [["edr.alert", 3]], queued=True),
    ev.RunJoined("", "mei", "again"),
    ev.KeyAcquired("a", "host pc1"),
    ev.KeyRefused("", "host pc1", "r-0", joined=True),
    ev.StepPlanned("a", UNKNOWN, [{"approve": LOOKS_UNKNOWN, "by": ["role:soc_lead"], "quorum": 2}], maybe=True),
    ev.StepCancelled("a"),
    ev.PassStarted("a", 0, maybe=True),
    ev.WhileEnded("a", more_unknown=True),
    ev.UndoSet("a", {"action": "x", "arguments": LOOKS_WRAPPED}, ERROR),
    ev.ApprovalHeld("a", "go"),
    ev.ApprovalBegan("go", "Isolate it?"),
    ev.QuestionAsked("go", "approval", "?", ["role:x"], 2, AT, "d", [LOOKS_UNKNOWN], ["n"], [ODD], "go", 2),
    ev.QuestionEscalated("go", ["role:x", "mei"], AT),
    ev.VoteCast("go", "reject", "mei", "d", "not now", 7),
    ev.FormAnswered("a", "mei", {"x": ODD}, 8),
    ev.MessageRefused("", "approve", "kei", "who started a run can't decide about it", 9),
    ev.TargetsNotShown("a", 1, "go", [{"action": "x", "target": "i", "label": "pc2"}]),
    ev.WaitStarted("a", AT, "edr.get_host", {"name": LOOKS_UNKNOWN}, "edr.alert"),
    ev.SignalArrived("a", 4, LOOKS_UNKNOWN),
    ev.SignalPassed("a", 4),
    ev.WaitEnded("a", LOOKS_UNKNOWN),
    ev.ReleaseRequested("a", [LOOKS_UNKNOWN, "h"]),
    ev.HoldsFound("a", [{"hold": "h", "action": "x", "arguments": ODD, "target": "i", "label": "l"}]),
    ev.HoldReleased("a", "h", "passed_on", "h2"),
    ev.HoldExtended("", "h", AT, "mei", "still looking"),
    ev.CancelRequested("", "kei", "false alarm", 10),
    ev.PauseRequested("", "kei", 11),
    ev.RunResumed("", "kei", 12),
]


def through_the_journal(event: Event) -> Event:
    kind = type(event).__name__
    encoded = encode_record(run="r", seq=1, at=AT, kind=kind, path=event.path, data=encode_event(event))
    record = decode_record(encoded)
    return decode_event(record.kind, record.path, record.data)


def test_there_is_a_sample_of_every_kind_of_event() -> None:
    """A new event needs a sample here."""
    assert {type(event).__name__ for event in SAMPLES} == set(EVENTS)


@pytest.mark.parametrize("event", SAMPLES, ids=lambda event: type(event).__name__)
def test_every_event_comes_back_as_it_was_stored(event: Event) -> None:
    """Unknown values, wrapped data, odd texts and all fields, through the stored bytes."""
    assert through_the_journal(event) == event


@pytest.mark.parametrize("event", SAMPLES, ids=lambda event: type(event).__name__)
def test_fields_that_may_be_left_out_have_their_default(event: Event) -> None:
    """A record of an older version, without later fields, is read."""
    required = {f.name for f in fields(event) if str(f.default) == str(f.default_factory) and f.name != "path"}
    data = {name: value for name, value in encode_event(event).items() if name in required}
    assert type(decode_event(type(event).__name__, event.path, data)) is type(event)


def test_data_that_looks_like_an_unknown_stays_data() -> None:
    """No text from outside can make a value unknown, nor known."""
    event = through_the_journal(ev.ActionSucceeded("a", 1, {"x": LOOKS_UNKNOWN, "y": UNKNOWN}))
    assert isinstance(event, ev.ActionSucceeded)
    assert event.output == {"x": LOOKS_UNKNOWN, "y": UNKNOWN}
    assert not isinstance(event.output["x"], Unknown)


json_values: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=5) | st.just("$hikeshi") | st.just("value"), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(json_values)
def test_any_plain_data_comes_back(value: Any) -> None:
    """Property: the stored form of plain data is exact."""
    event = ev.ActionSucceeded("a", 1, value)
    assert through_the_journal(event) == event


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("ActionExploded", {}),
        ("StepStarted", {"maybe": True, "sparkle": 1}),
        ("ActionFailed", {"attempt": 1, "error": {"kind": "x", "message": "y", "colour": "red"}}),
        ("ActionFailed", {"attempt": 1, "error": "boom"}),
        ("ActionSucceeded", {"attempt": 1}),
        ("RetryScheduled", {"attempt": 1, "due_at": "tomorrow"}),
        ("ActionSucceeded", {"attempt": 1, "output": {"$hikeshi": "new mark"}}),
    ],
)
def test_a_record_of_another_version_is_refused_by_name(kind: str, data: dict[str, Any]) -> None:
    """What this version does not know is never guessed at."""
    with pytest.raises(UnknownEvent, match=kind):
        decode_event(kind, "a", data)


def test_what_is_no_plain_data_is_refused_before_it_is_stored() -> None:
    """An object has no form in the journal."""
    with pytest.raises(ValueError, match="not plain data"):
        encode_event(ev.ActionSucceeded("a", 1, object()))


@pytest.mark.parametrize("event", SAMPLES, ids=lambda event: type(event).__name__)
def test_every_event_has_its_words_in_the_timeline(event: Event) -> None:
    """Each record is one line that needs no knowledge of the engine."""
    kind = type(event).__name__
    record = decode_record(encode_record(run="r", seq=1, at=AT, kind=kind, path=event.path, data=encode_event(event)))
    (entry,) = timeline([record])
    assert entry.text
    assert (entry.seq, entry.path, entry.kind) == (1, event.path, kind)
    assert json.dumps(entry.to_json())
