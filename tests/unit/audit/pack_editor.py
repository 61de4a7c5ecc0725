"""Packs that somebody has edited."""

from __future__ import annotations

import asyncio
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hikeshi.audit.anchors import FileAnchor
from hikeshi.audit.checkpoint import CheckpointMaker
from hikeshi.audit.delivery import Delivery
from hikeshi.audit.errors import PackError
from hikeshi.audit.keys import key_to_sign
from hikeshi.audit.note import VerifierKey
from hikeshi.audit.pack import write_pack
from hikeshi.audit.verification import Verdict, verify_pack

Lines = dict[str, list[bytes]]
Edit = Callable[[Lines], Any]


class Pack:
    """A pack of run b, out of five records of two runs with two checkpoints; each edit is of a copy."""

    def __init__(self, log: Any, now: Any, folder: Path) -> None:
        self.path, self.anchor, self._edited = folder / "pack", folder / "anchor", folder / "edited"
        asyncio.run(self._fill(log, now))
        self.key: VerifierKey = key_to_sign(log.folder).verifier
        write_pack(log.path, self.path, self.key, run="b")
        with zipfile.ZipFile(self.path) as archive:
            self.lines: Lines = {name: archive.read(name).splitlines() for name in archive.namelist()}

    async def _fill(self, log: Any, now: Any) -> None:
        for run, count in (("a", 1), ("b", 2), ("a", 1), ("b", 1)):
            await log.add(run, count)
            await CheckpointMaker(log.journal, log.folder, now).make()
            await Delivery(log.journal, [FileAnchor(self.anchor)], now).send()

    def edited(self, edit: Edit) -> Path:
        lines = {name: list(each) for name, each in self.lines.items()}
        edit(lines)
        with zipfile.ZipFile(self._edited, "w") as archive:
            for name, each in lines.items():
                archive.writestr(name, b"".join(line + b"\n" for line in each))
        return self._edited

    def judged(self, edit: Edit, *anchors: Path) -> Verdict:
        return verify_pack(self.edited(edit), self.key, anchors)

    def refused(self, edit: Edit) -> str:
        with pytest.raises(PackError) as caught:
            self.judged(edit)
        return str(caught.value)


def said(found: Verdict) -> list[str]:
    return [f"{each.run} {each.seq} {each.position} {each.what}" for each in found.problems]


def manifest(**changes: Any) -> Edit:
    def edit(lines: Lines) -> None:
        document = {**json.loads(b"".join(lines["manifest.json"])), **changes}
        lines["manifest.json"] = [json.dumps(document).encode()]

    return edit
