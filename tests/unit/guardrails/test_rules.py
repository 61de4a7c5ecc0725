"""The rules as a whole: which of them are about a change, what they say, and what a plan is bound to."""

from __future__ import annotations

import pytest

from hikeshi.guardrails import (
    ApprovalRule,
    Breaker,
    Code,
    Guardrails,
    Limit,
    Listed,
    Names,
    NotAnEntry,
    Per,
    Protected,
    RequiredApproval,
    Sense,
    lifeline,
)

HOST = {"connector": "edr", "id": "1", "name": "pc7", "ips": [], "tags": ["production"], "groups": []}


def hosts(*entries: str) -> tuple[Listed, ...]:
    return (Listed.of(Sense.HOSTS, entries),)


def test_a_refusal_says_what_where_and_who() -> None:
    """At night nobody wants to search for the rule."""
    rules = Guardrails([Protected("hikeshi.yaml:7", hosts("dc*.corp.example"), "domain controllers", "role:admin")])

    refusal = rules.verdict("edr.isolate_host", Names.of("DC7"))

    assert refusal is not None
    assert refusal.message == (
        "'DC7' is refused (protected): domain controllers; 'DC7' is 'dc*.corp.example' [hikeshi.yaml:7]. "
        "role:admin may lift it, by taking it off the list"
    )


def test_a_rule_without_words_still_says_something() -> None:
    """Neither a reason nor a person is needed in a rule."""
    refusal = Guardrails([Protected("y:7", hosts("dc01"))]).verdict("a.b", Names.of("dc01"))

    assert refusal is not None
    assert (refusal.why, refusal.rule) == ("it is protected", "y:7")
    assert refusal.who_may_lift == "Whoever may edit hikeshi.yaml may lift it, by taking it off the list"


def test_a_refusal_without_a_match_is_one_sentence() -> None:
    """What is refused for itself matches nothing."""
    refusal = Guardrails().verdict("a.b", Names.of("*"))

    assert refusal is not None
    assert refusal.message == (
        "'*' is refused (wildcard_target): it stands for more than one thing [engine]. "
        "Nobody lifts this: aim the change at one thing that can be named"
    )


def test_a_rule_holds_for_the_actions_that_it_names() -> None:
    """Another rule on the same target holds for its own."""
    rules = Guardrails(
        [
            Protected("y:1", hosts("dc01"), actions=("edr.isolate_host", "firewall.*")),
            Protected("y:2", hosts("dc01"), actions=("identity.*",)),
        ]
    )

    def origin(action: str) -> str | None:
        refusal = rules.verdict(action, Names.of("dc01"))
        return None if refusal is None else refusal.rule

    assert origin("edr.isolate_host") == "y:1"
    assert origin("Firewall.block_indicators") == "y:1"
    assert origin("identity.disable_user") == "y:2"
    assert origin("edr.release_host") is None


def test_a_domain_above_is_refused_by_the_rule_about_the_action() -> None:
    """What lies beneath a domain is known for each list by itself."""
    rules = Guardrails(
        [
            Protected("y:1", hosts("a.corp.example", "b.corp.example"), actions=("x.*",)),
            Protected("y:2", hosts("c.corp.example"), actions=("firewall.*",)),
        ]
    )

    refusal = rules.verdict("firewall.block_indicators", Names.of({"kind": "domain", "value": "corp.example"}))

    assert refusal is not None
    assert (refusal.rule, refusal.matched) == ("y:2", "'corp.example' is 'c.corp.example'")


def test_an_entry_of_a_file_is_named_by_its_line() -> None:
    """Comments and empty lines count as lines, and protect nothing."""
    body = "# servers\n\ndc01  # the first\r\n  DC02.corp.example \n#dc03\nweb#1\n"
    rules = Guardrails([Protected("y:7", (*hosts("dc00"), Listed(Sense.HOSTS, body, "servers.txt")))])

    def where(text: str) -> str | None:
        refusal = rules.verdict("a.b", Names.of(text))
        return None if refusal is None else refusal.rule

    assert where("dc00") == "y:7"
    assert where("dc01") == "servers.txt:3"
    assert where("dc02") == "servers.txt:4"
    assert where("web#1") == "servers.txt:6"
    assert where("dc03") is None
    assert where("servers") is None
    assert where("the first") is None


def test_in_a_rule_a_hash_sign_is_a_character() -> None:
    """Guests have one in their sign-in names."""
    rules = Guardrails([Protected("y:1", (Listed.of(Sense.USERS, ["a #1", "#x"]),))])

    assert rules.verdict("a.b", Names.of("a #1")) is not None
    assert rules.verdict("a.b", Names.of("#x")) is not None
    assert rules.verdict("a.b", Names.of("a")) is None


@pytest.mark.parametrize(
    ("sense", "entry", "says"),
    [
        (Sense.NETWORKS, "corp.example", "is no network; write it as 192.0.2.0/24"),
        (Sense.NETWORKS, "10.0.0.0/33", "is no network"),
        (Sense.HOSTS, "*", "means everything"),
        (Sense.HOSTS, "**.*", "means everything"),
        (Sense.USERS, "*@*", "means everything"),
        (Sense.TAGS, "?", "means everything"),
        (Sense.HOSTS, "\u200b", "names nothing"),
        (Sense.HOSTS, '""', "names nothing"),
    ],
)
@pytest.mark.safety(13)
def test_an_entry_that_can_be_compared_with_nothing_is_an_error(sense: Sense, entry: str, says: str) -> None:
    """Where it stands is said: in a rule, or in a file with its line."""
    with pytest.raises(NotAnEntry, match=says.replace("*", r"\*")) as caught:
        Guardrails([Protected("y:1", hosts("a")), Protected("y:3", (Listed.of(sense, [entry]),))])
    assert caught.value.where == "y:3"

    with pytest.raises(NotAnEntry) as caught:
        Guardrails([Protected("y:1", (*hosts("a"), Listed(sense, f"10.0.0.1\n{entry}", "f.txt")))])
    assert caught.value.where == "f.txt:2"


@pytest.mark.parametrize(
    ("sense", "entry", "says"),
    [
        (Sense.NETWORKS, "corp", "'corp' is no network; write it as 192.0.2.0/24"),
        (Sense.HOSTS, " * ", "' * ' means everything; to stop all changes there is the kill switch"),
        (Sense.USERS, "''", "\"''\" names nothing"),
        (Sense.USERS, "@corp.example", "'@corp.example' names nothing"),
        (Sense.HOSTS, "{", "'{' names nothing"),
    ],
)
def test_what_is_wrong_with_an_entry_is_said(sense: Sense, entry: str, says: str) -> None:
    """The entry as it was written, and what it should be."""
    with pytest.raises(NotAnEntry) as caught:
        Guardrails([Protected("y:3", (Listed.of(sense, [entry]),))])

    assert str(caught.value) == says
    assert (caught.value.number, caught.value.line) == (0, 0)


@pytest.mark.safety(13)
def test_guardrails_that_could_not_be_read_refuse_every_change() -> None:
    """With the lifeline beside them, too."""
    broken = Guardrails.broken("hikeshi.yaml:3: unknown key 'protectd'")

    for rules in (broken, broken.with_lifeline(lifeline())):
        refusal = rules.verdict("edr.isolate_host", Names.of(HOST, "host"))
        assert refusal is not None
        assert refusal.code == Code.UNREADABLE
        assert refusal.why == "what is protected could not be read: hikeshi.yaml:3: unknown key 'protectd'"
        assert refusal.target == "pc7"
        assert refusal.rule == "hikeshi.yaml"
        assert refusal.matched == ""
        assert refusal.who_may_lift == "Whoever may edit hikeshi.yaml mends it; until then nothing is changed"
        assert [each.code for each in rules.verdicts("a.b", [])] == [Code.UNREADABLE]
        assert rules.broken_because
    assert Guardrails.broken("").verdict("a.b", Names.of("x")) is not None
    assert Guardrails.broken("").broken_because == "the reason is not known"
    assert Guardrails.broken("x", ["f"]).with_lifeline(()).files == ("f",)


def test_short_names_belong_to_the_domains_that_are_named() -> None:
    """Without domains of its own a project takes a short name for a host in any."""
    rules = [Protected("y:1", hosts("dc01", "files.corp.example", "*.dmz.example", "api.vendor.example"))]

    always = {"dc01", "dc01.corp.example", "x.dmz.example", "files.corp.example"}

    def refused(domains: list[str]) -> set[str]:
        asked = (*always, "dc01.evil.test", "files", "api", "web1")
        guardrails = Guardrails(rules, domains=domains).with_lifeline(())
        return {text for text in asked if guardrails.verdict("a.b", Names.of(text)) is not None}

    assert refused([]) == always | {"dc01.evil.test", "files", "api"}
    assert refused(["Corp.Example."]) == always | {"files"}
    assert refused(["corp.example", "dmz.example"]) == always | {"files", "api", "web1"}
    assert refused(["dmz.example"]) == (always - {"dc01.corp.example"}) | {"files", "api", "web1"}


def test_a_pattern_of_a_domain_says_nothing_about_short_names_unless_the_domain_is_the_projects() -> None:
    """Otherwise `*.corp.example` would protect every host that is named without its domain."""
    rule = Protected("y:1", (*hosts("*.corp.example", "?*.x.example"), Listed.of(Sense.INDICATORS, ["pc?.i.example"])))

    assert Guardrails([rule]).verdict("a.b", Names.of("pc7")) is None
    assert Guardrails([rule], domains=["corp.example"]).verdict("a.b", Names.of("pc7")) is not None
    assert Guardrails([rule], domains=["i.example"]).verdict("a.b", Names.of("pc7")) is None


@pytest.mark.safety(10)
@pytest.mark.parametrize(
    "text",
    [
        "localhost",
        "127.0.0.1",
        "127.9.9.9",
        "::1",
        "http://localhost:8080/",
        "soar01",
        "soar01.corp.example",
        "198.51.100.20",
        "hikeshi",
        "CORP\\hikeshi",
        "db.corp.example",
        "db2.corp.example",
        "api.vendor.example",
        "https://api.vendor.example/x",
        "login.vendor.example",
        "vendor.example",
        "192.0.2.44",
    ],
)
def test_the_engine_does_not_cut_itself_off(text: str) -> None:
    """Its host, addresses, accounts and databases, and what its connectors reach, are protected by themselves."""
    own = lifeline(
        hosts=["soar01.corp.example"],
        addresses=["198.51.100.20"],
        accounts=["hikeshi"],
        databases=["postgresql://hikeshi:hunter2@db.corp.example:5432/hikeshi", "db2.corp.example"],
        base_urls={
            "v": ["https://api.vendor.example:8443/v1", "https://login.vendor.example"],
            "w": ["http://192.0.2.44"],
        },
    )

    refusal = Guardrails().with_lifeline(own).verdict("a.b", Names.of(text))

    assert refusal is not None
    assert refusal.code == Code.PROTECTED
    assert refusal.who_may_lift == "Nobody lifts this: the engine does not cut itself off"
    assert "hunter2" not in repr(own)


def test_the_lifeline_says_what_it_protects() -> None:
    """Each rule of the engine has an origin and a reason; what is empty makes no rule."""
    own = lifeline(accounts=["", "  "], base_urls={"v": ["https://api.vendor.example"], "w": [""]})

    assert [(rule.origin, rule.why) for rule in own] == [
        ("engine: own hosts", "the engine runs on it"),
        ("engine: connector v", "the engine reaches the connector 'v' there"),
    ]
    full = lifeline(accounts=["a"], databases=["db"])
    assert [(rule.origin, rule.why) for rule in full[1:]] == [
        ("engine: own accounts", "the engine signs in with it"),
        ("engine: database", "the engine's database is there"),
    ]
    assert Guardrails().with_lifeline(own).verdict("a.b", Names.of("other.example")) is None


def test_the_lifeline_stands_beside_the_rules_of_the_project() -> None:
    """Nothing of the project's rules is lost, and the originals stay as they were."""
    limit, approval = Limit("y:2", Per.RUN, at_most=1), ApprovalRule("y:3", ("mei",))
    breaker = Breaker("y:4", 20, 5, 60)
    rules = Guardrails(
        [Protected("y:1", hosts("dc01"))],
        limits=[limit],
        approvals=[approval],
        breaker=breaker,
        release_people=2,
        domains=["corp.example"],
    )

    both = rules.with_lifeline(lifeline())

    assert [rule.origin for rule in both.protected] == ["y:1", "engine: own hosts"]
    assert [rule.origin for rule in rules.protected] == ["y:1"]
    assert (both.limits, both.approvals, both.breaker) == ((limit,), (approval,), breaker)
    assert (both.release_people, both.domains, both.broken_because) == (2, ("corp.example",), "")
    assert both.verdict("a.b", Names.of("dc01")) is not None
    assert rules.verdict("a.b", Names.of("localhost")) is None


def test_an_approval_is_required_for_the_actions_and_targets_that_it_names() -> None:
    """A rule without lists is about every target."""
    rules = Guardrails(
        approvals=[
            ApprovalRule("y:1", ("role:lead",), 2, 1800, "wiping is for ever", actions=("edr.wipe*",)),
            ApprovalRule("y:2", ("role:ops",), lists=(Listed.of(Sense.TAGS, ["production"]),)),
            ApprovalRule("y:3", ("mei",), playbooks=("phish*",), lists=hosts("pc8")),
        ]
    )
    host = Names.of(HOST, "host")

    wipe = RequiredApproval("y:1", ("role:lead",), 2, 1800, "wiping is for ever", "")
    production = RequiredApproval("y:2", ("role:ops",), 1, None, "", "'production' is 'production'")
    assert rules.approvals_for("edr.wipe_host", host) == [wipe, production]
    assert rules.approvals_for("edr.isolate_host", host, "phishing") == [production]
    assert rules.approvals_for("edr.isolate_host", Names.of({**HOST, "tags": []}, "host"), "phishing") == []
    assert [each.rule for each in rules.approvals_for("a.b", Names.of("pc8"), "phishing")] == ["y:3"]
    assert rules.approvals_for("a.b", Names.of("pc8"), "other") == []


@pytest.mark.safety(13)
def test_an_approval_is_required_if_it_is_not_known_whether_it_is() -> None:
    """Tags that could not be read may be those that need consent."""
    rules = Guardrails(approvals=[ApprovalRule("y:2", ("mei",), lists=(Listed.of(Sense.TAGS, ["production"]),))])
    host = Names.of({**HOST, "tags": None}, "host")

    assert [each.matched for each in rules.approvals_for("a.b", host)] == ["its tags are not known"]
    assert rules.verdict("a.b", host) is None


def test_groups_are_read_for_a_rule_that_asks_for_approval_too() -> None:
    """Whether consent is needed depends on them as well."""
    rules = Guardrails(approvals=[ApprovalRule("y:2", ("mei",), lists=(Listed.of(Sense.GROUPS, ["x"]),))])

    assert rules.needs_groups("identity.disable_user")


def test_rules_about_actions_that_do_not_exist_are_found() -> None:
    """A misspelled action makes a rule that never holds."""
    rules = Guardrails(
        [Protected("y:1", hosts("a"), actions=("edr.isolat_host", "edr.*"))],
        limits=[Limit("y:2", Per.RUN, at_most=1, actions=("firewal.*",))],
        approvals=[ApprovalRule("y:3", ("mei",), actions=("Edr.Isolate_host",))],
        breaker=Breaker("y:4", 20, 5, 60, actions=("x",)),
    )

    assert rules.idle(["edr.isolate_host"]) == [
        "y:1: no action is called 'edr.isolat_host'",
        "y:2: no action is called 'firewal.*'",
        "y:4: no action is called 'x'",
    ]
    assert Guardrails([Protected("y:1", hosts("a"))]).idle([]) == []


def test_the_digest_changes_with_everything_that_is_in_force() -> None:
    """A plan is bound to it."""
    digests = [
        Guardrails().digest,
        Guardrails(digest="a").digest,
        Guardrails(digest="b").digest,
        Guardrails.broken("x").digest,
        Guardrails.broken("y").digest,
        Guardrails(digest="a").with_lifeline(lifeline()).digest,
        Guardrails(digest="a").with_lifeline(lifeline(hosts=["x"])).digest,
    ]

    assert len(set(digests)) == len(digests)
    assert all(len(digest) == 64 for digest in digests)
    assert Guardrails(digest="a").digest == Guardrails(digest="a").digest
