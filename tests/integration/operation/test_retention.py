"""Pruning old runs: they are archived, their bytes are gone, and everything that was provable is provable still."""

from __future__ import annotations

import asyncio
import json
import zipfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from kept import DAY_S, Kept, tables
from operated import Operated

from hikeshi.app.prunable import PrunePlan, PruneRefused, plan_prune
from hikeshi.app.retention import Pruned, prune
from hikeshi.audit.keys import KEY_FILE, load_key
from hikeshi.audit.pack import write_pack
from hikeshi.audit.verification import verify_journal, verify_pack
from hikeshi.cli.application import run_command_line
from hikeshi.journal import JournalPruned, encode_record, verify
from hikeshi.journal.chain import next_hash
from hikeshi.journal.pruning import RETENTION, PrunedRun, digest_of

YEAR_S = 400 * DAY_S


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    """A project in which nothing has run yet."""
    return Kept(tmp_path / "project")


def key_of(kept: Kept) -> Any:
    return load_key(kept.folder / ".hikeshi" / KEY_FILE).verifier


async def prune_all(kept: Kept, older_than_s: float = YEAR_S) -> Pruned:
    """Prune what is old enough, today."""
    async with kept.app() as app:
        return await prune(app, plan_prune(app, older_than_s), kept.archive, actor="ken")


@asynccontextmanager
async def pruned(kept: Kept) -> AsyncIterator[tuple[str, str, Pruned]]:
    """Give an old run that was pruned, a new one that was not, and what pruning came to."""
    old = await kept.run("note", 450)
    new = await kept.run("note", 1)
    yield old.run, new.run, await prune_all(kept)


# --- what is pruned, and what is left of it -----------------------------------------------------------------------


async def test_an_old_run_is_archived_and_its_bytes_are_gone(kept: Kept) -> None:
    """The journal verifies as before, and says how many records were pruned, by whom, and into which pack."""
    async with pruned(kept) as (old, new, done):
        found = await kept.verdict()
        assert (found.status, found.pruned, found.anchored_to) == ("ok", done.records, found.records)
        assert done.runs == 1
        assert done.pack is not None
        assert kept.journal.read_bytes().count(b'"run":"' + old.encode() + b'","seq":') == 0
        assert kept.journal.read_bytes().count(b'"run":"' + new.encode() + b'","seq":') > 0
        in_pack = verify_pack(done.pack, key_of(kept), [kept.anchor], may_be_older=True)
        assert (in_pack.status, in_pack.problems) == ("ok", ())
        async with kept.app() as app:
            (said,) = app.journal.read(RETENTION)
            assert (said.data["by"], said.data["pack"], said.data["sha256"]) == ("ken", done.pack.name, done.sha256)
            assert [row["run"] for row in app.runs()] == [new]
            with pytest.raises(JournalPruned, match="was pruned"):
                list(app.journal.read(old))
            with pytest.raises(LookupError, match=r"pruned at .* in the pack pruned-"):
                app.check_run(old)
        assert verify(kept.journal).pruned == done.records


async def test_the_pack_shows_what_was_pruned_and_no_other_run(kept: Kept) -> None:
    """Its records are those that the run had."""
    async with pruned(kept) as (old, _new, done):
        assert done.pack is not None
        with zipfile.ZipFile(done.pack) as pack:
            records = [json.loads(line) for line in pack.read("records.jsonl").splitlines()]
            assert json.loads(pack.read("manifest.json"))["runs"] == [old]
        assert {record["run"] for record in records} == {old}
        assert [record["kind"] for record in records][-1] == "RunFinished"
        assert "a-word-to-find" in json.dumps(records)


def test_a_dry_run_changes_nothing_and_says_why_what_stays(kept: Kept, capsys: pytest.CaptureFixture[str]) -> None:
    """As the command does; nothing younger than eight days is ever pruned."""
    old = asyncio.run(kept.run("note", 450))
    asyncio.run(kept.run("contain", 450, hostname="pc1"))
    before = verify(kept.journal).records
    own = ("--project", str(kept.folder))
    capsys.readouterr()

    assert run_command_line(["prune", "--older-than", "400d", "--dry-run", "--json", *own]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["runs"], document["pruned"]) == ([old.run], None)
    assert document["stays"] == {"it holds something, or may": 1}
    assert verify(kept.journal).records == before
    assert not kept.archive.exists()
    assert run_command_line(["prune", "--older-than", "2d", *own]) == 2
    assert run_command_line(["prune", "--older-than", "soon", *own]) == 2


async def test_what_is_not_signed_and_anchored_stays(kept: Kept) -> None:
    """An anchor that has not got it might be asked about it later."""
    kept.configure("audit: {anchors: [{type: file, path: ../gone/anchor}]}\n")
    await kept.run("note", 450)
    async with kept.app() as app:
        assert plan_prune(app, YEAR_S).stays == {"an anchor has not got it yet": 1}
    (kept.folder.parent / "gone").mkdir()
    await kept.run("note", 1)
    async with kept.app() as app:
        assert len(plan_prune(app, YEAR_S).runs) == 1


async def test_an_anchor_is_the_same_one_by_whatever_path_the_project_is_named(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or else a service, and a command in the project's own folder, would each send it everything."""
    await kept.run("note", 450)
    monkeypatch.chdir(kept.folder / "playbooks")
    kept.folder = Path("..")
    async with kept.app() as app:
        state = app.audit.state()
        assert list(state["anchors"].values()) == [state["records"]]
        assert len(plan_prune(app, YEAR_S).runs) == 1


async def test_pruning_goes_on_after_pruning(kept: Kept) -> None:
    """A second time nothing is left to do; later runs are pruned later, and all of it verifies; so does a full pack."""
    async with pruned(kept):
        again = await prune_all(kept)
        assert (again.runs, again.pack) == (0, None)
        later = await prune_all(kept, 8 * DAY_S)
        assert later.runs == 0
        await kept.run("note", 20)
        assert (await prune_all(kept, 10 * DAY_S)).runs == 1
        found = await kept.verdict()
        assert found.status == "ok"
        async with kept.app() as app:
            written, _ = await app.audit.export(kept.folder.parent / "all.pack", None, actor="ken")
        full = verify_pack(kept.folder.parent / "all.pack", key_of(kept), [kept.anchor])
        assert (full.status, full.pruned, full.records) == ("ok", found.pruned, written.size)


# --- tables that are filled anew ----------------------------------------------------------------------------------


async def test_tables_filled_anew_are_what_they_were(kept: Kept) -> None:
    """Runs that belong together by a hold go together, and none of what stays changes its meaning."""
    async with kept.app(450) as app:
        state = await app.start_run("contain", {"hostname": "pc1"}, actor="mei", mode="live")
        (hold,) = app.holds()
    async with kept.app(449) as app:
        await app.extend(hold.hold, by_s=3600, reason="more", actor="mei")
    async with kept.app(448) as app:
        undone = await app.undo(await app.plan_release([hold.hold]), actor="mei", reason="over")
        assert undone.status == "succeeded"
    await kept.run("contain", 3, hostname="pc2")
    await kept.run("note", 450)

    done = await prune_all(kept)

    assert done.runs == 4
    async with kept.app() as app:
        before = tables(app)
        assert len(before["runs"]) == 1
        assert [each.label for each in app.holds()] == ["pc2"]
        app.journal.rebuild()
        assert tables(app) == before
        assert state.run not in str(before["runs"])
    assert (await kept.verdict()).status == "ok"


@pytest.mark.parametrize("stays", ["the release", "the extension"])
async def test_runs_that_belong_together_stay_together(kept: Kept, stays: str) -> None:
    """What opened a hold is not pruned while what ended or extended it is young: the tables would forget that."""
    async with kept.app(450) as app:
        await app.start_run("contain", {"hostname": "pc1"}, actor="mei", mode="live")
        (hold,) = app.holds()
    async with kept.app(5 if stays == "the extension" else 449) as app:
        await app.extend(hold.hold, by_s=3600, reason="more", actor="mei")
    async with kept.app(4) as app:
        await app.undo(await app.plan_release([hold.hold]), actor="mei", reason="over")
    await kept.run("note", 450)

    done = await prune_all(kept)

    assert done.runs == 1
    async with kept.app() as app:
        before = tables(app)
        app.journal.rebuild()
        assert tables(app) == before
        assert app.holds() == []


async def test_an_undo_that_was_a_change_of_its_own_keeps_its_meaning(kept: Kept) -> None:
    """A playbook that lifts an isolation holds nothing; without the run that it ended it would seem to."""
    lift = "id: lift\nsteps:\n  - {id: find, action: edr.get_host, with: {name: pc1}}\n"
    lift += '  - {id: lift, action: edr.release_host, with: {host: "{{ steps.find }}", reason: over}}\n'
    (kept.folder / "playbooks" / "lift.yaml").write_text(lift, encoding="utf-8")
    await kept.run("contain", 450, hostname="pc1")
    await kept.run("lift", 2)
    async with kept.app() as app:
        assert app.holds() == []
        assert plan_prune(app, YEAR_S).runs == ()


# --- tampering ------------------------------------------------------------------------------------------------------

Tamper = Callable[[Any, str, str], None]


def remove_without_a_word(connection: Any, _: str, new: str) -> None:
    connection.execute("UPDATE records SET encoded = x'' WHERE run = ?", (new,))


def remove_one(connection: Any, _: str, new: str) -> None:
    connection.execute("UPDATE records SET encoded = x'' WHERE run = ? AND seq = 2", (new,))


def remove_and_list(connection: Any, _: str, new: str) -> None:
    """The list of the schema's speed bump is no evidence."""
    connection.execute("UPDATE records SET encoded = x'' WHERE run = ?", (new,))
    connection.execute("INSERT INTO pruned VALUES (?, 1)", (new,))


def remove_and_say(connection: Any, _: str, new: str) -> None:
    """With a record in its place at the end of the run `retention`, chained as it should be, and never signed."""
    hashes = [row[0] for row in connection.execute("SELECT hash FROM records WHERE run = ? ORDER BY seq", (new,))]
    (encoded,) = connection.execute("SELECT encoded FROM records WHERE run = 'retention'").fetchone()
    data = json.loads(encoded)["data"]
    data["runs"] = [{"run": new, "records": len(hashes), "hashes": digest_of(hashes)}]
    seq, head = connection.execute("SELECT seq, hash FROM heads WHERE run = 'retention'").fetchone()
    forged = encode_record(run=RETENTION, seq=seq + 1, at=datetime.now(UTC), kind="RunsPruned", path="", data=data)
    digest = next_hash(head, forged)
    connection.execute(
        "INSERT INTO records (run, seq, encoded, hash) VALUES (?, ?, ?, ?)", (RETENTION, seq + 1, forged, digest)
    )
    connection.execute("UPDATE heads SET seq = ?, hash = ? WHERE run = 'retention'", (seq + 1, digest))
    remove_without_a_word(connection, _, new)


def change_a_hash(connection: Any, old: str, _: str) -> None:
    connection.execute("UPDATE records SET hash = zeroblob(32) WHERE run = ? AND seq = 2", (old,))


def delete_a_leaf(connection: Any, old: str, _: str) -> None:
    connection.execute("DELETE FROM records WHERE run = ? AND seq = 2", (old,))


def take_back_the_word(connection: Any, _: str, __: str) -> None:
    connection.execute("DELETE FROM records WHERE run = 'retention'")
    connection.execute("DELETE FROM heads WHERE run = 'retention'")


def put_something_else_in(connection: Any, old: str, _: str) -> None:
    other = encode_record(run=old, seq=2, at=datetime.now(UTC), kind="Noted", path="", data={})
    connection.execute("UPDATE records SET encoded = ? WHERE run = ? AND seq = 2", (other, old))


CASES: dict[str, tuple[Tamper, str]] = {
    "bytes removed, nothing said": (remove_without_a_word, "new"),
    "bytes of one record removed": (remove_one, "new 2"),
    "bytes removed, and listed": (remove_and_list, "new"),
    "bytes removed, prune record forged": (remove_and_say, "new"),
    "the hash of a pruned record changed": (change_a_hash, "old"),
    "a pruned record removed": (delete_a_leaf, "old 2"),
    "the prune record removed": (take_back_the_word, "old"),
    "something put in the place of a pruned record": (put_something_else_in, "old 2"),
}


@pytest.mark.safety(23)
@pytest.mark.parametrize("name", CASES)
async def test_tampering_around_pruning_is_found(kept: Kept, tmp_path: Path, name: str) -> None:
    """With the key and an anchor, and the record is named; what needs no signature is found by the file alone."""
    tamper, expected = CASES[name]
    async with pruned(kept) as (old, new, _):
        with kept.tampered(tmp_path / "copy.db") as connection:
            tamper(connection, old, new)
        found = kept.judge(tmp_path / "copy.db", key_of(kept))
        run, _, seq = expected.partition(" ")

        assert found.status == "broken"
        assert found.first_bad is not None
        assert found.first_bad.run == {"old": old, "new": new}[run]
        assert not seq or found.first_bad.seq == int(seq)
        if tamper is not remove_and_say:
            assert verify(tmp_path / "copy.db").status == "broken"
        else:
            assert verify_journal(tmp_path / "copy.db", key_of(kept), []).status == "broken"


@pytest.mark.safety(23)
async def test_a_pack_that_was_changed_is_found(kept: Kept) -> None:
    """By its SHA-256 in the journal, and by what is in it; pruning does not go on from it."""
    async with pruned(kept) as (old, _, done):
        assert done.pack is not None
        content = done.pack.read_bytes()
        done.pack.write_bytes(content.replace(b"a-word-to-find", b"a-word-to-hide"))
        found = verify_pack(done.pack, key_of(kept), [kept.anchor], may_be_older=True)
        assert (found.status, found.first_bad and found.first_bad.run) == ("broken", old)


# --- stopped in between -------------------------------------------------------------------------------------------


async def test_what_was_said_and_not_done_is_done_by_the_next_call(kept: Kept) -> None:
    """An anchor that is away keeps bytes from being taken out; until then they are there, and verify."""
    old = await kept.run("note", 450)
    async with kept.app() as app:
        plan = plan_prune(app, YEAR_S)
    kept.configure("audit: {anchors: [{type: file, path: ../gone/anchor}]}\n")
    async with kept.app() as app:
        with pytest.raises(PruneRefused, match="not anchored"):
            await prune(app, plan, kept.archive, actor="ken")
    kept.configure("audit: {anchors: [{type: file, path: ../anchor}]}\n")
    async with kept.app() as app:
        assert len(list(app.journal.read(old.run))) == plan.records
        assert app.runs() == []
        assert app.verify().pruned == 0
        before = tables(app)
        app.journal.rebuild()
        assert tables(app) == before
        (pack,) = kept.archive.iterdir()
        content = pack.read_bytes()
        pack.write_bytes(content + b"x")
        with pytest.raises(PruneRefused, match="not there as it was"):
            await prune(app, plan_prune(app, YEAR_S), kept.archive, actor="ken")
        pack.write_bytes(content)

    done = await prune_all(kept)
    assert (done.runs, done.records, done.pack) == (1, plan.records, None)
    assert (await kept.verdict()).status == "ok"


async def test_others_go_on_writing_while_it_is_pruned(kept: Kept) -> None:
    """Another process appends all the time; nothing of it is lost, and what is pruned is signed and gone."""
    old = await kept.run("note", 450)
    with Operated(kept.folder).under_load():
        before = verify(kept.journal).records
        done = await prune_all(kept)

    assert (done.runs, done.pack is not None) == (1, True)
    found = await kept.verdict()
    assert found.status in ("ok", "ok_unanchored_tail")
    assert (found.problems, found.pruned) == ((), done.records)
    assert found.records > before
    async with kept.app() as app:
        with pytest.raises(JournalPruned):
            list(app.journal.read(old.run))


async def test_a_run_that_goes_on_meanwhile_is_left_alone(kept: Kept) -> None:
    """Its end is not the one that was said to be pruned, so nothing of it is taken out."""
    from hikeshi.journal.pruning import Removal

    old = await kept.run("note", 450)
    async with kept.app() as app:
        plan = plan_prune(app, YEAR_S)
        (run,) = plan.runs
        more = encode_record(run=old.run, seq=run.records + 1, at=app.clock.now(), kind="Noted", path="", data={})
        await app.journal.append(old.run, run.records + 1, [more])

        assert await app.journal.remove_bytes(Removal([run], 1)) == 0
        assert len(list(app.journal.read(old.run))) == run.records + 1


async def test_a_pack_of_one_run_beside_pruned_ones_verifies(kept: Kept, tmp_path: Path) -> None:
    """What it does not show it needs not to know."""
    async with pruned(kept) as (_, new, _done):
        write_pack(kept.journal, tmp_path / "new.pack", key_of(kept), run=new)
        found = verify_pack(tmp_path / "new.pack", key_of(kept), [kept.anchor])
        assert found.status == "ok"


async def test_what_would_change_the_tables_is_not_pruned(kept: Kept) -> None:
    """It is tried on a copy first: a rule that forgets what belongs together keeps nobody's hold from being seen."""
    async with kept.app(450) as app:
        await app.start_run("contain", {"hostname": "pc1"}, actor="mei", mode="live")
        (hold,) = app.holds()
    async with kept.app(5) as app:
        await app.extend(hold.hold, by_s=3600, reason="more", actor="mei")
    async with kept.app() as app:
        hashes = app.journal.query("SELECT hash FROM records WHERE run = ? ORDER BY seq", (hold.run,))
        forgetful = PrunePlan(
            app.clock.now(), (PrunedRun(hold.run, len(hashes), digest_of(row["hash"] for row in hashes)),)
        )
        before = app.journal.size()
        with pytest.raises(PruneRefused, match="nothing was pruned"):
            await prune(app, forgetful, kept.archive, actor="ken")
        assert app.journal.size() == before
        assert [each.name for each in kept.journal.parent.glob("rehearsal-*")] == []
        assert not kept.archive.exists()


def test_the_commands_say_what_was_pruned(kept: Kept, capsys: pytest.CaptureFixture[str]) -> None:
    """The one that prunes, and the one that verifies."""
    asyncio.run(kept.run("note", 450))
    own = ("--project", str(kept.folder))
    capsys.readouterr()

    assert run_command_line(["prune", "--older-than", "400d", "--archive", str(kept.archive), *own]) == 0
    assert capsys.readouterr().out.startswith("1 runs with ")
    assert run_command_line(["audit", "verify", *own]) == 0
    assert " of the records were pruned: their hashes are here" in capsys.readouterr().out
    assert run_command_line(["audit", "verify", "--json", *own]) == 0
    assert json.loads(capsys.readouterr().out)["pruned"] > 0
