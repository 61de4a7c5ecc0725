"""Reading packs. Everything in one is evidence that somebody may have edited, or made up."""

from __future__ import annotations

import base64
import json
import lzma
import os
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from hikeshi.audit.errors import PackError
from hikeshi.audit.leaf import leaf_of
from hikeshi.audit.merkle import inclusion_holds, prefix_holds
from hikeshi.audit.pack import FORMAT, FORMAT_OF_SEVERAL
from hikeshi.journal.examination import HIDDEN, BadRecord, Examination, Row

__all__ = ["PackReader"]

_CHUNK_BYTES: Final = 1024 * 1024
_MOST_HELD_BYTES: Final = 64 * 1024 * 1024  # of a line, or of the manifest; all else is read piece by piece
_DECODER: Final = json.JSONDecoder()
_LENGTHS_AT: Final = 26  # in the header before each file: how long its name and its extra fields are
# What the ways of packing raise where the bytes are damaged; OSError is bzip2's.
_NOT_UNPACKED: Final = (zlib.error, lzma.LZMAError, OSError, EOFError, NotImplementedError, RuntimeError)
_NO_RECORD: Final = (b"", 0, None)
_NOT_A_PACK: Final = "Get it anew from whoever exported it: hikeshi audit export"


class PackReader:
    """An opened pack; use it as a context. Raises PackError where it is not one; what is wrong in it is judged."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._where = str(path)
        try:
            self._archive = zipfile.ZipFile(path)
        except OSError as exc:
            raise PackError(f"The pack cannot be read: {exc.strerror}", self._where, "Check the path") from exc
        except zipfile.BadZipFile as exc:
            raise self._no_pack("it is not a ZIP file, or was cut") from exc
        names = self._archive.namelist()
        self._names = frozenset(names)
        if len(self._names) != len(names):
            raise self._no_pack("it holds two files of one name")
        self._manifest = self._read_manifest()
        self.run: str | None = self._manifest["run"]
        self._shown = self._shown_runs()
        self._last: dict[bytes, tuple[tuple[int, int], bytes]] = {}  # place and hash of each run's last record shown

    def __enter__(self) -> PackReader:
        return self

    def __exit__(self, *_: object) -> None:
        self._archive.close()

    def notes(self) -> list[tuple[int, Any]]:
        """Return the checkpoints in the pack: their sizes and notes, whatever is in them."""
        found = (each for each in self._documents("checkpoints.jsonl") if isinstance(each, dict))
        return [(each["size"], each.get("note")) for each in found if type(each.get("size")) is int]

    def key_statements(self) -> list[tuple[int, str]]:
        """Return the statements about changes of keys, by the number of their record."""
        found = (each for each in self._documents("keys.jsonl") if isinstance(each, dict))
        return [
            (each["seq"], each["statement"])
            for each in found
            if type(each.get("seq")) is int and isinstance(each.get("statement"), str)
        ]

    def examined(self, watch: Callable[[Iterable[Row]], Iterable[Row]], roots: Mapping[int, bytes]) -> Examination:
        """Return what is found in the records, the blobs and the proofs. `roots` are the believed ones by size."""
        found = Examination()
        lines = self._lines("records.jsonl")
        found.see(watch(self._rows(lines)))
        left_over = sum(1 for _ in lines)
        if left_over:
            found.problems.append(BadRecord("", 0, f"{left_over} records stand behind the last one of the pack", 0))
        size = self._manifest["size"]
        if size > found.records:
            what = f"is missing: the pack was made of {size} records, and lists {found.records}"
            found.problems.append(BadRecord("", 0, what, found.records + 1))
        elif size < found.records:
            what = f"was added: the pack was made of {size} records, and lists {found.records}"
            found.problems.append(BadRecord("", 0, what, size + 1))
        for run in sorted((self._shown or frozenset()) - found.runs.keys()):
            found.problems.append(BadRecord(run.decode(), 1, "is missing: the pack shows nothing of its run", 0))
        found.check_bare()
        found.problems += [*self._bad_blobs(), *self._bad_proofs(roots)]
        return found

    def _rows(self, lines: Iterator[bytes]) -> Iterator[Row]:
        shown = self._shown
        for number, line in enumerate(self._lines("leaves.jsonl"), 1):
            run, seq, digest = _leaf(line)
            if shown is not None and run not in shown:
                yield number, run, seq, HIDDEN, digest
                continue
            if digest is not None:
                self._last[run] = (number, seq), digest
            yield number, run, seq, _record(next(lines, None)), digest

    def _bad_blobs(self) -> Iterator[BadRecord]:
        for name in self._manifest["blobs"]:
            try:
                content = b"".join(self._chunks(self._archive.getinfo(f"blobs/{name}")))
            except KeyError:
                yield BadRecord("", 0, f"the blob {name} is missing")
                continue
            if sha256(content).hexdigest() != name:
                yield BadRecord("", 0, f"the blob {name} is not the one that was stored")

    def _bad_proofs(self, roots: Mapping[int, bytes]) -> Iterator[BadRecord]:
        """Try the proofs that are about believed checkpoints; those about others prove nothing, and do no harm."""
        for proof in self._documents("proofs.jsonl"):
            try:
                problem = self._problem_of(proof, roots)
            except (KeyError, TypeError, ValueError):
                problem = BadRecord("", 0, "a proof in the pack cannot be read")
            if problem is not None:
                yield problem

    def _problem_of(self, proof: Any, roots: Mapping[int, bytes]) -> BadRecord | None:
        hashes = [bytes.fromhex(each) for each in proof["hashes"]]
        if "old" in proof:
            old, new = int(proof["old"]), int(proof["new"])
            if old in roots and new in roots and not prefix_holds(old, roots[old], new, roots[new], hashes):
                return BadRecord("", 0, f"checkpoint {new} does not go on from checkpoint {old}")
            return None
        run, seq, position, size = str(proof["run"]), int(proof["seq"]), int(proof["position"]), int(proof["size"])
        place, digest = self._last.get(run.encode(), (None, b""))
        if size not in roots:
            return None
        is_there = place == (position, seq)
        leaf = leaf_of(run.encode(), seq, digest) if is_there else b""
        if not is_there or not inclusion_holds(leaf, position - 1, size, hashes, roots[size]):
            what = f"its proof does not lead to the checkpoint over {size} records"
            return BadRecord(run, seq, what, position if is_there else 0)
        return None

    def _shown_runs(self) -> frozenset[bytes] | None:
        """Return the runs whose records are in the pack, or None for all of them."""
        if self.run is not None:
            return frozenset({self.run.encode()})
        runs = self._manifest.get("runs")
        if self._manifest["format"] == FORMAT:
            return None
        if not isinstance(runs, list) or not all(isinstance(each, str) for each in runs):
            raise self._no_pack("its manifest lacks runs")
        return frozenset(each.encode() for each in runs)

    def _read_manifest(self) -> dict[str, Any]:
        try:
            if self._archive.getinfo("manifest.json").file_size > _MOST_HELD_BYTES:
                raise self._no_pack("its manifest is too large")
            manifest = json.loads(self._archive.read("manifest.json"))
        except (KeyError, ValueError, zipfile.BadZipFile, *_NOT_UNPACKED) as exc:
            raise self._no_pack("it has no manifest that can be read") from exc
        if not isinstance(manifest, dict) or manifest.get("format") not in (FORMAT, FORMAT_OF_SEVERAL):
            raise self._no_pack(f"its format is neither {FORMAT!r} nor {FORMAT_OF_SEVERAL!r}")
        run, blobs = manifest.get("run"), manifest.get("blobs")
        if type(manifest.get("size")) is not int or not (run is None or isinstance(run, str)):
            raise self._no_pack("its manifest lacks size or run")
        if not isinstance(blobs, list) or not all(isinstance(each, str) for each in blobs):
            raise self._no_pack("its manifest lacks blobs")
        return manifest

    def _documents(self, name: str) -> Iterator[Any]:
        for line in self._lines(name):
            try:
                yield json.loads(line)
            except (ValueError, RecursionError):
                continue

    def _lines(self, name: str) -> Iterator[bytes]:
        if name not in self._names:
            raise self._no_pack(f"{name} is missing in it")
        rest = b""
        for chunk in self._chunks(self._archive.getinfo(name)):
            *lines, rest = (rest + chunk).split(b"\n")
            yield from lines
            if len(rest) > _MOST_HELD_BYTES:
                raise self._no_pack(f"{name} has a line that is too long")
        if rest:
            yield rest

    def _chunks(self, entry: zipfile.ZipInfo) -> Iterator[bytes]:
        """Give a file's bytes, whatever the archive's own sums say: which record was altered, the chain says better."""
        if entry.compress_type != zipfile.ZIP_STORED:  # somebody has packed it anew
            try:
                with self._archive.open(entry) as packed:
                    while chunk := packed.read(_CHUNK_BYTES):
                        yield chunk
            except (zipfile.BadZipFile, *_NOT_UNPACKED) as exc:
                raise self._no_pack(f"{entry.filename} cannot be unpacked") from exc
            return
        with self._path.open("rb") as file:
            file.seek(entry.header_offset + _LENGTHS_AT)
            lengths = file.read(4)
            if len(lengths) < 4:
                raise self._no_pack(f"{entry.filename} is not where it should be")
            file.seek(sum(struct.unpack("<HH", lengths)), os.SEEK_CUR)
            left = entry.file_size
            while chunk := file.read(min(left, _CHUNK_BYTES)):
                left -= len(chunk)
                yield chunk

    def _no_pack(self, why: str) -> PackError:
        return PackError(f"This is not a pack that can be verified: {why}", self._where, _NOT_A_PACK)


def _leaf(line: bytes) -> tuple[bytes, Any, Any]:
    try:
        (run, seq, digest), _ = _DECODER.raw_decode(line.decode())
        found = run.encode(), seq, bytes.fromhex(digest)
    except (ValueError, TypeError, AttributeError, RecursionError):
        return _NO_RECORD
    return found if type(seq) is int and 0 < seq < 2**63 else _NO_RECORD


def _record(line: bytes | None) -> bytes | None:
    if line is None or not line.startswith(b"!"):
        return line
    try:
        return base64.b64decode(line[1:])
    except ValueError:
        return None
