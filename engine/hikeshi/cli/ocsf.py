"""What runs did to the world, as a file that other security products read."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hikeshi.cli.session import Session
from hikeshi.cli.text import Styled

if TYPE_CHECKING:
    from hikeshi.app import Hikeshi

__all__ = ["ocsf"]


def ocsf(
    session: Session,
    out: Annotated[Path, typer.Option("-o", "--output", metavar="FILE", help="JSON Lines; it must not be there yet.")],
    run: Annotated[str | None, typer.Argument(metavar="[RUN]", help="The run, as 'hikeshi runs' lists it.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Export all runs.")] = False,
) -> int:
    """Write each change and message that was sent as an OCSF 1.8 event. That you did so is recorded."""
    from hikeshi.cli.failure import CommandError

    if (run is None) is not everything:
        raise CommandError("usage", "name a run, or give --all")
    if run is not None:
        session.app.check_run(run)
    elif not session.app.journal_path.exists():
        raise CommandError("usage", "there is nothing to export; nothing ran in this project yet")
    written = session.wait_for(_export(session, out, run))
    if session.output.as_json:
        session.output.document({"file": str(out), "run": run, "events": written})
    else:
        session.output.line(f"{written} OCSF events are in ", Styled(str(out), "bold"), ".")
    return 0


async def _export(session: Session, out: Path, run: str | None) -> int:
    """Record who reads, then write. Return how many events there are. Raises CommandError, JournalError."""
    app = session.app
    _refuse_existing(out)
    await app.audit.record_read(session.actor, "ocsf", run)
    return _write(out, (json.dumps(event) for event in _events(app, run)))


def _events(app: Hikeshi, run: str | None) -> Iterator[dict[str, Any]]:
    from hikeshi.report.ocsf import ocsf_events

    for each in [run] if run is not None else _runs(app):
        for event in ocsf_events(app.records(each), app.config.products):
            yield app.redactor.data(event)


def _runs(app: Hikeshi) -> list[str]:
    """Return all runs, the oldest first."""
    return [row["run"] for row in reversed(app.runs(limit=max(1, app.journal.size())))]


def _write(out: Path, lines: Iterable[str]) -> int:
    """Write a new file for its owner alone, as a whole or not at all. Return the number of lines."""
    from hikeshi.cli.failure import CommandError

    temporary, written = out.with_name(f".{out.name}.{os.urandom(4).hex()}"), 0
    try:
        with open(temporary, "x", encoding="ascii", opener=_private) as file:
            for line in lines:
                file.write(line + "\n")
                written += 1
            file.flush()
            os.fsync(file.fileno())
        os.link(temporary, out)  # unlike a rename, it never replaces what is there
    except FileExistsError as exc:
        raise _exists(out) from exc
    except OSError as exc:
        reason = exc.strerror or type(exc).__name__
        raise CommandError("usage", f"{out} cannot be written: {reason}; check the folder and the disk") from exc
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
    return written


def _refuse_existing(out: Path) -> None:
    if os.path.lexists(out):
        raise _exists(out)


def _exists(out: Path) -> Exception:
    from hikeshi.cli.failure import CommandError

    return CommandError("usage", f"{out} exists; name another file, it is never written over")


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
