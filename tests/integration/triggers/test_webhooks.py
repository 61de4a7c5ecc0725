"""Webhooks over HTTP: what is signed as it has to be starts one run, and nothing else starts any."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from door import (
    Door,
    runs_of,
    serving,
    signed_any,
    signed_github,
    signed_pagerduty,
    signed_slack,
    signed_standard,
)

pytestmark = pytest.mark.safety(29)


def post(door: Door, source: str, message: tuple[bytes, dict[str, str]], method: str = "POST") -> httpx.Response:
    body, headers = message
    return httpx.request(method, f"{door.url}/hooks/{source}", content=body, headers=headers, timeout=30)


def outcomes(door: Door, count: int) -> list[dict[str, Any]]:
    """Return what became of the events, when all of them are judged."""
    until = time.monotonic() + 10
    while time.monotonic() < until:
        found = door.triggers.fires(1000)
        if len(found) >= count and not door.triggers.app.journal.query("SELECT 1 FROM trigger_starts"):
            return found
        time.sleep(0.01)
    raise AssertionError(f"{len(door.triggers.fires(1000))} of {count} were judged; {door.told}")


def good(source: str, id_: str = "e1") -> tuple[bytes, dict[str, str]]:
    """Return a good message of a source."""
    now = time.time()
    return {
        "edr": lambda: signed_standard({"host": "pc1"}, id_=id_, at_s=now),
        "gh": lambda: signed_github({"action": id_}, id_=id_),
        "slack": lambda: signed_slack({"event_id": id_}, at_s=now),
        "pd": lambda: signed_pagerduty({"event": {"id": id_}}),
        "own": lambda: signed_any({"n": id_}, id_=id_, at_s=now),
    }[source]()


@pytest.mark.parametrize("source", ["edr", "gh", "slack", "pd", "own"])
def test_a_good_message_starts_one_run(door: Door, source: str) -> None:
    """It is answered when it is stored, and the second time it is refused."""
    message = good(source)
    answer = post(door, source, message)
    assert answer.status_code == 202, answer.text
    assert answer.json()["event"].startswith("event-")
    [fire] = outcomes(door, 1)
    assert (fire["outcome"], fire["trigger"], fire["source"]) == ("started", f"on_{source}", f"webhook:{source}")
    assert runs_of(door.folder) == [fire["run"]]
    again = post(door, source, message)
    assert (again.status_code, again.json()["error"]["code"]) == (409, "seen")
    assert len(runs_of(door.folder)) == 1


def test_the_same_id_a_hundred_times_at_once_starts_one_run(door: Door) -> None:
    """One answer of a hundred says that it was taken."""
    body, headers = good("edr")

    async def at_once() -> list[int]:
        async with httpx.AsyncClient(timeout=30, limits=httpx.Limits(max_connections=100)) as client:
            sent = (client.post(f"{door.url}/hooks/edr", content=body, headers=headers) for _ in range(100))
            return [answer.status_code for answer in await asyncio.gather(*sent)]

    assert sorted(asyncio.run(at_once())) == [202] + [409] * 99
    outcomes(door, 1)
    assert len(runs_of(door.folder)) == 1


def test_a_replay_after_a_restart_starts_nothing(place: Path) -> None:
    """IDs are remembered by the journal."""
    messages = {source: good(source) for source in ("edr", "gh", "slack", "pd", "own")}
    with serving(place) as door:
        for source, message in messages.items():
            assert post(door, source, message).status_code == 202
        outcomes(door, 5)
    with serving(place) as door:
        for source, message in messages.items():
            assert post(door, source, message).status_code == 409
        assert len(runs_of(place)) == 5


def test_two_servers_on_one_journal_start_one_run(place: Path) -> None:
    """Half of the deliveries go to each of them."""
    with serving(place) as one, serving(place) as other:
        message = good("edr")
        codes = [post((one, other)[number % 2], "edr", message).status_code for number in range(20)]
        assert sorted(codes) == [202] + [409] * 19
        outcomes(one, 1)
        assert len(runs_of(place)) == 1


def test_an_id_that_is_not_signed_is_not_believed(door: Door) -> None:
    """GitHub does not sign the ID of a delivery: a copy under another ID is a copy, so is another body of that ID."""
    body, headers = good("gh")
    assert post(door, "gh", (body, headers)).status_code == 202
    assert post(door, "gh", (body, {**headers, "X-GitHub-Delivery": "e2"})).status_code == 409
    assert post(door, "gh", signed_github({"action": "other"}, id_="e1")).status_code == 409
    assert post(door, "gh", signed_github({"action": "other"}, id_="e3")).status_code == 202
    now = time.time()
    body, headers = signed_any({"n": 1}, id_="a", at_s=now)
    assert post(door, "own", (body, headers)).status_code == 202
    assert post(door, "own", (body, {**headers, "X-Id": "b"})).status_code == 409


def test_one_of_several_signatures_is_enough(door: Door) -> None:
    """While a secret is changed, senders sign with both, and this side knows both."""
    body, headers = good("edr")
    headers["webhook-signature"] = f"v1,bm9wZQ== v2,bm9wZQ== {headers['webhook-signature']}"
    assert post(door, "edr", (body, headers)).status_code == 202
    assert post(door, "pd", signed_pagerduty({"event": {"id": "a"}}, "nobody's", "a secret text")).status_code == 202
    assert post(door, "pd", signed_pagerduty({"event": {"id": "b"}}, "an old secret text")).status_code == 202
    assert post(door, "pd", signed_pagerduty({"event": {"id": "c"}}, "nobody's")).status_code == 401


def test_an_hmac_of_ones_own_kind(door: Door) -> None:
    """SHA-512 in base64 over the body, with the ID inside of it."""
    body = b'{"a": {"id": 7}}'
    digest = base64.b64encode(hmac.new(b"a secret text", body, hashlib.sha512).digest()).decode()
    headers = {"X-Sig": digest, "content-type": "application/json; charset=utf-8"}
    assert post(door, "path", (body, headers)).status_code == 202
    assert post(door, "path", (body, headers)).status_code == 409
    assert outcomes(door, 1)[0]["id"] == "7"


def test_slack_is_answered_what_it_wants_to_hear(door: Door) -> None:
    """The challenge comes back if it is signed, and is no event; forms are events with their fields."""
    now = time.time()
    challenge = {"type": "url_verification", "challenge": "abc"}
    assert post(door, "slack", signed_slack(challenge, at_s=now)).json() == {"challenge": "abc"}
    assert post(door, "slack", signed_slack(challenge, at_s=now, secret="another")).status_code == 401
    form = "application/x-www-form-urlencoded"
    command = urlencode({"command": "/isolate", "text": "pc 1", "trigger_id": "t1"}).encode()
    assert post(door, "slack", signed_slack(command, at_s=now, content_type=form)).status_code == 202
    assert post(door, "slack", signed_slack(command, at_s=now + 1, content_type=form)).status_code == 409
    click = urlencode({"payload": '{"type": "block_actions", "trigger_id": "t2"}'}).encode()
    assert post(door, "slack", signed_slack(click, at_s=now, content_type=form)).status_code == 202
    twice = b"payload=%7B%7D&payload=%7B%7D"
    assert post(door, "slack", signed_slack(twice, at_s=now, content_type=form)).status_code == 400
    events = [door.triggers._occurrences.read(fire["event"]) for fire in outcomes(door, 2)]
    assert [each.data for each in events if each is not None][::-1] == [
        {"command": "/isolate", "text": "pc 1", "trigger_id": "t1"},
        {"payload": {"type": "block_actions", "trigger_id": "t2"}},
    ]


def test_a_secret_that_cannot_be_read_is_the_operators_trouble(door: Door) -> None:
    """Nothing is taken unverified; the sender may try again, and people are told, without what the secret is."""
    answer = post(door, "away", good("gh"))
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "unavailable")
    assert "Retry-After" in answer.headers
    assert "HOOK_AWAY" in door.told[0]
    assert runs_of(door.folder) == []


def test_a_journal_that_cannot_be_written_is_the_senders_reason_to_try_again(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    """503 with Retry-After; what was answered so was not stored."""
    from hikeshi.journal import JournalUnavailable

    whole = door.triggers.app.journal.append

    async def fails(*_: Any, **__: Any) -> None:
        raise JournalUnavailable("The disk is full", "a test", "Free some space")

    message = good("edr")
    monkeypatch.setattr(door.triggers.app.journal, "append", fails)
    answer = post(door, "edr", message)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    monkeypatch.setattr(door.triggers.app.journal, "append", whole)
    assert post(door, "edr", message).status_code == 202


HOSTILE: list[tuple[str, bytes, int]] = [
    ("deep lists", b'{"a": ' + b"[" * 50_000 + b"]" * 50_000 + b"}", 400),
    ("deeper than is stored", b'{"a":' * 101 + b"1" + b"}" * 101, 400),
    ("NaN", b'{"a": NaN}', 400),
    ("infinity", b'{"a": Infinity}', 400),
    ("a number without a value", b'{"a": 1e999}', 400),
    ("a number of a thousand digits", b'{"a": ' + b"1" * 1000 + b"}", 400),
    ("a key twice", b'{"a": 1, "a": 2}', 400),
    ("a key twice, inside", b'{"b": {"a": 1, "a": 2}}', 400),
    ("no UTF-8", b'{"a": "\xff"}', 400),
    ("UTF-16", '{"a": 1}'.encode("utf-16"), 400),
    ("a byte order mark", b'\xef\xbb\xbf{"a": 1}', 400),
    ("a list", b"[1]", 400),
    ("a text", b'"a"', 400),
    ("null", b"null", 400),
    ("nothing", b"", 400),
    ("half", b'{"a": ', 400),
    ("two", b"{}{}", 400),
    ("XML", b"<a/>", 400),
]


@pytest.mark.parametrize(("name", "body", "status"), HOSTILE, ids=[each[0] for each in HOSTILE])
def test_a_signed_body_that_is_no_object_is_malformed(door: Door, name: str, body: bytes, status: int) -> None:
    """Who has the key may still send rubbish: it is refused, and the process stays up."""
    answer = post(door, "edr", signed_standard(body, id_=f"x-{len(body)}", at_s=time.time()))
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, "malformed")
    assert post(door, "edr", good("edr")).status_code == 202


def wrong(source: str) -> list[tuple[str, int, tuple[bytes, dict[str, str]]]]:
    """Return messages of a source that are wrong in one way each, with the status that refuses them."""
    body, headers = good(source, "w")
    signature = next(name for name in headers if "sig" in name.lower())
    found = [
        ("without a signature", 401, (body, {k: v for k, v in headers.items() if k != signature})),
        ("an empty signature", 401, (body, {**headers, signature: ""})),
        ("half a signature", 401, (body, {**headers, signature: headers[signature][:-3]})),
        ("another signature", 401, (body, {**headers, signature: headers[signature][:-4] + "0000"})),
        ("a signature of nothing known", 401, (body, {**headers, signature: "v9=abc"})),
        ("a signature that is no text", 401, (body, {**headers, signature: "v1,\xff\xfe"})),
        ("a thousand signatures", 401, (body, {**headers, signature: " ".join(["v1,bm9wZQ=="] * 1000)})),
        ("another body", 401, (body + b" ", headers)),
        ("no body", 401, (b"", headers)),
        ("another type of content", 415, (body, {**headers, "content-type": "text/html"})),
        ("no type of content", 415, (body, {k: v for k, v in headers.items() if k != "content-type"})),
        ("a compressed body", 415, (body, {**headers, "content-encoding": "gzip"})),
    ]
    for name in (each for each in headers if "time" in each.lower()):
        for text in ("", "abc", "-1", "1e9", "٣", "99999999999999999999"):
            found.append((f"the time {text!r}", 400, (body, {**headers, name: text})))
        found.append(("another time", 401, (body, {**headers, name: str(int(headers[name]) + 1)})))
    return found


@pytest.mark.parametrize("http", ["h11", "httptools"])
def test_hostile_messages_start_nothing_and_the_process_stays_up(place: Path, http: str) -> None:
    """Hundreds of wrong messages of every kind: each is answered with 4xx, and the next good one is taken."""
    count = 0
    with serving(place, http) as door, httpx.Client(timeout=30) as client:

        def send(source: str, message: tuple[bytes, dict[str, str]], status: int, why: str) -> None:
            nonlocal count
            body, headers = message
            raw = [(name.encode(), value.encode("utf-8")) for name, value in headers.items()]
            answer = client.post(f"{door.url}/hooks/{source}", content=body, headers=raw)
            if answer.text == "Invalid HTTP request received.":  # the server itself takes no such header
                assert answer.status_code == 400
                return
            assert answer.status_code == status, (source, why, answer.text)
            assert set(answer.json()["error"]) == {"code", "message"}
            count += 1

        for _ in range(2):
            for source in ("edr", "gh", "slack", "pd", "own"):
                for why, status, message in wrong(source):
                    send(source, message, status, why)
        now = time.time()
        for stale_s in (330, 3600, 10**9, -330, -3600):
            send("edr", signed_standard({}, id_="s", at_s=now - stale_s), 400, "stale")
            send("slack", signed_slack({"event_id": "s"}, at_s=now - stale_s), 400, "stale")
            send("own", signed_any({}, id_="s", at_s=now - stale_s), 400, "stale")
        for name in ("nobody", "EDR", "edr%00", "..%2fedr", "a" * 5000):
            send(name, good("edr"), 404, "an unknown source")
        for bad in ("", "a b", "x" * 300):
            body, headers = signed_standard({}, id_=bad, at_s=now)
            send("edr", (body, headers), 400, "a wrong ID")
        for _ in range(10):
            send("edr", signed_standard({}, id_="s", at_s=now, key=b"another"), 401, "another key")
        for method in ("GET", "PUT", "DELETE", "PATCH", "OPTIONS"):
            answer = client.request(method, f"{door.url}/hooks/edr")
            assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
            count += 1
        assert count >= 200
        assert runs_of(place) == []
        rows = {(row["source"], row["code"]): row["count"] for row in door.triggers.refusals()}
        assert sum(rows.values()) == count
        assert rows["(unknown)", "unknown_source"] == 5
        assert post(door, "edr", good("edr")).status_code == 202
        outcomes(door, 1)
    assert len(runs_of(place)) == 1


@pytest.mark.parametrize("http", ["h11", "httptools"])
def test_what_is_too_large_is_refused_before_it_is_read(place: Path, http: str) -> None:
    """Ten megabytes: announced, they are refused by what was announced; in pieces, when they are too many."""
    big = b'{"a": "' + b"x" * 10_000_000 + b'"}'
    with serving(place, http) as door:
        body, headers = signed_standard(big, id_="big", at_s=time.time())
        assert post(door, "edr", (body, headers)).status_code == 413

        def pieces() -> Any:
            for at in range(0, len(body), 65536):
                yield body[at : at + 65536]

        answer = httpx.post(f"{door.url}/hooks/edr", content=pieces(), headers=headers, timeout=30)
        assert answer.status_code == 413
        assert post(door, "small", signed_standard({"a": "x" * 3000}, id_="b", at_s=time.time())).status_code == 413
        assert post(door, "small", signed_standard({"a": "x" * 100}, id_="c", at_s=time.time())).status_code == 202
        outcomes(door, 1)
        import socket

        with socket.create_connection(("127.0.0.1", door.port), 5) as line:  # nothing but what it announces
            line.sendall(
                b"POST /hooks/edr HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
                b"Content-Length: 99999999999\r\n\r\n"
            )
            assert line.recv(100).startswith(b"HTTP/1.1 413")
    assert len(runs_of(place)) == 1


def test_two_values_of_a_header_are_one_too_many(door: Door) -> None:
    """Nobody could tell which of two signatures, times or IDs is meant."""
    body, headers = good("edr")
    for name in ("webhook-signature", "webhook-timestamp", "webhook-id"):
        raw = [*headers.items(), (name, headers[name])]
        answer = httpx.post(f"{door.url}/hooks/edr", content=body, headers=raw)
        assert answer.status_code == 400
    assert runs_of(door.folder) == []


def test_a_body_that_does_not_come_is_not_waited_for(place: Path) -> None:
    """Who sends a byte now and then holds a connection for a while, and nothing else."""
    import socket

    with serving(place, body_within_s=0.3) as door:
        _, headers = good("edr")
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        with socket.create_connection(("127.0.0.1", door.port), 5) as line:
            line.sendall(f"POST /hooks/edr HTTP/1.1\r\nHost: a\r\nContent-Length: 50\r\n{lines}\r\n{{".encode())
            assert line.recv(1000).startswith(b"HTTP/1.1 408")
        with socket.create_connection(("127.0.0.1", door.port), 5) as line:  # and one that goes away
            line.sendall(f"POST /hooks/edr HTTP/1.1\r\nHost: a\r\nContent-Length: 50\r\n{lines}\r\n{{".encode())
        assert post(door, "edr", good("edr")).status_code == 202
        outcomes(door, 1)
    assert len(runs_of(place)) == 1


def test_a_subscription_is_stored_told_and_starts_nothing(place: Path) -> None:
    """SNS wants to be confirmed: its message is on record with the address, and people hear of it."""
    from hikeshi.triggers.verify import Verified

    class Believed:
        """Stands for SNS, whose certificates tests can't have."""

        content_types = ("text/plain",)
        needs = ()
        done = 0

        async def verify(self, delivery: Any) -> Verified:
            async def after() -> None:
                self.done += 1
                raise OSError("no route")

            data = delivery.object()
            told = "wants to send events here" if data["type"] == "SubscriptionConfirmation" else ""
            return Verified(data["id"], data, is_for_people=bool(told), told=told, after=after if told else None)

    believed = Believed()
    with serving(place, sns=believed) as door:
        headers = {"content-type": "text/plain; charset=UTF-8"}
        body = b'{"type": "SubscriptionConfirmation", "id": "1", "subscribe_url": "https://sns.example/"}'
        answer = post(door, "sns", (body, headers))
        assert answer.status_code == 202
        assert post(door, "sns", (body, headers)).status_code == 409
        until = time.monotonic() + 5
        while len(door.told) < 2 and time.monotonic() < until:
            time.sleep(0.01)
        assert "wants to send events here" in door.told[0]
        assert "could not be confirmed: no route" in door.told[1]
        assert believed.done == 1
        assert post(door, "sns", (b'{"type": "Notification", "id": "2"}', headers)).status_code == 202
        assert [fire["id"] for fire in outcomes(door, 1)] == ["2"]
    assert len(runs_of(place)) == 1


def test_another_secret_in_the_settings_counts_from_then_on(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    """A service takes changed settings: what verified a source before does not verify it any more."""
    from dataclasses import replace

    assert post(door, "gh", good("gh")).status_code == 202
    monkeypatch.setenv("HOOK_OTHER", "another secret text")
    config = door.triggers.app.config
    other = replace(config.webhooks["gh"], secrets=("${env:HOOK_OTHER}",))
    door.triggers.app.config = replace(config, webhooks={**config.webhooks, "gh": other})
    assert post(door, "gh", good("gh", "e2")).status_code == 401
    message = signed_github({"action": "e3"}, id_="e3", secret="another secret text")
    assert post(door, "gh", message).status_code == 202
