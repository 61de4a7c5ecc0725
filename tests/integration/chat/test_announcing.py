"""What is asked in chat: once in each channel, with all that is needed to decide, and concluded when it is over."""

from __future__ import annotations

import json
import time

from chat_place import Place, Server, wait_until

from hikeshi.testing.faults import Fault

SECRET = {"signing_secret": "${env:CHAT_SIGNING_SECRET}"}


def text_of(blocks: list) -> str:
    return "\n".join(each["text"]["text"] for each in blocks if each["type"] == "section")


def about(server: Server, run: str) -> list:
    return [each for each in server.place.messages if run in str(each.blocks)]


def test_a_message_says_all_that_is_needed(place: Place) -> None:
    """What is asked, by whom, for which targets, until when and where; what comes from outside notifies nobody."""
    with place.served() as server:
        run = server.ask("pc<1>", "pc2")
        message = server.message_about(run)
        asked = server.asked(run)
    assert message.channel == "C0APPROVE1"
    text = text_of(message.blocks)
    assert "Isolate &lt;!channel&gt; &amp; friends?" in text
    assert "<!channel>" not in str(message.blocks) + message.text
    assert f"Asked by Mei Kobayashi, playbook isolate, run {run}" in text
    assert "May decide: role lead" in text
    assert "• pc&lt;1&gt;: edr.isolate_host (fake)\n• pc2: edr.isolate_host (fake)" in text
    assert f"<https://hikeshi.example/runs/{run}#sure|See everything>" in text
    assert "Open until <!date^" in text
    assert [json.loads(each["value"]) for each in message.blocks[-1]["elements"]] == [asked, asked]


def test_of_many_targets_the_first_twenty_are_shown(place: Place) -> None:
    """How many more there are is said; the link shows all."""
    with place.served() as server:
        text = text_of(server.message_about(server.ask(*(f"pc{n:02}" for n in range(23)))).blocks)
    assert text.count("• pc") == 20
    assert "… and 3 more" in text


def test_every_channel_is_told_once_over_restarts_and_beside_another_server(place: Place) -> None:
    """The run that announces has an ID that follows from the question, so nobody announces it again."""
    place.write({"announce": ["#approvals", "#soc"], "slack": SECRET})
    with place.served() as server, place.served() as other:
        runs = [server.ask(f"pc{n}") for n in range(3)]
        wait_until(lambda: len(place.messages) >= 6)
        time.sleep(1.2)  # both have looked again
        assert not server.told + other.told
    with place.served() as later:
        last = later.ask("pc9")
        wait_until(lambda: len(about(later, last)) == 2)
        time.sleep(0.7)
        for run in runs:
            assert sorted(each.channel for each in about(later, run)) == ["C0APPROVE1", "C0SOC00001"]
    assert len(place.messages) == 8


def test_an_announcement_that_fails_is_tried_again(place: Place) -> None:
    """Slack is away for a moment; the question is asked all the same."""
    place.simulation.faults.add(
        Fault(product="slack", path="/chat.postMessage", status=429, headers={"Retry-After": "1"})
    )
    with place.served() as server:
        run = server.ask("pc1")
        assert server.message_about(run)
        assert len(about(server, run)) == 1


def test_what_is_decided_elsewhere_is_concluded_after_a_restart(place: Place) -> None:
    """A question that is over when nobody looked is concluded by whoever looks next, once."""
    with place.served() as server:
        run = server.ask("pc1")
        message = server.message_about(run)
        wait_until(lambda: server.runs("announce-approval"))
        server.chat.stop()
        time.sleep(0.6)
        server.cancel(run)
    assert message.edited_at is None
    with place.served() as server:
        wait_until(lambda: message.edited_at is not None)
        wait_until(lambda: server.runs("conclude-approval"))
    assert "Over: cancelled by mei: a drill." in text_of(message.blocks)
    with place.served() as server:
        time.sleep(0.7)
        assert len(server.runs("conclude-approval")) == 1


def test_a_channel_that_is_not_there_is_told_about_and_nothing_else_suffers(place: Place) -> None:
    """The other channel is asked; the failed run is among the runs, and is not begun over and over."""
    place.write({"announce": ["#nowhere", "#approvals"], "slack": SECRET})
    with place.served() as server:
        run = server.ask("pc1")
        assert server.message_about(run).channel == "C0APPROVE1"
        time.sleep(1)
        assert len(about(server, run)) == 1
        asked = server.asked(run)
        assert server.click("U0KEN00001", asked) == "Your approval is recorded."


def test_a_missing_secret_is_told_once_and_tried_again(place: Place) -> None:
    """Nobody is asked in chat then, and the question waits."""
    (place.folder.parent / "token").unlink()
    with place.served() as server:
        run = server.ask("pc1")
        wait_until(lambda: server.told)
        time.sleep(1.2)
        assert len(server.told) == 1
        assert f"chat is not told of the approval at sure of run {run}" in server.told[0]
        assert not place.messages


def test_a_dry_run_and_a_form_are_not_announced(place: Place) -> None:
    """Only approvals of live runs are asked for in chat."""
    text = "id: form\nsteps:\n  - {id: a, ask: How many?, by: [role:lead], within: 1h, form: {n: {type: integer}}}\n"
    (place.folder / "playbooks" / "form.yaml").write_text(text)
    with place.served() as server:
        from hikeshi.access.identity import Identity
        from hikeshi.access.roles import Role

        who = Identity("mei", "test", frozenset({Role.RESPONDER}), "mei", "Mei")
        server.call(server.service.start(who, "form", {}, live=True))
        place.world.add_host("pc1")
        server.call(server.service.start(who, "isolate", {"names": ["pc1"]}, live=False))
        time.sleep(1.2)
        assert not place.messages
