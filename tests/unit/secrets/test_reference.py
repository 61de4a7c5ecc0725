"""Secrets are references until they are used, and nothing shows their value."""

import copy
import json
import os
import pickle
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict, ValidationError

from hikeshi.connector import ConnectorSettings
from hikeshi.connector.registry import ConnectorNotUsable, Registry
from hikeshi.runtime.instances import Instances
from hikeshi.secrets import Redactor, Secret, SecretUnavailable
from hikeshi.testing.fake_connector import FakeWorld, fake_connector

CANARY = "canary-5f1d0c9a7e"


class Settings(BaseModel):
    model_config = ConfigDict(arbitrary_types_allowed=True)

    token: Secret


SHOWN = {
    "repr": repr,
    "str": str,
    "format": lambda secret: f"{secret}",
    "percent": lambda secret: "%s %r" % (secret, secret),  # noqa: UP031 - as old code does
    "json of the model": lambda secret: Settings(token=secret).model_dump_json(),
    "dump of the model": lambda secret: repr(Settings(token=secret).model_dump()),
    "dump in JSON mode": lambda secret: json.dumps(Settings(token=secret).model_dump(mode="json")),
    "repr of the model": lambda secret: repr(Settings(token=secret)),
}


@pytest.mark.parametrize("show", SHOWN.values(), ids=SHOWN)
def test_nothing_that_shows_a_secret_shows_its_value(show: Any) -> None:
    """The reference is shown, or that there is one."""
    text = str(show(Secret.of_value(CANARY)))
    assert CANARY not in text
    assert "Secret" in text


@pytest.mark.parametrize("copying", [pickle.dumps, copy.copy, copy.deepcopy])
def test_a_secret_cannot_be_pickled_or_copied(copying: Any) -> None:
    """It does not travel to another process, nor into a cache."""
    with pytest.raises(TypeError, match="not serialised"):
        copying(Secret.of_value(CANARY))


def test_secrets_are_not_compared_by_value() -> None:
    """Two of the same value are not equal, so nobody can try values."""
    assert Secret.of_value(CANARY) != Secret.of_value(CANARY)
    assert Secret.of_value(CANARY) != CANARY


def test_the_value_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is read when it is used, so a new value counts at once."""
    secret = Secret.parse("${env:HIKESHI_TEST_TOKEN}")
    with pytest.raises(SecretUnavailable, match="HIKESHI_TEST_TOKEN is not set"):
        secret.reveal()
    monkeypatch.setenv("HIKESHI_TEST_TOKEN", CANARY)
    assert secret.reveal() == CANARY
    monkeypatch.setenv("HIKESHI_TEST_TOKEN", "")
    with pytest.raises(SecretUnavailable, match="is empty"):
        secret.reveal()


def test_the_value_comes_from_a_file(tmp_path: Path) -> None:
    """The newline at its end does not belong to it; what cannot be read is told by name only."""
    path = tmp_path / "token"
    secret = Secret.parse(f"${{file:{path}}}")
    with pytest.raises(SecretUnavailable, match="FileNotFoundError"):
        secret.reveal()
    path.write_text(f"{CANARY}\r\n", encoding="utf-8")
    assert secret.reveal() == CANARY
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(SecretUnavailable, match="UnicodeDecodeError") as caught:
        secret.reveal()
    assert caught.value.__context__ is None  # the other exception holds what it could not decode


@pytest.mark.safety(27)
def test_a_value_that_is_no_utf8_is_refused_without_being_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    """It could not be masked afterwards; and no exception that holds it hangs on."""
    monkeypatch.setitem(os.environ, "HIKESHI_TEST_TOKEN", f"{CANARY}\udcff")
    with pytest.raises(SecretUnavailable, match="is no text in UTF-8") as caught:
        Secret.parse("${env:HIKESHI_TEST_TOKEN}").reveal()
    assert caught.value.__context__ is None


@pytest.mark.safety(27)
@pytest.mark.parametrize(
    "text",
    [
        CANARY,
        f"${{{CANARY}}}",
        f"${{env:A}}{CANARY}",
        f"{CANARY}${{env:A}}",
        f"${{vault:{CANARY}}}",
        f"${{vault:secret/{CANARY}}}",
        f"${{vault:secret/app#{CANARY}@0}}",
        f"${{vault:secret/../{CANARY}#key}}",
        f"${{keyring:{CANARY}}}",
        f"${{keyring:/{CANARY}}}",
        "${x:y}",
        "",
    ],
)
def test_what_is_no_reference_is_refused_without_being_repeated(text: str) -> None:
    """A value in a file leaks; the message does not leak it further."""
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - its words are what is checked
        Secret.parse(text)
    assert CANARY not in str(caught.value)


def test_wrong_settings_do_not_repeat_a_secret_written_in_plain() -> None:
    """The operator is told which setting, and not what was in it."""
    world = FakeWorld()

    class Needy(fake_connector(world), product="needy"):  # type: ignore[misc]
        class Settings(ConnectorSettings):
            base_url: str = "http://fake.invalid"
            token: Secret

    registry = Registry()
    registry.add(Needy)
    for given in (CANARY, 42, [CANARY], {"a": CANARY}):
        instances = Instances(registry, {"n": {"product": "needy", "token": given}}, Redactor())
        with pytest.raises(ConnectorNotUsable, match="token") as caught:
            instances.get("n")
        assert CANARY not in str(caught.value)


def test_settings_keep_the_reference() -> None:
    """What is stored of settings names where the secret is."""
    settings = Settings.model_validate({"token": "${env:X}"})
    assert settings.model_dump() == {"token": "Secret(${env:X})"}
    with pytest.raises(ValidationError):
        Settings.model_validate({"token": 5})
