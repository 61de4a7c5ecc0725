"""One entry of a Vault: where it is, who is asked, and what each answer means."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
import respx

from hikeshi.secrets import SecretUnavailable
from hikeshi.secrets.vault import Vault
from hikeshi.secrets.vault_answer import value_in
from hikeshi.secrets.vault_entry import VaultEntry

CANARY = "canary-5f1d0c9a7e"
TOKEN = "hvs.canary-token-77"
ENTRY = VaultEntry("secret", "soc/falcon", "client_secret")
THIRD = VaultEntry("secret", "soc/falcon", "client_secret", 3)
VAULT = Vault("https://vault.example:8200", TOKEN)


def envelope(values: Any, **metadata: Any) -> bytes:
    return json.dumps({"data": {"data": values, "metadata": {"version": 1, **metadata}}}).encode()


@pytest.mark.parametrize(
    ("rest", "entry", "target"),
    [
        ("secret/app#key", VaultEntry("secret", "app", "key"), "/v1/secret/data/app"),
        ("kv/a/b c#key@12", VaultEntry("kv", "a/b c", "key", 12), "/v1/kv/data/a/b%20c?version=12"),
        ("kv/a#@3", VaultEntry("kv", "a", "@3"), "/v1/kv/data/a"),
        ("kv/a?b%2e/é#k@y", VaultEntry("kv", "a?b%2e/é", "k@y"), "/v1/kv/data/a%3Fb%252e/%C3%A9"),
    ],
)
def test_a_reference_names_mount_path_key_and_version(rest: str, entry: VaultEntry, target: str) -> None:
    """Whatever is in a name stays in that name."""
    assert VaultEntry.parse(rest) == entry
    assert str(entry) == rest
    assert entry.target == target


@pytest.mark.parametrize(
    "rest",
    ["", "a", "a#k", "/a#k", "a/#k", "a/b", "a/b#", "a//b#k", "a/./b#k", "a/..#k", "../a#k", "a/b#k@0", "a/b#k#l",
     "a/b#k@99999999999", "a/b\n#k"],
)  # fmt: skip
def test_what_is_no_place_in_a_vault_is_refused(rest: str) -> None:
    """With the form to write; a path with dots would be another one on the way."""
    with pytest.raises(ValueError, match="MOUNT/PATH#KEY"):
        VaultEntry.parse(rest)


ABSENT = json.dumps({"errors": [CANARY]}).encode()


@pytest.mark.safety(27)
@pytest.mark.parametrize(
    ("status", "body", "entry", "says"),
    [
        (200, envelope({"other": CANARY}), ENTRY, "the entry has no key 'client_secret'"),
        (200, envelope({"client_secret": 7}), ENTRY, "the value is no text"),
        (200, envelope({"client_secret": [CANARY]}), ENTRY, "the value is no text"),
        (200, envelope({"client_secret": CANARY}, version=2), THIRD, "another version than was asked for"),
        (200, CANARY.encode(), ENTRY, "there is no such entry"),
        (200, b"[" * 100_000, ENTRY, "there is no such entry"),
        (200, b"\xff\xfe", ENTRY, "there is no such entry"),
        (200, json.dumps({"data": {"client_secret": CANARY}}).encode(), ENTRY, "there is no such entry"),
        (404, envelope(None, deletion_time="2026-11-22T10:00:00Z"), ENTRY, "its newest version was deleted"),
        (404, envelope(None, deletion_time="2026-11-22T10:00:00Z"), THIRD, "version 3 was deleted"),
        (404, envelope(None, deletion_time="", destroyed=True), THIRD, "version 3 was destroyed"),
        (404, ABSENT, ENTRY, "there is no such entry (404)"),
        (404, ABSENT, THIRD, "or no version 3 of it (404)"),
        (404, ABSENT, VaultEntry("secret", "data/app", "k"), "leave out 'data/'"),
        (400, ABSENT, ENTRY, "refused (400); see VAULT_NAMESPACE"),
        (401, ABSENT, ENTRY, "not accepted (401)"),
        (403, ABSENT, ENTRY, "policy with 'read' on secret/data/soc/falcon"),
        (405, ABSENT, ENTRY, "version 2"),
        (412, ABSENT, ENTRY, "try again"),
        (429, ABSENT, ENTRY, "too many requests (429)"),
        (500, ABSENT, ENTRY, "the status 500"),
        (501, ABSENT, ENTRY, "not initialised"),
        (503, ABSENT, ENTRY, "sealed"),
        (307, ABSENT, ENTRY, "redirect (307), which is not followed; set VAULT_ADDR"),
    ],
)
def test_each_answer_without_the_value_says_what_to_do(status: int, body: bytes, entry: VaultEntry, says: str) -> None:
    """And names the reference, and nothing of the answer."""
    with pytest.raises(SecretUnavailable) as caught:
        value_in(status, body, entry)
    assert says in str(caught.value)
    assert str(caught.value).startswith(f"the vault secret {entry}: ")
    assert CANARY not in repr(caught.value)
    assert caught.value.__context__ is None


def test_the_value_of_the_newest_or_of_one_version_is_given() -> None:
    """With its spaces and line breaks, which belong to it."""
    assert value_in(200, envelope({"client_secret": f" {CANARY}\n"}), ENTRY) == f" {CANARY}\n"
    assert value_in(200, envelope({"client_secret": CANARY}, version=3), THIRD) == CANARY


def test_a_vault_is_asked_as_the_environment_says(tmp_path: Path) -> None:
    """The token from a variable or a file, without the line break at its end; a namespace without slashes around."""
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n", encoding="utf-8")
    address = {"VAULT_ADDR": "https://vault.example:8200/"}
    assert Vault.from_environment({**address, "VAULT_TOKEN": TOKEN}) == VAULT
    assert Vault.from_environment({**address, "VAULT_TOKEN_FILE": str(file)}) == VAULT
    more = {"VAULT_NAMESPACE": "/soc/tokyo/", "VAULT_CACERT": "/ca.pem", "VAULT_TOKEN_FILE": "/nowhere"}
    full = Vault("https://vault.example:8200", TOKEN, "soc/tokyo", "/ca.pem")
    assert Vault.from_environment({**address, **more, "VAULT_TOKEN": TOKEN}) == full
    for local in ("http://127.0.0.1:8200", "http://[::1]:8200", "http://localhost:8200"):
        assert Vault.from_environment({"VAULT_ADDR": local, "VAULT_TOKEN": TOKEN}).address == local


@pytest.mark.safety(27)
@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"VAULT_ADDR": ""}, "VAULT_ADDR is not set"),
        ({"VAULT_ADDR": "vault.example"}, "VAULT_ADDR is no address"),
        ({"VAULT_ADDR": f"https://me:{CANARY}@vault.example"}, "VAULT_ADDR is no address"),
        ({"VAULT_ADDR": f"https://vault.example/?token={CANARY}"}, "VAULT_ADDR is no address"),
        ({"VAULT_ADDR": "https://[::1"}, "VAULT_ADDR is no address"),
        ({"VAULT_ADDR": "https://vault.example:0x1"}, "VAULT_ADDR is no address"),
        ({"VAULT_ADDR": "ftp://vault.example"}, "VAULT_ADDR is no address"),
        ({"VAULT_ADDR": "http://vault.example:8200"}, "use https://"),
        ({"VAULT_ADDR": "http://127.0.0.1.evil.example"}, "use https://"),
        ({"VAULT_TOKEN": " "}, "neither VAULT_TOKEN nor VAULT_TOKEN_FILE"),
        ({"VAULT_TOKEN": f"{CANARY} x"}, "VAULT_TOKEN holds no token"),
        ({"VAULT_TOKEN": f"{CANARY}\r\nx: y"}, "VAULT_TOKEN holds no token"),
        ({"VAULT_TOKEN": f"{CANARY}é"}, "VAULT_TOKEN holds no token"),
        (
            {"VAULT_TOKEN": "", "VAULT_TOKEN_FILE": "/nowhere/token"},
            "/nowhere/token of VAULT_TOKEN_FILE cannot be read",
        ),
        ({"VAULT_TOKEN": "", "VAULT_TOKEN_FILE": "/dev/null"}, "/dev/null of VAULT_TOKEN_FILE holds no token"),
        ({"VAULT_NAMESPACE": "a\nb"}, "VAULT_NAMESPACE"),
    ],
)
def test_a_wrong_environment_is_told_by_the_name_of_the_variable(changed: dict[str, str], says: str) -> None:
    """And never by what is in one that may hold a secret."""
    with pytest.raises(SecretUnavailable) as caught:
        Vault.from_environment({"VAULT_ADDR": VAULT.address, "VAULT_TOKEN": TOKEN, **changed})
    assert says in str(caught.value)
    assert CANARY not in str(caught.value)
    assert caught.value.__context__ is None


@respx.mock
def test_the_request_carries_token_namespace_and_version() -> None:
    """And goes to the place of the entry, by GET."""
    url = f"{VAULT.address}/v1/secret/data/soc/falcon?version=3"
    route = respx.get(url).respond(200, content=envelope({"client_secret": CANARY}, version=3))
    assert Vault(VAULT.address, TOKEN, "soc").read(THIRD) == CANARY
    (call,) = route.calls
    assert call.request.headers["x-vault-token"] == TOKEN
    assert call.request.headers["x-vault-namespace"] == "soc"


@pytest.mark.safety(27)
@pytest.mark.parametrize(
    ("failure", "says"),
    [
        (httpx.ConnectError, "cannot be connected to; see VAULT_ADDR"),
        (httpx.ConnectTimeout, "no answer within 5 s"),
        (httpx.ReadTimeout, "no answer within 5 s"),
        (httpx.RemoteProtocolError, "the connection failed (RemoteProtocolError)"),
    ],
)
@respx.mock
def test_a_vault_that_cannot_be_reached_is_told_without_its_words(failure: type[Exception], says: str) -> None:
    """The library's error may hold what was sent."""
    respx.get(url__startswith=VAULT.address).mock(side_effect=failure(f"{TOKEN} {CANARY}"))
    with pytest.raises(SecretUnavailable) as caught:
        VAULT.read(ENTRY)
    assert str(caught.value).startswith(f"the vault secret {ENTRY}: {VAULT.address}: {says}")
    assert TOKEN not in str(caught.value)
    assert caught.value.__context__ is None


def test_certificates_that_cannot_be_read_are_told(tmp_path: Path) -> None:
    """Missing, or no certificates at all."""
    wrong = tmp_path / "ca.pem"
    wrong.write_text("none", encoding="utf-8")
    for path, kind in ((tmp_path / "gone.pem", "FileNotFoundError"), (wrong, "SSLError")):
        with pytest.raises(SecretUnavailable, match=f"VAULT_CACERT names .*{path.name}.*{kind}"):
            Vault(VAULT.address, TOKEN, ca_file=str(path)).read(ENTRY)


@respx.mock
def test_an_answer_without_an_end_is_not_read_to_its_end() -> None:
    """An entry has less than a megabyte; something else answers there."""
    respx.get(url__startswith=VAULT.address).respond(200, content=b" " * (2 << 20))
    with pytest.raises(SecretUnavailable, match="larger than any entry"):
        VAULT.read(ENTRY)


def test_a_vault_shows_no_token() -> None:
    """Not where it is printed, either."""
    assert TOKEN not in repr(VAULT) + str(VAULT)
