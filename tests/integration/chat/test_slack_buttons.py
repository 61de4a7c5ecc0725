"""Approvals by buttons of Slack, over HTTP: who may decides once, and nobody and nothing else decides."""

from __future__ import annotations

import json
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from chat_place import Place, Server, signed, wait_until

pytestmark = pytest.mark.safety(28)

OVER = ("succeeded", "failed", "cancelled")


@pytest.fixture
def server(place: Place):
    """The project, served."""
    with place.served() as server:
        yield server


def over(server: Server, run: str) -> str:
    return wait_until(lambda: server.status(run) if server.status(run) in OVER else None)


def is_open(server: Server, asked: dict[str, str]) -> bool:
    """Say whether a question is open as before, after everything has come to rest."""
    time.sleep(0.3)
    return server.asked(asked["run"]) == asked and not server.place.world.sent("isolate_host")


def test_a_click_on_approve_lets_the_run_go_on(place: Place, server: Server) -> None:
    """The button carries everything; who clicked is told, and the message says who approved."""
    run = server.ask("pc1")
    message = server.message_about(run)
    button = message.blocks[-1]["elements"][0]
    assert button["action_id"] == "hikeshi_approve"

    told = server.click("U0KEN00001", json.loads(button["value"]))

    assert told == "Your approval is recorded."
    assert over(server, run) == "succeeded"
    assert len(place.world.sent("isolate_host")) == 1
    (vote,) = [each for each in server.records(run) if each.kind == "VoteCast"]
    assert (vote.data["by"], vote.data["decision"]) == ("ken", "approve")
    wait_until(lambda: "Approved by Ken Sato." in str(message.blocks))
    assert [each["type"] for each in message.blocks] == ["section", "section", "section"]  # no buttons any more


def test_a_click_on_reject_ends_it(place: Place, server: Server) -> None:
    """Nothing is changed, and the message says who rejected."""
    run = server.ask("pc1")
    message = server.message_about(run)
    button = message.blocks[-1]["elements"][1]
    assert button["action_id"] == "hikeshi_reject"

    assert server.click("U0KEN00001", json.loads(button["value"]), "reject") == "Your rejection is recorded."

    assert over(server, run) == "failed"
    assert not place.world.sent("isolate_host")
    wait_until(lambda: "Rejected by Ken Sato." in str(message.blocks))


@pytest.mark.parametrize(
    ("member", "why"),
    [
        ("U0NOBODY01", "nobody in hikeshi.yaml has the Slack ID U0NOBODY01"),
        ("U0MEI00001", "mei may not do this: it takes the role approver"),
        ("U0RIN00001", "rin may not do this: it takes the role approver"),
        ("U0LEO00001", "leo is not among those who are asked"),
    ],
)
def test_who_may_not_decide_is_told_why_and_decides_nothing(server: Server, member: str, why: str) -> None:
    """Somebody unknown, the requester, somebody without the role, and somebody who is not asked."""
    asked = server.asked(server.ask("pc1"))
    assert why in server.click(member, asked)
    assert is_open(server, asked)


def test_the_requester_can_not_decide_even_with_the_role(server: Server) -> None:
    """Who started a run can't decide about it, whatever they may otherwise."""
    asked = server.asked(server.ask("pc1", by="ken"))
    assert "who started a run can't decide about it" in server.click("U0KEN00001", asked)
    assert is_open(server, asked)


def test_what_is_refused_is_on_record(server: Server) -> None:
    """A known person's request is recorded with their name and Slack ID; it was not allowed."""
    asked = server.asked(server.ask("pc1"))
    server.click("U0RIN00001", asked)
    stream = f"requests-{server.app.clock.now():%Y%m%d}"
    made = [each.data for each in server.records(stream) if each.data.get("token") == "slack:U0RIN00001"]
    assert [(each["by"], each["what"], each["allowed"]) for each in made] == [("rin", "approve", False)]


def test_a_second_click_is_refused_with_the_reason(place: Place, server: Server) -> None:
    """One who has voted, and one who comes after the decision."""
    place.write_playbook(quorum=2)
    server.call(_reload(server))
    asked = server.asked(server.ask("pc1"))
    assert server.click("U0KEN00001", asked) == "Your approval is recorded."
    assert "ken has voted already" in server.click("U0KEN00001", asked)
    assert is_open(server, asked)
    assert server.click("U0AYA00001", asked) == "Your approval is recorded."
    assert over(server, asked["run"]) == "succeeded"
    assert "Not recorded: run" in server.click("U0AYA00001", asked, "reject")


async def _reload(server: Server) -> None:
    server.app.take_playbooks()


def test_a_replayed_click_is_refused(place: Place, server: Server) -> None:
    """The same bytes again are no second vote, not even after a restart."""
    asked = server.asked(server.ask("pc1"))
    message = signed(server.payload("U0LEO00001", asked))
    assert server.post(message).status_code == 200
    again = server.post(message)
    assert (again.status_code, again.json()["error"]["code"]) == (409, "seen")
    server.stop()
    with place.served() as later:
        again = later.post(message)
        assert (again.status_code, again.json()["error"]["code"]) == (409, "seen")
        assert is_open(later, asked)
    assert len(server.responses) == 1


@pytest.mark.parametrize("status_and_headers", [
    (401, {"x-slack-signature": "v0=" + "0" * 64}),
    (401, {"x-slack-signature": ""}),
    (401, {"x-slack-signature": None}),
    (401, {"x-slack-request-timestamp": None}),
    (401, {"x-slack-request-timestamp": str(int(time.time()) - 7)}),
    (400, {"x-slack-request-timestamp": "soon"}),
    (415, {"content-type": "application/json"}),
    (415, {"content-encoding": "gzip"}),
])  # fmt: skip
def test_what_is_not_signed_as_it_has_to_be_is_refused(server: Server, status_and_headers: tuple[int, Any]) -> None:
    """A wrong, empty or missing signature, another time than the signed one, another kind of body."""
    status, changed = status_and_headers
    asked = server.asked(server.ask("pc1"))
    body, headers = signed(server.payload("U0KEN00001", asked))
    headers = {name: value for name, value in {**headers, **changed}.items() if value is not None}
    assert server.post((body, headers)).status_code == status
    assert is_open(server, asked)
    assert not server.responses


@pytest.mark.parametrize("late_s", [-301, 330])  # one from the future grows older on its way
def test_a_stale_signature_is_refused(server: Server, late_s: int) -> None:
    """A good signature counts for five minutes, either way."""
    asked = server.asked(server.ask("pc1"))
    answer = server.post(signed(server.payload("U0KEN00001", asked), at_s=time.time() + late_s))
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "stale")
    assert is_open(server, asked)


def test_another_secret_is_refused(server: Server) -> None:
    """Whoever signs with another secret is not Slack."""
    asked = server.asked(server.ask("pc1"))
    answer = server.post(signed(server.payload("U0KEN00001", asked), secret="a" * 32))
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "signature")
    assert is_open(server, asked)


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"])
def test_only_a_post_decides(server: Server, method: str) -> None:
    """Other methods change nothing, however well they are signed."""
    asked = server.asked(server.ask("pc1"))
    assert server.post(signed(server.payload("U0KEN00001", asked)), method).status_code == 405
    assert is_open(server, asked)


def test_a_body_of_ten_megabytes_is_refused(server: Server) -> None:
    """By the announced length before it is read, and by what comes if that says less."""
    body, headers = signed(b"payload=" + b"x" * (10 << 20))
    assert server.post((body, headers)).status_code == 413

    def pieces():
        for at in range(0, len(body), 1 << 16):
            yield body[at : at + (1 << 16)]

    try:
        status = httpx.post(f"{server.url}/chat/slack", content=pieces(), headers=headers).status_code
    except httpx.TransportError:
        status = 413  # the server had answered and gone before all was sent
    assert status == 413


def test_a_length_that_is_announced_is_refused_before_anything_is_read(server: Server) -> None:
    """Nobody waits for ten megabytes to say that they are too many."""
    host, _, port = server.url.removeprefix("http://").partition(":")
    head = "POST /chat/slack HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n"
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        connection.sendall(f"{head}Content-Length: {10 << 20}\r\n\r\n".encode())
        assert connection.recv(100).startswith(b"HTTP/1.1 413")


def forged(server: Server, asked: dict[str, str]) -> list[Any]:
    good = server.payload("U0KEN00001", asked)
    action = good["actions"][0]

    def with_action(**more: Any) -> dict[str, Any]:
        return {**good, "actions": [{**action, **more}]}

    return [
        {**good, "type": "view_submission"},
        {**good, "type": ["block_actions"]},
        {**good, "user": {"id": ["U0KEN00001"]}},
        {**good, "user": {"id": "U0KEN00001 "}},
        {**good, "user": "U0KEN00001"},
        {**good, "user": None},
        {**good, "trigger_id": None},
        {**good, "trigger_id": {"a": 1}},
        {**good, "actions": []},
        {**good, "actions": [action, action]},
        {**good, "actions": action},
        with_action(action_id="hikeshi_cancel"),
        with_action(action_id=["hikeshi_approve"]),
        with_action(type="static_select"),
        with_action(value=None),
        with_action(value=asked),
        with_action(value="{}"),
        with_action(value="not json"),
        with_action(value=json.dumps({**asked, "run": ["x"]})),
        with_action(value=json.dumps({**asked, "run": "../../x"})),
        with_action(value=json.dumps({**asked, "digest": asked["digest"][:8]})),
        with_action(value=json.dumps({**asked, "path": ""})),
        with_action(value=json.dumps({**asked, "note": "x"})),
        with_action(value=json.dumps([asked])),
        with_action(value="[" * 5000 + "]" * 5000),
        ["block_actions"],
        "block_actions",
        None,
        b"payload=",
        b"nothing=1",
        b"payload=%7B%7D&payload=%7B%7D",
        urlencode({"command": "/approve", "trigger_id": "1.2", "user_id": "U0KEN00001"}).encode(),
        b"\xff\xfe\x00",
    ]


def test_payloads_of_other_forms_decide_nothing(server: Server) -> None:
    """Whatever else is signed, of other types and in every wrong place, gets a 400."""
    asked = server.asked(server.ask("pc1"))
    answers = {str(each): server.post(signed(each)).status_code for each in forged(server, asked)}
    assert {each: status for each, status in answers.items() if status != 400} == {}
    assert is_open(server, asked)
    assert not server.responses


def test_the_digest_of_an_older_question_decides_nothing(server: Server) -> None:
    """A message that showed something else than what is asked now is refused, as is another run's."""
    asked, other = server.asked(server.ask("pc1")), server.asked(server.ask("pc2"))
    why = "what is asked at 'sure' has changed since it was shown"
    assert why in server.click("U0KEN00001", {**asked, "digest": "0" * 64})
    if other["digest"] != asked["digest"]:
        assert why in server.click("U0KEN00001", {**asked, "digest": other["digest"]})
    assert "asks for no approval at 'elsewhere'" in server.click("U0KEN00001", {**asked, "path": "elsewhere"})
    assert "there is no run" in server.click("U0KEN00001", {**asked, "run": "20260101-000000-aa"})
    assert is_open(server, asked)


def test_of_two_who_click_at_once_one_decides(place: Place, server: Server) -> None:
    """With one vote needed, the other one hears that it was decided; the change is made once."""
    asked = server.asked(server.ask("pc1"))
    messages = [signed(server.payload(member, asked)) for member in ("U0KEN00001", "U0AYA00001")]
    with ThreadPoolExecutor(2) as both:
        assert [each.status_code for each in both.map(server.post, messages)] == [200, 200]
    assert over(server, asked["run"]) == "succeeded"
    wait_until(lambda: len(server.responses) == 2)
    texts = sorted(each["text"] for each in server.responses)
    assert texts[1] == "Your approval is recorded."
    assert texts[0].startswith("Not recorded: ")
    assert len([each for each in server.records(asked["run"]) if each.kind == "VoteCast"]) == 1
    assert len(place.world.sent("isolate_host")) == 1


@pytest.mark.parametrize(
    "respond_at",
    [
        "http://127.0.0.1:9/actions/x",
        "https://hooks.slack.com.evil.example/x",
        "file:///etc/passwd",
        "//x",
        "",
        None,
        7,
    ],
)
def test_an_answer_goes_to_slack_alone(server: Server, respond_at: Any) -> None:
    """The vote counts; an address of anybody else is not asked."""
    asked = server.asked(server.ask("pc1"))
    payload = {**server.payload("U0KEN00001", asked), "response_url": respond_at}
    assert server.post(signed(payload)).status_code == 200
    assert over(server, asked["run"]) == "succeeded"
    assert not server.responses
