"""A project without connectors, whose playbooks only ask and wait: enough for everything that people say to runs."""

from __future__ import annotations

import asyncio
import json
import os
import pwd
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from hikeshi.app import Hikeshi
from hikeshi.cli.application import run_command_line

ME = pwd.getpwuid(os.getuid()).pw_name
PEOPLE = f"""people:
  me: {{login: {ME!r}, roles: [lead]}}
  mei: {{login: mkobayashi, roles: [lead]}}
  ken: {{roles: [analyst]}}
"""
ASKS = """id: asks
steps:
  - {id: ok, approve: Go?, by: [role:lead], within: 15m, quorum: 2}
  - {id: done, set: {x: "1"}}
"""
FORM = """id: form
steps:
  - id: check
    ask: Is it quiet?
    by: [role:lead]
    within: 1h
    form:
      quiet: {type: boolean, description: Nothing goes out any more}
      note: {type: string, default: none}
outputs: {quiet: "{{ steps.check.quiet }}"}
"""
KEN_DECIDES = """id: ken-decides
steps:
  - {id: ok, approve: Go?, by: [ken], within: 15m}
"""
NAPS = """id: naps
steps:
  - {id: nap, wait: 20m}
finally:
  - {id: tidy, set: {x: "1"}}
"""
LISTENS = """id: listens
steps:
  - {id: alert, wait: {event: edr.alert, at_most: 1h, when: event.host == 'pc7'}}
outputs: {host: "{{ steps.alert.host }}"}
"""


@dataclass(frozen=True, slots=True)
class Ended:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        return json.loads(self.out)


@dataclass(frozen=True, slots=True)
class Desk:
    """A project, the commands that are typed in it, and what other people do there."""

    folder: Path
    capsys: pytest.CaptureFixture[str]

    def __call__(self, *arguments: str) -> Ended:
        """Run a command in this process."""
        self.capsys.readouterr()
        code = run_command_line([*arguments, "--project", str(self.folder)])
        written = self.capsys.readouterr()
        return Ended(code, written.out, written.err)

    def add_playbook(self, text: str) -> None:
        name = text.splitlines()[0].removeprefix("id: ")
        (self.folder / "playbooks" / f"{name}.yaml").write_text(text, encoding="utf-8")

    def begin(self, playbook: str, by: str = "ken") -> str:
        """Let somebody begin a run, and go on with it until it waits; return its ID."""

        async def work(app: Hikeshi) -> str:
            state = await app.start_run(playbook, {}, actor=by, mode="live", detach=True)
            await app.go_on(state.run)
            return state.run

        return str(self._in_the_app(work))

    def say(self, run: str, kind: str, by: str, **data: Any) -> str:
        """Let somebody have a say to a run, and return its status."""

        async def work(app: Hikeshi) -> str:
            (question,) = app.questions(run)
            message = {"path": question["path"], "digest": question["digest"], **data}
            return str((await app.tell(run, kind, message, actor=by)).status)

        return str(self._in_the_app(work))

    def ask(self, what: Callable[[Hikeshi], Any]) -> Any:
        """Return what the application says."""

        async def work(app: Hikeshi) -> Any:
            return what(app)

        return self._in_the_app(work)

    def _in_the_app(self, work: Callable[[Hikeshi], Awaitable[Any]]) -> Any:
        async def with_app() -> Any:
            app = Hikeshi.open(self.folder)
            app.park_after_s = 1.0
            try:
                return await work(app)
            finally:
                await app.aclose()

        return asyncio.run(with_app())


def make_desk(folder: Path, capsys: pytest.CaptureFixture[str]) -> Desk:
    """Return a project in which the tester is a lead, as mei is."""
    (folder / "playbooks").mkdir()
    (folder / "hikeshi.yaml").write_text(PEOPLE, encoding="utf-8")
    made = Desk(folder, capsys)
    for text in (ASKS, FORM, KEN_DECIDES, NAPS, LISTENS):
        made.add_playbook(text)
    return made
