"""`webhooks` in hikeshi.yaml: every problem of it has a place, and no source goes without a signature."""

from pathlib import Path

import pytest

from hikeshi.project import ProjectError, load_config
from hikeshi.project.webhooks import WebhookSource


def read(folder: Path, text: str) -> dict[str, WebhookSource]:
    (folder / "hikeshi.yaml").write_text(f"webhooks:\n{text}", encoding="utf-8")
    return dict(load_config(folder).webhooks)


def test_a_source_says_who_sends_and_how_it_is_seen(tmp_path: Path) -> None:
    """What is left out has the values that most want."""
    found = read(tmp_path, '  edr: {verify: standard-webhooks, secret: "${env:EDR}"}\n')
    assert found == {"edr": WebhookSource("edr", "standard-webhooks", ("${env:EDR}",), 1 << 20, 300, {})}


def test_a_file_without_webhooks_has_none(tmp_path: Path) -> None:
    """The key may be left out, or be empty."""
    (tmp_path / "hikeshi.yaml").write_text("connectors: {}\n")
    assert load_config(tmp_path).webhooks == {}
    assert read(tmp_path, "") == {}


def test_an_hmac_says_what_is_signed(tmp_path: Path) -> None:
    """With a time in a header, time and body are signed if nothing else is said."""
    [found] = read(
        tmp_path,
        '  own: {verify: hmac, secret: ["${env:NEW}", "${env:OLD}"], header: X-Sig, timestamp_header: X-Time,'
        " id_path: event.id, algorithm: sha512, encoding: base64, prefix: 'v1='}\n",
    ).values()
    assert found.secrets == ("${env:NEW}", "${env:OLD}")
    assert found.options["signed"] == "{timestamp}.{body}"
    assert found.options["id_path"] == "event.id"


HMAC = 'verify: hmac, secret: "${env:A}", header: X-Sig'


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("  [1]\n", "'webhooks' is a map"),
        ("  Edr: {verify: github, secret: '${env:A}'}\n", "cannot name a webhook"),
        ("  edr: 7\n", "needs 'verify'"),
        ("  edr: {secret: '${env:A}'}\n", "needs 'verify'"),
        ("  edr: {verify: none}\n", "needs 'verify', one of standard-webhooks"),
        ("  edr: {verify: [github]}\n", "needs 'verify'"),
        ("  edr: {verify: github}\n", "needs 'secret'"),
        ("  edr: {verify: github, secret: ''}\n", "needs 'secret'"),
        ("  edr: {verify: github, secret: []}\n", "needs 'secret'"),
        ("  edr: {verify: github, secret: hunter2}\n", "needs 'secret'"),
        ("  edr: {verify: github, secret: '${env:A}', scret: x}\n", "unknown key 'scret'; did you mean 'secret'?"),
        ("  edr: {verify: github, secret: '${env:A}', topics: []}\n", "unknown key 'topics'"),
        ("  edr: {verify: github, secret: '${env:A}', max_bytes: 0}\n", "'max_bytes'"),
        ("  edr: {verify: github, secret: '${env:A}', max_bytes: true}\n", "'max_bytes'"),
        ("  edr: {verify: github, secret: '${env:A}', replay_s: 1e9}\n", "'replay_s'"),
        ("  edr: {verify: sns}\n", "needs 'topics'"),
        ("  edr: {verify: sns, topics: ['*']}\n", "needs 'topics'"),
        ("  edr: {verify: sns, topics: ['arn:aws:sns:eu-west-1:123456789012:a'], confirm: 1}\n", "'confirm'"),
        ("  edr: {verify: hmac, secret: '${env:A}', id_path: id}\n", "'header'"),
        (f"  edr: {{{HMAC}}}\n", "exactly one of 'id_header' and 'id_path'"),
        (f"  edr: {{{HMAC}, id_path: id, id_header: X}}\n", "exactly one of 'id_header' and 'id_path'"),
        (f"  edr: {{{HMAC}, id_path: '..'}}\n", "'id_path'"),
        (f"  edr: {{{HMAC}, id_path: id, algorithm: md5}}\n", "'algorithm'"),
        (f"  edr: {{{HMAC}, id_path: id, encoding: utf8}}\n", "'encoding'"),
        (f"  edr: {{{HMAC}, id_path: id, signed: '{{timestamp}}'}}\n", "'signed'"),
        (f"  edr: {{{HMAC}, id_path: id, signed: '{{id}}{{body}}'}}\n", "'signed'"),
        (f"  edr: {{{HMAC}, id_path: id, signed: nothing}}\n", "'signed'"),
        (
            f"  edr: {{{HMAC}, id_path: id, timestamp_header: X-T, signed: '{{body}}'}}\n",
            "unsigned, a time",
        ),
    ],
)
def test_what_is_wrong_has_a_place(tmp_path: Path, text: str, why: str) -> None:
    """Every problem names its line, and none quotes a secret."""
    with pytest.raises(ProjectError) as wrong:
        read(tmp_path, text)
    assert any(why in problem for problem in wrong.value.problems), wrong.value.problems
    assert all("hikeshi.yaml:" in problem for problem in wrong.value.problems)
    assert "hunter2" not in str(wrong.value)


def test_every_problem_is_told_at_once(tmp_path: Path) -> None:
    """One reading finds all of them, each at its own line."""
    with pytest.raises(ProjectError) as wrong:
        read(tmp_path, "  a: {verify: github}\n  b: {verify: nothing}\n  c: {verify: sns}\n")
    assert [problem.split(":")[1] for problem in wrong.value.problems] == ["2", "3", "4"]
