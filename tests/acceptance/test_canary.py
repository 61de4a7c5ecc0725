"""No secret in any byte that is written, shown or raised (rules 26 and 27)."""

from __future__ import annotations

import base64
import html
import json
import logging
import traceback
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from drill import ALL, CrowdStrikeSimulator, Drill, EntraSimulator, PanOsSimulator, Place, SlackSimulator, served

from hikeshi.cli.application import run_command_line
from hikeshi.report import plan_report, run_report, timeline
from hikeshi.secrets import MASK
from hikeshi.testing.manufacturer import C2_ADDRESS, C2_DOMAIN, FILE_SERVER, MALWARE_SHA256
from hikeshi.testing.simulator import Simulator

pytestmark = pytest.mark.safety(26, 27)

# Those that travel in a header can only be ASCII.
SECRETS: dict[type[Simulator], tuple[str, str]] = {
    CrowdStrikeSimulator: ("client_secret", "canary-of-falcon\"' <sécrèt> 100% & 火消し \\ + key=1"),
    EntraSimulator: ("client_secret", "canary-of-entra\"' <Zürich> 50%25 & 日本 \\ + key=2"),
    PanOsSimulator: ("api_key", "canary-of-panos\"' <key> 75% &amp; \\ + key=3=="),
    SlackSimulator: ("bot_token", "canary-of-slack\"' <tok> 7% &lt; \\ + key=4"),
}
INDICATORS = [C2_ADDRESS, C2_DOMAIN, MALWARE_SHA256]
ADMIN = "adm-kobayashi@minato.example"
RUNS: dict[str, dict[str, Any]] = {
    "isolate-host": {"hostname": FILE_SERVER},
    "block-indicators": {"indicators": INDICATORS},
    "restrict-user": {"user": ADMIN},
    "notify-stakeholders": {"severity": "critical", "title": "A drill"},
    "contain-host": {"hostname": FILE_SERVER, "indicators": INDICATORS, "user": ADMIN, "severity": "critical"},
}
CHANGES = (
    "edr.isolate_host", "edr.block_hashes", "firewall.block_indicators", "identity.disable_user", "messaging.post",
)  # fmt: skip
OF_PRODUCT = {
    "crowdstrike": ("isolate-host", "block-indicators"),
    "panos": ("block-indicators",),
    "entra": ("restrict-user",),
    "slack": ("notify-stakeholders",),
}


def with_canary(simulator: type[Simulator]) -> type[Simulator]:
    key, value = SECRETS[simulator]
    return type(simulator.__name__, (simulator,), {"demo_settings": {**simulator.demo_settings, key: value}})


def forms(value: str) -> Iterator[tuple[str, bytes]]:
    """Give the forms in which a value may be written, each with its name."""
    raw = value.encode()
    texts = {
        "plain": value,
        "JSON": json.dumps(value)[1:-1],
        "JSON, not ASCII": json.dumps(value, ensure_ascii=False)[1:-1],
        "JSON in JSON": json.dumps(json.dumps(value))[3:-3],
        "repr": repr(value)[1:-1],
        "repr of bytes": repr(raw)[2:-1],
        "ascii": ascii(value)[1:-1],
        "URL": quote(value),
        "URL, strict": quote(value, safe=""),
        "form": quote_plus(value),
        "HTML": html.escape(value),
        "HTML, quotes as they are": html.escape(value, quote=False),
        "XML": html.escape(value, quote=False).replace('"', "&quot;"),
        "hexadecimal": raw.hex(),
    }
    for name, text in texts.items():
        yield name, text.encode()
        yield f"{name}, in lower case", text.lower().encode()
        yield f"{name}, in upper case", text.upper().encode()
    for shift in range(3):
        text = base64.b64encode(b"\0" * shift + raw)
        inner = text[(0, 2, 3)[shift] : (shift + len(raw)) * 8 // 6]
        yield f"base64, shifted by {shift}", inner
        yield f"base64 for URLs, shifted by {shift}", inner.replace(b"+", b"-").replace(b"/", b"_")


class Canary:
    """A project with canaries for secrets, and everything that it wrote, showed or raised."""

    def __init__(self, drill: Drill, place: Place) -> None:
        self.drill = drill
        self.place = place
        self.shown: list[tuple[str, str]] = []
        self.tokens: dict[str, str] = {}
        self.places: list[tuple[str, bytes]] = []

    def note_tokens(self) -> None:
        """Remember the tokens that the simulators have issued, each with its product."""
        for product, simulator in self.place.simulation.simulators.items():
            self.tokens |= dict.fromkeys(simulator.tokens._expiry, product)

    def secrets(self) -> list[str]:
        return [*(value for _, value in SECRETS.values()), *self.tokens]

    def reset(self) -> None:
        """Put the estate back to its beginning, so that the next run has something to change."""
        self.note_tokens()
        assert self.place.control.post("/_estate/reset").status_code == 204

    async def go(self, playbook: str, mode: str = "run", **options: Any) -> None:
        """Run or plan, and keep all that a face could show of it."""
        where = f"{mode} of {playbook}"
        try:
            outcome = await getattr(self.drill, mode)(playbook, RUNS[playbook], **options)
        except Exception as exc:  # noqa: BLE001 - whatever it is, it could be shown to somebody
            self.shown.append((f"exception in the {where}", repr(exc) + "".join(traceback.format_exception(exc))))
            return
        report = run_report(outcome.state) if mode == "run" else plan_report(outcome.state)
        told = [entry.to_json() for entry in timeline(outcome.hikeshi.records(outcome.state.run))]
        self.shown += [
            (f"report of the {where}", json.dumps(report, ensure_ascii=False)),
            (f"timeline of the {where}", json.dumps(told, ensure_ascii=False)),
            (f"state of the {where}", repr([vars_of(node) for node in outcome.state.nodes.values()])),
        ]

    def leaks(self, caplog: pytest.LogCaptureFixture, captured: Any) -> list[str]:
        """Return where one of the secrets is, and in which form."""
        self.shown += [
            ("logs", caplog.text),
            ("standard output", captured.out + captured.err),
            ("repr of the project", repr(self.drill.hikeshi.config)),
            ("list of runs", json.dumps(self.drill.hikeshi.runs())),
        ]
        places = self.places = [(where, text.encode()) for where, text in self.shown]
        files = [path for path in self.drill.folder.rglob("*") if path.is_file()]
        assert "journal.db" in {path.name for path in files}
        places += [(str(path.relative_to(self.drill.folder)), path.read_bytes()) for path in files]
        self.note_tokens()
        wanted = [(name, form) for secret in self.secrets() for name, form in forms(secret)]
        return sorted({f"{where}: {name}" for where, data in places for name, form in wanted if form in data})


def vars_of(node: Any) -> dict[str, Any]:
    return {name: getattr(node, name) for name in ("error", "output", "reason", "plan", "item", "vars")}


@pytest.fixture
async def canary(empty: Drill, caplog: pytest.LogCaptureFixture) -> AsyncIterator[Canary]:
    # The HTTP library's own DEBUG output is a dump of the wire, and nothing that the engine turns on.
    caplog.set_level(logging.INFO)
    caplog.set_level(logging.DEBUG, logger="hikeshi")
    empty.clock.longest_s = 0.002
    with served([with_canary(each) for each in ALL], settle_s=0.0) as place:
        empty.configure(place.simulation.project_settings(place.url))
        yield Canary(empty, place)


def test_the_search_finds_what_it_is_to_find() -> None:
    """The canary's own eye is not blind: it sees each form of a secret inside other text."""
    for _, value in SECRETS.values():
        found = dict(forms(value))
        assert found["JSON"] in json.dumps({"error": f"bad key {value}!"}).encode()
        assert found["repr"] in repr([f"bad key {value}!"]).encode() or found["plain"] in repr([value]).encode()
        assert any(
            found[f"base64, shifted by {len(user) % 3}"] in base64.b64encode(f"{user}{value}".encode())
            for user in ("a:", "ab:", "abc:")
        )


async def test_runs_that_go_well_write_no_secret(
    canary: Canary, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """Every playbook, planned and live: no secret and no token in any form, anywhere."""
    for playbook in RUNS:
        await canary.go(playbook, "plan")
        await canary.go(playbook, "run")
        canary.reset()

    assert set(canary.tokens.values()) == {"crowdstrike", "entra"}
    assert {json.loads(text)["status"] for where, text in canary.shown if where.startswith("report")} == {"succeeded"}
    assert canary.leaks(caplog, capfd.readouterr()) == []


def echoes(*secrets: str) -> Iterator[dict[str, Any]]:
    """Give answers that repeat what a caller has sent, as debug pages, proxies and vendors do."""
    sentence = ""
    for secret in secrets:
        basic = base64.b64encode(f"client:{secret}".encode()).decode()
        sentence += f"{secret}, {secret!r}, Basic {basic}, client_secret={quote_plus(secret)}; "
    for status in (400, 401, 403, 404, 409, 500):
        yield {"status": status, "body": {"errors": [{"code": status, "message": sentence}], "resources": []}}
        yield {"status": status, "body": {"error": {"code": secrets[0], "message": sentence}}}
    yield {"status": 200, "body": {"errors": [{"code": 400, "message": sentence, "id": secrets[0]}], "resources": []}}
    yield {"status": 200, "body": {"ok": False, "error": sentence}}
    yield {"status": 200, "body": {"ok": False, "error": "missing_scope", "needed": sentence}}
    yield {"status": 200, "body": _panos(sentence)}
    yield {"status": 403, "body": _panos(sentence)}
    yield {"status": 503, "body": f"<html><title>{html.escape(sentence)}</title></html>"}
    yield {"status": 429, "body": sentence, "headers": {"Retry-After": "1"}}
    yield {"status": 302, "body": sentence, "headers": {"Location": f"https://evil.example/?{quote(secrets[0])}"}}


def _panos(text: str) -> str:
    return f'<response status="error" code="17"><msg><line>{html.escape(text)}</line></msg></response>'


@pytest.mark.parametrize("simulator", ALL, ids=lambda each: each.product)
@pytest.mark.parametrize("when", ["on every request", "on the change only"])
async def test_products_that_repeat_a_credential_do_not_get_it_written(
    canary: Canary,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    simulator: type[Simulator],
    when: str,
) -> None:
    """Errors that hold the secret, or the token of this very moment, are recorded without it."""
    for playbook in OF_PRODUCT[simulator.product]:
        await canary.go(playbook, "plan")  # fetches a token
        canary.note_tokens()
        tokens = [token for token, product in canary.tokens.items() if product == simulator.product][-1:]
        for echo in echoes(SECRETS[simulator][1], *tokens):
            fault = {"product": simulator.product, **echo}
            if when == "on every request":
                canary.place.order(**fault, times=None)
                await canary.go(playbook)
            else:
                await canary.go(playbook, watchers=[canary.place.order_when(each, fault) for each in CHANGES])
            canary.reset()

    failed = [text for where, text in canary.shown if where.startswith("report") and '"status": "failed"' in text]
    assert len(failed) > 5
    assert [text for text in failed if MASK in text] != [], "the product's words did not come as far as this"
    assert canary.leaks(caplog, capfd.readouterr()) == []


@pytest.mark.parametrize("simulator", ALL, ids=lambda each: each.product)
async def test_a_credential_that_is_cut_in_the_middle_is_not_written_either(
    canary: Canary,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    simulator: type[Simulator],
) -> None:
    """Where a long answer is shortened, no piece of a secret stays at the end."""
    secret = SECRETS[simulator][1]
    for most in (100, 200, 300, 400, 500):
        text = "." * (most - 17) + secret
        for body in (text, {"error": {"code": "", "message": text}}, {"errors": [{"code": 1, "message": text}]}):
            canary.place.order(product=simulator.product, status=500, body=body, times=None)
            await canary.go(OF_PRODUCT[simulator.product][0])
            canary.reset()

    leaks = canary.leaks(caplog, capfd.readouterr())
    statuses = {json.loads(text)["status"] for where, text in canary.shown if where.startswith("report")}
    assert statuses == {"failed"}
    assert [where for where, data in canary.places if secret[:12].encode() in data] == []
    assert leaks == []


async def test_a_secret_that_cannot_be_sent_is_not_written(
    canary: Canary, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """A token that no header can carry fails the message, without showing which characters it consists of."""
    secret = "xoxb-日本語-トークン-0123456789"
    (canary.drill.secrets / "slack-bot_token").write_text(secret, encoding="utf-8")

    await canary.go("notify-stakeholders")

    report = next(json.loads(text) for where, text in canary.shown if where.startswith("report"))
    assert report["status"] == "failed"
    assert canary.leaks(caplog, capfd.readouterr()) == []
    pieces = ["トークン".encode(), ascii("トークン")[1:-1].encode(), b"0123456789"]
    assert [where for where, data in canary.places if any(piece in data for piece in pieces)] == []


async def test_a_connector_does_not_show_its_secrets(canary: Canary) -> None:
    """The text of a connector, its settings and its client shows references at most."""
    await canary.go("contain-host", "plan")
    canary.note_tokens()
    built = canary.drill.hikeshi.instances

    shown = ""
    for name in ("falcon", "entra", "fw_hq", "slack"):
        connector = built.get(name)
        shown += f"{connector!r} {connector.settings!r} {connector.settings.model_dump()} {vars(connector.http)!r}"

    assert [form for secret in canary.secrets() for form in forms(secret) if form[1] in shown.encode()] == []


ECHO = """id: echo
steps:
  - {id: find, action: edr.get_host, with: {name: %s}}
  - {id: told, set: {text: steps.find.os}}
  - {id: tell, action: messaging.post, with: {channel: "#incidents", text: "{{ steps.find.os }}"}}
  - {id: cut, action: edr.isolate_host, with: {host: "{{ steps.find }}", reason: "{{ vars.text }}"}}
outputs: {os: "{{ steps.find.os }}"}
"""
ENCODED = (
    "plain",
    "JSON",
    "repr",
    "URL",
    "HTML",
    "base64, shifted by 0",
    "base64, shifted by 1",
    "base64, shifted by 2",
)


def in_form(value: str, form: str) -> str:
    """Return a text that holds a value in a form, with the bytes around it that a base64 form needs."""
    if form.startswith("base64"):
        before = b"u:" + b"x" * ((int(form[-1]) - 2) % 3)
        return base64.b64encode(before + value.encode() + b";end").decode()
    return f"<{dict(forms(value))[form].decode()}>"


class Shell:
    """Types commands into a project, with all their logs, and keeps what they said."""

    def __init__(self, drill: Drill, capfd: pytest.CaptureFixture[str]) -> None:
        self.drill = drill
        self.capfd = capfd
        self.said: list[tuple[str, str]] = []

    def __call__(self, *arguments: str) -> tuple[int, str, str]:
        root = logging.getLogger()
        before = (root.level, root.handlers)
        try:
            code = run_command_line([*arguments, "--project", str(self.drill.folder), "--log-level", "debug"])
        finally:
            root.level, root.handlers = before
        written = self.capfd.readouterr()
        self.said.append((" ".join(arguments[:2]), written.out + written.err))
        return code, written.out, written.err


@pytest.mark.parametrize("form", ENCODED)
def test_commands_write_no_secret_that_a_product_repeats(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], form: str
) -> None:
    """A saved plan, the journal, an exported pack, documents, logs, and the traceback of an error that names it."""
    secret = SECRETS[CrowdStrikeSimulator][1]
    repeated = in_form(secret, form)
    drill = Drill(tmp_path / "project", tmp_path / "secrets")
    typed = Shell(drill, capfd)
    plan, pack = drill.folder / "saved.json", drill.folder / "all.pack"
    with served([with_canary(each) for each in ALL], settle_s=0.0) as place:
        drill.configure(place.simulation.project_settings(place.url))
        drill.add_playbook("echo", ECHO % FILE_SERVER)
        place.host(FILE_SERVER).os_version = repeated

        assert typed("plan", "echo", "-o", str(plan), "--json")[0] == 0
        assert typed("show", str(plan))[0] == 0
        code, out, _ = typed("apply", str(plan), "--json")
        assert (code, MASK in out) == (0, True)
        assert typed("log", json.loads(out)["run"])[0] == 0
        assert typed("audit", "export", "--all", "-o", str(pack))[0] == 0
        code, _, err = typed("plan", "echo", "-o", f"{tmp_path}/none/{repeated}", "--debug")
        assert (code, "Traceback" in err, MASK in err.partition("Traceback")[2]) == (2, True, True)
        secrets = [secret, *place.simulation.simulators["crowdstrike"].tokens._expiry]

    places = [(where, text.encode()) for where, text in typed.said]
    places += [(path.name, path.read_bytes()) for path in drill.folder.rglob("*") if path.is_file()]
    masked = {where for where, data in places if MASK.encode() in data}
    assert {"saved.json", "all.pack", "journal.db"} <= masked, "what the product repeated did not come as far as this"
    wanted = [(name, written) for each in secrets for name, written in forms(each)]
    assert {f"{where}: {name}" for where, data in places for name, written in wanted if written in data} == set()
