"""Entities and indicators as targets: every name counts, and a target has to be one thing."""

from __future__ import annotations

from typing import Any

import pytest

from hikeshi.guardrails import Code, Guardrails, Listed, Names, Protected, Sense

HOST = {
    "connector": "edr",
    "id": "a1b2c3",
    "name": "pc7",
    "os": "Windows",
    "ips": ["192.0.2.7", "2001:db8::7"],
    "mac": "00:1b:44:11:3a:b7",
    "site": None,
    "tags": ["FalconGroupingTags/Do_Not Isolate"],
    "groups": ["Servers"],
    "last_seen": None,
}
USER = {
    "connector": "ad",
    "id": "7f-33",
    "name": "mei@corp.example",
    "email": "m.k@corp.example",
    "display_name": "Mei K",
}
GROUP = {"connector": "ad", "id": "g-9", "name": "Domain Admins", "privileged": True, "dynamic": False}


def only(sense: Sense, *entries: str, actions: tuple[str, ...] = ("*",)) -> Guardrails:
    return Guardrails([Protected("y:1", (Listed.of(sense, entries),), "why", "role:admin", actions)])


def code_of(rules: Guardrails, names: Names, action: str = "edr.isolate_host", *expected: str) -> Code | None:
    refusal = rules.verdict(action, names, expected=expected)
    return None if refusal is None else refusal.code


@pytest.mark.safety(10)
@pytest.mark.parametrize(
    ("sense", "entry"),
    [
        (Sense.HOSTS, "A1B2C3"),
        (Sense.HOSTS, "pc7.corp.example"),
        (Sense.HOSTS, "192.0.2.7"),
        (Sense.HOSTS, "2001:db8::7"),
        (Sense.HOSTS, "001b.4411.3ab7"),
        (Sense.NETWORKS, "192.0.2.0/24"),
        (Sense.NETWORKS, "2001:db8::/32"),
        (Sense.TAGS, "do-not-isolate"),
        (Sense.TAGS, "falcongroupingtags/do-not-isolate"),
        (Sense.TAGS, "do-not-*"),
        (Sense.GROUPS, "servers"),
        (Sense.GROUPS, "serv*"),
    ],
)
def test_a_host_is_protected_under_each_of_its_names(sense: Sense, entry: str) -> None:
    """ID, name, address, network, group and tag: one of them on the list is enough."""
    assert code_of(only(sense, entry), Names.of(HOST, "host")) == Code.PROTECTED


@pytest.mark.parametrize(
    ("sense", "entry"),
    [
        (Sense.HOSTS, "edr"),
        (Sense.HOSTS, "windows"),
        (Sense.HOSTS, "servers"),
        (Sense.HOSTS, "192.0.2.8"),
        (Sense.NETWORKS, "192.0.2.8/29"),
        (Sense.USERS, "pc7"),
        (Sense.GROUPS, "pc7"),
        (Sense.GROUPS, "server"),
        (Sense.TAGS, "servers"),
        (Sense.TAGS, "isolate"),
        (Sense.TAGS, "falcongroupingtags"),
        (Sense.TAGS, "sensorgroupingtags/do-not-isolate"),
        (Sense.INDICATORS, "192.0.2.7"),
        (Sense.INDICATORS, "pc7.corp.example"),
    ],
)
def test_a_host_is_not_protected_under_what_is_no_name_of_it(sense: Sense, entry: str) -> None:
    """Its product, a user of the same name or an indicator list about blocking say nothing about the host."""
    assert code_of(only(sense, entry), Names.of(HOST, "host")) is None


@pytest.mark.safety(10)
@pytest.mark.parametrize("entry", ["mei@corp.example", "m.k@corp.example", "CORP\\mei", "m.k", "7F-33", "Mei K", "m*"])
def test_an_account_is_protected_under_each_of_its_names(entry: str) -> None:
    """Sign-in name, address, ID and display name are one account."""
    rules = only(Sense.USERS, entry)

    assert code_of(rules, Names.of(USER, "user"), "identity.disable_user") == Code.PROTECTED


@pytest.mark.parametrize("entry", ["ad", "mei@other.example", "me", "k"])
def test_another_account_is_not_protected(entry: str) -> None:
    """Only whole names count."""
    assert code_of(only(Sense.USERS, entry), Names.of(USER, "user"), "identity.disable_user") is None


@pytest.mark.safety(10)
def test_the_account_of_a_protected_machine_is_protected() -> None:
    """A domain controller whose account is disabled is as good as isolated."""
    rules = only(Sense.HOSTS, "dc01.corp.example")
    account = {**USER, "name": "DC01$", "email": None, "display_name": None}

    assert code_of(rules, Names.of(account, "user")) == Code.PROTECTED
    assert code_of(rules, Names.of({**account, "name": "dc01"}, "user")) is None
    assert code_of(rules, Names.of({**account, "name": "DC02$"}, "user")) is None


@pytest.mark.safety(10)
@pytest.mark.parametrize("group", ["Domain Admins", "CORP\\domain  admins", "CN=Domain Admins,DC=corp,DC=example"])
def test_members_of_a_protected_group_are_protected(group: str) -> None:
    """The groups that were read for an account count as its names."""
    rules = only(Sense.GROUPS, "domain admins")
    names = Names.of(USER, "user")

    assert code_of(rules, names.with_groups(["Sales", group])) == Code.PROTECTED
    assert code_of(rules, names.with_groups(["Sales"])) is None
    assert code_of(rules, names.with_groups([])) is None


@pytest.mark.safety(13)
def test_groups_that_could_not_be_read_are_not_taken_for_none() -> None:
    """An account whose groups are not known may be in a protected one."""
    names = Names.of(USER, "user")
    rules = only(Sense.GROUPS, "domain admins", actions=("identity.*",))

    refusal = rules.verdict("identity.disable_user", names)

    assert refusal is not None
    assert refusal.code == Code.UNRESOLVABLE
    assert refusal.why == "its groups are not known, and some are protected"
    assert code_of(rules, names.with_groups(None), "identity.disable_user") == Code.UNRESOLVABLE
    assert code_of(rules, names, "edr.isolate_host") is None  # no rule about it asks for groups
    assert code_of(only(Sense.USERS, "other"), names, "identity.disable_user") is None


@pytest.mark.safety(13)
def test_tags_that_are_not_known_are_not_taken_for_none() -> None:
    """A product that says nothing of a host's tags leaves them unknown; an empty list says that there are none."""
    rules = only(Sense.TAGS, "production")

    assert code_of(rules, Names.of({**HOST, "tags": None}, "host")) == Code.UNRESOLVABLE
    assert code_of(rules, Names.of({**HOST, "tags": []}, "host")) is None
    assert code_of(only(Sense.GROUPS, "x"), Names.of({**HOST, "groups": None}, "host")) == Code.UNRESOLVABLE


def test_what_is_not_known_is_named() -> None:
    """The reason lists every fact that is missing."""
    rules = Guardrails([Protected("y:1", (Listed.of(Sense.TAGS, ["a"]), Listed.of(Sense.GROUPS, ["b"])))])
    refusal = rules.verdict("edr.isolate_host", Names.of({**HOST, "tags": None, "groups": None}, "host"))

    assert refusal is not None
    assert refusal.why == "its groups and tags are not known, and some are protected"


def test_a_known_hit_says_more_than_an_unknown_group() -> None:
    """What is certain is said first."""
    rules = Guardrails([Protected("y:1", (Listed.of(Sense.GROUPS, ["x"]), Listed.of(Sense.USERS, ["mei"])))])

    assert code_of(rules, Names.of(USER, "user")) == Code.PROTECTED


def test_groups_are_asked_for_only_by_rules_about_the_action() -> None:
    """The integration reads groups before a verdict only where a rule needs them."""
    rules = only(Sense.GROUPS, "x", actions=("identity.*",))

    assert rules.needs_groups("identity.disable_user")
    assert not rules.needs_groups("edr.isolate_host")
    assert not only(Sense.TAGS, "x").needs_groups("identity.disable_user")
    assert not Guardrails().needs_groups("identity.disable_user")


@pytest.mark.safety(10)
def test_a_protected_group_is_not_changed() -> None:
    """Neither as the target nor as the group that somebody is put into."""
    rules = only(Sense.GROUPS, "Domain Admins")
    user = Names.of(USER, "user", arguments={"group": GROUP}).with_groups([])

    assert code_of(rules, Names.of(GROUP, "group")) == Code.PROTECTED
    assert code_of(rules, user) == Code.PROTECTED
    assert code_of(only(Sense.GROUPS, "g-9"), Names.of(GROUP, "group")) == Code.PROTECTED
    assert code_of(only(Sense.GROUPS, "ad"), Names.of(GROUP, "group")) is None
    assert code_of(only(Sense.USERS, "Domain Admins"), Names.of(GROUP, "group")) is None


@pytest.mark.safety(10)
@pytest.mark.parametrize(
    ("kind", "value", "entry"),
    [
        ("domain", "dc01.corp.example", "dc01"),
        ("domain", "corp.example", "dc01.corp.example"),
        ("domain", "corp.example", "*.corp.example"),
        ("domain", "corp.example", "dc?.srv.corp.example"),
        ("domain", "corp.example", "d*c.s?v.corp.example"),
        ("domain", "corp.example", "DC01.Srv.Corp.Example"),
        ("url", "https://dc01.corp.example/a", "dc01.corp.example"),
        ("ipv4", "10.0.0.5", "10.0.0.5"),
        ("cidr", "10.0.0.0/8", "10.0.0.5"),
        ("ipv6", "::ffff:a00:5", "10.0.0.5"),
    ],
)
def test_what_cuts_a_protected_host_off_is_refused(kind: str, value: str, entry: str) -> None:
    """Blocking its name, its address or the domain above it is another way to isolate it."""
    names = Names.of({"kind": kind, "value": value})

    assert code_of(only(Sense.HOSTS, entry), names, "firewall.block_indicators", "indicator") == Code.PROTECTED


@pytest.mark.safety(10)
def test_a_protected_account_may_not_be_blocked_as_an_address() -> None:
    """Blocking somebody's mail is a change to the account."""
    rules = only(Sense.USERS, "ceo@corp.example")

    assert code_of(rules, Names.of({"kind": "email", "value": "CEO@corp.example"})) == Code.PROTECTED
    assert code_of(rules, Names.of({"kind": "email", "value": "cfo@corp.example"})) is None


@pytest.mark.safety(10)
@pytest.mark.parametrize(
    ("entry", "kind", "value"),
    [
        ("ceo@corp.example", "email", "CEO@corp.example"),
        ("*@corp.example", "email", "cfo@corp.example"),
        ("www.sub.example", "domain", "sub.example"),
        ("https://www.sub.example/x", "domain", "www.sub.example"),
        ("https://www.sub.example/x", "domain", "sub.example"),
        ("https://*.sub.example/x", "domain", "sub.example"),
        ("2001:db8::5", "cidr", "2001:db8::/32"),
        ("D" * 32, "md5", "d" * 32),
    ],
)
def test_a_protected_indicator_is_not_blocked(entry: str, kind: str, value: str) -> None:
    """Nor what would block it along."""
    rules = only(Sense.INDICATORS, entry)

    assert code_of(rules, Names.of({"kind": kind, "value": value}), "firewall.block_indicators") == Code.PROTECTED


@pytest.mark.parametrize(
    ("sense", "entry", "kind", "value"),
    [
        (Sense.HOSTS, "corp.example", "email", "x@corp.example"),
        (Sense.INDICATORS, "corp.example", "email", "x@corp.example"),
        (Sense.INDICATORS, "corp.example", "domain", "www.corp.example"),
        (Sense.INDICATORS, "corp.example", "domain", "corp.test.example"),
        (Sense.INDICATORS, "a.b.example", "url", "https://b.example/"),
        (Sense.INDICATORS, "corp", "domain", "corp.example"),
    ],
)
def test_an_indicator_beside_a_protected_one_may_be_blocked(sense: Sense, entry: str, kind: str, value: str) -> None:
    """A mail from a domain is not the domain, and a URL above a host does not hold it."""
    assert code_of(only(sense, entry), Names.of({"kind": kind, "value": value})) is None


@pytest.mark.safety(10)
def test_other_arguments_are_compared_too() -> None:
    """A target may hide in an argument that is not called the target; text for people is not compared."""
    rules = Guardrails(
        [
            Protected("y:1", (Listed.of(Sense.HOSTS, ["dc01", "10.0.0.5"]), Listed.of(Sense.GROUPS, ["admins"]))),
            Protected("y:2", (Listed.of(Sense.INDICATORS, ["corp.example"]), Listed.of(Sense.USERS, ["root"]))),
        ]
    )

    def code(**arguments: Any) -> Code | None:
        return code_of(rules, Names.of(HOST, "host", arguments=arguments))

    assert code(via="dc01") == Code.PROTECTED
    assert code(via=["x", {"name": "DC01"}]) == Code.PROTECTED
    assert code(group="Admins") == Code.PROTECTED
    assert code(run_as="root") == Code.PROTECTED
    assert code(url="https://corp.example/x") == Code.PROTECTED
    assert code(domain="example.test", count=167772165, flag=True, nothing=None) is None
    assert code(ticket="167772165", address="10.0.0.6") is None
    assert code(address="10.0.0.5") == Code.PROTECTED
    assert code(reason="dc01", note="dc01") is None
    assert code(group={"connector": "dc01", "name": "x"}) is None


def test_further_names_of_a_host_count() -> None:
    """What an inventory knows of a host can be added to what its product says."""
    names = Names.of(HOST, "host")

    assert code_of(only(Sense.HOSTS, "dc01"), names.with_hosts(["dc01.corp.example"])) == Code.PROTECTED
    assert names.with_hosts(["x"]).hosts == (*names.hosts, "x")
    assert Names.of(HOST, "host").with_groups(["B"]).groups == ("Servers", "B")


def test_a_number_as_an_id_is_not_read_as_an_address() -> None:
    """Products count their hosts, and 167772165 is also how 10.0.0.5 can be written."""
    rules = only(Sense.NETWORKS, "10.0.0.0/8")

    assert code_of(rules, Names.of({**HOST, "id": "167772165"}, "host")) is None
    assert code_of(rules, Names.of({**HOST, "id": "10.0.0.5"}, "host")) == Code.PROTECTED
    assert code_of(rules, Names.of({**HOST, "ips": ["167772165"]}, "host")) == Code.PROTECTED
    machine = {**USER, "name": "167772165$", "email": None, "display_name": None}
    assert code_of(rules, Names.of(machine, "user")) is None


def test_other_entities_are_compared_by_all_their_names() -> None:
    """An entity that a connector brings by itself may be a host or an account; both lists hold for it."""
    camera = {"connector": "cctv", "id": "9", "name": "cam-1", "tags": ["critical"]}

    assert code_of(only(Sense.HOSTS, "cam-1"), Names.of(camera, "camera")) == Code.PROTECTED
    assert code_of(only(Sense.USERS, "cam-1"), Names.of(camera)) == Code.PROTECTED
    assert code_of(only(Sense.TAGS, "critical"), Names.of(camera)) == Code.PROTECTED
    assert code_of(only(Sense.GROUPS, "cam-1"), Names.of(camera)) is None
    assert Names.of(camera).kind == "entity"
    assert Names.of({**camera, "value": "x"}).kind == "entity"
    assert Names.of({"value": "x", "id": "9"}, "indicator").kind == "indicator:"
    assert Names.of({"name": "x"}).kind == "entity"
    assert Names.of({"value": "x"}, "camera").kind == "camera"


def test_a_number_on_a_list_of_hosts_is_an_id() -> None:
    """Whoever means an address writes its dots."""
    rules = only(Sense.HOSTS, "167772165")

    assert code_of(rules, Names.of("167772165")) == Code.PROTECTED
    assert code_of(rules, Names.of("10.0.0.5")) is None


@pytest.mark.safety(10)
@pytest.mark.parametrize(
    ("target", "kind", "expected"),
    [
        ("", None, Code.EMPTY),
        ("  \t", None, Code.EMPTY),
        ("\u200b", None, Code.EMPTY),
        ('""', None, Code.EMPTY),
        (None, None, Code.EMPTY),
        ("None", None, Code.EMPTY),
        ("NULL", None, Code.EMPTY),
        ("undefined", None, Code.EMPTY),
        ("[]", None, Code.EMPTY),
        ("{}", None, Code.EMPTY),
        ("()", None, Code.EMPTY),
        ("-", None, Code.EMPTY),
        ("--", None, Code.EMPTY),
        ("nil", None, Code.EMPTY),
        ("NaN", None, Code.EMPTY),
        ("n/a", None, Code.EMPTY),
        ("00000000-0000-0000-0000-000000000000", None, Code.EMPTY),
        ("00000000", None, Code.EMPTY),
        ("*", None, Code.WILDCARD),
        ("＊", None, Code.WILDCARD),
        ("pc*", None, Code.WILDCARD),
        ("pc?", None, Code.WILDCARD),
        ("all", None, Code.WILDCARD),
        ("_all", None, Code.WILDCARD),
        ("any", None, Code.WILDCARD),
        ("every", None, Code.WILDCARD),
        ("everything", None, Code.WILDCARD),
        ("@", None, Code.WILDCARD),
        (".", None, Code.WILDCARD),
        ("/", None, Code.WILDCARD),
        ("Everyone", None, Code.WILDCARD),
        ("%", None, Code.WILDCARD),
        ("0.0.0.0/0", None, Code.WILDCARD),
        ("::/0", None, Code.WILDCARD),
        ("0.0.0.0", None, Code.WILDCARD),
        ("255.255.255.255", None, Code.WILDCARD),
        ("::", None, Code.WILDCARD),
        ("10.0.0.0/7", None, Code.WILDCARD),
        ("2001::/15", None, Code.WILDCARD),
        ("1.0.0.0-200.0.0.0", None, Code.WILDCARD),
        ({**HOST, "id": ""}, "host", Code.EMPTY),
        ({**HOST, "id": None}, "host", Code.EMPTY),
        ({**HOST, "id": "null"}, "host", Code.EMPTY),
        ({**HOST, "id": "{00000000-0000-0000-0000-000000000000}"}, "host", Code.EMPTY),
        ({**HOST, "id": "*"}, "host", Code.WILDCARD),
        ({**HOST, "id": "a1*"}, "host", Code.WILDCARD),
        ({**HOST, "id": "all"}, "host", Code.WILDCARD),
        ({**HOST, "name": "pc*"}, "host", Code.WILDCARD),
        ({**HOST, "name": " ", "ips": [], "mac": None}, "host", Code.UNRESOLVABLE),
        ({"connector": "ad", "id": "7", "name": ""}, "user", Code.UNRESOLVABLE),
        ({"connector": "ad", "id": "", "name": "x"}, "group", Code.EMPTY),
        ({"kind": "domain", "value": ""}, None, Code.EMPTY),
        ({"kind": "domain"}, "indicator", Code.EMPTY),
        ({"kind": "domain", "value": "*.evil.test"}, None, Code.WILDCARD),
        ({"kind": "domain", "value": "test"}, None, Code.WILDCARD),
        ({"kind": "domain", "value": "test."}, None, Code.WILDCARD),
        ({"kind": "domain", "value": "all"}, None, Code.WILDCARD),
        ({"kind": "cidr", "value": "0.0.0.0/1"}, None, Code.WILDCARD),
        ({"kind": "cidr", "value": "64.0.0.0/7"}, None, Code.WILDCARD),
        ({"kind": "url", "value": "https://*.evil.test/"}, None, Code.WILDCARD),
        ({"kind": "email", "value": "*@evil.test"}, None, Code.WILDCARD),
        ({"kind": "ipv4", "value": "198.51.100.0/24"}, None, Code.WRONG_KIND),
        ({"kind": "ipv4", "value": "2001:db8::9"}, None, Code.WRONG_KIND),
        ({"kind": "ipv4", "value": "evil.test"}, None, Code.WRONG_KIND),
        ({"kind": "ipv6", "value": "198.51.100.1"}, None, Code.WRONG_KIND),
        ({"kind": "ipv6", "value": "2001:db8::/32"}, None, Code.WRONG_KIND),
        ({"kind": "cidr", "value": "evil.test"}, None, Code.WRONG_KIND),
        ({"kind": "domain", "value": "198.51.100.1"}, None, Code.WRONG_KIND),
        ({"kind": "domain", "value": "https://evil.test/"}, None, Code.WRONG_KIND),
        ({"kind": "domain", "value": "evil.test/x"}, None, Code.WRONG_KIND),
        ({"kind": "domain", "value": "a@evil.test"}, None, Code.WRONG_KIND),
        ({"kind": "url", "value": "evil.test"}, None, Code.WRONG_KIND),
        ({"kind": "url", "value": "https://?x"}, None, Code.WRONG_KIND),
        ({"kind": "email", "value": "evil.test"}, None, Code.WRONG_KIND),
        ({"kind": "email", "value": "@evil.test"}, None, Code.WRONG_KIND),
        ({"kind": "email", "value": "a@evil"}, None, Code.WRONG_KIND),
        ({"kind": "md5", "value": "a" * 31}, None, Code.WRONG_KIND),
        ({"kind": "md5", "value": "g" * 32}, None, Code.WRONG_KIND),
        ({"kind": "sha1", "value": "a" * 32}, None, Code.WRONG_KIND),
        ({"kind": "sha256", "value": "a" * 40}, None, Code.WRONG_KIND),
        ({"kind": "colour", "value": "a" * 40}, None, Code.WRONG_KIND),
        ({"value": "evil.test"}, None, Code.WRONG_KIND),
    ],
)
def test_a_target_that_is_not_one_thing_is_refused(target: Any, kind: str | None, expected: Code) -> None:
    """Nothing, everything, and what is called something that it is not: no list is needed to refuse them."""
    assert code_of(Guardrails(), Names.of(target, kind)) == expected


@pytest.mark.parametrize(
    ("target", "kind"),
    [
        ("pc7", None),
        ("0", None),
        ("0000000", None),
        ("alligator", None),
        ("10.0.0.0/8", None),
        ("2001::/16", None),
        ("198.51.100.1-198.51.100.9", None),
        ("0.0.0.1", None),
        ("https://evil.test/?q=1", None),
        (HOST, "host"),
        ({**HOST, "id": "0x0"}, "host"),
        ({**HOST, "id": "100"}, "host"),
        ({**HOST, "name": "null"}, "host"),
        ({**HOST, "name": "pc7", "ips": [], "mac": None}, "host"),
        (USER, "user"),
        (GROUP, "group"),
        ({"kind": "ipv4", "value": "198.51.100.1"}, None),
        ({"kind": "ipv6", "value": "2001:db8::9"}, None),
        ({"kind": "cidr", "value": "198.51.100.0/24"}, None),
        ({"kind": "cidr", "value": "198.0.0.0/8"}, None),
        ({"kind": "domain", "value": "evil.test"}, None),
        ({"kind": "url", "value": "https://evil.test/*?x=*"}, None),
        ({"kind": "email", "value": "a@evil.test"}, None),
        ({"kind": "md5", "value": "A" * 32}, None),
        ({"kind": "sha1", "value": "a" * 40}, None),
        ({"kind": "sha256", "value": "a" * 64}, None),
    ],
)
def test_a_target_that_is_one_thing_is_not_refused(target: Any, kind: str | None) -> None:
    """The twin of each check above."""
    assert code_of(Guardrails(), Names.of(target, kind)) is None


@pytest.mark.safety(10)
def test_a_target_of_another_kind_than_the_action_takes_is_refused() -> None:
    """The ID of an account given to an action on hosts is refused, whatever it names there."""
    rules = Guardrails()

    refusal = rules.verdict("edr.isolate_host", Names.of(USER, "user"), expected=["host"])

    assert refusal is not None
    assert (refusal.code, refusal.target) == (Code.WRONG_KIND, "mei@corp.example")
    assert refusal.why == "it is of the kind 'user', and this action takes host"
    assert code_of(rules, Names.of(USER, "user"), "x.y", "host", "group") == Code.WRONG_KIND
    assert code_of(rules, Names.of("pc7"), "x.y", "host") == Code.WRONG_KIND
    assert code_of(rules, Names.of(HOST, "host"), "x.y", "host") is None
    assert code_of(rules, Names.of({"kind": "domain", "value": "evil.test"}), "x.y", "indicator") is None
    assert code_of(rules, Names.of("pc7"), "x.y", "text") is None


@pytest.mark.safety(10)
def test_no_target_at_all_is_refused() -> None:
    """An empty selection must not come to mean everything."""
    refused = Guardrails().verdicts("firewall.block_indicators", [], expected=["indicator"])

    assert [refusal.code for refusal in refused] == [Code.EMPTY]


def test_of_several_targets_the_refused_ones_are_named() -> None:
    """A batch is judged target by target."""
    rules = only(Sense.INDICATORS, "example.org", "example.net")
    targets = [Names.of({"kind": "domain", "value": name}) for name in ("example.org", "evil.test", "example.net")]

    refused = rules.verdicts("firewall.block_indicators", targets, expected=["indicator"])

    assert [refusal.target for refusal in refused] == ["example.org", "example.net"]
    assert [r.code for r in rules.verdicts("x.y", targets, expected=["host"])] == [Code.WRONG_KIND] * 3
    assert rules.verdicts("x.y", targets[1:2]) == []


@pytest.mark.parametrize("key", ["name", "aliases", "fqdn", "hostname", "host_name", "ips", "addresses", "mac"])
def test_every_field_that_names_a_host_is_compared(key: str) -> None:
    """Connectors may bring entities of their own, with more names than ours."""
    names = Names.of({**HOST, key: ["dc01"] if key in ("aliases", "ips", "addresses") else "dc01"}, "host")

    assert code_of(only(Sense.HOSTS, "dc01"), names) == Code.PROTECTED
    assert code_of(only(Sense.USERS, "dc01"), names) is None


@pytest.mark.parametrize("key", ["name", "aliases", "email", "upn", "user_name", "display_name"])
def test_every_field_that_names_an_account_is_compared(key: str) -> None:
    """Whatever a directory calls it."""
    names = Names.of({**USER, key: ["ceo"] if key == "aliases" else "ceo"}, "user")

    assert code_of(only(Sense.USERS, "ceo"), names) == Code.PROTECTED
    assert code_of(only(Sense.HOSTS, "ceo"), names) is None


@pytest.mark.parametrize("key", ["reason", "note", "comment", "message", "text", "title", "description"])
def test_what_is_written_for_people_names_no_target(key: str) -> None:
    """A reason may well quote the host that is not to be touched."""
    assert code_of(only(Sense.HOSTS, "dc01"), Names.of(HOST, "host", arguments={key: "dc01"})) is None


@pytest.mark.parametrize(
    ("target", "kind", "why"),
    [
        ("", None, "it names nothing"),
        ("*", None, "it stands for more than one thing"),
        ("0.0.0.0/0", None, "it stands for too many addresses; /8 is the widest network there is"),
        ("::/0", None, "it stands for too many addresses; /8 is the widest network there is"),
        ("2001::/15", None, "it stands for too many addresses; /16 is the widest network there is"),
        ({**HOST, "id": "null"}, "host", "its ID is 'null', which names nothing"),
        ({**HOST, "id": "*"}, "host", "its ID is '*', which stands for more than one thing"),
        ({**HOST, "name": "pc*"}, "host", "one of its names has a wildcard, so it stands for more than one thing"),
        ({"id": "7", "name": ""}, "user", "it has no name that could be compared with what is protected"),
        ({"kind": "domain", "value": ""}, None, "it names nothing"),
        ({"kind": "domain", "value": "*"}, None, "it stands for more than one thing"),
        ({"kind": "domain", "value": "test"}, None, "a domain of one label stands for everything beneath it"),
        ({"kind": "url", "value": "http://*.x"}, None, "its host is a wildcard, so it stands for more than one thing"),
        ({"kind": "md5", "value": "x"}, None, "it is called an indicator of the kind 'md5', and is none"),
    ],
)
def test_the_reason_of_a_refusal_is_said(target: Any, kind: str | None, why: str) -> None:
    """In words that say what is wrong with this target."""
    refusal = Guardrails().verdict("a.b", Names.of(target, kind))

    assert refusal is not None
    assert refusal.why == why


def test_the_kinds_that_an_action_takes_are_listed_in_order() -> None:
    """Also where it takes several."""
    refusal = Guardrails().verdict("a.b", Names.of("x"), expected=["user", "host"])

    assert refusal is not None
    assert refusal.why == "it is of the kind 'text', and this action takes host or user"


@pytest.mark.parametrize(
    ("pattern", "account", "same"),
    [
        ("svc-*", "svc-1", True),
        ("svc-*", "svc-1@any.example", True),
        ("svc-*", "CORP\\svc-1", True),
        ("svc-*", "xsvc-1", False),
        ("svc-*@corp.example", "svc-1", True),
        ("svc-*@corp.example", "svc-1@corp.example", True),
        ("svc-*@corp.example", "CORP\\svc-1", True),
        ("svc-*@corp.example", "svc-1@other.example", False),
        ("svc-*@*.example", "svc-1@other.example", True),
        ("svc-*@*.example", "svc-1@other.test", False),
        ("CORP\\svc-*", "svc-1@any.example", True),
        ("CORP\\svc-*", "svc-1", True),
        ("CORP\\svc-*", "corp\\svc-1", True),
        ("CORP\\svc-*", "OTHER\\svc-1", False),
        ("*@corp.example", "mei@corp.example", True),
        ("*@corp.example", "mei@other.example", False),
        ("*@corp.example", "mei", False),
        ("*@corp.example", "CORP\\mei", False),
        ("?*@corp.example", "mei", False),
        ("m?i@corp.example", "mei", True),
    ],
)
def test_a_pattern_of_accounts_means_names_in_domains(pattern: str, account: str, same: bool) -> None:
    """A name without its domain may be in any, but is not meant by a pattern of every name in a domain."""
    names = Names.of({"connector": "ad", "id": "7", "name": account}, "user").with_groups([account])

    assert code_of(only(Sense.USERS, pattern), names) == (Code.PROTECTED if same else None)
    assert code_of(only(Sense.GROUPS, pattern), names) == (Code.PROTECTED if same else None)


# --- what clouds have, and further sign-in names


@pytest.mark.safety(10)
@pytest.mark.parametrize("entry", ["mei@corp.example", "MKO", r"CORP\mko", "mk?"])
def test_an_account_is_protected_under_each_sign_in_name(entry: str) -> None:
    """A directory knows one account by a name with its domain, one without, and one with the old domain."""
    account = {**USER, "logins": ["mko", r"CORP\mko"]}

    assert code_of(only(Sense.USERS, entry), Names.of(account, "user"), "identity.disable_user") is not None


MACHINE = {
    "connector": "aws", "id": "i-0abc", "name": "web-1", "account": "123456789012", "region": "eu-west-1",
    "ips": ["10.0.0.7"], "network": "vpc-77", "tags": ["Environment=prod"],
}  # fmt: skip


@pytest.mark.safety(10)
@pytest.mark.parametrize(
    ("sense", "entry"),
    [
        (Sense.HOSTS, "web-1"),
        (Sense.HOSTS, "I-0ABC"),
        (Sense.NETWORKS, "10.0.0.0/8"),
        (Sense.TAGS, "environment=prod"),
        (Sense.GROUPS, "vpc-77"),
        (Sense.GROUPS, "123456789012"),
    ],
)
def test_a_machine_of_a_cloud_is_protected_under_each_of_its_names(sense: Sense, entry: str) -> None:
    """By its own names as any host is, and by the network and the account that it is in."""
    assert code_of(only(sense, entry), Names.of(MACHINE, "machine"), "cloud.quarantine_machine") is not None


@pytest.mark.safety(10)
@pytest.mark.parametrize(
    ("sense", "entry"), [(Sense.USERS, "deploy"), (Sense.USERS, "AKIA7"), (Sense.GROUPS, "admins")]
)
def test_a_key_is_protected_by_its_owner(sense: Sense, entry: str) -> None:
    """Which groups its owner is in is not known here, so a rule about groups holds it back."""
    key = {"connector": "aws", "id": "AKIA7", "name": "deploy", "created_at": None}

    assert code_of(only(sense, entry), Names.of(key, "access_key"), "cloud.deactivate_key") is not None


def test_the_page_of_a_ticket_is_not_what_is_changed() -> None:
    """It is on the product's own host, which is protected: a ticket could never be closed."""
    ticket = {"connector": "desk", "id": "t-7", "name": "DL-7", "title": "x", "url": "https://desk.example/DL-7"}
    rules = only(Sense.HOSTS, "desk.example")

    assert rules.verdict("desk.close_ticket", Names.of("done", arguments={"ticket": ticket})) is None
    assert rules.verdict("desk.send", Names.of("done", arguments={"url": "https://desk.example/DL-7"})) is not None
