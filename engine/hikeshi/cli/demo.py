"""One incident from beginning to end on a simulated company. Nothing outside of this process is touched."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hikeshi.cli.exit_codes import ExitCode, of_run
from hikeshi.cli.output import Output
from hikeshi.cli.session import Session
from hikeshi.cli.text import Styled, pad

if TYPE_CHECKING:
    from hikeshi.cli.ending import Ending
    from hikeshi.testing.simulation import Simulation

__all__ = ["chapter", "demo"]

PLAYBOOK = "contain-host"
ASKS = "isolate-if-agreed"
_PEOPLE = """\
people:
  mei: {name: Mei Kobayashi, roles: [soc], access: [responder]}
  ken: {name: Ken Sato, roles: [soc, soc_lead], access: [approver]}
"""
_ASKS_FIRST = """\
id: isolate-if-agreed
name: Isolate a host if the lead agrees
description: >-
  Looks a host up, asks the lead of the SOC with the exact target, and cuts the host off the network for as long as you
  say. It is released by itself when the time is over.
phase: contain
severity: high
inputs:
  hostname: {type: host, description: "Name, ID or IP address of the host, as the EDR knows it"}
  hours: {type: integer, default: 8, minimum: 1, maximum: 72, description: For how long}
  reason: {type: string, default: Suspected compromise, max_length: 500}
steps:
  - id: find
    name: Find the host
    action: edr.get_host
    with: {name: "{{ inputs.hostname }}"}
  - id: agree
    name: Ask the lead
    approve: "Isolate {{ steps.find.name }} for {{ inputs.hours }} h? {{ inputs.reason }}"
    by: [role:soc_lead]
    within: 30m
  - id: isolate
    name: Isolate it
    action: edr.isolate_host
    with: {host: "{{ steps.find }}", reason: "{{ inputs.reason }}"}
    hold: "{{ inputs.hours }}h"
outputs: {host: "{{ steps.find }}", isolation: "{{ steps.isolate }}"}
"""


def demo(
    session: Session,
    console: Annotated[
        bool, typer.Option("--console", help="Then serve the console over this company, until Ctrl-C.")
    ] = False,
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="Of the console; 0 for any.")] = 8315,
) -> int:
    """Contain an intruder in a simulated company: plan it, run it, prove it."""
    from hikeshi.app import Hikeshi
    from hikeshi.cli.simulated_project import described
    from hikeshi.testing.estate_maker import make_estate
    from hikeshi.testing.simulation import Simulation, running

    folder = Path(tempfile.mkdtemp(prefix="hikeshi-demo-"))
    simulation = Simulation(make_estate(base=datetime.now(UTC).replace(microsecond=0)))
    with running(simulation) as base_url:
        project = described(simulation.project_settings(base_url))
        (folder / "hikeshi.yaml").write_text(project.text + _PEOPLE, encoding="utf-8")
        (folder / "playbooks").mkdir()
        (folder / "playbooks" / f"{ASKS}.yaml").write_text(_ASKS_FIRST, encoding="utf-8")
        os.environ.update(project.environment)
        app = session.use(Hikeshi.open(folder))
        session.__dict__["app"] = app
        story = _Story(session, simulation, folder)
        return session.wait_for(story.tell_and_serve(port) if console else story.tell())


@dataclass(frozen=True, slots=True)
class _Story:
    """The chapters of the demo."""

    session: Session
    simulation: Simulation
    folder: Path

    async def tell_and_serve(self, port: int) -> int:
        """Tell it, and then let people look around in a browser."""
        from hikeshi.cli.demo_console import serve_console

        code = await self.tell(serves=True)
        return code or await serve_console(self.session, port)

    async def tell(self, *, serves: bool = False) -> int:
        from hikeshi.report import plan_report, run_report

        output = self.session.output
        disabled_before = set(self.simulation.summary()["disabled_users"])
        self._the_situation(output)
        plan = await self._go("plan")
        after_plan = len(self.simulation.changes)
        planned = plan_report(plan.state, plan.records)
        _the_plan(output, planned, after_plan)
        ending = await self._go("live")
        state = ending.state
        _the_run(output, ending)
        summary = self.simulation.summary()
        _the_company(output, summary, disabled_before)
        verification = self.session.app.verify()
        _the_proof(output, verification.status, verification.records)
        if not serves:
            self._what_next(output, state.run)
        report = run_report(state)
        if output.as_json:
            output.document(
                {
                    "project": str(self.folder),
                    "plan": planned,
                    "changes_after_plan": after_plan,
                    "run": report,
                    "estate": summary,
                    "audit": {"status": verification.status, "records": verification.records},
                }
            )
        went_well = after_plan == 0 and verification.status != "broken"
        return of_run(report) if went_well else ExitCode.FAILED

    async def _go(self, mode: Any) -> Ending:
        from hikeshi.cli.going import go

        app, actor = self.session.app, self.session.actor
        return await go(
            self.session,
            lambda watchers: app.start_run(
                PLAYBOOK, _inputs(), actor=actor, mode=mode, from_text=True, watchers=watchers
            ),
            quietly=True,
        )

    def _the_situation(self, output: Output) -> None:
        from hikeshi.testing.manufacturer import C2_ADDRESS, FILE_SERVER, NAME, REMOTE_TOOL

        estate = self.simulation.estate
        chapter(output, 1, "Friday evening")
        output.line(
            f"{NAME} makes machines: {len(estate.hosts)} computers in Japan, Canada and Estonia. It is 20:30 when the"
        )
        output.line(f"EDR reports a remote-management tool, {REMOTE_TOOL}, on the file server {FILE_SERVER}. Nobody")
        output.line(f"installed it. It talks to {C2_ADDRESS}, and {_inputs()['user']} was logged on.")
        output.line(
            "The company, its EDR, directory, firewall and chat are simulated in this process, and spoken to over"
        )
        output.line("HTTP. The project is one file. Secrets are references in it, never values:")
        output.line()
        for text in (self.folder / "hikeshi.yaml").read_text(encoding="utf-8").splitlines()[:6]:
            output.line(f"    {text}")
        output.line("    ...")

    def _what_next(self, output: Output, run: str) -> None:
        chapter(output, 6, "Look around")
        output.line("The products ended with this demo; its project and its record stay.")
        if shutil.which("hikeshi") is None:  # from a virtual environment that is not active, as `make demo` does
            output.line(f'export PATH="{Path(sys.argv[0]).absolute().parent}:$PATH"')
        output.line(f"cd {self.folder}")
        for command, what in (
            (f"hikeshi log {run}", "every event of the run"),
            ("hikeshi runs", "the dry run and the run"),
            ("hikeshi holds", "what is contained now"),
            (f"hikeshi show {PLAYBOOK}", "what the playbook does and which inputs it takes"),
            (f"hikeshi graph {PLAYBOOK}", "its diagram, as Mermaid text"),
            ("hikeshi simulate --help", "a simulated company that stays, for your own playbooks"),
            ("hikeshi demo --console", "open the console: the same company in your browser, with two people"),
        ):
            output.line(f"{pad(command, 40)} ", Styled(what, "dim"))


def _inputs() -> dict[str, str]:
    from hikeshi.testing import manufacturer as story

    indicators = (story.C2_ADDRESS, story.C2_DOMAIN, story.SECOND_C2_ADDRESS, story.MALWARE_SHA256)
    return {
        "hostname": story.FILE_SERVER,
        "indicators": ",".join(indicators),
        "user": "kenji.sato",
        "reason": f"{story.REMOTE_TOOL}, installed by nobody",
    }


def chapter(output: Output, number: int, title: str) -> None:
    """Write the title of a chapter."""
    output.line()
    output.line(Styled(f"--- {number}. {title} ".ljust(100, "-"), "bold"))


def _the_plan(output: Output, plan: Mapping[str, Any], changes: int) -> None:
    chapter(output, 2, "What would be done")
    inputs = _inputs()
    given = f"-i hostname={inputs['hostname']} -i user={inputs['user']}"
    output.line(f"$ hikeshi plan {PLAYBOOK} {given} -i indicators=... -i reason=...")
    output.line("The dry run reads the real state and predicts every change. Briefly:")
    output.line()
    for action in plan["actions"]:
        target = action["target"] or {"label": _channel(action)}
        labels = ", ".join(_short(each["label"]) for each in (target if isinstance(target, list) else [target]))
        sure = "certain" if action["certainty"] == "certain" else f"maybe: {action['condition']}"
        output.line(f"  {pad(action['action'], 26)}{pad(action['connector'] or '?', 8)}{pad(labels, 36)}{sure}")
    request = plan["actions"][0]["requests"][0]
    output.line()
    output.line("It knows the exact requests. The first one:")
    output.line(f"  {request['method']} {request['url']}")
    output.line(f"  {json.dumps(request['body'])}")
    output.line()
    output.line("Changes that the simulated products received during the dry run: ", Styled(str(changes), "green"))


def _channel(action: Mapping[str, Any]) -> str:
    bodies = [request["body"] for request in action["requests"] if isinstance(request["body"], dict)]
    return str(next((body["channel"] for body in bodies if "channel" in body), "text not known yet"))


def _the_run(output: Output, ending: Ending) -> None:
    from hikeshi.cli.run_view import show_ending

    chapter(output, 3, "Doing it")
    output.line(f"$ hikeshi run {PLAYBOOK} ...")
    output.line("Before each change its intent was stored; after it the product was asked whether it is so.")
    output.line()
    show_ending(output, ending)


def _the_company(output: Output, summary: Mapping[str, Any], disabled_before: set[str]) -> None:
    chapter(output, 4, "How the company looks now")
    firewall = summary["blocked_by_firewall"]
    sites = [entry for entries in firewall["url_categories"].values() for entry in entries]
    rows = (
        ("isolated hosts", [f"{host['name']} ({host['isolation']})" for host in summary["isolated_hosts"]]),
        ("blocked by the firewall", [*firewall["addresses"], *sites]),
        ("blocked by the EDR", [_short(each["value"]) for each in summary["blocked_by_edr"]]),
        ("accounts newly disabled", sorted(set(summary["disabled_users"]) - disabled_before)),
        ("messages", [f"#{each['channel']}: {each['text'].splitlines()[0]}" for each in summary["messages"]]),
    )
    for title, values in rows:
        output.line(f"  {pad(title, 25)} ", "; ".join(values) or "none")


def _the_proof(output: Output, status: str, records: int) -> None:
    chapter(output, 5, "The record of it")
    output.line("$ hikeshi audit verify")
    if status == "broken":
        output.line(Styled(f"{records} records: BROKEN", "red"))
        return
    output.line(f"{records} records, each chained to the one before by its hash: ", Styled("intact", "green"), ".")
    output.line("Signed, and not anchored: hikeshi.yaml may name places outside of this machine; see docs/audit.md.")


def _short(text: str) -> str:
    return text if len(text) <= 34 else f"{text[:31]}..."
