"""Text that attackers choose stays text: nothing in it is evaluated, and it never chooses its own type (rule 30)."""

from __future__ import annotations

import html
import json
from typing import Any

import pytest
from drill import Drill, Place

from hikeshi.playbook.inputs import WrongInputs
from hikeshi.testing.estate import Alert
from hikeshi.testing.manufacturer import FILE_SERVER, HOSTILE_NAMES

pytestmark = pytest.mark.safety(30)

MORE = (
    "{{ 6*7 }}{{ run.id }}",
    "${env:HOME}",
    "${file:/etc/hostname}",
    "<!channel>",
    "<@U012AB3CD> <https://evil.example|your bank>",
    "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "true",
    "0x10",
    "null",
    '{"kind": "host", "id": "*"}',
    "%s %(name)s {0} {0.__class__}",
    "$(reboot) `id` ; rm -rf / #",
    "'; DROP TABLE runs; --",
    "<script>alert(1)</script>&amp;",
    "\u202efdp.exe \u0000\u001b[31m",
    "*[a](b)* _c_ ~d~ `e` @here",
)
HOSTILE = (*HOSTILE_NAMES, *MORE)
TELL_ALERTS = """
id: tell-alerts
name: Tell every alert of a day
inputs:
  note: {type: string, default: none}
steps:
  - id: alerts
    action: edr.list_alerts
    with: {since_s: 259200}
  - id: each
    for_each: "steps.alerts"
    as: alert
    steps:
      - id: remember
        set: {name: "alert.host_name", text: "alert.title", same: "alert.host_name == alert.host_name"}
      - id: tell
        action: messaging.post
        with: {channel: "#security", text: "{{ alert.title }} on {{ alert.host_name }}, note {{ inputs.note }}"}
  - id: all
    set: {names: "steps.alerts | map(attribute='host_name')"}
outputs:
  names: "{{ vars.names }}"
  remembered: "{{ steps.each | map(attribute='output') | map(attribute='remember') | map(attribute='name') }}"
  note: "{{ inputs.note }}"
"""


@pytest.fixture
def attacked(drill: Drill, place: Place) -> Drill:
    """A project that tells alerts, on an estate whose only alerts have hostile names."""
    place.estate.alerts.clear()
    for number, name in enumerate(HOSTILE):
        add_alert(place, f"h{number:02}", name)
    drill.add_playbook("tell-alerts", TELL_ALERTS)
    return drill


def add_alert(place: Place, alert_id: str, name: str) -> None:
    title = f"Unknown device {name}"
    place.estate.alerts[alert_id] = Alert(alert_id, place.estate.base, "medium", title, host_name=name)


def messages(place: Place) -> list[str]:
    """Return what the people read: Slack shows the three entities as the characters they stand for."""
    return [html.unescape(text) for channel, text in place.said() if channel == "security"]


async def test_hostile_names_stay_text_everywhere(attacked: Drill, place: Place) -> None:
    """In outputs, variables, messages, the journal and the timeline the names are what the attacker wrote."""
    outcome = await attacked.run("tell-alerts", {})

    assert outcome.status == "succeeded"
    assert sorted(outcome.report["outputs"]["names"]) == sorted(HOSTILE)
    assert sorted(outcome.report["outputs"]["remembered"]) == sorted(HOSTILE)
    assert sorted(messages(place)) == sorted(f"Unknown device {name} on {name}, note none" for name in HOSTILE)
    values = [event["values"] for event in outcome.events if event["kind"] == "ValuesSet" and "name" in event["values"]]
    assert sorted(each["name"] for each in values) == sorted(HOSTILE)
    assert all(isinstance(each["text"], str) for each in values)
    everything = json.dumps([outcome.report, [event | {"at": ""} for event in outcome.events]], ensure_ascii=False)
    assert "{{ 7*7 }}" in everything
    assert "Unknown device 49" not in everything
    assert all("Unknown device 49" not in text for text in [outcome.told, *messages(place)])


async def test_no_message_notifies_or_disguises_by_what_an_attacker_wrote(attacked: Drill, place: Place) -> None:
    """`<!channel>`, mentions and disguised links arrive as characters, not as Slack's own markup."""
    await attacked.run("tell-alerts", {})

    raw = [text for channel, text in place.said() if channel == "security"]
    assert all("<" not in text and ">" not in text for text in raw)
    sent = [change["body"] for change in place.changes("slack")]
    assert {(body["parse"], body["link_names"], body["unfurl_links"]) for body in sent} == {("none", False, False)}


async def test_references_to_secrets_and_files_are_not_followed(
    attacked: Drill, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`${env:...}` in an alert or an input is text; the value of the variable turns up nowhere."""
    monkeypatch.setenv("HIKESHI_BAIT", "the-bait-was-taken")
    add_alert(place, "bait", "${env:HIKESHI_BAIT}")

    outcome = await attacked.run("tell-alerts", {"note": "${env:HIKESHI_BAIT}"})

    assert outcome.report["outputs"]["note"] == "${env:HIKESHI_BAIT}"
    assert "${env:HIKESHI_BAIT}" in outcome.report["outputs"]["names"]
    everything = repr([outcome.report, outcome.events, outcome.told, messages(place)])
    assert "the-bait-was-taken" not in everything


@pytest.mark.parametrize("note", HOSTILE, ids=range(len(HOSTILE)))
async def test_an_input_is_not_evaluated(attacked: Drill, place: Place, note: str) -> None:
    """The value of a text input comes out as it went in."""
    place.estate.alerts.clear()
    add_alert(place, "one", "pc-1")

    outcome = await attacked.run("tell-alerts", {"note": note})

    assert outcome.report["outputs"]["note"] == note
    assert messages(place) == [f"Unknown device pc-1 on pc-1, note {note}"]


@pytest.mark.parametrize("title", ["{{ 7*7 }}", "{% raw %}", "<!channel> ${env:HOME}", "{{ steps.tell }} ['*']"])
async def test_the_title_of_a_notification_is_not_evaluated(drill: Drill, place: Place, title: str) -> None:
    """What is handed on to a sub-playbook or a message is not evaluated a second time."""
    inputs = {"hostname": FILE_SERVER, "reason": title, "severity": "low"}

    outcome = await drill.run("contain-host", inputs)

    assert outcome.status == "succeeded"
    assert [html.unescape(text) for _, text in place.said()] == [
        f"[LOW] {FILE_SERVER} is contained\n"
        f"Reason: {title}. Do not switch it off or reinstall it; the response team examines it."
    ]


TRICKS = (
    "{{ 40+9 }}",
    "{% for x in range(9) %}x{% endfor %}",
    "${env:HOME}",
    "<!channel>",
    f"x'+hostname:'{FILE_SERVER}",
    f"x',hostname:'{FILE_SERVER}",
    f"{FILE_SERVER}' or '1'='1",
    f"{FILE_SERVER}\\",
    "x&filter=&limit=1",
    "../../oauth2/token",
    "[]",
    "!",
    "%",
)


@pytest.mark.parametrize("name", TRICKS)
async def test_a_host_name_is_looked_up_as_text(drill: Drill, place: Place, name: str) -> None:
    """A name that is a template, a filter or a path finds no host, and the error repeats it as it was given."""
    outcome = await drill.run("isolate-host", {"hostname": name})

    error = outcome.steps["find"]["error"]
    assert outcome.status == "failed"
    assert error["kind"] in ("not_found", "invalid")
    assert repr(name) in error["message"]
    assert "49" not in error["message"].replace(name, "")
    assert place.changes() == []
    assert place.isolated() == []


@pytest.mark.parametrize("name", [*TRICKS, f"{FILE_SERVER}' or upn ne '", "x%27 or 1 eq 1", "me", "../users"])
async def test_an_account_name_is_looked_up_as_text(drill: Drill, place: Place, name: str) -> None:
    """A name that is a template, a filter or a path finds no account."""
    outcome = await drill.run("restrict-user", {"user": name})

    assert outcome.steps["find"]["error"]["kind"] == "not_found"
    assert place.changes() == []


@pytest.mark.parametrize(
    "name",
    [
        "",
        "   ",
        "*",
        "['*']",
        "{{ 7*7 }}",
        "fs-*",
        "fs-tyo-0?",
        'fs-tyo-01\n"}],"ids":["*"]',
        "a\u0000b",
        "a" * 10_000_000,
        ["*"],
        7,
    ],
    ids=lambda name: repr(name)[:20],
)
@pytest.mark.parametrize("mode", ["run", "plan"])
async def test_a_host_name_that_cannot_name_one_host_is_refused(
    drill: Drill, place: Place, mode: str, name: Any
) -> None:
    """Nothing, a wildcard, control characters, ten million characters or a list: refused before the run begins."""
    with pytest.raises(WrongInputs, match="hostname: ") as caught:
        await getattr(drill, mode)("isolate-host", {"hostname": name})

    assert len(str(caught.value)) < 1000
    assert not drill.hikeshi.journal_path.exists()
    assert place.requests("crowdstrike").total() == 0


@pytest.mark.parametrize("indicator", ["{{ 7*7 }}", "*", "0.0.0.0/0", "::/0", "*.example.com", "co.jp", "<!channel>"])
async def test_an_indicator_that_names_too_much_or_nothing_is_refused(
    drill: Drill, place: Place, indicator: str
) -> None:
    """Templates, wildcards and whole networks are no indicators, and nothing is blocked."""
    with pytest.raises(WrongInputs, match="indicators"):
        await drill.run("block-indicators", {"indicators": ["192.0.2.1", indicator]})

    assert place.requests("panos").total() == 0


async def test_ten_megabytes_of_name_are_text_like_any_other(attacked: Drill, place: Place) -> None:
    """An absurdly long name is told with the others, cut to what Slack takes, with a note of what is missing."""
    huge = "A{{ 7*7 }}" * 1_000_000
    add_alert(place, "huge", huge)
    place.estate.alerts["huge"].title = "A long one"

    outcome = await attacked.run("tell-alerts", {})

    assert outcome.status == "succeeded"
    assert huge in outcome.report["outputs"]["remembered"]
    told = messages(place)
    assert len(told) == len(HOSTILE) + 1
    (cut,) = [message for message in told if message.startswith("A long one on A{{ 7*7 }}A{{ 7*7 }}")]
    assert len(cut) <= 40_000
    assert cut.endswith("characters cut)")
    assert len(outcome.told) < 100_000
