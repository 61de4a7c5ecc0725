"""`hikeshi guardrails`: which rules hold, and what they say of one target."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hikeshi.cli.application import run_command_line

RULES = """\
guardrails:
  domains: [corp.example]
  protected:
    - {hosts: [dc01, dc02, dc03, dc04, dc05], why: domain controllers, lift: role:admin}
    - {file: vips.txt, kind: users, actions: [identity.disable_user, idntity.*]}
  limits:
    - {actions: [edr.isolate_host], per: window, within: 90m, at_most: 10, why: one site}
  approvals:
    - {actions: [edr.*], hosts: [pc7], by: [role:lead], quorum: 2, within: 30m}
  breaker: {within: 1h, at_most_per_cent: 20, at_least: 5}
  release_stop: {people: 2}
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "hikeshi.yaml").write_text(RULES)
    (tmp_path / "vips.txt").write_text("ceo@corp.example\ncfo@corp.example\n")
    return tmp_path


def run(project: Path, capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    code = run_command_line(["--project", str(project), "guardrails", *arguments])
    return code, capsys.readouterr().out


def document(project: Path, capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict[str, Any]]:
    code, out = run(project, capsys, *arguments, "--json")
    return code, json.loads(out)


def test_the_rules_in_force_are_listed_with_their_places(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What they protect, why, and the engine's own beside them."""
    code, out = run(project, capsys)

    assert code == 0
    for line in (
        "  hikeshi.yaml:4  hosts dc01, dc02, dc03, dc04 and 1 more; domain controllers; lifted by role:admin",
        "  hikeshi.yaml:5  users of vips.txt ceo@corp.example, cfo@corp.example; "
        "actions identity.disable_user, idntity.*",
        "  hikeshi.yaml:7  at most 10; per window; within 1h30m; actions edr.isolate_host; one site",
        "  hikeshi.yaml:9  by role:lead; quorum 2; within 30m; hosts pc7; actions edr.*",
        "  hikeshi.yaml:10  at most 20 per cent; at least 5; within 1h",
        "Releasing the kill switch takes 2",
        "warning: hikeshi.yaml:5: no action is called 'idntity.*'",
    ):
        assert line in out.splitlines()
    assert "  engine: own hosts  hosts 127.0.0.0/8, ::1, localhost" in out


def test_the_rules_are_given_to_programs(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same, as one document."""
    code, found = document(project, capsys)

    assert code == 0
    assert found["protected"][0]["lists"] == [
        {"kind": "hosts", "file": None, "count": 5, "first": ["dc01", "dc02", "dc03", "dc04"]}
    ]
    assert found["protected"][1]["lists"][0]["file"] == "vips.txt"
    assert found["limits"][0]["within_s"] == 5400
    assert (found["release_people"], found["domains"]) == (2, ["corp.example"])
    assert found["broken_because"] is None
    assert len(found["digest"]) == 64


def test_a_project_without_guardrails_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Only the engine's own rules are left."""
    code, out = run(tmp_path, capsys)

    assert code == 0
    assert "Limits: none" in out.splitlines()
    assert "Approvals: none" in out.splitlines()


@pytest.mark.safety(13)
def test_guardrails_that_cannot_be_read_are_said_first(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The command fails, and so would every change."""
    (project / "vips.txt").unlink()

    code, out = run(project, capsys)
    assert code == 2
    assert out.startswith("Every change is refused: hikeshi.yaml:5: ")
    assert document(project, capsys)[1]["broken_because"].startswith("hikeshi.yaml:5: ")

    code, out = run(project, capsys, "check", "pc9")
    assert code == 3
    assert out.startswith("refused   'pc9' is refused (guardrails_unreadable): what is protected could not be read: ")


@pytest.mark.safety(10)
def test_a_refusal_is_explained(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What would be refused, by which rule, and who may lift it."""
    code, out = run(project, capsys, "check", "https://DC01.corp.example/")

    assert code == 3
    assert out.splitlines()[0] == (
        "refused   'https://DC01.corp.example/' is refused (protected): domain controllers; "
        "'https://DC01.corp.example/' is 'dc01' [hikeshi.yaml:4]. role:admin may lift it, by taking it off the list"
    )


def test_the_actions_of_a_refusal_are_named(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A rule that names actions leaves the others."""
    code, out = run(project, capsys, "check", "ceo")
    assert (code, out.splitlines()[1]) == (3, "          for identity.disable_user")

    code, found = document(project, capsys, "check", "ceo")
    assert code == 3
    assert [(each["code"], each["rule"], each["actions"]) for each in found["refused"]] == [
        ("protected", "vips.txt:1", ["identity.disable_user"])
    ]
    assert run(project, capsys, "check", "ceo", "--action", "edr.isolate_host")[0] == 0
    assert run(project, capsys, "check", "ceo", "--action", "identity.disable_user")[0] == 3


def test_what_is_allowed_is_said_with_its_limits_and_approvals(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Not refused is not the same as unasked."""
    code, out = run(project, capsys, "check", "pc7", "--action", "edr.isolate_host", "--playbook", "isolate")

    assert code == 0
    assert out.splitlines()[:3] == [
        "allowed   nothing protects 'pc7' from edr.isolate_host",
        "limit     hikeshi.yaml:7  at most 10; per window; within 1h30m; actions edr.isolate_host; one site",
        "approval  hikeshi.yaml:9  by role:lead; quorum 2; within 30m; 'pc7' is 'pc7'",
    ]
    code, found = document(project, capsys, "check", "pc7")
    assert (code, found["refused"]) == (0, [])
    assert [each["rule"] for each in (*found["limits"], *found["approvals"])] == ["hikeshi.yaml:7", "hikeshi.yaml:9"]
    assert "allowed   nothing protects 'pc8' from any change" in run(project, capsys, "check", "pc8")[1]


def test_an_action_that_does_not_exist_is_wrong_input(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Otherwise a typing error would be told that nothing speaks against it."""
    code, found = document(project, capsys, "check", "dc01", "--action", "edr.isolate_hosts")

    assert code == 2
    assert found["error"]["message"].startswith("there is no action 'edr.isolate_hosts'; did you mean")


@pytest.mark.safety(13)
def test_a_connector_that_cannot_be_asked_where_it_is_reached_is_warned_of(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What its settings don't say is not protected."""
    (project / "hikeshi.yaml").write_text("connectors: {falcon: {product: crowdstrike}}\n" + RULES)

    _, out = run(project, capsys)

    assert "warning: where a connector is reached is not known, so it is not protected: " in out
    assert "hikeshi.yaml: falcon: " in out


@pytest.mark.safety(10)
def test_where_a_connector_is_reached_is_protected(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Blocking it would leave the engine without hands."""
    settings = '{product: slack, base_url: "https://slack.example/api", bot_token: "${env:T}"}'
    (project / "hikeshi.yaml").write_text(f"connectors: {{chat: {settings}}}\n" + RULES)

    code, out = run(project, capsys, "check", "slack.example", "--action", "firewall.block_indicators")

    assert code in (2, 3)
    assert "[engine: connector chat]" in out
