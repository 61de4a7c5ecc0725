"""Faults over real HTTP: what the caller sees, and whether the vendor has done it all the same."""

import time

import httpx
import pytest

from hikeshi.testing.faults import FaultError, parse_fault
from hikeshi.testing.simulation import running

CONTAIN = "/acme/v1/hosts/h1/contain"
LOST = (httpx.RemoteProtocolError, httpx.ReadError)


def outcome(client: httpx.Client) -> tuple[int | None, bool, str | None]:
    """The only change that was asked for: its status, whether it was applied, and the fault that hit it."""
    (change,) = client.get("/_estate/changes").json()
    return change["status"], change["applied"], change["fault"]


def isolation(client: httpx.Client) -> str:
    return client.get("/_estate").json()["hosts"]["h1"]["isolation"]


def test_a_request_dropped_before_it_is_processed_has_no_effect(client, order):
    """The connection closes without an answer, and nothing was changed."""
    order(drop="before")
    with pytest.raises(LOST):
        client.post(CONTAIN)
    assert isolation(client) == "normal"
    assert outcome(client) == (None, False, "drop")


def test_a_request_dropped_after_it_is_processed_has_its_effect(client, order):
    """The connection closes without an answer although the host is being contained."""
    order(drop="after")
    with pytest.raises(LOST):
        client.post(CONTAIN)
    assert isolation(client) == "containment_pending"
    assert outcome(client) == (202, True, "drop")


def test_half_an_answer_breaks_off(client, order):
    """Headers and half of the body arrive, then the connection closes; the vendor has done its work."""
    order(half=True)
    with pytest.raises(httpx.RemoteProtocolError, match="without sending complete"):
        client.post(CONTAIN)
    assert isolation(client) == "containment_pending"
    assert outcome(client) == (202, True, "half")


@pytest.mark.parametrize("http", ["h11", "httptools"])
def test_connections_are_cut_with_either_parser(simulation, http):
    """Drops and halves work whether or not the faster HTTP parser is installed."""
    with running(simulation, http=http) as base_url, httpx.Client(base_url=base_url) as client:
        for fault in ({"drop": "before"}, {"drop": "after"}, {"half": True}):
            client.post("/_estate/faults", json=fault)
            with pytest.raises(LOST):
                client.get("/acme/v1/hosts/h1")
        assert client.get("/acme/v1/hosts/h1").status_code == 200


def test_an_ordered_status_replaces_the_vendor(client, order):
    """The caller gets the ordered status, body and headers, and the vendor never saw the request."""
    order(status=503, body={"down": True}, headers={"Retry-After": "7"})
    answer = client.post(CONTAIN)
    assert (answer.status_code, answer.json(), answer.headers["retry-after"]) == (503, {"down": True}, "7")
    assert isolation(client) == "normal"
    assert outcome(client) == (503, False, "status")


def test_an_ordered_status_can_come_after_the_effect(client, order):
    """A gateway that gives up too early: the caller sees 504, the vendor has done it."""
    order(status=504, when="after", body="gateway timeout")
    answer = client.post(CONTAIN)
    assert (answer.status_code, answer.text) == (504, "gateway timeout")
    assert isolation(client) == "containment_pending"
    assert outcome(client) == (202, True, "status")


def test_an_html_page_comes_with_status_200(client, order):
    """A proxy's page looks like success and is none."""
    order(html=True)
    answer = client.post(CONTAIN)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert answer.text.startswith("<!DOCTYPE html>")
    assert isolation(client) == "normal"
    assert outcome(client) == (200, False, "html")


def test_the_vendors_own_rate_limit_can_be_ordered(client, order):
    """The answer is what the vendor says when its limit is reached."""
    order(too_many_requests_s=3)
    answer = client.get("/acme/v1/echo")
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "3")
    assert answer.json() == {"acme_error": "too many requests"}


@pytest.mark.parametrize(("when", "meanwhile"), [("before", "normal"), ("after", "containment_pending")])
def test_a_slow_answer_comes_before_or_after_the_effect(client, order, when, meanwhile):
    """A caller that gives up in the meantime finds the effect not yet there, or there already; it comes either way."""
    order(delay_s=0.2, when=when)
    with pytest.raises(httpx.ReadTimeout):
        client.post(CONTAIN, timeout=0.08)
    assert isolation(client) == meanwhile
    time.sleep(0.2)
    assert isolation(client) == "containment_pending"
    assert outcome(client) == (202, True, "delay_s")


def test_an_answer_can_be_made_large(client, order):
    """The body is padded with spaces, which JSON does not mind."""
    order(body_bytes=3_000_000)
    answer = client.get("/acme/v1/hosts/h1")
    assert len(answer.content) == 3_000_000
    assert answer.json()["name"] == "build-01"


def test_a_fault_hits_as_often_as_it_was_ordered(client, order):
    """Two times means the next two requests that fit; then all is well again."""
    order(status=500, times=2)
    assert [client.get("/acme/v1/echo").status_code for _ in range(3)] == [500, 500, 200]


def test_a_fault_without_an_end_stays_until_it_is_removed(client, order):
    """`times: null` goes on; removing the faults ends it."""
    order(status=500, times=None)
    assert [client.get("/acme/v1/echo").status_code for _ in range(3)] == [500, 500, 500]
    assert client.get("/_estate/faults").json() == [{"times": None, "status": 500}]
    assert client.delete("/_estate/faults").status_code == 204
    assert client.get("/acme/v1/echo").status_code == 200


def test_a_fault_waits_for_the_requests_it_is_meant_for(client, order):
    """Product, method and path decide; the path is a pattern below the product's prefix."""
    order(product="other", status=500)
    order(product="acme", method="post", path="/v1/hosts/*/contain", status=502)
    assert client.get("/acme/v1/hosts/h1").status_code == 200
    assert client.post("/acme/v1/echo").status_code == 200
    assert client.post(CONTAIN).status_code == 502
    assert client.get("/_estate/faults").json() == [{"product": "other", "status": 500}]


def test_faults_act_one_after_the_other(client, order):
    """The first that fits is used up before the next acts; the control routes are never hit."""
    order(status=500)
    order(status=501)
    assert client.get("/_estate/health").status_code == 200
    assert [client.get("/acme/v1/echo").status_code for _ in range(3)] == [500, 501, 200]


def test_a_status_without_a_body_stays_empty(client, order):
    """A status that must not have a body has none, and the connection can be used again."""
    order(status=204)
    answer = client.get("/acme/v1/echo")
    assert (answer.status_code, answer.content) == (204, b"")
    assert client.get("/acme/v1/echo").status_code == 200


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ({}, "exactly one of status, html, .* given: none"),
        ({"status": 500, "drop": "before"}, "given: status, drop"),
        ({"status": 500, "times": 0}, "times: must be at least 1"),
        ({"statsu": 500}, "statsu: Unexpected"),
        ({"drop": "midway"}, "drop: Input should be 'before' or 'after'"),
        ({"status": 99}, "status: "),
        ({"delay_s": -1}, "delay_s: "),
        ([], "fault: "),
    ],
)
def test_a_wrong_fault_is_refused(client, fault, said):
    """An order that makes no sense is answered with 400 and the reason, and no fault waits."""
    with pytest.raises(FaultError, match=said):
        parse_fault(fault)
    assert client.post("/_estate/faults", json=fault).status_code == 400
    assert client.get("/_estate/faults").json() == []


@pytest.mark.parametrize("kind", ["delay_s", "too_many_requests_s", "body_bytes"])
def test_nothing_at_all_is_an_order_too(kind):
    """A value of 0 is what was asked for, not the absence of it."""
    assert parse_fault({"product": "acme", kind: 0}).kind == kind
