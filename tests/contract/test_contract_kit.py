"""The contract kit finds what is wrong with a connector: each mistake, made in a copy of Deskline, fails its check."""

import dataclasses
import functools
import importlib.util
import sys
import types
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from hikeshi.capabilities import Indicator, Ticketing, read
from hikeshi.connector import (
    Applied,
    Connector,
    ConnectorError,
    Forbidden,
    RateLimited,
    Response,
    Route,
    Unauthorized,
    Unavailable,
)
from hikeshi.testing.contract import CHECKS, Case, Contract, report, run, run_check
from hikeshi_connectors.crowdstrike import Falcon

EXAMPLE = Path(__file__).parent.parent.parent / "examples" / "third-party-connector"
sys.path.append(str(EXAMPLE))


def contract(path: Path) -> Contract:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found: Contract = module.CONTRACT
    return found


GOOD = contract(EXAMPLE / "tests" / "test_deskline_contract.py")
FALCON = contract(Path(__file__).parent / "crowdstrike_contract.py")
Deskline: Any = GOOD.connector
READS = Deskline.read_routes


def copy_with(**changes: Any) -> type[Connector]:
    """Return a copy of Deskline in which some things are done otherwise."""
    body = {name: value for name, value in vars(Deskline).items() if name not in ("__dict__", "__weakref__")}
    made = types.new_class(
        "Broken", (Connector, Ticketing), {"product": "deskline"}, lambda ns: ns.update(body | changes)
    )
    assert issubclass(made, Connector)
    return made


def failures(contract: Contract, check: str) -> str:
    [chosen] = [each for each in CHECKS if each.name == check]
    return "\n".join(run_check(contract, chosen).problems)


@read
async def status_is_always_open(self: Any, ticket: Any) -> Any:
    await self.http.get(f"/tickets/{ticket.id}")
    return Deskline.status_of.__globals__["TicketStatus"](connector=self.name, ticket_id=ticket.id, status="open")


status_is_always_open.__annotations__ = Deskline.status_of.__annotations__
status_is_always_open.__module__ = Deskline.status_of.__module__


def like(name: str) -> Callable[[Any], Any]:
    """Give a function the signature and marks of Deskline's method."""

    def wrap(function: Any) -> Any:
        return functools.wraps(getattr(Deskline, name))(function)

    return wrap


@like("reopen_ticket")
async def reopen_with_a_comment(self: Any, ticket: Any, reason: str) -> None:
    await self.http.put(f"/tickets/{ticket.id}/status", json={"status": "open", "note": reason})
    await self.http.post(f"/tickets/{ticket.id}/comments", json={"text": reason})


@like("close_ticket")
async def close_in_two_steps(self: Any, ticket: Any, reason: str) -> None:
    await self.http.post(f"/tickets/{ticket.id}/comments", json={"text": reason})
    await self.http.put(f"/tickets/{ticket.id}/status", json={"status": "closed", "note": reason})


@like("close_ticket")
async def close_with_a_counter(self: Any, ticket: Any, reason: str) -> None:
    self.counter = getattr(self, "counter", 0) + 1
    await self.http.put(f"/tickets/{ticket.id}/status", json={"status": "closed", "note": f"{reason} {self.counter}"})


@like("close_ticket")
async def close_and_return(self: Any, ticket: Any, reason: str) -> Any:
    await self.http.put(f"/tickets/{ticket.id}/status", json={"status": "closed", "note": reason})
    return True


@like("find_tickets")
async def find_on_the_first_page(self: Any, number: str) -> Any:
    page = (await self.http.get("/tickets", params={"q": number})).json()
    return [ticket for ticket in map(self._ticket, page["items"]) if ticket.name.casefold() == number.casefold()]


@like("find_tickets")
async def find_whatever_matches(self: Any, number: str) -> Any:
    page = (await self.http.get("/tickets", params={"q": number})).json()
    return [self._ticket(item) for item in page["items"]]


@like("find_tickets")
async def find_nothing_when_it_fails(self: Any, number: str) -> Any:
    try:
        return await Deskline.find_tickets(self, number)
    except ConnectorError:
        return []


@like("find_tickets")
async def find_with_the_key_in_the_url(self: Any, number: str) -> Any:
    await self.http.get("/tickets", params={"key": self.reveal(self.settings.api_key)})
    return await Deskline.find_tickets(self, number)


@like("find_tickets")
async def find_by_a_change(self: Any, number: str) -> Any:
    await self.http.post("/tickets", json={"title": number, "description": "", "priority": "low"})
    return await Deskline.find_tickets(self, number)


async def authorize_without_reveal(self: Any) -> Mapping[str, str]:
    return {"authorization": f"Bearer {self.settings.api_key.reveal()}"}


def checked_by_status_alone(self: Any, response: Response) -> None:
    if response.status >= 400:
        Deskline.check(self, response)


def check_raising(kind: type[ConnectorError], *statuses: int, **how: Any) -> Any:
    def check(self: Any, response: Response) -> None:
        if response.status in statuses:
            raise kind("no", **how)
        Deskline.check(self, response)

    return check


def check_telling_the_key(self: Any, response: Response) -> None:
    if response.status >= 400:
        raise Unavailable(f"refused with {self.settings.api_key.reveal()}")
    Deskline.check(self, response)


@like("_ticket")
def ticket_of_nobody(self: Any, item: Any) -> Any:
    return Deskline._ticket(self, item).model_copy(update={"connector": "somebody"})


BROKEN: dict[str, tuple[dict[str, Any], str]] = {
    "verify_sees_the_change": ({"status_of": status_is_always_open}, "was not seen"),
    "undo_restores_the_estate": ({"reopen_ticket": reopen_with_a_comment}, "left"),
    "repeating_is_safe": ({"close_ticket": close_in_two_steps}, "repeated, it changed"),
    "plan_equals_what_is_sent": ({"close_ticket": close_with_a_counter}, "sent was"),
    "plan_changes_nothing": ({"read_routes": (*READS, Route("PUT", "/tickets/*/status"))}, "changed something"),
    "reads_change_nothing": (
        {"find_tickets": find_by_a_change, "read_routes": (*READS, Route("POST", "/tickets"))},
        "asked for a change",
    ),
    "read_door_refuses_changes": ({"read_routes": (*READS, Route("POST", "/**"))}, "reached the product"),
    "hostile_names_find_nothing": ({"find_tickets": find_whatever_matches}, "found"),
    "pages_are_complete": ({"find_tickets": find_on_the_first_page}, "gave 0 of 1"),
    "status_401": ({"check": check_raising(Forbidden, 401)}, "not Unauthorized"),
    "status_403": ({"check": check_raising(Unauthorized, 403)}, "not Forbidden"),
    "status_404": ({"check": check_raising(Unavailable, 404)}, "not NotFound"),
    "status_409": ({"check": check_raising(RateLimited, 409)}, "not Conflict"),
    "status_500": ({"check": check_raising(Unavailable, 500)}, "says applied=no"),
    "status_503": ({"find_tickets": find_nothing_when_it_fails}, "ended without an error"),
    "rate_limit_hint": ({"check": check_raising(RateLimited, 429)}, "understood a delay of None"),
    "connection_dropped_before": ({"find_tickets": find_nothing_when_it_fails}, "ended without an error"),
    "connection_dropped_after": ({"find_tickets": find_nothing_when_it_fails}, "ended without an error"),
    "half_a_body": ({"find_tickets": find_nothing_when_it_fails}, "ended without an error"),
    "no_answer_in_time": ({"find_tickets": find_nothing_when_it_fails}, "ended without an error"),
    "html_is_no_answer": ({"check": checked_by_status_alone}, "ended without an error"),
    "strange_bodies": ({"find_tickets": find_nothing_when_it_fails}, "ended without an error"),
    "wrong_credentials": ({"check": check_raising(Forbidden, 401)}, "not Unauthorized"),
    "secrets_are_never_shown": ({"check": check_telling_the_key}, "is shown in"),
    "actions_run": ({"_ticket": ticket_of_nobody}, "does not carry the name"),
}


def test_good_connector_keeps_everything():
    """The copy without a mistake passes every check, so that the failures below come from the mistakes."""
    results = run(dataclasses.replace(GOOD, connector=copy_with()))
    assert [str(result) for result in results if result.status != "ok"] == []
    assert len(results) == len(CHECKS)


@pytest.mark.parametrize("check", BROKEN)
def test_mistake_fails_its_check(check: str):
    """A connector with one mistake fails the check that is about it, with a text that says so."""
    changes, text = BROKEN[check]
    assert text in failures(dataclasses.replace(GOOD, connector=copy_with(**changes)), check)


def test_every_check_has_a_mistake_that_fails_it():
    """No check is only ever seen green; those without a mistake of their own here are tested below."""
    assert {check.name for check in CHECKS} - set(BROKEN) == {
        "read_routes_are_minimal",
        "large_body",
        "native_expiry_ends_a_change",
    }


def test_expiry_that_the_product_is_not_told_is_found():
    """A block that would never end by itself is no native expiry, and a connector without a case for it says so."""

    class Forgets(Falcon, product="crowdstrike"):
        async def block_hashes(self, hashes: list[Indicator], reason: str, expires_in_s: int | None = None) -> None:
            await super().block_hashes(hashes, reason)

    check = "native_expiry_ends_a_change"
    forgets = failures(dataclasses.replace(FALCON, connector=Forgets), check)
    assert "says that it ends at [None]" in forgets
    assert "is still so" in forgets
    untried = [case for case in FALCON.cases if case.action != "edr.block_hashes"]
    assert "no case says expires_in_s" in failures(dataclasses.replace(FALCON, cases=untried), check)


@pytest.mark.parametrize(
    ("route", "text"),
    [(Route("GET", "/users"), "is used by no action"), (Route("PUT", "/tickets/*/status"), "lets a change through")],
)
def test_read_route_too_many_is_named(route: Route, text: str):
    """Unused routes and routes that let changes pass are both told."""
    assert text in failures(
        dataclasses.replace(GOOD, connector=copy_with(read_routes=(*READS, route))), "read_routes_are_minimal"
    )


def test_large_body_that_is_refused_is_told():
    """A connector that gives up on 10 MB fails."""

    def check(self: Any, response: Response) -> None:
        if len(response.content) > 1_000_000:
            raise Unavailable("too much", applied=Applied.MAYBE)

    assert "too much" in failures(dataclasses.replace(GOOD, connector=copy_with(check=check)), "large_body")


FIND_TICKETS, CREATE = GOOD.cases[:2]


@like("find_tickets")
async def find_without_http(self: Any, number: str) -> Any:
    return []


@pytest.mark.parametrize("check", ["status_403", "status_404", "half_a_body", "no_answer_in_time", "strange_bodies"])
def test_case_that_no_fault_can_strike_is_told_and_the_others_go_on(check: str):
    """What asks without HTTP is a problem of that action alone, and can be exempt; another mistake is still found."""
    changes = {"find_tickets": find_without_http, "check": check_raising(Unauthorized, 403, 404)}
    broken = dataclasses.replace(GOOD, connector=copy_with(**changes), cases=[FIND_TICKETS, CREATE])
    told = failures(broken, check)
    assert (
        "ticketing.find_tickets: the check could not go on: ticketing.find_tickets makes no request over HTTP" in told
    )
    mistakes = check.startswith("status")
    assert ("ticketing.create: raised" in told) is mistakes
    exempt = dataclasses.replace(broken, exempt={f"{check}:ticketing.find_tickets": "asks without HTTP"})
    assert ("find_tickets" in failures(exempt, check), bool(failures(exempt, check))) == (False, mistakes)


def test_change_that_returns_something_is_told():
    """What a change returns would not be what verify reads."""
    broken = copy_with(close_ticket=close_and_return)
    assert "returned something" in failures(dataclasses.replace(GOOD, connector=broken), "actions_run")


def test_action_without_a_case_is_told():
    """An action that the kit cannot call is not left out in silence, nor is a case for none."""
    cases = [case for case in GOOD.cases if case.action != "ticketing.comment"]
    lacking = dataclasses.replace(GOOD, cases=[*cases, Case("ticketing.paint")])
    told = failures(lacking, "actions_run")
    assert "ticketing.comment: is supported, but has no case" in told
    assert "ticketing.paint: has a case, but is not supported" in told


def test_case_whose_expectation_is_not_met_is_told():
    """The estate is looked at, not only the answer."""
    cases = [dataclasses.replace(case, expect=lambda estate: False) for case in GOOD.cases]
    assert "did not leave the estate" in failures(dataclasses.replace(GOOD, cases=cases), "actions_run")


def test_key_in_a_url_is_told():
    """Proxies write URLs into their logs."""
    broken = copy_with(find_tickets=find_with_the_key_in_the_url)
    assert "is in the URL" in failures(dataclasses.replace(GOOD, connector=broken), "secrets_are_never_shown")


def test_credential_unknown_to_the_redactor_is_told():
    """A secret that was not revealed through the connector would not be masked."""
    broken = copy_with(_authorization=authorize_without_reveal)
    assert "redactor does not know" in failures(dataclasses.replace(GOOD, connector=broken), "secrets_are_never_shown")


def test_exemption_hides_its_problem_and_says_why():
    """A problem that is exempt, as a check or for one action, is no failure, but is shown."""
    broken = dataclasses.replace(
        GOOD,
        connector=copy_with(check=check_raising(Forbidden, 401)),
        exempt={"wrong_credentials": "Deskline says 403 where others say 401"},
    )
    [result] = run(broken, [check for check in CHECKS if check.name == "wrong_credentials"])
    assert result.status == "exempt"
    assert "Deskline says 403" in report([result])


def test_exemption_that_nothing_needs_is_a_problem():
    """What was mended does not stay exempt."""
    assert "not needed any more" in failures(
        dataclasses.replace(GOOD, exempt={"status_409:ticketing.create": "?"}), "status_409"
    )


def test_check_about_actions_that_do_not_exist_is_idle():
    """What was not examined is not called ok."""
    names = ("create", "comment", "status_of", "close_ticket", "reopen_ticket")
    inherited = {name: getattr(Ticketing, name, None) for name in names}
    reading = dataclasses.replace(GOOD, connector=copy_with(**inherited), cases=GOOD.cases[:1])
    results = {result.check: result.status for result in run(reading, CHECKS[:7])}
    assert results["verify_sees_the_change"] == results["plan_changes_nothing"] == "idle"
    assert results["actions_run"] == results["reads_change_nothing"] == "ok"


def test_report_is_a_table_of_product_and_check():
    """A line for each check, a column for each product, and the notes below."""
    good = run(GOOD, CHECKS[:2])
    other = [dataclasses.replace(result, product="other", problems=("x: broken",)) for result in good[:1]]
    lines = report([*good, *other]).splitlines()
    assert lines[0].split() == ["check", "deskline", "other"]
    assert lines[1].split() == ["actions_run", "ok", "FAILED"]
    assert lines[2].split() == ["verify_sees_the_change", "ok", "-"]
    assert lines[-1] == "  x: broken"
