"""The command line beside runs: what there is, what is wrong with what a person wrote, and text that attacks."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from command_line import CommandLine
from drill import Place, served

from hikeshi import __version__
from hikeshi.cli.application import COMMANDS

BROKEN = """id: broken
name: Broken
inputs:
  hostname: {type: hostname}
steps:
  - id: find
    action: edr.get_hots
    with: {name: "{{ inputs.hostnme }}"}
"""
LONG = "long " * 30_000
ATTACK = "a\x1b[2J\x1b]0;owned\x07b [bold red]c[/] \u202egnp.exe \x9b31m\r\nd"
TELLS = """id: tells
name: Tells
inputs: {text: {type: string, max_length: 1000000}}
steps:
  - id: stop
    stop: {status: failed, message: "{{ inputs.text }}"}
"""


@pytest.fixture(scope="module")
def shared_place() -> Iterator[Place]:
    """A company that these tests only read from."""
    with served() as place:
        yield place


@pytest.fixture
def hikeshi(tmp_path: Path) -> CommandLine:
    """A shell in an empty folder."""
    return CommandLine(tmp_path)


@pytest.fixture
def bound(hikeshi: CommandLine, shared_place: Place) -> CommandLine:
    """A shell in a project that is bound to all four products."""
    hikeshi.configure(shared_place.simulation.project_settings(shared_place.url))
    return hikeshi


# --- help


def test_help_lists_every_command_and_the_exit_codes(hikeshi: CommandLine) -> None:
    """The first thing anybody types answers on one page, without any command that does nothing."""
    ended = hikeshi("--help")

    assert ended.code == 0
    assert all(f"  {name.split()[0]}" in ended.out for name in COMMANDS)
    assert "5 a change was" in " ".join(ended.out.split())
    assert hikeshi().out == ended.out
    assert hikeshi("run", "--help").out.startswith("Usage: hikeshi run")
    assert hikeshi("--version").out == f"hikeshi {__version__}\n"


@pytest.mark.parametrize("arguments", [("rum",), ("run",), ("run", "x", "--jsn"), ("log",), ("audit", "verfy")])
def test_wrong_usage_is_exit_code_2_on_the_standard_error(hikeshi: CommandLine, arguments: tuple[str, ...]) -> None:
    """Typing mistakes never look like a failed run."""
    ended = hikeshi(*arguments)

    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith("error: ")
    as_json = hikeshi(*arguments, "--json")
    assert as_json.document["error"]["code"] == "usage"


# --- what there is


def test_playbooks_are_listed_shown_and_drawn(hikeshi: CommandLine) -> None:
    """Those that ship are there without any configuration."""
    listed = hikeshi("list", "--json").document["playbooks"]
    assert {"contain-host", "isolate-host"} <= {row["id"] for row in listed}
    assert {"id", "name", "phase", "severity", "source"} <= listed[0].keys()
    assert "contain-host" in hikeshi("list").out

    shown = hikeshi("show", "contain-host")
    assert "hostname  host; required" in shown.out
    assert "edr.isolate_host" in shown.out
    document = hikeshi("show", "contain-host", "--json").document
    assert document["inputs"]["hostname"]["required"] is True
    assert document["inputs"]["severity"]["enum"] == ["low", "medium", "high", "critical"]

    drawn = hikeshi("graph", "isolate-host")
    assert drawn.out.startswith("flowchart TD\n")


def test_connectors_are_shown_with_actions_and_privileges(bound: CommandLine) -> None:
    """Installed products and configured instances, for people and programs."""
    document = bound("connectors", "--json").document

    assert {each["name"]: each["product"] for each in document["instances"]}["falcon"] == "crowdstrike"
    (product,) = [each for each in document["products"] if each["product"] == "crowdstrike"]
    assert "edr.isolate_host" in product["actions"]
    assert product["least_privileges"]
    assert product["quality"]["verify"] == {"status": "done", "reason": ""}
    assert product["unverified"][0].keys() == {"fact", "effect"}
    listed = bound("connectors").out
    assert re.search(r"^  falcon  crowdstrike$", listed, re.MULTILINE)
    assert re.search(r"^crowdstrike +edr +11 done, 1 exempt +\d+$", listed, re.MULTILINE)
    shown = bound("connectors", "show", "crowdstrike").out
    assert "isolate_host" in shown
    assert "Hosts: write" in shown
    assert re.search(r"^idempotent_retry +exempt +Falcon has no idempotency key", shown, re.MULTILINE)
    wrong = bound("connectors", "show", "crowdstruck")
    assert wrong.code == 2
    assert "no connector for the product 'crowdstruck'" in wrong.err


def test_a_configured_connector_is_tried_and_nothing_is_changed(bound: CommandLine, shared_place: Place) -> None:
    """Each read that can be tried is; what needs a thing that is not there says so."""
    before = len(shared_place.simulation.changes)
    ended = bound("connectors", "test", "falcon", "--json")

    assert ended.code == 0
    document = ended.document
    assert document["ok"] is True
    outcomes = {probe["action"]: probe for probe in document["probes"]}
    assert outcomes["edr.find_hosts"]["status"] == "ok"
    assert outcomes["edr.search_hash"]["status"] == "ok"
    assert outcomes["edr.isolation_of"] == {
        "action": "edr.isolation_of",
        "status": "not tried",
        "message": "it needs host",
        "took_s": 0.0,
    }
    assert len(shared_place.simulation.changes) == before
    assert "falcon answers." in bound("connectors", "test", "falcon").out


def test_wrong_credentials_are_told_with_what_the_product_has_to_grant(
    hikeshi: CommandLine, shared_place: Place
) -> None:
    """Exit code 1, the kind of the error, the least privileges, and not the secret."""
    settings = shared_place.simulation.project_settings(shared_place.url)
    settings["falcon"]["client_secret"] = "falcon-this-is-wrong"
    hikeshi.configure(settings)
    ended = hikeshi("connectors", "test", "falcon")

    assert ended.code == 1
    assert re.search(r"^edr.find_hosts +unauthorized", ended.out, re.MULTILINE)
    assert "The product has to grant:\n  Hosts: " in ended.out
    assert "this-is-wrong" not in ended.out + ended.err


def test_a_connector_that_reads_nothing_is_not_said_to_answer(hikeshi: CommandLine) -> None:
    """Nobody listens at this address, and nobody was asked."""
    hikeshi.configure({"hook": {"product": "webhook", "base_url": "http://127.0.0.1:1", "signing_key": "k" * 32}})
    said, document = hikeshi("connectors", "test", "hook"), hikeshi("connectors", "test", "hook", "--json")

    assert (said.code, document.code, document.document["ok"]) == (1, 1, False)
    assert "hook was not asked: it has no read that can be tried" in said.out
    assert "answers" not in said.out


def test_a_connector_that_is_not_there_cannot_be_tried(bound: CommandLine) -> None:
    """The error names those that are."""
    ended = bound("connectors", "test", "falcn")

    assert ended.code == 2
    assert "there: " in ended.err
    assert "falcon" in ended.err


# --- what is wrong


def test_check_finds_everything_in_one_pass_with_places_and_suggestions(hikeshi: CommandLine) -> None:
    """Exit code 2, a line for each problem, and how many there are."""
    hikeshi.add_playbook("broken", BROKEN)

    ended = hikeshi("check")
    document = hikeshi("check", "playbooks/broken.yaml", "--json").document

    assert ended.code == 2
    assert re.search(r"^playbooks/broken\.yaml:7:13: .*did you mean 'edr\.get_host'", ended.out, re.MULTILINE)
    assert re.search(r"^playbooks/broken\.yaml:8:\d+: .*did you mean 'hostname'", ended.out, re.MULTILINE)
    assert ended.out.endswith("1 playbook checked, 2 problems\n")
    assert document["ok"] is False
    assert {"file", "line", "column", "code", "message", "suggestion"} <= document["problems"][0].keys()


def test_check_is_content_with_what_is_right(bound: CommandLine) -> None:
    """Exit code 0 and a count, also for a project whose settings are complete."""
    bound.add_playbook("fine", BROKEN.replace("hots", "host").replace("hostnme", "hostname"))

    ended = bound("check")

    assert (ended.code, ended.out) == (0, "1 playbook checked, no problems\n")


def test_check_finds_wrong_settings_of_connectors(bound: CommandLine) -> None:
    """A project that could not run is found before anybody needs it."""
    text = (bound.folder / "hikeshi.yaml").read_text(encoding="utf-8")
    (bound.folder / "hikeshi.yaml").write_text(text.replace("bot_token:", "bot_tokn:"), encoding="utf-8")

    ended = bound("check")

    assert ended.code == 2
    assert "slack" in ended.out
    assert "bot_tokn" in ended.out


def test_an_unknown_playbook_is_answered_with_the_nearest(bound: CommandLine) -> None:
    """Exit code 2, and nothing was recorded."""
    ended = bound("run", "isolate-hots", "-i", "hostname=x", "--json")

    assert ended.code == 2
    assert "isolate-host" in json.dumps(ended.document["error"])
    assert "did you mean 'isolate-host'" in bound("show", "isolate-hots").err
    assert not (bound.folder / ".hikeshi" / "journal.db").exists()


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ((), "hostname: is required"),
        (("-i", "hostname=pc7", "-i", "reson=x"), "did you mean 'reason'"),
        (("-i", "hostname"), "write -i NAME=VALUE"),
        (("-i", "hostname=pc7", "-i", "hostname=pc8"), "is given twice"),
        (("-i", "hostname=@missing.txt"), "'missing.txt' cannot be read: No such file or directory"),
        (("-i", "hostname=@."), "'.' cannot be read: Is a directory"),
        (("-i", "hostname=@binary"), "is not UTF-8 text"),
        (("-i", "hostname=@huge"), "has more than 8 MB"),
        (("-i", "hostname="), "hostname: "),
    ],
)
def test_wrong_inputs_are_named_and_nothing_is_started(bound: CommandLine, inputs: tuple[str, ...], words: str) -> None:
    """Exit code 2, which input, and what is the matter with it."""
    (bound.folder / "binary").write_bytes(b"\xff\xfe\x00")
    (bound.folder / "huge").write_bytes(b"x" * 8_000_001)

    ended = bound("run", "isolate-host", *inputs)

    assert (ended.code, ended.out) == (2, "")
    assert words in ended.err
    assert not (bound.folder / ".hikeshi" / "journal.db").exists()


def test_a_folder_that_is_no_project_is_explained(hikeshi: CommandLine) -> None:
    """Both a folder that is not there and one without connectors say what to do."""
    missing = hikeshi("run", "isolate-host", "-i", "hostname=x", "--project", "nowhere")
    assert missing.code == 2
    assert "no such folder" in missing.err

    unbound = hikeshi("run", "isolate-host", "-i", "hostname=x")
    assert unbound.code == 2
    assert "no connector for 'edr'" in unbound.err
    assert "hikeshi.yaml does not exist; --project names the folder of another project" in unbound.err


def test_the_project_may_be_named_before_and_after_the_command(bound: CommandLine, tmp_path: Path) -> None:
    """`--project` works from another folder, on either side."""
    elsewhere = CommandLine(tmp_path / "elsewhere", bound.environment)
    elsewhere.folder.mkdir()

    before = elsewhere("--project", str(bound.folder), "connectors", "--json")
    after = elsewhere("connectors", "--project", str(bound.folder), "--json")

    assert before.document == after.document
    assert len(after.document["instances"]) == 4


def test_a_project_file_with_mistakes_shows_all_of_them(hikeshi: CommandLine) -> None:
    """Each with its line and column."""
    (hikeshi.folder / "hikeshi.yaml").write_text("connectrs: {}\nbindings: {edr: falcon}\n", encoding="utf-8")

    ended = hikeshi("list", "--json")

    assert (ended.code, ended.document["error"]["code"]) == (2, "project")
    assert len(ended.document["error"]["problems"]) == 2
    assert "hikeshi.yaml:1:1: unknown key 'connectrs'; did you mean 'connectors'?" in hikeshi("list").err


# --- hostile text and secrets


def test_text_that_attacks_a_terminal_is_shown_harmlessly(hikeshi: CommandLine) -> None:
    """Escape sequences, direction changes and markup reach nobody's terminal as such; long text is cut."""
    hikeshi.add_playbook("tells", TELLS)
    (hikeshi.folder / "text").write_bytes((ATTACK + LONG).encode())

    for ended in (
        hikeshi("run", "tells", "-i", "text=@text"),
        hikeshi.on_a_terminal("run", "tells", "-i", "text=@text"),
    ):
        assert ended.code == 1
        shown = re.sub(r"\x1b\[[0-9;]*m", "", ended.out) if "\x1b[" in ended.out else ended.out
        assert "a\\x1b[2J\\x1b]0;owned\\x07b [bold red]c[/] \\u202egnp.exe \\x9b31m\\r\\nd" in shown
        assert "\x1b" not in shown
        assert not {"\x07", "\x9b", "\u202e"} & set(shown)
        assert "more characters)" in shown
        assert len(shown) < 20_000
    document = hikeshi("run", "tells", "-i", "text=@text", "--json").document
    assert ATTACK + LONG in document["error"]["message"]


def test_hostile_arguments_are_shown_harmlessly(bound: CommandLine) -> None:
    """What a person pastes is as foreign as what a product sends."""
    for arguments in (("run", f"x{ATTACK}"), ("log", ATTACK), (ATTACK,), ("run", "isolate-host", "-i", ATTACK)):
        ended = bound(*arguments)
        assert ended.code == 2
        assert not {"\x1b", "\x07", "\x9b", "\u202e"} & set(ended.err + ended.out)


def test_an_error_that_nobody_expected_shows_no_values(hikeshi: CommandLine) -> None:
    """One line, exit code 1; with --debug the lines of the program, still without values of variables."""
    script = (
        "import sys; from hikeshi.cli.playbooks import list_playbooks as real\n"
        "import hikeshi.cli.playbooks as module\n"
        "def broken(session):\n    password = 'hunter-two'\n    raise ZeroDivisionError(password)\n"
        "module.list_playbooks = broken\n"
        "from hikeshi.cli.application import run_command_line\n"
        "sys.exit(run_command_line(sys.argv[1:]))\n"
    )

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", script, *arguments]
        return subprocess.run(command, cwd=hikeshi.folder, capture_output=True, text=True, check=False)

    plain, debug = run("list"), run("list", "--debug")
    assert (plain.returncode, debug.returncode) == (1, 1)
    assert plain.stderr.startswith("error: ZeroDivisionError")
    assert "hunter-two" not in plain.stderr
    assert "Traceback" not in plain.stderr
    assert "Traceback" in debug.stderr


def test_logs_are_json_lines_on_the_standard_error_and_only_on_demand(bound: CommandLine) -> None:
    """The libraries' logs too, and no secret among them."""
    ended = bound("plan", "isolate-host", "-i", "hostname=fs-tyo-01", "--log-level", "debug", "--json")
    quiet = bound("plan", "isolate-host", "-i", "hostname=fs-tyo-01", "--json")

    assert ended.code == 0
    lines = [line for line in ended.err.splitlines() if line.startswith("{")]
    assert lines
    assert all("event" in json.loads(line) for line in lines)
    assert not any(secret in ended.err for secret in bound.environment.values())
    assert "{" not in quiet.err
    assert bound("list", "--log-level", "loud").code == 2


# --- simulators and demo


def test_simulate_serves_the_products_and_says_how_to_use_them(hikeshi: CommandLine, tmp_path: Path) -> None:
    """What it prints is a working project; Ctrl-C ends it without noise."""
    (tmp_path / "estate.json").write_text('{"seed": 7, "hosts": 60, "users": 30, "connections": 20}', encoding="utf-8")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = hikeshi.start("simulate", "--estate", "estate.json", "--port", str(port))
    try:
        assert process.stdout is not None
        printed = ""
        while "Ctrl-C ends it." not in printed:
            line = process.stdout.readline()
            assert line, process.communicate()
            printed += line
        hikeshi.environment.update(re.findall(r"export (\w+)='(.*)'", printed))
        document = printed[printed.index("connectors:") : printed.index("\n\nWhat happens")]
        (tmp_path / "hikeshi.yaml").write_text(document, encoding="utf-8")
        planned = hikeshi("plan", "isolate-host", "-i", "hostname=fs-tyo-01")
        assert planned.code == 0, planned.err
    finally:
        os.killpg(process.pid, signal.SIGINT)
        _, err = process.communicate(timeout=20)
    assert process.returncode == 0
    assert "Traceback" not in err


def test_simulate_refuses_what_it_cannot_serve(hikeshi: CommandLine, tmp_path: Path) -> None:
    """A missing estate and an address that others reach are wrong input."""
    (tmp_path / "estate.json").write_text('{"seed": 7}', encoding="utf-8")

    assert hikeshi("simulate", "--estate", "missing.json").code == 2
    assert "loopback" in hikeshi("simulate", "--estate", "estate.json", "--host", "0.0.0.0").err


def test_the_demo_tells_its_story_to_the_end(hikeshi: CommandLine) -> None:
    """It ends with 0, shows that the dry run changed nothing and what the run did, and stays short."""
    ended = hikeshi("demo")

    assert ended.code == 0
    assert "received during the dry run: 0" in ended.out
    assert "isolated hosts            fs-tyo-01 (contained)" in ended.out
    assert "kenji.sato@minato.example" in ended.out
    assert "intact" in ended.out
    assert 40 <= len(ended.out.splitlines()) <= 100
    assert ended.err == ""
    assert list(hikeshi.folder.iterdir()) == []


# --- speed


def test_a_run_imports_nothing_that_it_does_not_need(bound: CommandLine) -> None:
    """Nobody waits at night for a library that draws, serves or schedules."""
    ended = bound("run", "isolate-host", "-i", "hostname=no-such-host", PYTHONPROFILEIMPORTTIME="1")

    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in ended.err.splitlines() if "|" in line}
    assert "hikeshi" in imported
    assert not imported & {"rich", "click", "uvicorn", "starlette", "apscheduler", "structlog", "IPython"}
