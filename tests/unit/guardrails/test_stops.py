"""The kill switch: what it holds back."""

from __future__ import annotations

import pytest

from hikeshi.guardrails import Scope, Stop, Stops


@pytest.mark.safety(12)
@pytest.mark.parametrize(
    ("text", "held", "free"),
    [
        ("everything", [("edr.isolate_host", "falcon", "p"), ("", "", "")], []),
        ("connector:falcon", [("a.b", "falcon", "p")], [("a.b", "falcon-eu", "p"), ("falcon", "x", "falcon")]),
        ("connector:fw-*", [("a.b", "fw-hq", "p")], [("a.b", "fw", "p")]),
        ("action:edr.isolate_host", [("edr.isolate_host", "x", "p")], [("edr.release_host", "x", "p")]),
        ("action:edr.*", [("EDR.isolate_host", "x", "p")], [("identity.x", "edr.x", "edr.x")]),
        ("playbook:phishing", [("a.b", "x", "phishing")], [("a.b", "phishing", "other"), ("phishing", "x", "y")]),
        (" playbook : Phishing ", [("a.b", "x", "phishing")], []),
    ],
)
def test_a_stop_holds_back_what_it_names(
    text: str, held: list[tuple[str, str, str]], free: list[tuple[str, str, str]]
) -> None:
    """Everything, a connector, an action or a playbook: and nothing else."""
    stops = Stops.read([text])

    assert all(stops.match(*change) is stops.engaged[0] for change in held)
    assert all(stops.match(*change) is None for change in free)


def test_without_a_stop_nothing_is_held_back() -> None:
    """The twin of all others."""
    assert Stops().match("edr.isolate_host", "falcon", "p") is None


def test_of_several_stops_the_first_that_fits_is_named() -> None:
    """People are told which one to release."""
    stops = Stops.read(["action:x.*", "connector:falcon", "everything"])

    match = stops.match("edr.isolate_host", "falcon", "p")

    assert match is not None
    assert match.text == "connector:falcon"


@pytest.mark.safety(12)
@pytest.mark.safety(13)
def test_a_kill_switch_that_could_not_be_read_is_engaged() -> None:
    """Could not read is never is absent."""
    match = Stops.unreadable("the disk is gone").match("edr.isolate_host", "falcon", "p")

    assert match is not None
    assert match.scope is Scope.EVERYTHING
    assert match.why == "the kill switch could not be read: the disk is gone"


@pytest.mark.safety(13)
@pytest.mark.parametrize("text", ["", "nothing", "connector", "connector:", "action: ", "site:hq", "everything:x"])
def test_a_stored_stop_that_is_not_understood_stops_everything(text: str) -> None:
    """A newer version may have written it, and meant it."""
    match = Stops.read([text]).match("edr.isolate_host", "falcon", "p")

    assert match is not None
    assert match.why == f"a stored stop could not be understood: {text!r}"
    with pytest.raises(ValueError, match="write everything, connector:NAME, action:PATTERN or playbook:ID"):
        Stop.parse(text)


@pytest.mark.parametrize("text", ["everything", "connector:falcon", "action:edr.*", "playbook:a:b"])
def test_a_stop_is_written_as_it_is_read(text: str) -> None:
    """What is stored comes back as the same stop, and with who said it and why."""
    stop = Stop.parse(text, by="mei", why="drill")

    assert stop.text == text
    assert Stop.parse(stop.text, by="mei", why="drill") == stop
    assert (stop.by, stop.why) == ("mei", "drill")
