"""How a plan reads."""

from typing import Any

from hikeshi.cli.plan_pauses import pause_lines
from hikeshi.cli.plan_view import _action, _families, _summary
from hikeshi.cli.text import Styled


def action(path: str, **more: Any) -> dict[str, Any]:
    return {
        "path": path,
        "action": "edr.isolate_host",
        "connector": "falcon",
        "effect": "change",
        "certainty": "certain",
        "condition": None,
        "target": {"identity": "falcon:host:1", "label": "pc7"},
        "requests": [],
        "complete": True,
        "not_checked": [],
        "already": False,
        "hold_s": None,
        "approvals": [],
        "consents": [],
        **more,
    }


def text(**more: Any) -> str:
    lines = _action(1, action("isolate", **more))
    return "\n".join("".join(p.text if isinstance(p, Styled) else p for p in pieces) for pieces in lines)


def test_the_items_of_a_loop_are_one_family() -> None:
    """Five hundred hosts are shown as three and a count, beside other actions."""
    actions = [action(f"sweep[{n}].isolate") for n in range(500)]
    actions.append(action("notify", effect="notify"))

    assert [len(family) for family in _families(actions)] == [500, 1]


def test_the_summary_keeps_certain_and_perhaps_apart() -> None:
    """Nobody reads a maybe as a promise."""
    actions = [
        action("a"),
        action("b", certainty="maybe", condition="if a failed"),
        action("c", effect="notify"),
        action("d", already=True),
    ]

    assert _summary(actions) == "1 change, perhaps 1 more change, 1 is so already, 1 message"
    assert _summary([]) == "nothing would be done"


def test_volatile_fields_are_marked_where_they_are() -> None:
    """Only those that the body has."""
    body = {"ids": ["1"], "expiration": "2026-01-01T00:00:00Z"}
    request = {"method": "POST", "url": "https://edr.example/x", "body": body, "volatile": ["expiration", "comment"]}

    shown = text(requests=[request])

    assert "differs each time it is sent: expiration" in shown
    assert "comment" not in shown


def test_long_lists_in_bodies_are_abbreviated() -> None:
    """Three entries and how many more."""
    request = {"method": "POST", "url": "https://x", "body": {"ids": list(range(500))}, "volatile": []}

    shown = text(requests=[request])

    assert '"... and 497 more"' in shown
    assert len(shown.splitlines()) < 20


def test_a_maybe_says_what_decides_and_a_preview_that_it_is_not_complete() -> None:
    """What is not known is on the page."""
    shown = text(certainty="maybe", condition="if scan.found", complete=False, not_checked=["host is not known yet"])

    assert "maybe: if scan.found" in shown
    assert "Not complete" in shown
    assert "not checked  host is not known yet" in shown


def test_a_change_says_which_approval_it_needs_and_how_long_it_is_held() -> None:
    """Both stand beside its target; a time that is not known yet is said to be."""
    shown = text(approvals=["ok", "boss"], hold_s=28_800)

    assert "approval     only after ok, boss" in shown
    assert "held         8h, then it is undone by itself" in shown
    assert "not known yet" in text(hold_s={"$hikeshi": "unknown", "of": "duration", "why": "?"})
    assert "held" not in text()


def test_where_a_plan_would_stop_is_shown_below_its_actions() -> None:
    """Approvals with what they allow, forms, waits, releases; nothing for a plan that would not stop."""
    sure = {"certainty": "certain", "condition": None}
    report = {
        "approvals": [
            {
                **sure,
                **{"path": "ok", "question": "Isolate pc7?", "by": ["role:lead"], "quorum": 2, "within_s": 900},
                **{"escalate": {"to": ["mei"], "within_s": 300}, "covers": ["cut"]},
            }
        ],
        "forms": [{**sure, "path": "check", "question": "Quiet?", "by": ["ken"], "within_s": 3600, "fields": ["note"]}],
        "waits": [
            {"path": "nap", "certainty": "maybe", "condition": "if x", "until": "20m are over", "at_most_s": 1200}
        ],
        "releases": [{**sure, "path": "free", "targets": [{"name": "pc7"}], "approvals": ["ok"]}],
    }

    shown = "\n".join("".join(p.text if isinstance(p, Styled) else p for p in pieces) for pieces in pause_lines(report))

    assert "who          role:lead (2 have to approve), within 15m" in shown
    assert "then         mei too, within 5m" in shown
    assert "would allow  cut" in shown
    assert "fields       note" in shown
    assert "nap  maybe: if x" in shown
    assert "targets      pc7" in shown
    assert list(pause_lines({key: [] for key in report})) == []
