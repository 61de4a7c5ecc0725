"""Exit codes are a promise to scripts."""

from pathlib import Path

import pytest

from hikeshi.cli.exit_codes import MEANINGS, ExitCode, of_run

STEP = {"status": "failed", "attempts": 1}


@pytest.mark.parametrize(
    ("report", "code"),
    [
        ({"status": "succeeded", "unknown": [], "steps": {}}, 0),
        ({"status": "failed", "unknown": [], "steps": {"a": {**STEP, "error": {"kind": "forbidden"}}}}, 1),
        ({"status": "cancelled", "unknown": [], "steps": {}}, 1),
        ({"status": "failed", "unknown": [], "steps": {"a": {**STEP, "error": {"kind": "route_refused"}}}}, 3),
        ({"status": "failed", "unknown": [], "steps": {}, "error": {"kind": "conflict"}}, 3),
        (
            {"status": "failed", "unknown": [], "steps": {"a": {**STEP, "error": None}}, "error": {"kind": "conflict"}},
            1,
        ),
        ({"status": "waiting", "unknown": [], "steps": {}}, 4),
        ({"status": "waiting", "unknown": ["a"], "steps": {}}, 5),
        ({"status": "succeeded"}, 0),
        ({"status": "failed"}, 1),
    ],
)
def test_how_a_run_ended_decides_its_exit_code(report: dict[str, object], code: int) -> None:
    """An unknown outcome comes before everything else; a plan has no steps."""
    assert of_run(report) == code


def test_every_exit_code_has_a_meaning_and_is_documented() -> None:
    """In the help by construction, and in the documentation by this test."""
    assert set(MEANINGS) == set(ExitCode)
    documented = (Path(__file__).parents[3] / "docs" / "cli.md").read_text(encoding="utf-8")
    assert all(f"| {code.value} |" in documented for code in ExitCode)
