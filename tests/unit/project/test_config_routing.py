"""`tags` of connectors and `routing` of hikeshi.yaml."""

from pathlib import Path

import pytest

from hikeshi.project import ProjectError, load_config

CONNECTORS = """
connectors:
  fw_hq: {product: panos, base_url: https://fw1.example}
  fw_plant: {product: panos, base_url: https://fw2.example, tags: [plant, japan]}
  fw_dock: {product: panos, base_url: https://fw3.example, tags: plant}
"""


def write(folder: Path, more: str) -> Path:
    (folder / "hikeshi.yaml").write_text(CONNECTORS + more)
    return folder


def problems(folder: Path, more: str) -> list[str]:
    with pytest.raises(ProjectError) as caught:
        load_config(write(folder, more))
    return [text.partition("hikeshi.yaml")[2] for text in caught.value.problems]


def test_rules_name_connectors_and_tags(tmp_path: Path) -> None:
    """A tag stands for its connectors, each once; tags are no settings of the product."""
    config = load_config(
        write(
            tmp_path,
            "routing: {firewall: [{networks: 10.1.0.0/16, names: ['*.p.example'], to: ['tag:plant', fw_hq, fw_dock]}]}",
        )
    )

    (rule,) = config.routing["firewall"]
    assert rule.networks == ("10.1.0.0/16",)
    assert rule.names == ("*.p.example",)
    assert rule.to == ("fw_plant", "fw_dock", "fw_hq")
    assert config.tags == {"fw_hq": (), "fw_plant": ("plant", "japan"), "fw_dock": ("plant",)}
    assert "tags" not in config.connectors["fw_plant"]


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ("routing: [fw_hq]", ":6:1: 'routing' is a map from a capability to a list of rules"),
        ("routing: {firewall: {to: fw_hq}}", ":6:11: needs a list of rules"),
        (
            "routing: {firewall: [{networks: 10.1.0.0/16, to: [fw_plan]}]}",
            "no connector or tag 'fw_plan'; did you mean",
        ),
        ("routing: {firewall: [{networks: 10.1.0.0/16, to: ['tag:plants']}]}", "did you mean 'tag:plant'?"),
        ("routing: {firewall: [{networks: 10.1.0.7/16, to: fw_hq}]}", "'10.1.0.7/16' is no network"),
        ("routing: {firewall: [{networks: 10.1.0.0/16}]}", "a rule needs 'to'"),
        ("routing: {firewall: [{to: fw_hq}]}", "a rule needs 'networks' or 'names'"),
        ("routing: {firewall: [{network: 10.1.0.0/16, to: fw_hq}]}", "unknown key 'network'; did you mean 'networks'?"),
        ("routing: {firewall: [{names: [7], to: fw_hq}]}", "'names' is a text or a list of texts"),
    ],
)
def test_a_rule_that_is_written_wrong_is_told(tmp_path: Path, more: str, told: str) -> None:
    """Where it is, what it is, and what was perhaps meant."""
    assert any(told in problem for problem in problems(tmp_path, more))


def test_tags_are_words(tmp_path: Path) -> None:
    """A tag with a space could not be named in a rule."""
    text = "  other: {product: panos, base_url: https://fw4.example, tags: [two words]}\n"

    assert any("'tags' is a word or a list of words" in problem for problem in problems(tmp_path, text))
