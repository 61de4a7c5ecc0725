"""Vault references against a server with state: versions, deletions, tokens, a seal."""

from __future__ import annotations

import datetime as dt
import ipaddress
import json
import ssl
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))  # tests are no package

from key_value_server import KeyValueServer, serving

from hikeshi.cli.application import run_command_line
from hikeshi.secrets import Secret, SecretUnavailable

TOKEN = "hvs.canary-token-77"
FIRST = "canary-first-5f1d0c9a7e"
SECOND = "canary-second-0b44e1"


@pytest.fixture
def vault(monkeypatch: pytest.MonkeyPatch) -> Iterator[KeyValueServer]:
    """A server with an entry of two versions; the environment names it."""
    server = KeyValueServer(TOKEN)
    server.write("soc/falcon", {"client_secret": FIRST})
    server.write("soc/falcon", {"client_secret": SECOND, "port": 443})
    for name in ("VAULT_NAMESPACE", "VAULT_CACERT", "VAULT_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("VAULT_TOKEN", TOKEN)
    with serving(server):
        monkeypatch.setenv("VAULT_ADDR", server.url)
        yield server


def why_not(reference: str) -> str:
    """Return why a reference cannot be resolved, which never shows a value, a token or another exception."""
    with pytest.raises(SecretUnavailable) as caught:
        Secret.parse(reference).reveal()
    assert caught.value.__context__ is None
    assert not [each for each in (FIRST, SECOND, TOKEN) if each in repr(caught.value)]
    return str(caught.value)


def test_the_newest_version_is_read_or_the_one_that_is_named(vault: KeyValueServer) -> None:
    """When the secret is first used, and then not at each use."""
    newest = Secret.parse("${vault:secret/soc/falcon#client_secret}")
    assert vault.asked == []
    assert [newest.reveal(), newest.reveal()] == [SECOND, SECOND]
    assert vault.asked == ["/v1/secret/data/soc/falcon"]
    assert Secret.parse("${vault:secret/soc/falcon#client_secret@1}").reveal() == FIRST


@pytest.mark.safety(27)
def test_deleted_destroyed_and_missing_are_told_apart(vault: KeyValueServer) -> None:
    """Each needs something else to be done, and an older version that is still there is read."""
    reference = "${vault:secret/soc/falcon#client_secret}"
    vault.entries["", "soc/falcon"][1].deleted = True
    assert "its newest version was deleted; restore it" in why_not(reference)
    assert Secret.parse("${vault:secret/soc/falcon#client_secret@1}").reveal() == FIRST
    vault.entries["", "soc/falcon"][1].destroyed = True
    assert "its newest version was destroyed" in why_not(reference)
    assert "no version 9 of it" in why_not("${vault:secret/soc/falcon#client_secret@9}")
    assert "there is no such entry (404)" in why_not("${vault:secret/soc/other#client_secret}")
    assert "leave out 'data/'" in why_not("${vault:secret/data/soc/falcon#client_secret}")
    vault.write("soc/falcon", {"port": 443})
    assert "has no key 'client_secret'" in why_not(reference)
    assert "the value is no text" in why_not("${vault:secret/soc/falcon#port}")


@pytest.mark.safety(27)
def test_a_wrong_token_and_a_seal_are_told_without_the_token(
    vault: KeyValueServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server repeats the token, we do not; and once it is mended, the same secret is there."""
    secret = Secret.parse("${vault:secret/soc/falcon#client_secret}")
    vault.sealed = True
    assert "is sealed" in why_not("${vault:secret/soc/falcon#client_secret}")
    with pytest.raises(SecretUnavailable, match="sealed"):
        secret.reveal()
    vault.sealed = False
    monkeypatch.setenv("VAULT_TOKEN", f"{TOKEN}-old")
    assert "has ended (403)" in why_not("${vault:secret/soc/falcon#client_secret}")
    monkeypatch.setenv("VAULT_TOKEN", TOKEN)
    time.sleep(0.2)  # a failure counts for three times as long as it took
    assert secret.reveal() == SECOND


def test_an_entry_of_another_namespace_is_another_entry(vault: KeyValueServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """VAULT_NAMESPACE is sent."""
    vault.write("soc/falcon", {"client_secret": FIRST}, namespace="tokyo")
    monkeypatch.setenv("VAULT_NAMESPACE", "tokyo/")
    assert Secret.parse("${vault:secret/soc/falcon#client_secret}").reveal() == FIRST


@pytest.mark.safety(27)
def test_a_redirect_gets_no_token(vault: KeyValueServer) -> None:
    """Whoever is named there is not asked."""
    with serving(KeyValueServer(TOKEN)) as elsewhere:
        vault.redirect = elsewhere.url
        said = why_not("${vault:secret/soc/falcon#client_secret}")
        assert elsewhere.asked == []
    assert "redirect (307), which is not followed" in said
    assert elsewhere.url not in said


def test_a_proxy_of_the_environment_gets_no_token(vault: KeyValueServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was meant for other traffic."""
    with serving(KeyValueServer(TOKEN)) as proxy:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
        assert Secret.parse("${vault:secret/soc/falcon#client_secret}").reveal() == SECOND
        assert proxy.asked == []


def test_a_server_that_drips_is_given_up_in_time(vault: KeyValueServer) -> None:
    """Each byte comes soon enough, and all of them together do not."""
    vault.drips = True
    began = time.monotonic()
    assert "no answer within 5 s" in why_not("${vault:secret/soc/falcon#client_secret}")
    assert time.monotonic() - began < 8


def test_a_server_that_is_gone_is_told(vault: KeyValueServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """With its address and the variable that names it."""
    with serving(KeyValueServer(TOKEN)) as gone:
        pass
    monkeypatch.setenv("VAULT_ADDR", gone.url)
    assert f"{gone.url}: cannot be connected to; see VAULT_ADDR" in why_not("${vault:secret/soc/falcon#client_secret}")


def test_only_a_certificate_of_the_named_authority_is_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, vault: KeyValueServer
) -> None:
    """VAULT_CACERT makes it trusted; without it nothing is sent."""
    certificate, key = _self_signed(tmp_path)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    safe = KeyValueServer(TOKEN, entries=vault.entries)
    with serving(safe, tls):
        monkeypatch.setenv("VAULT_ADDR", safe.url)
        assert "its certificate is not trusted; see VAULT_CACERT" in why_not("${vault:secret/soc/falcon#client_secret}")
        assert safe.asked == []
        monkeypatch.setenv("VAULT_CACERT", str(certificate))
        assert Secret.parse("${vault:secret/soc/falcon#client_secret}").reveal() == SECOND


def _self_signed(folder: Path) -> tuple[Path, Path]:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "vault.test")])
    now = dt.datetime.now(dt.UTC)
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(minutes=5))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(address, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate, secret = folder / "ca.pem", folder / "key.pem"
    certificate.write_bytes(built.public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    secret.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain))
    return certificate, secret


@pytest.mark.safety(27)
def test_a_run_whose_secret_is_not_there_says_so_before_it_starts(
    vault: KeyValueServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the connector, the reference and what to do, and nothing of what the server said."""
    settings = {"product": "slack", "bot_token": "${vault:secret/soc/slack#token}", "base_url": "http://127.0.0.1:9"}
    (tmp_path / "hikeshi.yaml").write_text(json.dumps({"connectors": {"slack": settings}}), encoding="utf-8")
    tell = "id: tell\nsteps: [{id: say, action: messaging.post, with: {channel: c, text: t}}]\n"
    (tmp_path / "playbooks").mkdir()
    (tmp_path / "playbooks" / "tell.yaml").write_text(tell, encoding="utf-8")
    vault.write("soc/slack", {"other": FIRST})

    code = run_command_line(["run", "tell", "--project", str(tmp_path), "--json", "--log-level", "debug"])

    written = capsys.readouterr()
    assert code == 2
    assert "the vault secret secret/soc/slack#token: the entry has no key 'token'" in written.out
    assert not [each for each in (FIRST, TOKEN) if each in written.out + written.err]
