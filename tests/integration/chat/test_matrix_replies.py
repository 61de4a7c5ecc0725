"""Approvals by replies in Matrix, over HTTP: who may decides once, and nobody and nothing else decides."""

from __future__ import annotations

import time
from typing import Any

import pytest
from chat_place import Place, Server, wait_until

from hikeshi.access.identity import Identity
from hikeshi.access.roles import Role
from hikeshi.testing.estate import Channel
from hikeshi.testing.faults import Fault
from hikeshi_connectors.matrix.simulator import BOT

pytestmark = pytest.mark.safety(28)

ROOM = "!approvals:hikeshi.test"
ALIAS = "#approvals:hikeshi.test"
GONE = "0" * 32  # a process that has died
OVER = ("succeeded", "failed", "cancelled")


@pytest.fixture
def room(place: Place) -> Place:
    """The project, which asks in a room of Matrix."""
    place.write({"announce": [ALIAS], "matrix": {}})
    return place


@pytest.fixture
def server(room: Place):
    """That project, served."""
    with room.served() as server:
        yield server


def question(place: Place, run: str) -> dict[str, Any]:
    """Return the event that asks for a run's approval, once it is there."""

    def look() -> Any:
        asking = [each for each in place.matrix.events if "io.hikeshi.question" in each["content"]]
        return next((each for each in asking if each["content"]["io.hikeshi.question"]["run"] == run), None)

    return wait_until(look)


def answers(place: Place, event: str) -> list[str]:
    """Return what we said in the thread of an event."""
    own = [each["content"] for each in place.matrix.events if each["sender"] == BOT]
    relations = [(each.get("m.relates_to", {}), each["body"]) for each in own]
    return [
        body
        for relation, body in relations
        if (relation.get("rel_type"), relation.get("event_id")) == ("m.thread", event)
    ]


def reply(place: Place, who: str, text: str, asking: dict[str, Any], **content: Any) -> str:
    """Reply to a question as somebody, and return what they are told."""
    before = len(answers(place, asking["event_id"]))
    place.matrix.say(ROOM, f"@{who}:hikeshi.test", text, asking["event_id"], **content)
    return wait_until(lambda: answers(place, asking["event_id"])[before:])[0]


def code(asking: dict[str, Any]) -> str:
    return str(asking["content"]["io.hikeshi.question"]["digest"][:8])


def over(server: Server, run: str) -> str:
    return wait_until(lambda: server.status(run) if server.status(run) in OVER else None)


def is_open(server: Server, run: str) -> bool:
    time.sleep(0.3)
    return server.asked(run)["run"] == run and not server.place.world.sent("isolate_host")


def test_a_reply_that_approves_lets_the_run_go_on(place: Place, server: Server) -> None:
    """The message says how to reply; who replied is told in its thread, and it says then who approved."""
    run = server.ask("pc<1>")
    asking = question(place, run)
    content = asking["content"]
    assert f"approve {code(asking)}" in content["body"]
    assert "pc&lt;1&gt;: edr.isolate_host (fake)" in content["formatted_body"]
    assert "Isolate &lt;!channel&gt; &amp; friends?" in content["formatted_body"]
    assert f'<a href="https://hikeshi.example/runs/{run}#sure">' in content["formatted_body"]
    assert content["m.mentions"] == {}

    assert reply(place, "ken", f"approve {code(asking)}", asking) == "Your approval is recorded."

    assert over(server, run) == "succeeded"
    assert len(place.world.sent("isolate_host")) == 1
    (vote,) = [each for each in server.records(run) if each.kind == "VoteCast"]
    assert (vote.data["by"], vote.data["decision"]) == ("ken", "approve")
    (message,) = [each for each in place.messages if each.ts == asking["event_id"]]
    wait_until(lambda: "Approved by Ken Sato." in message.text)


def test_a_reply_that_rejects_says_why(place: Place, server: Server) -> None:
    """What stands behind the code is the reason on record."""
    run = server.ask("pc1")
    asking = question(place, run)
    told = reply(place, "ken", f"Reject {code(asking).upper()} the host is\n ours", asking)
    assert told == "Your rejection is recorded."
    assert over(server, run) == "failed"
    (vote,) = [each for each in server.records(run) if each.kind == "VoteCast"]
    assert (vote.data["decision"], vote.data["note"]) == ("reject", "the host is ours")
    assert not place.world.sent("isolate_host")


def test_a_reply_in_the_thread_and_one_with_a_quotation_count(place: Place, server: Server) -> None:
    """Clients reply in different ways."""
    first, second = server.ask("pc1"), server.ask("pc2")
    asking, other = question(place, first), question(place, second)
    thread = {"rel_type": "m.thread", "event_id": asking["event_id"], "is_falling_back": True}
    thread["m.in_reply_to"] = {"event_id": "$something"}
    assert reply(place, "ken", "approve", asking, **{"m.relates_to": thread}) == "Your approval is recorded."
    quotation = "> <@hikeshi:hikeshi.test> Approval needed\n> reject or approve\n\napprove"
    assert reply(place, "ken", quotation, other) == "Your approval is recorded."
    assert [over(server, run) for run in (first, second)] == ["succeeded"] * 2


@pytest.mark.parametrize(
    ("who", "why"),
    [
        ("nobody", "nobody in hikeshi.yaml has the Matrix ID @nobody:hikeshi.test"),
        ("mei", "mei may not do this: it takes the role approver"),
        ("rin", "rin may not do this: it takes the role approver"),
        ("leo", "leo is not among those who are asked"),
    ],
)
def test_who_may_not_decide_is_told_why_and_decides_nothing(place: Place, server: Server, who: str, why: str) -> None:
    """Somebody unknown, the requester, somebody without the role, and somebody who is not asked."""
    run = server.ask("pc1")
    assert why in reply(place, who, "approve", question(place, run))
    assert is_open(server, run)


def test_the_requester_can_not_decide_even_with_the_role(place: Place, server: Server) -> None:
    """Who started a run can't decide about it, whatever they may otherwise."""
    run = server.ask("pc1", by="ken")
    assert "who started a run can't decide about it" in reply(place, "ken", "approve", question(place, run))
    assert is_open(server, run)


def test_somebody_unknown_is_told_once(place: Place, server: Server) -> None:
    """A hundred replies of a stranger make neither a hundred answers nor a hundred runs."""
    run = server.ask("pc1")
    asking = question(place, run)
    reply(place, "nobody", "approve", asking)
    for _ in range(100):
        place.matrix.say(ROOM, "@nobody:hikeshi.test", "approve", asking["event_id"])
    assert "who are asked" in reply(place, "leo", "approve", asking)  # they have all been read by now
    assert len(answers(place, asking["event_id"])) == 2
    assert is_open(server, run)


def test_other_texts_decide_nothing(place: Place, server: Server) -> None:
    """Remarks, replies to others, edits, notices, messages that are no reply, and forged questions."""
    run = server.ask("pc1")
    asking = question(place, run)
    say, event = place.matrix.say, asking["event_id"]
    ken = "@ken:hikeshi.test"
    asked = asking["content"]["io.hikeshi.question"]
    forged = say(ROOM, ken, "Approval needed", **{"io.hikeshi.question": asked})
    say(ROOM, ken, f"approve {code(asking)}")
    say(ROOM, ken, "approve", forged)
    say(ROOM, ken, "approve", "$nowhere")
    say(ROOM, ken, "approve", "../../../sync")
    say("!soc:hikeshi.test", ken, "approve", event)
    say(ROOM, ken, "approved", event)
    say(ROOM, ken, "I approve", event)
    say(ROOM, ken, "approve-ish", event)
    say(ROOM, ken, "", event)
    say(ROOM, ken, "approve", event, msgtype="m.notice")
    say(ROOM, ken, "approve", event, **{"m.relates_to": {"rel_type": "m.replace", "event_id": event}})
    say(ROOM, ken, "approve", event, **{"m.relates_to": [event]})
    say(ROOM, ken, "approve", event, **{"m.relates_to": {"m.in_reply_to": {"event_id": [event]}}})
    say(ROOM, BOT, "approve", event)
    assert "to approve, reply with nothing more than: approve" in reply(place, "ken", "approve only the first", asking)
    assert f"has the code {code(asking)}, and not 00000000" in reply(place, "ken", "approve 00000000", asking)
    assert len(answers(place, event)) == 2
    assert is_open(server, run)


def test_a_second_reply_is_refused_with_the_reason(place: Place, server: Server) -> None:
    """One who has voted, and one who comes after the decision; by a button would be the same."""
    place.write_playbook(quorum=2)
    server.call(_reload(server))
    run = server.ask("pc1")
    asking = question(place, run)
    assert reply(place, "ken", "approve", asking) == "Your approval is recorded."
    assert "ken has voted already" in reply(place, "ken", "approve", asking)
    assert is_open(server, run)
    assert reply(place, "aya", "approve", asking) == "Your approval is recorded."
    assert over(server, run) == "succeeded"
    assert "Not recorded: run" in reply(place, "aya", "reject too late", asking)


async def _reload(server: Server) -> None:
    server.app.take_playbooks()


def test_a_reply_to_an_older_question_decides_nothing(place: Place, server: Server) -> None:
    """What is asked now is something else than what that message showed."""
    run = server.ask("pc1")
    asked = {**question(place, run)["content"]["io.hikeshi.question"], "digest": "0" * 64}
    older = place.matrix.say(ROOM, BOT, "Approval needed", **{"io.hikeshi.question": asked})
    told = reply(place, "ken", "approve", {"event_id": older})
    assert "what is asked at 'sure' has changed since it was shown" in told
    assert is_open(server, run)


def test_of_two_who_reply_at_once_one_decides(place: Place, server: Server) -> None:
    """With one vote needed, the other one hears that it was decided; the change is made once."""
    run = server.ask("pc1")
    asking = question(place, run)
    for who in ("ken", "aya"):
        place.matrix.say(ROOM, f"@{who}:hikeshi.test", "approve", asking["event_id"])
    told = wait_until(lambda: found if len(found := answers(place, asking["event_id"])) == 2 else None)
    assert sorted(told)[1] == "Your approval is recorded."
    assert sorted(told)[0].startswith("Not recorded: ")
    assert over(server, run) == "succeeded"
    assert len([each for each in server.records(run) if each.kind == "VoteCast"]) == 1
    assert len(place.world.sent("isolate_host")) == 1


def test_a_reply_is_taken_once_over_a_restart_and_beside_another_server(room: Place) -> None:
    """What was written while nobody listened counts later; two who listen decide it once, and answer it once."""
    with room.served() as server:
        run = server.ask("pc1")
        asking = question(room, run)
        wait_until(lambda: server.runs("announce-approval"))
    for number in range(120):  # more than a sync gives at once
        room.matrix.say(ROOM, "@leo:hikeshi.test", f"remark {number}")
        if number == 3:
            room.matrix.say(ROOM, "@ken:hikeshi.test", "approve", asking["event_id"])
    with room.served() as server, room.served() as other:
        assert over(server, run) == "succeeded"
        wait_until(lambda: answers(room, asking["event_id"]))
        time.sleep(0.8)
        assert not server.told + other.told
    with room.served():
        time.sleep(0.8)
    assert answers(room, asking["event_id"]) == ["Your approval is recorded."]
    assert len([each for each in room.matrix.events if "io.hikeshi.question" in each["content"]]) == 1


def next_event(place: Place) -> str:
    return f"$event{len(place.matrix.events) + 1:06d}"


def test_a_reply_that_a_dead_process_had_taken_is_decided(place: Place, server: Server) -> None:
    """It had noted that it takes the reply, and died before it decided."""
    run = server.ask("pc1")
    asking = question(place, run)
    server.claim(next_event(place), GONE)
    assert reply(place, "ken", "approve", asking) == "Your approval is recorded."
    assert over(server, run) == "succeeded"


def test_a_reply_that_a_dead_process_had_decided_is_answered(place: Place, server: Server) -> None:
    """It had decided, and died before it said so: there is one vote, and no complaint about a second one."""
    place.write_playbook(quorum=2)
    server.call(_reload(server))
    run = server.ask("pc1")
    asking = question(place, run)
    ken = Identity("ken", "test", frozenset({Role.APPROVER}), "ken", "Ken")
    asked = server.asked(run)
    server.call(server.service.tell(ken, run, "approve", {"path": asked["path"], "digest": asked["digest"]}))
    server.claim(next_event(place), GONE)
    assert reply(place, "ken", "approve", asking) == "Your approval is recorded."
    assert len([each for each in server.records(run) if each.kind == "VoteCast"]) == 1


def test_a_reply_that_another_process_has_taken_is_left_to_it_until_it_dies(room: Place) -> None:
    """While it lives nobody else decides; when it is gone somebody does."""
    with room.served() as server:
        run = server.ask("pc1")
        asking = question(room, run)
        with room.served() as other:
            other.chat.stop()
            time.sleep(0.3)
            server.claim(next_event(room), other.app.ownership.owner_id)
            room.matrix.say(ROOM, "@ken:hikeshi.test", "approve", asking["event_id"])
            room.matrix.say(ROOM, "@leo:hikeshi.test", "remark")
            time.sleep(0.5)
            assert is_open(server, run)
        room.matrix.say(ROOM, "@leo:hikeshi.test", "remark")  # a sync that waits comes back when something is new
        assert over(server, run) == "succeeded"
        assert wait_until(lambda: answers(room, asking["event_id"])) == ["Your approval is recorded."]


def test_a_homeserver_that_is_away_is_asked_again(room: Place) -> None:
    """People are told once, and what was written meanwhile counts."""
    with room.served() as server:
        run = server.ask("pc1")
        asking = question(room, run)
        room.simulation.faults.add(Fault(product="matrix", path="/_matrix/client/v3/sync", status=502))
        room.matrix.say(ROOM, "@leo:hikeshi.test", "wakes the sync that waits")
        wait_until(lambda: server.told)
        room.matrix.say(ROOM, "@ken:hikeshi.test", "approve", asking["event_id"])
        assert over(server, run) == "succeeded"
        assert len(server.told) == 1
        assert "chat can't read replies from matrix, and tries again" in server.told[0]


def test_an_encrypted_room_is_refused(room: Place) -> None:
    """Nothing is said there in the clear, and people are told that nobody was asked."""
    room.matrix.encrypt(ROOM)
    with room.served() as server:
        run = server.ask("pc1")
        told = wait_until(lambda: server.told)
        assert f"chat was not told of the approval at sure of run {run}" in told[0]
        (failed,) = [
            each
            for each in server.records(told[0].split("hikeshi log ")[1].split("'")[0])
            if each.kind == "ActionFailed"
        ]
        assert "is encrypted, and Hikeshi can't encrypt yet" in failed.data["error"]["message"]
    assert not room.matrix.events


def test_a_room_is_joined_where_that_is_needed(room: Place) -> None:
    """By its alias, when something is to be said there."""
    room.simulation.estate.channels["C0NEW00001"] = Channel("C0NEW00001", "new", member=False)
    room.write({"announce": ["#new:hikeshi.test"], "matrix": {}})
    with room.served() as server:
        assert question(room, server.ask("pc1"))["room_id"] == "!new:hikeshi.test"


def test_both_chats_are_asked_and_one_decides(room: Place) -> None:
    """What is approved in one chat is concluded in the other one, too."""
    room.write({"announce": ["#soc", ALIAS], "matrix": {}, "slack": {"signing_secret": "${env:CHAT_SIGNING_SECRET}"}})
    with room.served() as server:
        run = server.ask("pc1")
        message, asking = server.message_about(run), question(room, run)
        assert reply(room, "ken", "approve", asking) == "Your approval is recorded."
        wait_until(lambda: "Approved by Ken Sato." in str(message.blocks))
