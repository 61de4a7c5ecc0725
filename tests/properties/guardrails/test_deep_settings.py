"""Settings that are nested absurdly deep. Reading them takes seconds, so this is none of the unit tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from hikeshi.guardrails import Code, Names
from hikeshi.project.guardrails import load_guardrails


@pytest.mark.safety(13)
def test_settings_that_are_nested_too_deep_refuse_every_change(tmp_path: Path) -> None:
    """They are no valid YAML to us, and what can't be read may be the rule that matters."""
    (tmp_path / "hikeshi.yaml").write_text("[" * 1500, encoding="utf-8")

    rules = load_guardrails(tmp_path)

    assert "no valid YAML" in rules.broken_because
    refusal = rules.verdict("edr.isolate_host", Names.of("anything"))
    assert refusal is not None
    assert refusal.code is Code.UNREADABLE
    assert refusal.rule == "hikeshi.yaml"
