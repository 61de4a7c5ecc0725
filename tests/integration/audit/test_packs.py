"""Packs: they verify alone, with a pinned key and nothing of the engine's, and only as long as nobody touched them."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest
from audit_archive import AT, Archive, build_now

from hikeshi.audit.errors import PackError
from hikeshi.audit.note import new_signer
from hikeshi.audit.pack import write_pack
from hikeshi.audit.verification import Verdict, verify_pack
from hikeshi.journal import SqliteJournal, encode_record

RECORDS = 120
RUN = "r-2"

Lines = dict[str, list[bytes]]


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Archive:
    """A journal of five runs."""
    return build_now(tmp_path_factory.mktemp("packs"), records=RECORDS, runs=5, every=20)


@pytest.fixture(scope="module")
def one(archive: Archive) -> Path:
    """The pack of one run."""
    pack = archive.path.with_name("one.pack")
    write_pack(archive.path, pack, archive.key, run=RUN)
    return pack


@pytest.fixture(scope="module")
def everything(archive: Archive) -> Path:
    """The pack of all runs."""
    pack = archive.path.with_name("all.pack")
    write_pack(archive.path, pack, archive.key)
    return pack


def lines_of(pack: Path) -> Lines:
    with zipfile.ZipFile(pack) as archive:
        return {name: archive.read(name).splitlines() for name in archive.namelist()}


def write(pack: Path, lines: Lines) -> Path:
    with zipfile.ZipFile(pack, "w") as archive:
        for name, each in lines.items():
            archive.writestr(name, b"".join(line + b"\n" for line in each))
    return pack


def place(found: Verdict) -> tuple[str, int, int] | None:
    bad = found.first_bad
    return None if bad is None else (bad.run, bad.seq, bad.position)


@pytest.mark.safety(24)
def test_a_pack_of_one_run_verifies_alone(archive: Archive, one: Path) -> None:
    """Of the other runs it shows which records there are, and nothing that is in them."""
    found = verify_pack(one, archive.key, [archive.anchor])
    shown = lines_of(one)["records.jsonl"]

    assert (found.status, found.scope, found.records, found.anchored_to) == ("ok", RUN, RECORDS, RECORDS)
    assert {json.loads(line)["run"] for line in shown} == {RUN}
    assert len(shown) == sum(run == RUN for run, _ in archive.places)
    assert b"Noted" not in b"".join(lines_of(one)["leaves.jsonl"])


@pytest.mark.safety(24)
def test_anchored_and_unanchored_ranges_are_told_apart(archive: Archive, everything: Path, tmp_path: Path) -> None:
    """An anchor that was last reached some time ago, and none."""
    early = tmp_path / "early"
    kept = archive.notes_only.read_text(encoding="utf-8").splitlines()[:3]
    early.write_text("\n".join(kept), encoding="utf-8")

    found = verify_pack(everything, archive.key, [early])
    alone = verify_pack(everything, archive.key)

    assert (found.status, found.signed_to, found.anchored_to) == ("ok_unanchored_tail", RECORDS, archive.sizes[2])
    assert (alone.status, alone.signed_to, alone.anchored_to) == ("ok_unanchored_tail", RECORDS, 0)


@pytest.mark.safety(24)
def test_the_command_verifies_a_pack_where_there_is_no_project(archive: Archive, one: Path, tmp_path: Path) -> None:
    """In a folder with a pack, a pinned key and what the anchor kept; the engine's database is nowhere."""
    for source, name in ((one, "pack"), (archive.anchor, "anchor")):
        (tmp_path / name).write_bytes(source.read_bytes())
    (tmp_path / "key").write_text(f"{archive.key}\n", encoding="utf-8")
    command = [sys.executable, "-m", "hikeshi.cli", "audit", "verify", "pack", "--key", "key", "--json"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}

    def run(*more: str) -> tuple[int, dict[str, object]]:
        ended = subprocess.run([*command, *more], cwd=tmp_path, env=environment, capture_output=True, check=False)
        return ended.returncode, json.loads(ended.stdout)

    code, document = run("--anchor", "anchor", "--strict")
    assert (code, document["status"], document["anchored_to"]) == (0, "ok", RECORDS)
    assert run()[0] == 0
    assert run("--strict")[0] == 7
    (tmp_path / "key").write_text(f"{new_signer(archive.key.name).verifier}\n", encoding="utf-8")
    code, document = run("--anchor", "anchor")
    assert (code, document["status"]) == (6, "wrong_key")
    assert not (tmp_path / ".hikeshi").exists()


def test_a_pack_is_the_same_bytes_each_time(archive: Archive, everything: Path, tmp_path: Path) -> None:
    """So that two people can compare what they were given."""
    again = tmp_path / "again.pack"
    write_pack(archive.path, again, archive.key)

    assert again.read_bytes() == everything.read_bytes()
    assert again.stat().st_mode & 0o777 == 0o600


def test_a_pack_is_never_written_over(archive: Archive, tmp_path: Path) -> None:
    """Nor is anything left of one that could not be written."""
    there = tmp_path / "there.pack"
    there.write_bytes(b"evidence")

    with pytest.raises(PackError, match="exists"):
        write_pack(archive.path, there, archive.key)
    with pytest.raises(PackError, match="no run 'nobody'"):
        write_pack(archive.path, tmp_path / "nobody.pack", archive.key, run="nobody")
    with pytest.raises(PackError, match="cannot be written"):
        write_pack(archive.path, tmp_path / "no" / "folder.pack", archive.key)
    assert [each.name for each in tmp_path.iterdir()] == ["there.pack"]
    assert there.read_bytes() == b"evidence"


# --- tampering


def flip(lines: list[bytes], at: int) -> None:
    changed = bytearray(lines[at])
    changed[at * 11 % len(changed)] ^= 1
    lines[at : at + 1] = bytes(changed).replace(b"\n", b"\x0c").splitlines()[:1]


def remove(lines: list[bytes], at: int) -> None:
    del lines[at]


def swap(lines: list[bytes], at: int) -> None:
    lines[at], lines[at - 1] = lines[at - 1], lines[at]


def forge(lines: list[bytes], at: int) -> None:
    lines.insert(at, lines[at].replace(b"Noted", b"Faked"))


@pytest.mark.safety(23, 24)
@pytest.mark.parametrize("tamper", [flip, remove, swap, forge])
def test_each_record_of_a_pack_is_proven(
    archive: Archive, one: Path, tmp_path: Path, tamper: Callable[[list[bytes], int], None]
) -> None:
    """The first bad one is named: by the run's chain, without any anchor."""
    count = len(lines_of(one)["records.jsonl"])
    for at in range(count):
        lines = lines_of(one)
        tamper(lines["records.jsonl"], at)
        found = verify_pack(write(tmp_path / f"{at}.pack", lines), archive.key)

        seq = 1 if tamper is swap and at == 0 else at if tamper is swap else at + 1
        assert found.status == "broken", at
        assert place(found) == (RUN, seq, archive.places.index((RUN, seq)) + 1), at


@pytest.mark.safety(23, 24)
@pytest.mark.parametrize("tamper", [flip, remove, swap])
def test_each_line_of_the_list_is_proven(
    archive: Archive, one: Path, tmp_path: Path, tamper: Callable[[list[bytes], int], None]
) -> None:
    """Also those of runs that the pack does not show: by the anchor, which lists them, too."""
    for at in range(RECORDS):
        lines = lines_of(one)
        before = list(lines["leaves.jsonl"])
        tamper(lines["leaves.jsonl"], at)
        if lines["leaves.jsonl"] == before:
            continue
        found = verify_pack(write(tmp_path / "list.pack", lines), archive.key, [archive.anchor])

        first = at - 1 if tamper is swap and at else 0 if tamper is swap else at
        # The last line is of a run that is not shown: that one is missing is known, and not of which run.
        run, seq = ("", 0) if tamper is remove and at == RECORDS - 1 else archive.places[first]
        assert (found.status, place(found)) == ("broken", (run, seq, first + 1)), at


def cut(lines: Lines, keep: int, run: str | None) -> None:
    """Make the pack one of an earlier moment: list, records, checkpoints, proofs and manifest fit each other."""
    lines["leaves.jsonl"] = lines["leaves.jsonl"][:keep]
    shown = [line for line in lines["leaves.jsonl"] if run is None or json.loads(line)[0] == run]
    lines["records.jsonl"] = lines["records.jsonl"][: len(shown)]
    lines["checkpoints.jsonl"] = [each for each in lines["checkpoints.jsonl"] if json.loads(each)["size"] <= keep]
    lines["proofs.jsonl"] = []
    manifest = json.loads(b"".join(lines["manifest.json"]))
    lines["manifest.json"] = [json.dumps({**manifest, "size": keep, "records": len(shown)}).encode()]


@pytest.mark.safety(23, 24)
def test_a_cut_tail_is_found_by_a_newer_anchor(archive: Archive, everything: Path, tmp_path: Path) -> None:
    """However many records are left, and none."""
    for keep in range(RECORDS):
        lines = lines_of(everything)
        cut(lines, keep, None)
        found = verify_pack(write(tmp_path / "cut.pack", lines), archive.key, [archive.anchor])

        assert (found.status, place(found)) == ("broken", (*archive.places[keep], keep + 1)), keep


@pytest.mark.safety(23, 24)
def test_a_run_whose_end_was_cut_is_found_by_the_list_of_an_anchor(archive: Archive, one: Path, tmp_path: Path) -> None:
    """What other runs did afterwards is no matter: only that this one went on."""
    last = max(at for at, each in enumerate(archive.places, 1) if each[0] == RUN)
    for keep in range(1, RECORDS):
        lines = lines_of(one)
        cut(lines, keep, RUN)
        found = verify_pack(write(tmp_path / "cut.pack", lines), archive.key, [archive.anchor])

        shown = len(lines["records.jsonl"])
        if keep >= last:
            assert found.status != "broken", keep
        elif shown:
            assert (found.status, place(found)) == (
                "broken",
                (RUN, shown + 1, archive.places.index((RUN, shown + 1)) + 1),
            ), keep


def test_an_older_pack_is_accepted_if_one_says_that_it_is_one(
    archive: Archive, everything: Path, tmp_path: Path
) -> None:
    """Anchors go on; a pack that was exported last month does not."""
    lines = lines_of(everything)
    size = archive.sizes[1]
    cut(lines, size, None)
    older = write(tmp_path / "older.pack", lines)

    assert verify_pack(older, archive.key, [archive.notes_only]).status == "broken"
    assert verify_pack(older, archive.key, [archive.notes_only], may_be_older=True).status == "ok"


def test_checkpoints_that_were_removed_or_changed_prove_nothing(
    archive: Archive, everything: Path, tmp_path: Path
) -> None:
    """Without them nothing is signed; a changed one is no checkpoint; the anchor's own suffice."""
    lines = lines_of(everything)
    notes = lines["checkpoints.jsonl"]
    lines["checkpoints.jsonl"] = []
    unsigned = write(tmp_path / "unsigned.pack", lines)
    lines["checkpoints.jsonl"] = [*notes[:-1], notes[-1].replace(b"\\n120\\n", b"\\n121\\n")]
    changed = write(tmp_path / "changed.pack", lines)

    found = verify_pack(unsigned, archive.key)
    assert (found.status, found.signed_to) == ("ok_unanchored_tail", 0)
    assert verify_pack(unsigned, archive.key, [archive.anchor]).status == "ok"
    assert notes[-1] != lines["checkpoints.jsonl"][-1]
    assert verify_pack(changed, archive.key).status == "broken"


def test_a_false_proof_is_found(archive: Archive, one: Path, tmp_path: Path) -> None:
    """Also when everything else is right: somebody may rely on the proof alone."""
    lines = lines_of(one)
    proofs = [json.loads(line) for line in lines["proofs.jsonl"]]
    for at, proof in enumerate(proofs):
        if not proof["hashes"]:
            continue
        hashes = ["00" * 32, *proof["hashes"][1:]]
        lines["proofs.jsonl"] = [
            json.dumps({**each, "hashes": hashes} if number == at else each).encode()
            for number, each in enumerate(proofs)
        ]
        found = verify_pack(write(tmp_path / "false.pack", lines), archive.key)
        assert found.status == "broken", proof
    assert {"old", "run"} <= {key for proof in proofs for key in proof}


def test_large_values_are_in_the_pack_and_proven(tmp_path: Path) -> None:
    """One that is another, or gone, is found; those of other runs are not shown."""
    content, other = b"x" * 100_000, b"y" * 100_000
    digests = [sha256(each).hexdigest() for each in (content, other)]

    async def fill() -> None:
        journal = SqliteJournal.open(tmp_path / "journal.db")
        for run, digest, each in zip("ab", digests, (content, other), strict=True):
            record = encode_record(run=run, seq=1, at=AT, kind="Noted", path="", data={"large": digest})
            await journal.append(run, 1, [record], blobs={digest: each})
        journal.close()

    asyncio.run(fill())
    key = new_signer("log").verifier
    pack = tmp_path / "a.pack"
    write_pack(tmp_path / "journal.db", pack, key, run="a")
    with zipfile.ZipFile(pack) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}

    assert [name for name in parts if name.startswith("blobs/")] == [f"blobs/{digests[0]}"]
    assert verify_pack(pack, key).status == "ok_unanchored_tail"
    for changed in ({f"blobs/{digests[0]}": other}, {f"blobs/{digests[0]}": None}):
        with zipfile.ZipFile(tmp_path / "changed.pack", "w") as archive:
            for name, each in {**parts, **changed}.items():
                if each is not None:
                    archive.writestr(name, each)
        assert verify_pack(tmp_path / "changed.pack", key).status == "broken"


@pytest.mark.parametrize(
    "content",
    [b"", b"PK", b"not a pack at all", b"SQLite format 3\0" + bytes(100)],
)
def test_a_file_that_is_no_pack_is_refused(archive: Archive, tmp_path: Path, content: bytes) -> None:
    """With what to do."""
    path = tmp_path / "pack"
    path.write_bytes(content)

    with pytest.raises(PackError, match="not a pack"):
        verify_pack(path, archive.key)
    with pytest.raises(PackError, match="cannot be read"):
        verify_pack(tmp_path / "missing", archive.key)


@pytest.mark.parametrize("missing", ["manifest.json", "leaves.jsonl", "records.jsonl", "checkpoints.jsonl"])
def test_a_pack_that_lacks_a_part_is_refused(archive: Archive, one: Path, tmp_path: Path, missing: str) -> None:
    """A part that is gone is never an empty one."""
    lines = lines_of(one)
    del lines[missing]

    with pytest.raises(PackError, match="not a pack"):
        verify_pack(write(tmp_path / "pack", lines), archive.key)


def test_a_pack_that_was_cut_or_damaged_as_a_file_never_verifies(archive: Archive, one: Path, tmp_path: Path) -> None:
    """At every kilobyte: the end is gone, or a byte is another."""
    content = one.read_bytes()
    path = tmp_path / "pack"
    for at in range(0, len(content), 1024):
        path.write_bytes(content[:at])
        with pytest.raises(PackError):
            verify_pack(path, archive.key, [archive.anchor])


def test_a_pack_that_somebody_has_compressed_still_verifies(archive: Archive, one: Path, tmp_path: Path) -> None:
    """The archive is only the envelope."""
    path = tmp_path / "compressed.pack"
    with zipfile.ZipFile(one) as reads, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as writes:
        for name in reads.namelist():
            writes.writestr(name, reads.read(name))

    assert path.stat().st_size < one.stat().st_size
    assert verify_pack(path, archive.key, [archive.anchor]).status == "ok"
