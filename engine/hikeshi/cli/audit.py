"""The audit log: whether it is what was written, packs of it for others, and the key that it is signed with."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hikeshi.cli.exit_codes import ExitCode
from hikeshi.cli.session import Session
from hikeshi.cli.text import Styled
from hikeshi.documents.audit import sentences_of, verdict_document

if TYPE_CHECKING:
    from hikeshi.audit.note import VerifierKey
    from hikeshi.audit.verification import Verdict
    from hikeshi.cli.output import Output
    from hikeshi.journal import BadRecord

__all__ = ["verify"]

_SQLITE = b"SQLite format 3\0"

Anchors = Annotated[
    list[Path] | None,
    typer.Option("--anchor", metavar="FILE", help="What an anchor has kept: its file, or a log server's. Repeatable."),
]


def verify(
    session: Session,
    pack: Annotated[
        Path | None, typer.Argument(metavar="[PACK]", help="An exported pack; default: the project's journal.")
    ] = None,
    key: Annotated[
        Path | None,
        typer.Option("--key", metavar="FILE", help="The key to believe, as 'hikeshi audit key' prints it."),
    ] = None,
    anchor: Anchors = None,
    older: Annotated[
        bool, typer.Option("--older", help="The pack may have been made before the anchor's last checkpoint.")
    ] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit with 7 unless every record is signed and anchored.")
    ] = False,
) -> int:
    """Check every record, against the signed checkpoints and what anchors have kept. Reads only."""
    from hikeshi.cli.failure import CommandError

    trusted = None if key is None else _key(key)
    anchors = anchor or []
    for each in (*([] if pack is None else [pack]), *anchors):
        if not each.is_file():
            raise CommandError("usage", f"{each}: there is no such file")
    if older and pack is None:
        raise CommandError("usage", "--older is about a pack, or a copy of the journal: name the file")
    if pack is None:
        what, found = str(session.app.journal_path), session.app.audit.verify(trusted, anchors)
    else:
        what, found = str(pack), _of_file(pack, trusted, anchors, older=older)
    code = _code(found, strict)
    if session.output.as_json:
        session.output.document(verdict_document(found))
    else:
        _show(session.output, what, found)
    return code


def _of_file(pack: Path, key: VerifierKey | None, anchors: list[Path], *, older: bool) -> Verdict:
    from hikeshi.audit.verification import verify_journal, verify_pack
    from hikeshi.cli.failure import CommandError

    if key is None:
        raise CommandError("usage", "a pack is believed with --key FILE only: a key that you got elsewhere, and pinned")
    with pack.open("rb") as file:
        is_journal = file.read(len(_SQLITE)) == _SQLITE
    judge = verify_journal if is_journal else verify_pack
    return judge(pack, key, anchors, may_be_older=older)


def _key(path: Path) -> VerifierKey:
    from hikeshi.audit.errors import KeyNotUsable
    from hikeshi.audit.keys import key_to_verify
    from hikeshi.cli.failure import CommandError

    try:
        return key_to_verify(path)
    except KeyNotUsable as exc:
        raise CommandError("usage", str(exc)) from exc


def _code(found: Verdict, strict: bool) -> ExitCode:
    match found.status:
        case "ok":
            return ExitCode.SUCCEEDED
        case "ok_unanchored_tail":
            return ExitCode.NOT_ANCHORED if strict else ExitCode.SUCCEEDED
        case "broken" | "wrong_key":
            return ExitCode.JOURNAL


def _show(output: Output, what: str, found: Verdict) -> None:
    scope = "" if found.scope is None else f", of which those of run {found.scope} are shown"
    output.line(f"{found.records} records of {found.runs} runs in {what}{scope}")
    match found.status:
        case "ok":
            output.line(Styled("intact and anchored", "green"), f" up to record {found.records}")
        case "ok_unanchored_tail":
            output.line(*_unanchored(found))
        case "wrong_key":
            output.line(Styled("WRONG KEY", "red"))
        case "broken":
            output.line(Styled("BROKEN", "red"), _at(found.first_bad))
            for each in found.problems:
                output.line(f"  {_place(each)}: ", each.what)
    for sentence in sentences_of(found):
        output.line("  ", sentence)
    for remark in found.remarks:
        output.line("  note: ", remark)


def _unanchored(found: Verdict) -> list[Any]:
    first = found.anchored_to + 1
    tail = [Styled("not anchored", "yellow"), f" from record {first} to {found.records}"]
    if not found.anchored_to:
        return [Styled("intact", "green"), ", but ", *tail]
    return [Styled("intact and anchored", "green"), f" up to record {found.anchored_to}, but ", *tail]


def _at(first: BadRecord | None) -> str:
    return f" at record {first.position} of the journal" if first is not None and first.position else ""


def _place(each: BadRecord) -> str:
    where = f"run {each.run}, record {each.seq}" if each.seq else "the journal"
    return f"{where} (record {each.position} of the journal)" if each.position and each.seq else where
