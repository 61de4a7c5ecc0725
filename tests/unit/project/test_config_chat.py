"""`chat` in hikeshi.yaml, and what `people` says for it: what is taken, and every way to write it wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from hikeshi.project import ProjectError, load_config
from hikeshi.project.chat import Announcement, ChatSettings

CONNECTORS = "connectors:\n  slack: {product: slack}\n  mx: {product: matrix}\n  edr: {product: crowdstrike}\n"
SLACK = 'slack: {signing_secret: "${env:S}"}'


def problems(folder: Path, text: str) -> list[str]:
    """Return the problems of a hikeshi.yaml as `line:column: message`."""
    path = folder / "hikeshi.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ProjectError) as raised:
        load_config(folder)
    return [problem.removeprefix(f"{path}:") for problem in raised.value.problems]


def test_channels_find_their_connector(tmp_path: Path) -> None:
    """A channel with a server is a room of Matrix, any other one is Slack's; the only connector need not be named."""
    chat = 'chat: {announce: ["#a", C012ABCDE, "#b:example.org", "!c:example.org", "#a"], matrix: {connector: mx}, '
    (tmp_path / "hikeshi.yaml").write_text(CONNECTORS + chat + SLACK + "}\n")
    found = load_config(tmp_path).chat
    assert found.announce == (
        Announcement("#a", "slack"),
        Announcement("C012ABCDE", "slack"),
        Announcement("#b:example.org", "mx"),
        Announcement("!c:example.org", "mx"),
    )
    assert (found.slack, found.signing_secret, found.matrix) == ("slack", "${env:S}", "mx")


@pytest.mark.parametrize("text", ["", CONNECTORS, CONNECTORS + "chat:\n"])
def test_a_project_may_have_no_chat(tmp_path: Path, text: str) -> None:
    """Nothing is announced then, and nobody is listened to."""
    (tmp_path / "hikeshi.yaml").write_text(text)
    assert load_config(tmp_path).chat == ChatSettings()


@pytest.mark.parametrize(
    ("chat", "where", "why"),
    [
        ("x", "5:1", "'chat' is a map"),
        ("{}", "5:1", "needs 'announce', a list of channels"),
        ("{announce: [], " + SLACK + "}", "5:8", "needs 'announce', a list of channels"),
        ("{anounce: ['#a'], announce: ['#a'], " + SLACK + "}", "5:8", "did you mean 'announce'?"),
        ("{announce: ['#a']}", "5:8", "'#a' is a channel of slack, and 'chat' has no 'slack'"),
        ("{announce: ['#a:b'], " + SLACK + "}", "5:8", "'#a:b' is a channel of matrix, and 'chat' has no 'matrix'"),
        ("{announce: ['#a b', 7, '@mei:b'], " + SLACK + "}", "5:8", "'#a b' is no channel"),
        ("{announce: ['#a'], slack: }", "5:26", "needs 'signing_secret', a reference"),
        ("{announce: ['#a'], slack: {signing_secret: hunter2}}", "5:34", "needs 'signing_secret', a reference"),
        ("{announce: ['#a'], slack: [x]}", "5:26", "'slack' of 'chat' is a map"),
        ("{announce: ['#a'], slack: {secret: x}}", "5:34", "unknown key 'secret'"),
        ("{announce: ['#a:b'], matrix: {connector: edr}}", "5:37", "names a connector of the product matrix (there is"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_its_place(tmp_path: Path, chat: str, where: str, why: str) -> None:
    """Line and column, what it is, and what it has to be; never a secret."""
    found = problems(tmp_path, f"{CONNECTORS}chat: {chat}\n")
    assert any(each.startswith(f"{where}: ") and why in each for each in found), found
    assert "hunter2" not in str(found)


def test_two_connectors_of_a_product_have_to_be_told_apart(tmp_path: Path) -> None:
    """Which of them is meant is not guessed; and without any, it is said what to add."""
    two = CONNECTORS + "  slack2: {product: slack}\n" + "chat: {announce: ['#a'], " + SLACK + "}\n"
    assert "(there is slack, slack2)" in problems(tmp_path, two)[0]
    none = "chat: {announce: ['#a'], " + SLACK + "}\n"
    assert "add one under 'connectors' with product: slack" in problems(tmp_path, none)[0]


def test_people_have_ids_in_chat_and_roles_of_the_service(tmp_path: Path) -> None:
    """Each of them may be left out."""
    text = 'people:\n  mei: {access: [responder, approver], slack: U012ABCDEF, matrix: "@mei:example.org"}\n  ken:\n'
    (tmp_path / "hikeshi.yaml").write_text(text)
    people = load_config(tmp_path).people
    assert people["mei"].access == ("responder", "approver")
    assert (people["mei"].slack, people["mei"].matrix) == ("U012ABCDEF", "@mei:example.org")
    assert (people["ken"].access, people["ken"].slack, people["ken"].matrix) == ((), None, None)


@pytest.mark.parametrize(
    ("settings", "where", "why"),
    [
        ("{access: [boss]}", "2:9", "'access' of 'mei' has no role 'boss'; there is viewer, responder, approver"),
        ("{access: [[admin]]}", "2:9", "has no role ['admin']"),
        ("{access: approver}", "2:9", "'access' of 'mei' is a list of viewer"),
        ("{slack: mei}", "2:9", "'slack' of 'mei' is a member ID of Slack, such as U012ABCDEF"),
        ("{slack: C012ABCDEF}", "2:9", "'slack' of 'mei' is a member ID of Slack"),
        ("{slack: 7}", "2:9", "'slack' of 'mei' is a member ID of Slack"),
        ('{matrix: "mei:example.org"}', "2:9", "'matrix' of 'mei' is a user ID of Matrix in quotes"),
        ('{matrix: "@mei"}', "2:9", "'matrix' of 'mei' is a user ID of Matrix in quotes"),
    ],
)
def test_what_is_wrong_of_people_is_said_with_its_place(tmp_path: Path, settings: str, where: str, why: str) -> None:
    """An unknown role, and what is no ID."""
    found = problems(tmp_path, f"people:\n  mei: {settings}\n")
    assert found[0].startswith(f"{where}: ")
    assert why in found[0]


@pytest.mark.parametrize(("key", "value"), [("slack", "U012ABCDEF"), ("matrix", '"@a:example.org"')])
def test_two_people_do_not_share_an_id(tmp_path: Path, key: str, value: str) -> None:
    """Nobody could tell who answered."""
    found = problems(tmp_path, f"people:\n  mei: {{{key}: {value}}}\n  ken: {{{key}: {value}}}\n")
    assert found[0].startswith("3:9: ")
    assert "of 'ken' is 'mei' already; nobody could tell who answers" in found[0]
