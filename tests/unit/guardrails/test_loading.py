"""Reading `guardrails:` of hikeshi.yaml: everything that is wrong is said with its place, and refuses every change."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hikeshi.guardrails import ApprovalRule, Breaker, Guardrails, Limit, Names, Per, Population
from hikeshi.project import ProjectError, load_config
from hikeshi.project.guardrails import load_guardrails, stamp_of
from hikeshi.project.machine import this_machine

WHOLE = """\
guardrails:
  domains: [corp.example]
  protected:
    - {hosts: [dc01, 10.0.0.5], why: domain controllers, lift: role:admin}
    - users: breakglass@corp.example
      groups: [Domain Admins]
      actions: [identity.*]
    - {file: lists/hosts.txt, kind: hosts}
  limits:
    - {actions: [edr.isolate_host], per: window, within: 1h30m, at_most: 10}
    - per: step
      population: {count: 400, per_cent: 2.5}
      playbooks: [a, b]
      why: careful
  approvals:
    - {actions: [edr.wipe*], by: [role:lead, mei], quorum: 2, within: 30m, why: for ever}
    - tags: [production]
      playbooks: x
      by: role:lead
  breaker: {within: 1d, at_most_per_cent: 20, at_least: 5, sources: [siem], actions: [edr.*]}
  release_stop: {people: 3}
"""


def project(folder: Path, text: str, hosts: str = "srv1\nsrv2\n") -> Path:
    (folder / "lists").mkdir(exist_ok=True)
    (folder / "lists" / "hosts.txt").write_text(hosts)
    (folder / "hikeshi.yaml").write_text(text)
    return folder


def rule_for(rules: Guardrails, text: str, action: str = "edr.isolate_host") -> str | None:
    refusal = rules.verdict(action, Names.of(text))
    return None if refusal is None else refusal.rule


def test_every_key_is_read(tmp_path: Path) -> None:
    """The whole section, each rule with the line that it stands on."""
    rules = load_guardrails(project(tmp_path, WHOLE))

    assert rules.broken_because == ""
    assert rules.domains == ("corp.example",)
    assert rule_for(rules, "dc01") == "hikeshi.yaml:4"
    assert rule_for(rules, "10.0.0.5") == "hikeshi.yaml:4"
    assert rule_for(rules, "breakglass", "identity.disable_user") == "hikeshi.yaml:5"
    assert rule_for(rules, "domain admins", "identity.disable_user") == "hikeshi.yaml:5"
    assert rule_for(rules, "breakglass") is None
    assert rule_for(rules, "srv2") == "lists/hosts.txt:2"
    assert [(rule.why, rule.lift) for rule in rules.protected] == [
        ("domain controllers", "role:admin"),
        ("", ""),
        ("", ""),
    ]
    assert rules.limits == (
        Limit("hikeshi.yaml:10", Per.WINDOW, 10, None, 5400, ("edr.isolate_host",)),
        Limit("hikeshi.yaml:11", Per.STEP, None, Population(400, 2.5), None, ("*",), ("a", "b"), "careful"),
    )
    assert rules.approvals == (
        ApprovalRule("hikeshi.yaml:16", ("role:lead", "mei"), 2, 1800, "for ever", ("edr.wipe*",)),
        ApprovalRule("hikeshi.yaml:17", ("role:lead",), 1, None, "", ("*",), ("x",), rules.approvals[1].lists),
    )
    assert [listed.body for listed in rules.approvals[1].lists] == ["production"]
    assert rules.breaker == Breaker("hikeshi.yaml:20", 20, 5, 86400, ("edr.*",), ("siem",))
    assert rules.release_people == 3


@pytest.mark.parametrize("text", ["", "people: {}\n", "guardrails: {}\n"])
def test_a_project_may_have_no_guardrails(tmp_path: Path, text: str) -> None:
    """No key, no rules but the engine's own."""
    rules = load_guardrails(project(tmp_path, text))

    assert rules.broken_because == ""
    assert rules.protected == ()
    assert (rules.limits, rules.approvals, rules.breaker, rules.release_people) == ((), (), None, None)
    assert rule_for(rules, "dc01") is None


def test_a_folder_without_the_file_has_no_guardrails(tmp_path: Path) -> None:
    """Such a project has no connectors either."""
    assert load_guardrails(tmp_path).broken_because == ""


def test_the_rest_of_the_project_takes_the_key(tmp_path: Path) -> None:
    """The file is one, read by two."""
    assert load_config(project(tmp_path, WHOLE + "people: {mei: {roles: [lead]}}\n")).people["mei"].roles == ("lead",)
    with pytest.raises(ProjectError, match=r"hikeshi.yaml:1:1: unknown key 'guardrail'; did you mean 'guardrails'"):
        load_config(project(tmp_path, "guardrail: {}\n"))


def test_minimal_rules_have_what_is_usual(tmp_path: Path) -> None:
    """Every action, every playbook, one person, no reason."""
    text = """\
guardrails:
  limits: [{per: run, at_most: 1}]
  approvals: [{by: mei}]
  breaker: {within: 90s, at_most_per_cent: 100, at_least: 1}
  release_stop: {people: 1}
"""
    rules = load_guardrails(project(tmp_path, text))

    assert rules.limits == (Limit("hikeshi.yaml:2", Per.RUN, 1),)
    assert rules.approvals == (ApprovalRule("hikeshi.yaml:3", ("mei",)),)
    assert rules.breaker == Breaker("hikeshi.yaml:4", 100, 1, 90)
    assert rules.release_people == 1


@pytest.mark.parametrize(
    ("written", "seconds"),
    [("1s", 1), ("30m", 1800), ("8h", 28800), ("2d", 172800), ("1d1h1m1s", 90061), ("60m", 3600)],
)
def test_a_time_is_read_in_its_units(tmp_path: Path, written: str, seconds: int) -> None:
    """Days, hours, minutes and seconds, each at most once and in this order."""
    rules = load_guardrails(project(tmp_path, f"guardrails: {{approvals: [{{by: mei, within: {written}}}]}}\n"))

    assert rules.approvals[0].within_s == seconds


@pytest.mark.parametrize(("count", "per_cent"), [(50, 2), (200, 0.5), (1, 100)])
def test_a_share_that_is_one_is_enough(tmp_path: Path, count: int, per_cent: float) -> None:
    """Less than one would allow nothing."""
    share = f"{{count: {count}, per_cent: {per_cent}}}"
    rules = load_guardrails(project(tmp_path, f"guardrails: {{limits: [{{per: run, population: {share}}}]}}\n"))

    assert rules.broken_because == ""
    assert [limit.most for limit in rules.limits] == [1]


def test_what_is_wrong_with_a_share_is_said_once(tmp_path: Path) -> None:
    """A wrong number is no missing one."""
    text = "guardrails: {limits: [{per: run, population: {count: 0, per_cent: 5}}]}\n"

    assert load_guardrails(project(tmp_path, text)).broken_because == (
        "hikeshi.yaml:1: 'count' is a whole number from 1 on, and this is 0"
    )


PROTECTED = "guardrails:\n  protected:\n    - "
LIMIT = "guardrails:\n  limits:\n    - "
APPROVAL = "guardrails:\n  approvals:\n    - "
BREAKER = "guardrails:\n  breaker: "


@pytest.mark.safety(13)
@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[]\n", "hikeshi.yaml:1: the file has to be a map"),
        (
            "guardrails:\n",
            "hikeshi.yaml:1: this is a map of domains, protected, limits, approvals, breaker, release_stop",
        ),
        ("guardrails: []\n", "hikeshi.yaml:1: this is a map of"),
        ("guardrails:\n  protectd: []\n", "hikeshi.yaml:2: unknown key 'protectd'; did you mean 'protected'?"),
        ("guardrails:\n  7: []\n", "hikeshi.yaml:2: unknown key 7; known are domains, protected, limits"),
        ("guardrails:\n  protected:\n", "hikeshi.yaml:2: 'protected' is a list of one entry or more"),
        ("guardrails:\n  protected: []\n", "hikeshi.yaml:2: 'protected' is a list of one entry or more"),
        ("guardrails:\n  protected: {hosts: [a]}\n", "hikeshi.yaml:2: 'protected' is a list"),
        ("guardrails:\n  domains: []\n", "hikeshi.yaml:2: 'domains' is a list"),
        (
            PROTECTED + "dc01\n",
            "hikeshi.yaml:3: this is a map of hosts, users, groups, tags, indicators, networks, file",
        ),
        (PROTECTED + "{why: x}\n", "hikeshi.yaml:3: this rule protects nothing; it needs one of hosts, users"),
        (PROTECTED + "{host: [a]}\n", "hikeshi.yaml:3: unknown key 'host'; did you mean 'hosts'?"),
        (PROTECTED + "{hosts: []}\n", "hikeshi.yaml:3: 'hosts' is a list of one entry or more"),
        (PROTECTED + "{hosts: [a, 7]}\n", "hikeshi.yaml:3: 7 under 'hosts' is no text; put it in quotes"),
        (PROTECTED + "{hosts: [a, ' ']}\n", "hikeshi.yaml:3: ' ' under 'hosts' is no text"),
        (PROTECTED + '{hosts: ["a\\nb"]}\n', r"hikeshi.yaml:3: 'a\nb' under 'hosts' is no text"),
        (PROTECTED + "{hosts: ''}\n", "hikeshi.yaml:3: '' under 'hosts' is no text"),
        (PROTECTED + "{hosts: [a], why: 7}\n", "hikeshi.yaml:3: 'why' is a text, and this is 7"),
        (PROTECTED + "{hosts: [a], lift: ''}\n", "hikeshi.yaml:3: 'lift' is a text, and this is ''"),
        (PROTECTED + "{hosts: [a], actions: []}\n", "hikeshi.yaml:3: 'actions' is a list"),
        (PROTECTED + "hosts:\n        - a\n        - '*'\n", "hikeshi.yaml:3: '*' means everything"),
        (PROTECTED + "{networks: [x]}\n", "hikeshi.yaml:3: 'x' is no network"),
        (PROTECTED + "{file: lists/hosts.txt}\n", "hikeshi.yaml:3: 'kind' says what the lines of the file are: hosts"),
        (PROTECTED + "{file: lists/hosts.txt, kind: host}\n", "'kind' says what the lines of the file are"),
        (PROTECTED + "{file: 7, kind: hosts}\n", "hikeshi.yaml:3: 'file' is a text, and this is 7"),
        (PROTECTED + "{hosts: [a], kind: hosts}\n", "'kind' says what the lines of a 'file' are, and there is none"),
        (PROTECTED + "{file: lists/no.txt, kind: hosts}\n", "/lists/no.txt cannot be read: No such file or directory"),
        (PROTECTED + "{file: lists, kind: hosts}\n", "/lists is no file"),
        (PROTECTED + '{file: "a\\0b", kind: hosts}\n', "cannot be read: "),
        (PROTECTED + "{file: lists/hosts.txt, kind: networks}\n", "lists/hosts.txt:1: 'srv1' is no network"),
        (LIMIT + "{per: run}\n", "hikeshi.yaml:3: this limit allows any number; it needs 'at_most'"),
        (
            LIMIT + "{at_most: 3}\n",
            "hikeshi.yaml:3: 'per' is one of step, run, playbook, action, window, and this is None",
        ),
        (LIMIT + "{at_most: 3, per: hour}\n", "and this is 'hour'"),
        (LIMIT + "{at_most: 3, per: [run]}\n", "and this is ['run']"),
        (LIMIT + "{at_most: 0, per: run}\n", "hikeshi.yaml:3: 'at_most' is a whole number from 1 on, and this is 0"),
        (LIMIT + "{at_most: -1, per: run}\n", "'at_most' is a whole number from 1 on"),
        (LIMIT + "{at_most: 1.5, per: run}\n", "'at_most' is a whole number from 1 on"),
        (LIMIT + "{at_most: yes, per: run}\n", "'at_most' is a whole number from 1 on"),
        (LIMIT + "{at_most: true, per: run}\n", "'at_most' is a whole number from 1 on, and this is True"),
        (
            LIMIT + "{at_most: 3, per: window}\n",
            "hikeshi.yaml:3: a limit per window needs 'within', such as within: 1h",
        ),
        (LIMIT + "{at_most: 3, per: playbook}\n", "a limit per playbook needs 'within'"),
        (LIMIT + "{at_most: 3, per: action}\n", "a limit per action needs 'within'"),
        (
            LIMIT + "{at_most: 3, per: run, within: 1h}\n",
            "a limit per run counts from its beginning; take 'within' away",
        ),
        (LIMIT + "{at_most: 3, per: step, within: 1h}\n", "a limit per step counts from its beginning"),
        (LIMIT + "{at_most: 3, per: window, within: 0s}\n", "'0s' under 'within' is no duration; write it as 30m"),
        (LIMIT + "{at_most: 3, per: window, within: 1h 30m}\n", "is no duration"),
        (LIMIT + "{at_most: 3, per: window, within: 30m1h}\n", "is no duration"),
        (LIMIT + "{at_most: 3, per: window, within: ''}\n", "'' under 'within' is no duration"),
        (LIMIT + "{at_most: 3, per: window, within: 60}\n", "60 under 'within' is no duration"),
        (LIMIT + "{per: run, population: 5}\n", "this is a map of count, per_cent"),
        (LIMIT + "{per: run, population: {count: 5}}\n", "'population' needs both 'count' and 'per_cent'"),
        (LIMIT + "{per: run, population: {per_cent: 5}}\n", "'population' needs both 'count' and 'per_cent'"),
        (LIMIT + "{per: run, population: {count: 49, per_cent: 2}}\n", "2 per cent of 49 is less than one"),
        (LIMIT + "{per: run, population: {count: 5, per_cent: 0}}\n", "'per_cent' is a number above 0 and up to 100"),
        (LIMIT + "{per: run, population: {count: 5, per_cent: 100.1}}\n", "'per_cent' is a number above 0"),
        (LIMIT + "{per: run, population: {count: 5, per_cent: .nan}}\n", "'per_cent' is a number above 0"),
        (LIMIT + "{per: run, population: {count: 5, per_cent: true}}\n", "'per_cent' is a number above 0"),
        (LIMIT + "{per: run, population: {count: '5', per_cent: 50}}\n", "'count' is a whole number from 1 on"),
        (APPROVAL + "{actions: [a.b]}\n", "hikeshi.yaml:3: an approval needs 'by': who may give it"),
        (APPROVAL + "{by: []}\n", "hikeshi.yaml:3: 'by' is a list of one entry or more"),
        (APPROVAL + "{by: mei, quorum: 0}\n", "hikeshi.yaml:3: 'quorum' is a whole number from 1 on"),
        (APPROVAL + "{by: mei, within: soon}\n", "'soon' under 'within' is no duration"),
        (APPROVAL + "{by: mei, hosts: ['*']}\n", "hikeshi.yaml:3: '*' means everything"),
        (APPROVAL + "{by: mei, lift: x}\n", "hikeshi.yaml:3: unknown key 'lift'"),
        (BREAKER + "20\n", "hikeshi.yaml:2: this is a map of actions, sources, within, at_most_per_cent, at_least"),
        (BREAKER + "{at_least: 5, within: 1h}\n", "hikeshi.yaml:2: the breaker needs 'at_most_per_cent'"),
        (BREAKER + "{at_most_per_cent: 5, within: 1h}\n", "the breaker needs 'at_least'"),
        (BREAKER + "{at_most_per_cent: 5, at_least: 1}\n", "the breaker needs 'within'"),
        (BREAKER + "{at_most_per_cent: 5, at_least: 1, within: x}\n", "'x' under 'within' is no duration"),
        ("guardrails:\n  release_stop: 2\n", "hikeshi.yaml:2: this is a map of people"),
        ("guardrails:\n  release_stop: {}\n", "hikeshi.yaml:2: 'release_stop' needs 'people': how many have to agree"),
        ("guardrails:\n  release_stop: {people: 0}\n", "hikeshi.yaml:2: 'people' is a whole number from 1 on"),
        ("guardrails: {a: 1, a: 2}\n", "hikeshi.yaml:1: no valid YAML: found duplicate key"),
        ("guardrails:\n  - [\n", "hikeshi.yaml:3: no valid YAML: "),
        ("a: \x07\n", "hikeshi.yaml: no valid YAML: ReaderError"),
        ("a: 2026-02-31\n", "hikeshi.yaml: no valid YAML: ValueError"),
        ("guardrails: &a\n  protected: [*a]\n", "hikeshi.yaml:1: unknown key 'protected'; known are hosts"),
    ],
)
def test_what_is_wrong_is_said_with_its_place_and_refuses_every_change(tmp_path: Path, text: str, says: str) -> None:
    """A rule that can't be understood may be the one that matters."""
    rules = load_guardrails(project(tmp_path, text))

    assert says in rules.broken_because
    assert rule_for(rules, "anything") == "hikeshi.yaml"
    assert rules.limits == ()


def test_everything_that_is_wrong_is_said_at_once(tmp_path: Path) -> None:
    """One reading finds all of it."""
    text = PROTECTED + "{hosts: [], why: 7}\n  limits:\n    - {per: x, at_most: 0}\n  release_stop: {}\n"

    assert load_guardrails(project(tmp_path, text)).broken_because == (
        "hikeshi.yaml:3: 'hosts' is a list of one entry or more; to have none, take the key away; "
        "hikeshi.yaml:3: 'why' is a text, and this is 7; "
        "hikeshi.yaml:5: 'per' is one of step, run, playbook, action, window, and this is 'x'; "
        "hikeshi.yaml:5: 'at_most' is a whole number from 1 on, and this is 0; "
        "hikeshi.yaml:6: 'release_stop' needs 'people': how many have to agree"
    )


@pytest.mark.safety(13)
@pytest.mark.parametrize("hosts", ["", "\n\n", "# nothing\n", "   \n #x\n"])
def test_an_empty_list_in_a_file_refuses_every_change(tmp_path: Path, hosts: str) -> None:
    """An export that failed leaves an empty file, and must not take every protection away."""
    rules = load_guardrails(project(tmp_path, WHOLE, hosts))

    assert "lists/hosts.txt has no entry; if that is meant, take the rule away" in rules.broken_because


@pytest.mark.safety(13)
def test_a_file_that_is_no_text_refuses_every_change(tmp_path: Path) -> None:
    """The byte is named."""
    project(tmp_path, WHOLE)
    (tmp_path / "lists" / "hosts.txt").write_bytes(b"dc01\n\xff\xfe\n")

    assert "hosts.txt is no UTF-8 text from byte 5 on" in load_guardrails(tmp_path).broken_because


@pytest.mark.safety(13)
def test_a_file_that_is_not_where_it_should_be_refuses_every_change(tmp_path: Path) -> None:
    """A folder, a link to nowhere, a pipe or a missing folder is no absent file."""
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "hikeshi.yaml").mkdir()
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "hikeshi.yaml").symlink_to(tmp_path / "nowhere")
    (tmp_path / "c").mkdir()
    os.mkfifo(tmp_path / "c" / "hikeshi.yaml")
    (tmp_path / "d").write_text("")

    assert load_guardrails(tmp_path / "a").broken_because.endswith("hikeshi.yaml is no file")
    assert "cannot be read: No such file" in load_guardrails(tmp_path / "b").broken_because
    assert load_guardrails(tmp_path / "c").broken_because.endswith("hikeshi.yaml is no file")
    assert "cannot be read: Not a directory" in load_guardrails(tmp_path / "d").broken_because
    assert load_guardrails(tmp_path / "e").broken_because.endswith("/e: there is no such folder")


def test_a_byte_order_mark_is_no_part_of_the_first_entry(tmp_path: Path) -> None:
    """Spreadsheets write one."""
    rules = load_guardrails(project(tmp_path, WHOLE, "\ufeffsrv1\r\nsrv2\r\n"))

    assert rule_for(rules, "srv1") == "lists/hosts.txt:1"


def test_an_alias_is_read_like_what_it_repeats(tmp_path: Path) -> None:
    """Also where it multiplies what it repeats, reading takes no longer than the file is long."""
    text = "x: &h [dc01]\n" + "guardrails:\n  protected:\n    - {hosts: *h}\n    - {users: *h}\n"
    bomb = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 60))

    assert rule_for(load_guardrails(project(tmp_path, text)), "dc01") == "hikeshi.yaml:4"
    assert load_guardrails(project(tmp_path, bomb + text)).broken_because == ""
    broken = load_guardrails(project(tmp_path, bomb + PROTECTED + "{hosts: *a59, why: *a59}\n"))
    assert "under 'hosts' is no text" in broken.broken_because
    assert len(broken.broken_because) < 2000


def test_the_digest_follows_the_rules_and_the_lists(tmp_path: Path) -> None:
    """Comments in hikeshi.yaml are no rules; every line of a list is."""
    digest = load_guardrails(project(tmp_path, WHOLE)).digest

    assert load_guardrails(project(tmp_path, "# more\n" + WHOLE)).digest == digest
    assert load_guardrails(project(tmp_path, WHOLE + "people: {}\n")).digest == digest
    assert load_guardrails(project(tmp_path, WHOLE.replace("dc01", "dc02"))).digest != digest
    assert load_guardrails(project(tmp_path, WHOLE.replace("people: 3", "people: 2"))).digest != digest
    assert load_guardrails(project(tmp_path, WHOLE, "srv1\nsrv3\n")).digest != digest
    assert load_guardrails(project(tmp_path, "")).digest != digest


def test_a_machine_knows_what_it_is_called() -> None:
    """Its name is there; what the system doesn't know is left out."""
    machine = this_machine()

    assert all(machine.hosts)
    assert len(machine.hosts) == 1
    assert all(machine.addresses)


@pytest.mark.safety(13)
def test_a_list_that_is_written_or_lost_is_noticed(tmp_path: Path) -> None:
    """Whoever keeps guardrails in memory reads them again when the stamp has changed, also if they were broken."""
    rules = load_guardrails(project(tmp_path, WHOLE)).with_lifeline(())
    stamps = [stamp_of(rules)]
    assert stamp_of(rules) == stamps[0]

    (tmp_path / "lists" / "hosts.txt").write_text("srv1\nsrv2\nsrv3\n")
    stamps.append(stamp_of(rules))
    (tmp_path / "lists" / "hosts.txt").unlink()
    stamps.append(stamp_of(rules))
    broken = load_guardrails(tmp_path)
    assert stamp_of(broken) == stamps[-1]
    (tmp_path / "hikeshi.yaml").unlink()
    stamps.append(stamp_of(broken))

    assert len(set(stamps)) == 4
    assert len(stamp_of(load_guardrails(tmp_path))) == 1
    assert len(stamp_of(load_guardrails(project(tmp_path, "[]")))) == 1
    assert len(stamp_of(load_guardrails(project(tmp_path, "{}")))) == 1
    assert len(stamp_of(load_guardrails(project(tmp_path, "{")))) == 1
