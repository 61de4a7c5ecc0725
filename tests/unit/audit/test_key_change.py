"""Changing the key: believed by whoever pinned either one, and safe if it is interrupted."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from hikeshi.audit.checkpoint import CheckpointMaker
from hikeshi.audit.errors import AuditError, KeyNotUsable, NoteError
from hikeshi.audit.key_change import SigningKey, change_key, read_key_change, trust_in
from hikeshi.audit.keys import KEY_FILE, NEXT_KEY_FILE, key_to_sign, load_key
from hikeshi.audit.note import VerifierKey, new_signer, sign_note
from hikeshi.audit.stream import AUDIT_RUN, KEY_CHANGED, append_own
from hikeshi.audit.verification import key_statements, verify_journal
from hikeshi.journal.verification import evidence

AT = datetime(2026, 2, 3, tzinfo=UTC)
Now = Callable[[], datetime]


def statement(seq: int, old: Any, new: Any, *signers: Any) -> str:
    text = f"hikeshi audit key change v1\n{seq}\n{old.verifier}\n{new.verifier}\n"
    return sign_note(text, *(signers or (old, new)))


@pytest.mark.safety(23, 24)
async def test_a_changed_key_is_believed_by_whoever_pinned_one_of_them(log: Any, now: Now) -> None:
    """Of three: the first, the second and the third."""
    keys = [key_to_sign(log.folder).verifier]
    for _ in range(3):
        await log.add("a", 3)
        await CheckpointMaker(log.journal, log.folder, now).make()
        keys.append(await change_key(log.journal, log.folder, actor="mei", at=AT))
        await CheckpointMaker(log.journal, log.folder, now).make()

    for key in keys:
        found = verify_journal(log.path, key)
        assert (found.status, found.signed_to) == ("ok_unanchored_tail", 12)
    assert len({str(key) for key in keys}) == 4
    assert len({key.name for key in keys}) == 1
    assert verify_journal(log.path, new_signer(keys[0].name).verifier).status == "wrong_key"


@pytest.mark.safety(23)
async def test_the_old_key_signs_nothing_that_counts_any_more(log: Any, now: Now) -> None:
    """Whoever stole it before the change cannot go on with the log."""
    await log.add("a", 3)
    await CheckpointMaker(log.journal, log.folder, now).make()
    stolen = load_key(log.folder / KEY_FILE)
    new = await change_key(log.journal, log.folder, actor="mei", at=AT)
    await log.add("a", 3)
    maker = CheckpointMaker(log.journal, log.folder, now)
    maker._key.current = lambda: stolen  # type: ignore[method-assign]
    await maker.make()

    for key in (stolen.verifier, new):
        found = verify_journal(log.path, key)
        assert (found.status, found.signed_to) == ("wrong_key", 3)


async def test_a_change_that_was_interrupted_is_finished(log: Any, now: Now) -> None:
    """The process died after the record was stored and before the new key was in its place."""
    await log.add("a", 3)
    await CheckpointMaker(log.journal, log.folder, now).make()
    old = (log.folder / KEY_FILE).read_bytes()
    new = await change_key(log.journal, log.folder, actor="mei", at=AT)
    (log.folder / KEY_FILE).replace(log.folder / NEXT_KEY_FILE)
    (log.folder / KEY_FILE).write_bytes(old)
    (log.folder / KEY_FILE).chmod(0o600)

    await CheckpointMaker(log.journal, log.folder, now).make()

    assert load_key(log.folder / KEY_FILE).verifier == new
    assert not (log.folder / NEXT_KEY_FILE).exists()
    assert verify_journal(log.path, new).signed_to == 4


async def test_a_change_that_came_to_no_record_did_not_happen(log: Any, now: Now) -> None:
    """What it left behind is replaced by the next one."""
    await log.add("a", 3)
    await CheckpointMaker(log.journal, log.folder, now).make()
    key_to_sign(log.folder / "elsewhere")
    (log.folder / "elsewhere" / KEY_FILE).rename(log.folder / NEXT_KEY_FILE)
    before = key_to_sign(log.folder).verifier
    await log.add("a", 1)
    await CheckpointMaker(log.journal, log.folder, now).make()
    assert verify_journal(log.path, before).signed_to == 4

    new = await change_key(log.journal, log.folder, actor="mei", at=AT)
    await CheckpointMaker(log.journal, log.folder, now).make()
    assert verify_journal(log.path, before).signed_to == verify_journal(log.path, new).signed_to == 5


def test_trust_goes_along_the_changes_only() -> None:
    """Changes between other keys, and those that name another record, mean nothing."""
    one, two, three, four = (new_signer("log") for _ in range(4))
    statements = [(1, statement(1, one, two)), (2, statement(9, two, three)), (3, statement(3, three, four))]

    assert trust_in(one.verifier, statements).keys == (one.verifier, two.verifier)
    assert trust_in(two.verifier, statements).keys == (one.verifier, two.verifier)
    assert trust_in(four.verifier, statements).keys == (three.verifier, four.verifier)
    assert trust_in(one.verifier, statements).retired == {one.verifier: 1}


@pytest.mark.safety(23)
def test_a_key_that_was_retired_cannot_be_retired_later() -> None:
    """Whoever has stolen it would otherwise sign, with a key of their own, that it counted for longer."""
    one, two, thief = (new_signer("log") for _ in range(3))
    statements = [(1, statement(1, one, two)), (9, statement(9, one, thief))]

    trust = trust_in(one.verifier, statements)

    assert (trust.keys, trust.retired) == ((one.verifier, two.verifier), {one.verifier: 1})


@pytest.mark.parametrize("who", ["old", "new", "stranger"])
def test_a_change_that_not_both_have_signed_is_refused(who: str) -> None:
    """Neither may the new key name itself, nor the old one somebody who knows nothing of it."""
    keys = {name: new_signer("log") for name in ("old", "new", "stranger")}
    note = statement(1, keys["old"], keys["new"], keys[who])

    with pytest.raises(NoteError):
        read_key_change(note, "here")
    assert trust_in(keys["old"].verifier, [(1, note)]).keys == (keys["old"].verifier,)


async def test_records_about_the_journal_find_their_place(log: Any) -> None:
    """Also while other processes write there."""
    assert [await append_own(log.journal, "Noted", {"n": n}, AT) for n in range(3)] == [1, 2, 3]
    assert [record.run for record in log.journal.read(AUDIT_RUN)] == [AUDIT_RUN] * 3


@pytest.mark.safety(23)
async def test_a_statement_in_a_record_of_another_kind_changes_no_key(log: Any) -> None:
    """Only the record that changes a key does, whatever else somebody has had written down."""
    one, two = new_signer("log"), new_signer("log")
    for kind in ("Noted", KEY_CHANGED):
        await append_own(log.journal, kind, {"statement": statement(1, one, two)}, AT)
    await append_own(log.journal, KEY_CHANGED, {"by": "mei"}, AT)

    with evidence(log.path) as connection:
        assert [seq for seq, _ in key_statements(connection)] == [2]


@pytest.mark.parametrize(
    "text",
    [
        "another title\n1\n{old}\n{new}\n",
        "hikeshi audit key change v1\n1\n{old}\n",
        "hikeshi audit key change v1\n1\n{old}\n{new}\nmore\n",
        "hikeshi audit key change v1\nx\n{old}\n{new}\n",
        "hikeshi audit key change v1\n\u0663\n{old}\n{new}\n",
        "hikeshi audit key change v1\n-1\n{old}\n{new}\n",
    ],
)
def test_a_text_that_is_no_change_of_keys_is_refused(text: str) -> None:
    """Though both keys have signed it."""
    old, new = new_signer("log"), new_signer("log")
    note = sign_note(text.format(old=old.verifier, new=new.verifier), old, new)

    with pytest.raises(NoteError, match="not about a change of keys"):
        read_key_change(note, "here")


def test_a_change_to_the_key_of_another_log_is_refused() -> None:
    """Both have signed it, and their names differ."""
    old, new = new_signer("log"), new_signer("other")

    with pytest.raises(NoteError, match="signed by both"):
        read_key_change(statement(1, old, new), "here")


def test_a_change_of_keys_says_which_and_where() -> None:
    """The twin of all that are refused."""
    old, new = new_signer("log"), new_signer("log")

    found = read_key_change(statement(12, old, new), "here")

    assert (found.seq, found.old, found.new) == (12, old.verifier, new.verifier)


@pytest.mark.safety(23)
async def test_of_two_who_change_the_key_at_once_one_does(log: Any, now: Now) -> None:
    """The other is told to try again, and the key that the journal names is the one that signs."""
    before = key_to_sign(log.folder).verifier
    done = await asyncio.gather(
        *(change_key(log.journal, log.folder, actor=who, at=AT) for who in ("mei", "ken")), return_exceptions=True
    )

    (new,) = (each for each in done if isinstance(each, VerifierKey))
    (told,) = (each for each in done if isinstance(each, AuditError))
    assert "Try again" in str(told)
    await log.add("a", 1)
    await CheckpointMaker(log.journal, log.folder, now).make()
    for key in (before, new):
        assert verify_journal(log.path, key).signed_to == 2
    assert load_key(log.folder / KEY_FILE).verifier == new


class Crowded:
    """A journal to which another process appends about the journal just before we do, once."""

    def __init__(self, journal: Any) -> None:
        self._journal = journal
        self._is_first = True

    def __getattr__(self, name: str) -> Any:
        return getattr(self._journal, name)

    async def append(self, *arguments: Any) -> None:
        if self._is_first:
            self._is_first = False
            await append_own(self._journal, "Noted", {}, AT)
        await self._journal.append(*arguments)


@pytest.mark.safety(23)
async def test_a_change_whose_place_was_taken_does_not_count(log: Any) -> None:
    """Its statement names the place; whoever asked for it is told, and the key stays what it is."""
    before = key_to_sign(log.folder).verifier
    journal: Any = Crowded(log.journal)

    with pytest.raises(AuditError, match="the change does not count"):
        await change_key(journal, log.folder, actor="mei", at=AT)
    assert SigningKey(log.journal, log.folder).current().verifier == before
    assert await change_key(journal, log.folder, actor="mei", at=AT) != before


async def test_a_folder_that_cannot_hold_a_key_is_said(log: Any, tmp_path: Path) -> None:
    """A file stands in its place."""
    (tmp_path / "file").write_text("")

    with pytest.raises(KeyNotUsable, match="cannot be changed"):
        await change_key(log.journal, tmp_path / "file", actor="mei", at=AT)


async def test_a_first_change_makes_the_folder_of_the_key(log: Any, tmp_path: Path) -> None:
    """Its owner's alone, whatever the umask is, with the folders around it."""
    folder = tmp_path / "there" / "is" / "none"
    before = os.umask(0)
    try:
        new = await change_key(log.journal, folder, actor="mei", at=AT)
    finally:
        os.umask(before)

    assert folder.stat().st_mode & 0o777 == 0o700
    assert load_key(folder / KEY_FILE).verifier == new


@pytest.mark.safety(23)
@pytest.mark.parametrize("text", ["", "nonsense", "statement of another place"])
async def test_a_record_that_changes_no_key_leaves_the_key_as_it_is(log: Any, text: str) -> None:
    """Though it is of the kind that does: what it says is no statement of both keys about this record."""
    old, new = key_to_sign(log.folder), new_signer("log")
    said = statement(7, old, new) if "place" in text else text
    await append_own(log.journal, KEY_CHANGED, {"by": "mei", "new": str(new.verifier), "statement": said}, AT)

    assert SigningKey(log.journal, log.folder).current().verifier == old.verifier


@contextmanager
def forked_child() -> Iterator[None]:
    """Have a child that does nothing, and has whatever this process has open."""
    child = os.fork()
    if child == 0:
        try:
            signal.pause()
        finally:
            os._exit(0)
    try:
        yield
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


async def test_a_child_that_was_forked_meanwhile_keeps_nobody_from_changing_the_key(log: Any) -> None:
    """It has the descriptor of the lock as well, and lives on."""
    changing = asyncio.create_task(change_key(log.journal, log.folder, actor="mei", at=AT))
    await asyncio.sleep(0)
    assert not changing.done()
    with forked_child():
        first = await changing
        assert await change_key(log.journal, log.folder, actor="ken", at=AT) != first
