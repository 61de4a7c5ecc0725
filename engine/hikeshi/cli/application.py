"""Builds the command line with Typer, runs one command of it, and turns whatever happens into an exit code.

Only the module of the command that was asked for is imported, and no module but the one that draws imports Rich.
"""

from __future__ import annotations

import importlib
import inspect
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import typer

from hikeshi.cli.exit_codes import MEANINGS, ExitCode
from hikeshi.cli.output import Output
from hikeshi.cli.session import Session

__all__ = ["COMMANDS", "run_command_line"]

COMMANDS: Mapping[str, tuple[str, str]] = {
    "run": ("start", "run"),
    "plan": ("start", "plan"),
    "apply": ("plans", "apply"),
    "list": ("playbooks", "list_playbooks"),
    "show": ("playbooks", "show"),
    "check": ("check", "check"),
    "graph": ("playbooks", "graph"),
    "runs": ("runs", "runs"),
    "log": ("runs", "log"),
    "watch": ("watch", "watch"),
    "waiting": ("waiting", "waiting"),
    "approve": ("decisions", "approve"),
    "reject": ("decisions", "reject"),
    "answer": ("decisions", "answer"),
    "resolve": ("resolve", "resolve"),
    "cancel": ("steering", "cancel"),
    "pause": ("steering", "pause"),
    "resume": ("steering", "resume"),
    "retry": ("steering", "retry"),
    "work": ("work", "work"),
    "holds": ("holds", "holds"),
    "holds verify": ("holds", "verify"),
    "extend": ("extend", "extend"),
    "release": ("undo", "release"),
    "undo": ("undo", "undo"),
    "signal": ("signals", "signal"),
    "stop": ("stops", "stop"),
    "stops": ("stops", "stops"),
    "release-stop": ("stops", "release_stop"),
    "audit verify": ("audit", "verify"),
    "audit export": ("audit_export", "export"),
    "audit ocsf": ("ocsf", "ocsf"),
    "audit checkpoint": ("audit_key", "checkpoint"),
    "audit key": ("audit_key", "key"),
    "audit rotate": ("audit_key", "rotate"),
    "guardrails": ("guardrails", "guardrails"),
    "guardrails check": ("guardrails", "check"),
    "triggers": ("triggers", "triggers"),
    "triggers test": ("triggers", "test"),
    "triggers fires": ("triggers", "fires"),
    "triggers accept": ("triggers", "accept"),
    "triggers decline": ("triggers", "decline"),
    "connectors": ("connectors", "connectors"),
    "connectors show": ("connectors", "show"),
    "connectors test": ("connectors", "test"),
    "connector new": ("new_connector", "new"),
    "serve": ("serve", "serve"),
    "doctor": ("doctor", "doctor"),
    "backup": ("backup", "backup"),
    "restore": ("backup", "restore"),
    "prune": ("prune", "prune"),
    "token new": ("tokens", "new"),
    "token list": ("tokens", "list_tokens"),
    "token revoke": ("tokens", "revoke"),
    "simulate": ("simulate", "simulate"),
    "demo": ("demo", "demo"),
}
"""Each command: its module in this package, and its function there. The order is that of the help."""

Project = Annotated[
    Path | None, typer.Option("--project", metavar="DIR", help="The project's folder; default: this one.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Write one JSON document for programs.")]
LogLevel = Annotated[
    str | None, typer.Option("--log-level", metavar="LEVEL", help="Write logs as JSON lines: debug to error.")
]
Debug = Annotated[bool, typer.Option("--debug", help="Show where an unexpected error comes from.")]

_COMMON: Mapping[str, tuple[Any, Any]] = {
    "project": (Project, None),
    "as_json": (AsJson, False),
    "log_level": (LogLevel, None),
    "debug": (Debug, False),
}

_GIVEN_BEFORE = "hikeshi.options"  # those that stand before the second word of a command, as in `holds --json verify`

_HELP = """Run playbooks for security incident response.

Begin with 'hikeshi list', look at what a playbook would do with 'hikeshi plan ID', and do it with 'hikeshi run ID'.
'hikeshi demo' shows all of it on a simulated company.
"""


def run_command_line(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code. Raises nothing."""
    _let_every_character_through()
    invocation = _Invocation(arguments)
    try:
        code = invocation.run()
        invocation.output.flush()
    except BrokenPipeError:  # the reader has seen enough, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.FAILED
    return code


class _Invocation:
    """One start of the program. Errors of usage come before a session is there, so it begins without one."""

    def __init__(self, arguments: Sequence[str]) -> None:
        self.arguments = list(arguments)
        self.output = Output(as_json="--json" in self.arguments)
        self.debug = "--debug" in self.arguments
        self.session: Session | None = None

    def run(self) -> int:
        try:
            command = typer.main.get_command(_build(self._wanted(), self._open))
            # None after --help, which is no failure. Typer makes an exit code of Ctrl-C.
            code = int(command.main(args=self.arguments, prog_name="hikeshi", standalone_mode=False) or 0)
            return self._interrupted() if code == ExitCode.INTERRUPTED else code
        except BrokenPipeError:
            raise
        except Exception as exc:  # noqa: BLE001 - the last place where anybody can say something
            return self._failed(exc)
        finally:
            if self.session is not None:
                self.session.close()

    def _wanted(self) -> list[str]:
        """Return the commands to load: the one that was named, or all of them for help and for a wrong name."""
        before = ["", *self.arguments]
        words = (
            word
            for previous, word in zip(before, self.arguments, strict=False)
            if not word.startswith("-") and previous != "--project"
        )
        first = next(words, "")
        if not first and "--version" in self.arguments:
            return []
        return [name for name in COMMANDS if name.split()[0] == first] or list(COMMANDS)

    def _open(self, project: Path | None, as_json: bool, log_level: str | None, debug: bool) -> Session:
        self.output.as_json, self.debug = as_json, debug
        if log_level is not None:
            log_level = _level(log_level)
        self.session = Session(folder=project or Path(), output=self.output, debug=debug, log_level=log_level)
        return self.session

    def _failed(self, exc: Exception) -> int:
        from hikeshi.cli.failure import describe, exit_code_of, report

        failure = describe(exc)
        report(failure, self.output)
        if self.debug:
            import traceback

            # No values of variables: only the lines of the program, and the message, masked.
            for text in "".join(traceback.format_exception(exc)).splitlines():
                self.output.note(text)
        return exit_code_of(exc, failure)

    def _interrupted(self) -> int:
        self.output.note("Interrupted.")
        return ExitCode.INTERRUPTED


def _build(names: Sequence[str], open_session: Callable[..., Session]) -> typer.Typer:
    """Return the Typer application with these commands."""
    app = _group(_HELP, epilog=_exit_codes())
    groups: dict[str, typer.Typer] = {}

    @app.callback(invoke_without_command=True)
    def root(
        context: typer.Context,
        version: Annotated[bool, typer.Option("--version", help="Show the version and leave.")] = False,
        project: Project = None,
    ) -> int:
        if version:
            from hikeshi import __version__

            typer.echo(f"hikeshi {__version__}")
            raise typer.Exit
        if context.invoked_subcommand is None:
            typer.echo(context.get_help())
        context.obj = project
        return 0

    for name in names:
        module, function = COMMANDS[name]
        action = getattr(importlib.import_module(f"hikeshi.cli.{module}"), function)
        family, _, verb = name.rpartition(" ")
        if any(other.startswith(f"{name} ") for other in names):  # it does something by itself, too
            groups[name] = _group(inspect.getdoc(action) or "")
            groups[name].callback(invoke_without_command=True)(_with_common(action, open_session))
            app.add_typer(groups[name], name=name)
            continue
        if family and family not in groups:
            groups[family] = _group(importlib.import_module(f"hikeshi.cli.{module}").__doc__ or "")
            app.add_typer(groups[family], name=family)
        (groups[family] if family else app).command(verb)(_with_common(action, open_session))
    return app


def _group(help_text: str, epilog: str | None = None) -> typer.Typer:
    return typer.Typer(
        help=help_text,
        epilog=epilog,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        no_args_is_help=False,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    )


def _with_common(action: Callable[..., int], open_session: Callable[..., Session]) -> Callable[..., int]:
    """Return the command as Typer calls it: with the options that all have, and its session made of them."""

    @wraps(action)
    def command(context: typer.Context, **given: Any) -> int:
        common = {name: given.pop(name) for name in _COMMON}
        before = context.meta.setdefault(_GIVEN_BEFORE, {})
        if context.invoked_subcommand is not None:  # that one is asked for, not this
            before.update(common)
            return 0
        common = {name: value or before.get(name, value) for name, value in common.items()}
        common["project"] = common["project"] or context.find_root().obj
        return action(open_session(**common), **given)

    own = [
        parameter
        for parameter in inspect.signature(action, eval_str=True).parameters.values()
        if parameter.name != "session"
    ]
    keyword = inspect.Parameter.KEYWORD_ONLY
    common = [
        inspect.Parameter(name, keyword, default=default, annotation=annotation)
        for name, (annotation, default) in _COMMON.items()
    ]
    first = inspect.Parameter("context", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context)
    parameters = [first, *(each.replace(kind=keyword) for each in own), *common]
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # read by Typer
    command.__annotations__ = {each.name: each.annotation for each in parameters}
    return command


def _level(text: str) -> str:
    from hikeshi.cli.failure import CommandError
    from hikeshi.cli.logs import LEVELS

    if text.lower() not in LEVELS:
        raise CommandError("usage", f"there is no log level {text!r}; there are {', '.join(LEVELS)}")
    return text.lower()


def _exit_codes() -> str:
    return "Exit codes: " + " · ".join(f"{code.value} {text}" for code, text in MEANINGS.items())


def _let_every_character_through() -> None:
    """Write what a terminal's encoding does not have as an escape, instead of failing on somebody's name."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
