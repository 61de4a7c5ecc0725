"""The HTTP shapes of PAN-OS: what is sent for each action, and what a plan shows."""

import contextlib
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

import httpx
import pytest
import respx

from hikeshi.capabilities import Block, Connection, Effect, Indicator
from hikeshi.connector import Conflict, Invalid, PartialFailure, Secret, Unsupported
from hikeshi.connector.door import CaptureEnded, Door, through
from hikeshi.connector.registry import build
from hikeshi.secrets import Redactor
from hikeshi_connectors.panos import PanOs

URL = "https://fw.example/api/"
KEY = "LUFRPT1-unit-test-key"
NOW = datetime(2026, 7, 1, 12, 0, 30, tzinfo=UTC)
XPATH = (
    "/config/devices/entry[@name='localhost.localdomain']/vsys/entry[@name='vsys1']"
    "/profiles/custom-url-category/entry[@name='hikeshi-blocked']"
)
OK = '<response status="success"/>'
DONE = '<response status="success" code="20"><msg>command succeeded</msg></response>'
QUEUED = '<response status="success" code="19"><result><job>4</job></result></response>'
CATEGORY = (
    '<response status="success"><result total-count="1" count="1"><entry name="hikeshi-blocked"><list>'
    "<member>Old.example</member><member>a.example/x</member></list><type>URL List</type></entry></result></response>"
)
ADDRESS = Indicator(kind="ipv4", value="203.0.113.7")
DOMAIN = Indicator(kind="domain", value="evil.example")


def panos(*answers: str, **settings: Any) -> tuple[PanOs, respx.MockRouter]:
    router = respx.MockRouter(assert_all_called=False)
    router.post(URL).mock(side_effect=[httpx.Response(200, text=answer) for answer in answers])
    given = {"base_url": "https://fw.example", "api_key": Secret.of_value(KEY), "admin": "svc-hikeshi", **settings}
    connector = build(PanOs, "fw", given, Redactor(), transport=httpx.MockTransport(router.async_handler))
    assert isinstance(connector, PanOs)
    connector.clock = lambda: NOW
    return connector, router


def sent(router: respx.MockRouter) -> list[dict[str, str]]:
    for call in router.calls:
        assert call.request.headers["x-pan-key"] == KEY
        assert str(call.request.url) == URL
        assert KEY.encode() not in call.request.content
    return [dict(parse_qsl(call.request.content.decode(), strict_parsing=True)) for call in router.calls]


def door(mode: Any = "live", effect: Effect = Effect.CHANGE) -> Door:
    return Door(mode=mode, effect=effect, action="firewall.block_indicators", intended=mode == "live")


def message(verb: str, *entries: str) -> str:
    return (
        f"<uid-message><version>1.0</version><type>update</type><payload><{verb}>{''.join(entries)}</{verb}>"
        "</payload></uid-message>"
    )


def entry(ip: str, timeout: str = "") -> str:
    return f'<entry ip="{ip}"><tag><member{timeout}>hikeshi-blocked</member></tag></entry>'


COMMIT = {
    "type": "commit",
    "action": "partial",
    "cmd": "<commit><partial><device-and-network>excluded</device-and-network><shared-object>excluded</shared-object>"
    "<admin><member>svc-hikeshi</member></admin></partial></commit>",
}


async def test_addresses_are_registered_in_one_message():
    """One User-ID message tags the whole batch, with the timeout in seconds."""
    firewall, router = panos(OK)
    indicators = [
        ADDRESS,
        Indicator(kind="ipv6", value="2001:DB8::0:7"),
        Indicator(kind="cidr", value="198.51.100.0/24"),
        Indicator(kind="cidr", value="192.0.2.9/32"),
    ]
    with through(door()):
        await firewall.block_indicators(indicators, "c2", 3600)
    timeout = ' timeout="3600"'
    entries = [entry(ip, timeout) for ip in ("203.0.113.7", "2001:db8::7", "198.51.100.0/24", "192.0.2.9")]
    assert sent(router) == [{"type": "user-id", "vsys": "vsys1", "cmd": message("register", *entries)}]


@pytest.mark.parametrize(
    ("expires_in_s", "attribute"), [(None, ""), (1, ' timeout="1"'), (99_999_999, ' timeout="2592000"')]
)
async def test_the_timeout_is_left_out_or_cut_to_thirty_days(expires_in_s: int | None, attribute: str):
    """Without an expiry the tag stays; more than the firewall allows becomes the most it allows."""
    firewall, router = panos(OK)
    with through(door()):
        await firewall.block_indicators([ADDRESS], "c2", expires_in_s)
    assert sent(router)[0]["cmd"] == message("register", entry("203.0.113.7", attribute))


@pytest.mark.parametrize("expires_in_s", [0, -5])
async def test_an_expiry_of_nothing_is_refused(expires_in_s: int):
    """The firewall takes a timeout of 0 for never, so it is not sent."""
    firewall, router = panos()
    with through(door()), pytest.raises(Invalid):
        await firewall.block_indicators([ADDRESS], "c2", expires_in_s)
    assert not router.calls


async def test_addresses_are_unregistered_with_their_tag():
    """Only the one tag is taken off: without a tag the firewall would take off all of them."""
    firewall, router = panos(OK, tag="soar <&> tag", vsys="vsys2")
    with through(door()):
        await firewall.unblock_indicators([ADDRESS], "false alarm")
    tagged = '<entry ip="203.0.113.7"><tag><member>soar &lt;&amp;&gt; tag</member></tag></entry>'
    assert sent(router) == [{"type": "user-id", "vsys": "vsys2", "cmd": message("unregister", tagged)}]


async def test_sites_are_set_and_committed_for_one_administrator():
    """The category is looked up, the entries are merged into it, and only our own changes are committed."""
    firewall, router = panos(CATEGORY, DONE, QUEUED)
    url = Indicator(kind="url", value="http://evil.example/a&b<c>?d=é#top")
    with through(door()):
        await firewall.block_indicators([DOMAIN, url], "c2", 3600)
    assert sent(router) == [
        {"type": "config", "action": "show", "xpath": XPATH},
        {
            "type": "config",
            "action": "set",
            "xpath": f"{XPATH}/list",
            "element": "<member>evil.example/</member><member>evil.example/a&amp;b&lt;c&gt;?d=%C3%A9</member>",
        },
        COMMIT,
    ]


async def test_sites_are_deleted_by_name_however_they_are_written():
    """One delete names every entry and its other spellings; a quote in it stays text."""
    firewall, router = panos(CATEGORY, DONE, QUEUED)
    quoted = Indicator(kind="url", value="https://a.example/' or 'x'='x")
    with through(door()):
        await firewall.unblock_indicators([Indicator(kind="domain", value="old.example"), quoted], "false alarm")
    assert sent(router)[1:] == [
        {
            "type": "config",
            "action": "delete",
            "xpath": f"{XPATH}/list/member["
            "text()='Old.example' or "
            "text()=concat('a.example/', \"'\", '%20or%20', \"'\", 'x', \"'\", '=', \"'\", 'x') or "
            "text()='old.example/']",
        },
        COMMIT,
    ]


async def test_a_mixed_batch_sends_addresses_first():
    """Addresses act at once, so they do not wait for the configuration."""
    firewall, router = panos(CATEGORY, OK, DONE, QUEUED)
    with through(door()):
        await firewall.block_indicators([DOMAIN, ADDRESS], "c2")
    assert [form["type"] for form in sent(router)] == ["config", "user-id", "config", "commit"]


@pytest.mark.parametrize(
    ("indicators", "types"),
    [
        ([ADDRESS], ["user-id"]),
        ([DOMAIN], ["config", "commit"]),
        ([ADDRESS, DOMAIN], ["user-id", "config", "commit"]),
    ],
)
async def test_a_plan_is_complete_and_sends_only_the_look_up(indicators: list[Indicator], types: list[str]):
    """Every request of the change is captured, whatever is in the batch."""
    firewall, router = panos(CATEGORY)
    with through(door("plan")) as planned, contextlib.suppress(CaptureEnded):
        await firewall.block_indicators(indicators, "c2", 60)
    assert [request.body["type"] for request in planned.captured] == types
    assert planned.finished
    assert [form["action"] for form in sent(router)] == (["show"] if "commit" in types else [])


async def test_blocks_are_read_from_tags_and_from_the_running_configuration():
    """Answers come in the order asked for; other tags, and entries that only look alike, do not count."""
    registered = (
        '<response status="success"><result>'
        '<entry ip="203.0.113.7" from_agent="0" persistent="1"><tag><member timeout="3600">hikeshi-blocked</member>'
        "<member>other</member></tag></entry>"
        '<entry ip="192.0.2.1/32"><tag><member>hikeshi-blocked</member></tag></entry>'
        '<entry ip="192.0.2.5-192.0.2.9"><tag><member>hikeshi-blocked</member></tag></entry>'
        '<entry ip="192.0.2.2"><tag><member>hikeshi-blocked-too</member></tag></entry>'
        "<count>4</count></result></response>"
    )
    firewall, router = panos(registered, CATEGORY)
    texts = ["192.0.2.2", "203.0.113.7", "192.0.2.1", "192.0.2.6"]
    sites = [("domain", "old.example"), ("domain", "a.example"), ("url", "https://a.example/x")]
    indicators = [Indicator(kind="ipv4", value=text) for text in texts]
    indicators += [Indicator.model_validate({"kind": kind, "value": value}) for kind, value in sites]
    states = await firewall.blocks_of(indicators)
    assert [state.value for state in states] == [*texts, *(value for _, value in sites)]
    assert [state.blocked for state in states] == [False, True, True, False, True, False, True]
    assert states[1] == Block(
        connector="fw",
        kind="ipv4",
        value="203.0.113.7",
        blocked=True,
        expires_at=datetime(2026, 7, 1, 13, 1, tzinfo=UTC),
    )
    assert states[2].expires_at is None
    assert sent(router) == [
        {
            "type": "op",
            "vsys": "vsys1",
            "cmd": "<show><object><registered-ip><limit>500</limit><start-point>1</start-point>"
            '<tag><entry name="hikeshi-blocked" /></tag></registered-ip></object></show>',
        },
        {"type": "config", "action": "show", "xpath": XPATH},
    ]


async def test_an_address_is_found_however_the_firewall_writes_it():
    """Letter case, zeros of IPv6, a prefix of a single address and host bits of a network do not matter."""
    listed = ["2001:DB8:0:0::7", "2001:0db8:0000::0008/128", "192.0.2.1/32", "198.51.100.9/24", "10.0.0.0/255.0.0.0"]
    entries = "".join(entry(ip) for ip in listed)
    firewall, _ = panos(f'<response status="success"><result>{entries}<count>5</count></result></response>')
    asked = [
        Indicator(kind="ipv6", value="2001:db8::7"),
        Indicator(kind="ipv6", value="2001:DB8::0:8"),
        Indicator(kind="cidr", value="192.0.2.1/32"),
        Indicator(kind="cidr", value="198.51.100.0/24"),
        Indicator(kind="cidr", value="10.0.0.0/8"),
        Indicator(kind="ipv4", value="198.51.100.9"),
        Indicator(kind="ipv6", value="2001:db8::70"),
    ]
    assert [state.blocked for state in await firewall.blocks_of(asked)] == [True] * 5 + [False] * 2


async def test_the_next_page_starts_after_the_last_entry():
    """A full page is followed by a request for the next one."""
    page = "".join(f'<entry ip="198.18.{n // 250}.{n % 250}"><tag/></entry>' for n in range(500))
    rest = '<entry ip="203.0.113.7"><tag><member>hikeshi-blocked</member></tag></entry>'
    pages = [f'<response status="success"><result>{entries}</result></response>' for entries in (page, rest)]
    firewall, router = panos(*pages)
    [state] = await firewall.blocks_of([ADDRESS])
    assert state.blocked
    assert ["<start-point>501<" in form["cmd"] for form in sent(router)] == [False, True]


async def test_traffic_is_queried_as_a_job():
    """The query is in the firewall's time, as is an entry that names no zone; the job is polled until it is done."""
    at_work = '<response status="success"><result><job><status>ACT</status></job></result></response>'
    logs = (
        '<response status="success"><result><job><status>FIN</status></job><log><logs count="2" progress="100">'
        '<entry logid="2"><time_generated>2026/07/01 20:59:00</time_generated>'
        "<high_res_timestamp>2026-07-01T13:59:01.702+02:00</high_res_timestamp><src>10.0.0.1</src><dst>203.0.113.7</dst>"
        "<dport>443</dport><bytes_sent>12</bytes_sent><action>reset-both</action><app>ssl</app></entry>"
        '<entry logid="1"><receive_time>2026/07/01 20:58:00</receive_time><src>10.0.0.1</src><dst>203.0.113.7</dst>'
        "<action>allow</action></entry></logs></log></result></response>"
    )
    firewall, router = panos(QUEUED, at_work, logs, timezone="Asia/Tokyo")
    with through(door(effect=Effect.READ)):
        found = await firewall.search_traffic("203.0.113.7", since_s=3600)
    newer = Connection(
        connector="fw",
        at=datetime(2026, 7, 1, 11, 59, 1, 702_000, tzinfo=UTC),
        source="10.0.0.1",
        destination="203.0.113.7",
        destination_port=443,
        bytes_sent=12,
        verdict="blocked",
        application="ssl",
    )
    older = Connection(
        connector="fw",
        at=datetime(2026, 7, 1, 11, 58, tzinfo=UTC),
        source="10.0.0.1",
        destination="203.0.113.7",
        verdict="allowed",
    )
    assert found == [newer, older]
    get = {"type": "log", "action": "get", "job-id": "4"}
    assert sent(router) == [
        {
            "type": "log",
            "log-type": "traffic",
            "query": "(addr in 203.0.113.7) and (receive_time geq '2026/07/01 20:00:30')"
            " and (receive_time leq '2026/07/01 21:00:30')",
            "dir": "backward",
            "nlogs": "5000",
            "skip": "0",
        },
        get,
        get,
    ]


async def test_without_an_administrator_sites_are_refused_before_anything_is_sent():
    """A commit without a name would carry everybody's changes."""
    firewall, router = panos(admin=None)
    with through(door()), pytest.raises(Invalid, match="admin"):
        await firewall.block_indicators([DOMAIN], "c2")
    assert not router.calls


@pytest.mark.parametrize(
    ("kind", "value", "error"),
    [
        ("domain", "*", Invalid),
        ("domain", "a' or 'x'='x", Invalid),
        ("domain", "</entry>", Invalid),
        ("domain", 'a".example', Invalid),
        ("domain", "*.example", Invalid),
        ("url", "https://evil.example/*", Unsupported),
        ("url", "https://evil.example/^", Unsupported),
        ("url", "https://*/", Unsupported),
        ("url", "ftp://evil.example/a", Unsupported),
        ("url", "https://evil.example:8443/a", Unsupported),
        ("url", "https://[2001:db8::1]/a", Unsupported),
        ("url", "https://evil.example/" + "a" * 250, Unsupported),
        ("url", "https://evil.example:x/", Invalid),
        ("ipv4", '1.2.3.4"><tag/>', Invalid),
        ("ipv6", "fe80::1%eth0", Invalid),
        ("cidr", "2001:db8::/32", Unsupported),
        ("sha256", "a" * 64, Unsupported),
    ],
)
async def test_what_cannot_be_blocked_is_refused_and_counts_as_not_blocked(
    kind: str, value: str, error: type[Exception]
):
    """Wildcards, pieces of XML or XPath, and what PAN-OS cannot express never leave the process."""
    indicator = Indicator.model_validate({"kind": kind, "value": value})
    for change in ("block_indicators", "unblock_indicators"):
        firewall, router = panos()
        with through(door()), pytest.raises(error) as caught:
            await getattr(firewall, change)([indicator], "c2")
        assert type(caught.value) is error
        assert not router.calls
    firewall, _ = panos('<response status="success"><result/></response>')
    [state] = await firewall.blocks_of([indicator])
    assert not state.blocked


async def test_several_refused_indicators_are_all_named():
    """When nothing of a batch can be sent, each indicator has its own error."""
    firewall, router = panos()
    values = ["https://evil.example:8443/", "ftp://evil.example/"]
    with through(door()), pytest.raises(PartialFailure) as caught:
        await firewall.block_indicators([Indicator(kind="url", value=value) for value in values], "c2")
    assert list(caught.value.failures) == values
    assert not router.calls


async def test_indicators_that_come_to_the_same_entry_share_its_fate():
    """A URL of http and of https is one entry; if it fails, both are named."""
    refused = '<response status="error" code="8"><msg><line>list is not unique</line></msg></response>'
    firewall, router = panos(CATEGORY, OK, refused)
    urls = [Indicator(kind="url", value=f"{scheme}://evil.example/a") for scheme in ("http", "https")]
    with through(door()), pytest.raises(PartialFailure) as caught:
        await firewall.block_indicators([ADDRESS, *urls], "c2")
    assert list(caught.value.failures) == ["http://evil.example/a", "https://evil.example/a"]
    assert all(isinstance(error, Conflict) for error in caught.value.failures.values())
    assert sent(router)[2]["element"] == "<member>evil.example/a</member>"


@pytest.mark.parametrize(
    "wrong",
    [
        {"tag": "o'clock"},
        {"tag": "or"},
        {"tag": "two  spaces"},
        {"tag": ""},
        {"url_category": "a']"},
        {"vsys": "vsys1'"},
        {"timezone": "Moon/Crater"},
        {"admin": "two words"},
        {"api_key": "a key in plain text"},
        {"verify": False},
    ],
    ids=str,
)
def test_wrong_settings_are_refused(wrong: dict[str, Any]):
    """Settings become part of XML and XPath, so only what PAN-OS takes is taken."""
    make: Callable[[], object] = lambda: panos(**wrong)  # noqa: E731 - one expression under the raises
    with pytest.raises(ValueError, match=next(iter(wrong))):
        make()
