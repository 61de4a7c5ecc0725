"""The JSON Schema of playbooks."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from hikeshi.playbook import playbook_schema
from hikeshi.playbook.parse_report import to_plain
from hikeshi.playbook.yaml_tree import parse_yaml

ROOT = Path(__file__).resolve().parents[3]


def test_the_committed_schema_is_the_one_that_the_parsers_tables_give() -> None:
    """To write it anew: python -m hikeshi.playbook.schema > schemas/playbook.schema.json"""
    committed = json.loads((ROOT / "schemas" / "playbook.schema.json").read_text())

    assert committed == playbook_schema()


def test_every_reference_of_the_schema_leads_somewhere() -> None:
    """An editor would ignore it otherwise, in silence."""
    schema = playbook_schema()

    references = set(re.findall(r'"#/\$defs/(\w+)"', json.dumps(schema)))

    assert references
    assert references <= set(schema["$defs"])


def test_what_ships_and_what_is_documented_fits_the_schema() -> None:
    """Only where a validator is installed."""
    jsonschema = pytest.importorskip("jsonschema")
    validator = jsonschema.Draft202012Validator(playbook_schema())
    jsonschema.Draft202012Validator.check_schema(playbook_schema())
    examples = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs" / "language.md").read_text(), re.DOTALL)
    shipped = [path.read_text() for path in (ROOT / "playbooks").glob("*.yaml") if ".test." not in path.name]

    for text in [*examples, *shipped]:
        node, _ = parse_yaml(text)
        assert node is not None
        assert [error.message for error in validator.iter_errors(to_plain(node))] == []
