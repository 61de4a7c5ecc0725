"""`audit` in hikeshi.yaml: where checkpoints go, and every way to write it wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from hikeshi.project import ProjectError, load_config
from hikeshi.project.audit import AnchorSettings, AuditSettings


def test_anchors_are_read_with_paths_of_the_project(tmp_path: Path) -> None:
    """What is left out has its default."""
    (tmp_path / "hikeshi.yaml").write_text(
        """\
audit:
  checkpoint_every: 50
  anchors:
    - {type: file, path: kept/anchor}
    - {type: file, path: /mnt/elsewhere/anchor, leaves: false}
    - {type: syslog, host: logs.example, ca: ca.pem, certificate: me.pem, key: me.key, timeout_s: 2}
    - {type: timestamp, url: "https://tsa.example/"}
""",
        encoding="utf-8",
    )

    audit = load_config(tmp_path).audit

    assert (audit.checkpoint_every, audit.checkpoint_after_idle_s) == (50, 300.0)
    assert audit.anchors == (
        AnchorSettings("file", {"path": tmp_path / "kept/anchor"}),
        AnchorSettings("file", {"path": Path("/mnt/elsewhere/anchor"), "leaves": False}),
        AnchorSettings(
            "syslog",
            {
                "host": "logs.example",
                "ca": tmp_path / "ca.pem",
                "certificate": tmp_path / "me.pem",
                "key": tmp_path / "me.key",
                "timeout_s": 2,
            },
        ),
        AnchorSettings("timestamp", {"url": "https://tsa.example/"}),
    )


@pytest.mark.parametrize("text", ["", "connectors: {}\n", "audit:\n", "audit: {}\n", "audit: {anchors: }\n"])
def test_a_project_may_have_no_anchors(tmp_path: Path, text: str) -> None:
    """It is signed all the same."""
    (tmp_path / "hikeshi.yaml").write_text(text, encoding="utf-8")

    assert load_config(tmp_path).audit == AuditSettings()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("7", "'audit' is a map"),
        ("{anchor: []}", "unknown key 'anchor'; did you mean 'anchors'?"),
        ("{checkpoint_every: 0}", "a number of records from 1"),
        ("{checkpoint_every: true}", "a number of records from 1"),
        ("{checkpoint_after_idle_s: -1}", "a number of seconds above 0"),
        ("{anchors: file}", "'anchors' is a list"),
        ("{anchors: [file]}", "anchor 1 needs a 'type' (file, syslog, timestamp)"),
        ("{anchors: [{type: fax}]}", "anchor 1 needs a 'type'"),
        ("{anchors: [{type: [file]}]}", "anchor 1 needs a 'type'"),
        ("{anchors: [{type: file}]}", "anchor 1 of type 'file' needs 'path'"),
        ("{anchors: [{type: file, path: a, host: b}]}", "has no key 'host' (known: path, leaves)"),
        ("{anchors: [{type: file, path: 7}]}", "'path' of anchor 1 is the path of a file"),
        ("{anchors: [{type: file, path: a, leaves: 1}]}", "'leaves' of anchor 1 is true or false"),
        ("{anchors: [{type: syslog, host: a, port: 0}]}", "a port from 1 to 65535"),
        ("{anchors: [{type: syslog, host: a, key: b}]}", "no 'certificate' that it belongs to"),
        ("{anchors: [{type: timestamp, url: 'file:///etc/passwd'}]}", "an address that begins with https://"),
        ("{anchors: [{type: timestamp, url: 'https://me:secret@tsa.example/'}]}", "without a user in it"),
    ],
)
def test_what_is_written_wrong_is_named_with_its_line(tmp_path: Path, text: str, says: str) -> None:
    """And with what would be right."""
    path = tmp_path / "hikeshi.yaml"
    path.write_text(f"connectors: {{}}\naudit: {text}\n", encoding="utf-8")

    with pytest.raises(ProjectError) as raised:
        load_config(tmp_path)

    (problem,) = raised.value.problems
    assert problem.startswith(f"{path}:2:")
    assert says in problem
    assert "secret" not in problem
