"""A project in which the tester is a lead, as mei is."""

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))  # tests are no package, and several of these sit at the same desk

from cli_desk import ASKS, FORM, KEN_DECIDES, LISTENS, NAPS, PEOPLE, Desk


@pytest.fixture
def desk(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Desk:
    """A project without connectors, its commands, and the other people who work there."""
    (tmp_path / "playbooks").mkdir()
    (tmp_path / "hikeshi.yaml").write_text(PEOPLE, encoding="utf-8")
    made = Desk(tmp_path, capsys)
    for text in (ASKS, FORM, KEN_DECIDES, NAPS, LISTENS):
        made.add_playbook(text)
    return made
