"""The API over real HTTP: planning, running, approving, watching, releasing."""

import json
import threading
from collections import Counter

import httpx
import pytest
from desk import Desk, Served, wait_until

ASKS = """\
id: ask-first
name: Isolate after somebody else has agreed
inputs: {hostname: {type: hostname}}
steps:
  - {id: find, action: edr.get_host, with: {name: "{{ inputs.hostname }}"}}
  - {id: sure, approve: "Isolate {{ steps.find.name }}?", by: [role:soc_lead], within: 1h}
  - {id: isolate, action: edr.isolate_host, with: {host: "{{ steps.find }}", reason: test}, hold: 2h}
"""


@pytest.fixture
def mei(desk: Desk, served: Served):
    with desk.client(served, "responder") as client:
        yield client


@pytest.fixture
def ken(desk: Desk, served: Served):
    with desk.client(served, "approver") as client:
        yield client


@pytest.fixture(scope="module", autouse=True)
def playbook(desk: Desk) -> None:
    desk.add_playbook("ask-first", ASKS)


def host(desk: Desk, number: int = 0) -> str:
    names = Counter(each.name for each in desk.simulation.estate.hosts.values())
    return sorted(name for name, times in names.items() if times == 1)[number]


def over(client: httpx.Client, run: str):
    def look():
        found = client.get(f"/runs/{run}").json()
        return found if found["status"] in ("succeeded", "failed", "cancelled") else None

    return wait_until(look)


def question(client: httpx.Client, run: str):
    def look():
        found = client.get("/waiting").json()["questions"]
        return next((each for each in found if each["run"] == run), None)

    return wait_until(look)


def test_one_person_starts_another_approves_and_the_hold_is_released(desk: Desk, mei, ken) -> None:
    """The whole way of a responder and an approver, with what each of them is shown."""
    name = host(desk)
    begun = mei.post("/playbooks/ask-first/run", json={"inputs": {"hostname": name}})
    assert begun.status_code == 202, begun.text
    run = begun.json()["run"]
    asked = question(ken, run)
    assert asked["for_you"]
    assert name in json.dumps(asked["shows"])
    assert not question(mei, run)["for_you"]

    decision = {"path": asked["path"], "digest": asked["digest"], "note": "seen"}
    assert mei.post(f"/runs/{run}/approve", json=decision).status_code == 403
    assert ken.post(f"/runs/{run}/approve", json={**decision, "digest": "0" * 64}).status_code == 409
    assert ken.post(f"/runs/{run}/approve", json=decision).status_code == 200
    assert over(ken, run)["status"] == "succeeded"
    late = ken.post(f"/runs/{run}/reject", json=decision)
    assert (late.status_code, late.json()["error"]["code"]) == (409, "refused")

    (hold,) = [each for each in ken.get("/holds").json()["items"] if each["run"] == run]
    assert (hold["label"], hold["actor"], hold["overdue"]) == (name, "mei", False)
    assert mei.get(f"/holds/{hold['hold']}").json()["reading"]["standing"] == "held"
    released = mei.post(f"/holds/{hold['hold']}/release", json={"reason": "over"})
    assert released.status_code == 202, released.text
    assert over(mei, released.json()["run"])["status"] == "succeeded"
    assert not [each for each in mei.get("/holds").json()["items"] if each["run"] == run]


def test_a_plan_is_shown_saved_and_applied_once(desk: Desk, mei) -> None:
    """The second time it is refused, with the reason."""
    begun = mei.post("/playbooks/isolate-host/plan", json={"inputs": {"hostname": host(desk, 1)}}).json()["run"]
    over(mei, begun)
    plan = mei.get(f"/runs/{begun}/plan").json()
    assert [action["action"] for action in plan["actions"] if action["effect"] == "change"] == ["edr.isolate_host"]
    saved = mei.post(f"/runs/{begun}/plan", json={"good_for_s": 600})
    assert saved.status_code == 201, saved.text

    applied = mei.post("/plans/apply", json={"plan": saved.json()})
    assert applied.status_code == 202, applied.text
    assert over(mei, applied.json()["run"])["status"] == "succeeded"
    again = mei.post("/plans/apply", json={"plan": saved.json()})
    assert again.status_code == 409
    assert "already" in again.json()["error"]["message"]


def test_the_same_request_with_the_same_key_is_done_once(desk: Desk, mei) -> None:
    """Twenty at once, and one more later: one run; the same key for something else is refused."""
    body = {"inputs": {"hostname": host(desk, 2)}}
    answers: list[httpx.Response] = []

    def ask() -> None:
        answers.append(mei.post("/playbooks/ask-first/run", json=body, headers={"Idempotency-Key": "one"}))

    threads = [threading.Thread(target=ask) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    late = mei.post("/playbooks/ask-first/run", json=body, headers={"Idempotency-Key": "one"})

    begun = {each.json()["run"] for each in answers if each.status_code == 202}
    assert len(begun) == 1
    assert {each.status_code for each in answers} <= {202, 409}
    assert late.json()["run"] in begun
    assert late.headers["idempotency-replayed"] == "true"
    assert len([each for each in mei.get("/runs?playbook=ask-first").json()["items"] if each["run"] in begun]) == 1
    other = mei.post("/playbooks/isolate-host/run", json=body, headers={"Idempotency-Key": "one"})
    assert (other.status_code, other.json()["error"]["code"]) == (409, "key_reused")


def test_events_come_live_and_go_on_where_somebody_left(desk: Desk, mei, ken) -> None:
    """Whoever comes back with the last ID they have seen misses nothing and gets nothing twice."""
    run = mei.post("/playbooks/ask-first/run", json={"inputs": {"hostname": host(desk, 3)}}).json()["run"]
    asked = question(ken, run)
    seen: list[int] = []
    with mei.stream("GET", f"/runs/{run}/events") as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        for line in stream.iter_lines():
            if line.startswith("id: "):
                seen.append(int(line[4:]))
                if len(seen) == 3:
                    break
    ken.post(f"/runs/{run}/reject", json={"path": asked["path"], "digest": asked["digest"]})
    kinds: list[str] = []
    with mei.stream("GET", f"/runs/{run}/events", headers={"Last-Event-ID": str(seen[-1])}) as stream:
        for line in stream.iter_lines():
            if line.startswith("id: "):
                seen.append(int(line[4:]))
            if line.startswith("event: "):
                kinds.append(line[7:])
    assert seen == list(range(1, len(seen) + 1))
    assert kinds[-2:] == ["RunFinished", "over"]


def test_runs_and_playbooks_come_in_pages(desk: Desk, mei) -> None:
    """Each thing once, also with a page of one."""
    for number in (5, 6):
        planned = mei.post("/playbooks/isolate-host/plan", json={"inputs": {"hostname": host(desk, number)}})
        over(mei, planned.json()["run"])
    for path, key in (("/playbooks", "id"), ("/runs", "run")):
        whole = [each[key] for each in mei.get(path, params={"limit": 500}).json()["items"]]
        found, after = [], None
        while True:
            page = mei.get(path, params={"limit": 1, **({"after": after} if after else {})}).json()
            found += [each[key] for each in page["items"]]
            after = page["next"]
            if after is None:
                break
        assert found == whole
        assert len(whole) > 1


def test_stopping_takes_one_and_releasing_two(desk: Desk, served: Served, mei, ken) -> None:
    """While it is stopped a change is refused, with who may lift it."""
    assert mei.post("/stops", json={"stop": "everything", "reason": "drill"}).status_code == 201
    run = mei.post("/playbooks/isolate-host/run", json={"inputs": {"hostname": host(desk, 4)}}).json()["run"]
    assert over(mei, run)["status"] == "failed"
    first = ken.post("/stops/everything/release", json={"reason": "over"}).json()
    assert first["released_by"] == ["ken"]
    assert first["people"] == 2
    with desk.client(served, "admin") as admin:
        assert admin.post("/stops/everything/release", json={"reason": "over"}).json() is None
    assert mei.get("/stops").json() == []


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("POST", "/playbooks/no-such/run", {"inputs": {}}, 404, "unknown_playbook"),
        ("POST", "/playbooks/ask-first/run", {"inputs": {}}, 422, "inputs"),
        ("POST", "/playbooks/ask-first/run", {"inputs": {"hostname": "a"}, "mode": "live"}, 422, "usage"),
        ("POST", "/playbooks/ask-first/run", {"inputs": {"hostname": 3}}, 422, "inputs"),
        ("GET", "/runs/no-such", None, 404, "unknown_run"),
        ("GET", "/runs?limit=0", None, 422, "usage"),
        ("GET", "/runs?after=%25", None, 422, "usage"),
        ("GET", "/holds/no-such", None, 404, "unknown_hold"),
        ("POST", "/holds/no-such/extend", {"by_s": 60, "reason": "x"}, 404, "unknown_hold"),
        ("POST", "/stops", {"stop": "nothing"}, 422, "usage"),
        ("POST", "/runs/no-such/cancel", {"reason": " "}, 422, "usage"),
        ("DELETE", "/runs", None, 405, "wrong_method"),
        ("GET", "/no-such", None, 404, "not_found"),
    ],
)
def test_wrong_requests_get_one_form_of_error(mei, method, path, body, status, code) -> None:
    """A code that never changes, a message, and where it is wrong."""
    answer = mei.request(method, path, json=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code), answer.text
    assert answer.json()["error"]["message"]


def test_a_body_that_is_too_large_is_refused_before_it_is_read(mei) -> None:
    """With a length that says so, and without one."""

    def pieces():
        for _ in range(9):
            yield b"x" * 1024 * 1024

    said = mei.post("/plans/apply", content=b"x" * (9 * 1024 * 1024), headers={"content-type": "application/json"})
    assert said.status_code == 413, said.text
    unsaid = mei.post("/plans/apply", content=pieces(), headers={"content-type": "application/json"})
    assert unsaid.status_code == 413, unsaid.text
