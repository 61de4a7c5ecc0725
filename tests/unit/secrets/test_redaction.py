"""The last net: a secret is masked wherever it turns up, in every usual encoding, and breaks nothing."""

import base64
import html
import json
import logging
import urllib.parse
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from hypothesis import assume, given
from hypothesis import strategies as st
from markupsafe import escape

from hikeshi.cli.logs import _TALKATIVE, write_logs
from hikeshi.connector import Connector, ConnectorSettings, Forbidden, PreviewedRequest, Secret
from hikeshi.secrets import MASK, Redactor
from hikeshi.testing.fake_connector import FakeWorld, Fault, fake_connector
from hikeshi.testing.run_harness import RunHarness

pytestmark = pytest.mark.safety(26)

CANARY = "C4n/ary+\"<é\\&'%=ß 7"


def lower_hex(text: str) -> str:
    """Write %2F as %2f, and nothing else in lower case."""
    import re

    return re.sub("%[0-9A-F]{2}", lambda match: match[0].lower(), text)


ENCODINGS = {
    "plain": str,
    "json": json.dumps,
    "json in utf-8": lambda text: json.dumps(text, ensure_ascii=False),
    "json in json": lambda text: json.dumps(json.dumps({"error": text})),
    "repr": repr,
    "repr of bytes": lambda text: repr(text.encode()),
    "url": urllib.parse.quote,
    "url, all": lambda text: urllib.parse.quote(text, safe=""),
    "url, lower-case hex": lambda text: lower_hex(urllib.parse.quote(text, safe="")),
    "form": urllib.parse.quote_plus,
    "form, lower-case hex": lambda text: lower_hex(urllib.parse.quote_plus(text)),
    "html": html.escape,
    "html without quotes": lambda text: html.escape(text, quote=False),
    "html of templates": lambda text: str(escape(text)),
    "hex": lambda text: text.encode().hex(),
    "HEX": lambda text: text.encode().hex().upper(),
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "base64 for urls": lambda text: base64.urlsafe_b64encode(text.encode()).decode(),
    "basic auth": lambda text: base64.b64encode(f"user:{text}".encode()).decode(),
    "basic auth, longer": lambda text: base64.b64encode(f"users:{text}".encode()).decode(),
    "inside base64": lambda text: base64.b64encode(f"xy{text}zzz".encode()).decode(),
}


def leaks(secret: str, written: str) -> bool:
    """Say whether what was written still gives the secret, or any long part of one of its forms."""
    forms = {secret, json.dumps(secret)[1:-1], secret.encode().hex(), base64.b64encode(secret.encode()).decode()[:-4]}
    return any(form in written for form in forms)


@pytest.mark.parametrize("encode", ENCODINGS.values(), ids=ENCODINGS)
@pytest.mark.parametrize("canary", [CANARY, "5f1d0c9a7e-canary", "päss/wörd:+", "a'b\"c\\d", "x" * 500])
def test_a_secret_is_masked_in_every_encoding(encode: Any, canary: str) -> None:
    """The mask is there, and nothing from which the secret could be read."""
    redactor = Redactor()
    redactor.add(canary)
    written = redactor.text(f"before {encode(canary)} after")
    assert MASK in written
    assert not leaks(canary, written)
    assert written.startswith("before ")
    assert written.endswith(" after")


@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), min_size=4, max_size=30))
def test_any_secret_is_masked_in_every_encoding(secret: str) -> None:
    """Property: for any text of four characters and more."""
    assume(secret not in MASK)
    redactor = Redactor()
    redactor.add(secret)
    for encode in ENCODINGS.values():
        encoded = encode(secret)
        assert redactor.text(f"<{encoded}>") != f"<{encoded}>"


PRIVATE_KEY = """-----BEGIN PRIVATE KEY-----
canary0MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9
canary1h1XwBwYFK4EEACKhZANiAATzcmV0bWVhbnR0b2JlbGVha2VkYnVudGVzdHM
-----END PRIVATE KEY-----
"""


@pytest.mark.parametrize("encode", ENCODINGS.values(), ids=ENCODINGS)
def test_a_secret_of_several_lines_is_masked_line_by_line(encode: Any) -> None:
    """What shows a text by lines shows each of them alone; the lines around a key are no secret."""
    redactor = Redactor()
    redactor.add(PRIVATE_KEY)
    for line in PRIVATE_KEY.splitlines()[1:3]:
        written = redactor.text(f"before {encode(line)} after")
        assert MASK in written
        assert not leaks(line, written)
    assert redactor.text("-----BEGIN PRIVATE KEY-----") == "-----BEGIN PRIVATE KEY-----"


def test_a_file_of_very_many_lines_is_masked_as_a_whole_alone() -> None:
    """Thousands of lines in every encoding would be looked for in every text that is written."""
    redactor = Redactor()
    value = "\n".join(f"canary line number {number}" for number in range(201))
    redactor.add(value)
    assert redactor.text(f"<{value}>") == f"<{MASK}>"
    assert redactor.text("canary line number 7") == "canary line number 7"


@pytest.fixture
def clean_logs() -> Iterator[None]:
    """Leave the logs of this process as they were."""
    root, levels = logging.getLogger(), {name: logging.getLogger(name).level for name in _TALKATIVE}
    before = (root.handlers, root.level)
    yield
    root.handlers, root.level = before
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)
    structlog.reset_defaults()


@pytest.mark.parametrize("encode", ENCODINGS.values(), ids=ENCODINGS)
def test_logs_and_the_tracebacks_in_them_hold_no_secret(
    clean_logs: None, capsys: pytest.CaptureFixture[str], encode: Any
) -> None:
    """Ours and those of libraries: in the words, the arguments, the fields, and what an exception says."""
    redactor = Redactor()
    redactor.add(CANARY)
    write_logs("debug", redactor)
    written = encode(CANARY)
    try:
        raise RuntimeError(f"cannot send {written}") from ValueError(written)
    except RuntimeError:
        logging.getLogger("library").exception("failed with %s", written)
        structlog.get_logger("hikeshi.test").error("failed", exc_info=True, words=written, deep={"a": [written]})
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert ["Traceback" in line["exception"] for line in lines] == [True, True]
    eye = json.dumps(lines, ensure_ascii=False).replace("\\\\", "\\").replace('\\"', '"')
    assert [line["exception"].count(MASK) for line in lines] == [2, 2]
    assert (lines[0]["event"].count(MASK), lines[1]["words"].count(MASK), str(lines[1]["deep"]).count(MASK)) == (
        1,
        1,
        1,
    )
    assert written not in eye
    assert not leaks(CANARY, eye)


@pytest.mark.parametrize("short", ["", "a", "abc"])
def test_very_short_values_are_not_masked(short: str) -> None:
    """Masking them would tear holes into ordinary text and protect nothing."""
    redactor = Redactor()
    redactor.add(short)
    assert redactor.text("abc a b c") == "abc a b c"


def test_a_secret_that_contains_another_is_masked_whole() -> None:
    """The longer one first."""
    redactor = Redactor()
    redactor.add("secret-one")
    redactor.add("secret-one-and-two")
    assert redactor.text("x secret-one-and-two y secret-one") == "x [secret] y [secret]"


def test_data_is_masked_in_values_and_keys_at_any_depth() -> None:
    """Lists, maps and tuples; numbers and null stay as they are."""
    redactor = Redactor()
    redactor.add("canary-5f1d")
    data = {"a": ["x canary-5f1d", 1, None, True], "canary-5f1d": {"b": ("canary-5f1d",)}}
    assert redactor.data(data) == {"a": ["x [secret]", 1, None, True], "[secret]": {"b": ["[secret]"]}}


def test_without_secrets_data_is_given_back_as_it_is() -> None:
    """Nothing is copied for nothing."""
    data = {"a": [1]}
    assert Redactor().data(data) is data


class Leaky(Connector):
    """What a leaking connector is made of; see `leaky`."""


def leaky(world: FakeWorld, canary: str) -> type[Connector]:
    """Return a connector that repeats its secret wherever it can."""
    base = fake_connector(world)

    class Leaking(base, product="leaky"):  # type: ignore[misc, valid-type]
        class Settings(ConnectorSettings):
            base_url: str = "http://fake.invalid"
            token: Secret = Secret.of_value(canary)

        def set_up(self) -> None:
            self.reveal(self.settings.token)

        async def find_hosts(self, name: str) -> Any:
            (host,) = await super().find_hosts(name)
            return [host.model_copy(update={"os": f"Linux {canary}", "tags": (canary,)})]

        async def isolate_host(self, host: Any, reason: str) -> None:
            logging.getLogger("leaky").warning("sending %s", canary)
            preview = PreviewedRequest("POST", f"http://fake.invalid/?key={urllib.parse.quote(canary)}", {"k": canary})
            await self.commit(preview, lambda: self._send("isolate_host", {}, lambda: None))

    return Leaking


PLAYBOOK = """
id: t
steps:
  - {id: find, action: edr.get_host, with: {name: pc1}}
  - {id: told, set: {text: "steps.find.os"}}
  - {id: iso, action: edr.isolate_host, with: {host: "{{ steps.find }}", reason: r}, on_error: continue}
  - {id: tell, action: messaging.post, with: {channel: c, text: "{{ steps.told.text }}"}}
outputs: {os: "{{ steps.find.os }}", text: "{{ vars.text }}"}
"""


@pytest.mark.parametrize("mode", ["live", "plan"])
async def test_no_record_plan_or_report_holds_a_secret(mode: Any) -> None:
    """Rule 26: journal, plan, timeline and result of a connector that repeats its own token."""
    from hikeshi.report import plan_report, run_report, timeline

    world = FakeWorld()
    world.add_host("pc1")
    world.script("isolate_host", Fault("before", Forbidden(f"bad token {CANARY!r}")))
    harness = RunHarness(world, {"fake": leaky(world, CANARY)})
    outcome = await harness.run(PLAYBOOK, mode=mode)
    assert outcome.state.finished is not None
    written = [record.encoded.decode() for record in outcome.records]
    written += [entry.text for entry in timeline(outcome.records)]
    written.append(json.dumps(run_report(outcome.state)))
    if mode == "plan":
        written.append(json.dumps(plan_report(outcome.state)))
    for text in written:
        assert not leaks(CANARY, text)
        assert urllib.parse.quote(CANARY) not in text
    assert MASK in "".join(written)


@pytest.mark.parametrize(
    "secret",
    [
        "attempt",
        "error",
        "action",
        "kind",
        "message",
        "path",
        "data",
        "output",
        "applied",
        "instances",
        "effect",
        "connector",
        "name",
        "state",
        "host",
        "target",
        "identity",
        "steps",
        "find",
        "live",
        "change",
        "done",
        "succeeded",
        "failed",
        "edr.get_host",
        "null",
        "true",
        "run-1",
        "find_hosts",
    ],
)
async def test_a_secret_that_is_an_ordinary_word_breaks_no_run(secret: str) -> None:
    """A password such as "host" or "live" masks values, but never what the engine itself reads back."""
    world = FakeWorld()
    world.add_host("pc1")
    world.script("isolate_host", Fault("before", Forbidden("no")))
    harness = RunHarness(world)
    harness.redactor.add(secret)
    outcome = await harness.run("""
id: t
steps:
  - {id: find, action: edr.get_host, with: {name: pc1}}
  - {id: iso, action: edr.isolate_host, with: {host: "{{ steps.find }}", reason: r}, on_error: continue}
  - {id: again, action: edr.isolate_host, with: {host: "{{ steps.find }}", reason: r}}
""")
    assert outcome.state.finished == "failed"
    assert outcome.state.failures == ["iso"]
    assert outcome.steps() == {"find": "succeeded", "iso": "failed", "again": "succeeded"}
    again = harness.fold()
    assert again.finished == "failed"
    assert [node.status for node in again.nodes.values()] == [node.status for node in outcome.state.nodes.values()]
