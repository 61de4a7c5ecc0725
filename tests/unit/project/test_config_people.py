"""`people` in hikeshi.yaml: who they are, and every way to write it wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from hikeshi.project import Person, ProjectError, load_config


def problems(folder: Path, text: str) -> list[str]:
    """Return the problems of a hikeshi.yaml as `line:column: message`."""
    path = folder / "hikeshi.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ProjectError) as raised:
        load_config(folder)
    return [problem.removeprefix(f"{path}:") for problem in raised.value.problems]


def test_people_are_known_by_id_and_by_login(tmp_path: Path) -> None:
    """What is left out comes from the ID."""
    (tmp_path / "hikeshi.yaml").write_text(
        "people:\n  mei: {login: mkobayashi, name: Mei Kobayashi, roles: [soc_lead, analyst]}\n  ken: {}\n  root:\n",
        encoding="utf-8",
    )

    config = load_config(tmp_path)

    assert list(config.people) == ["mei", "ken", "root"]
    assert config.people["mei"] == Person("mei", "mkobayashi", "Mei Kobayashi", ("soc_lead", "analyst"))
    assert config.people["ken"] == Person("ken", "ken", "ken", ())
    assert config.person_of("mkobayashi") is config.people["mei"]
    assert config.person_of("root") is config.people["root"]
    assert config.person_of("mei") is None


@pytest.mark.parametrize("text", ["", "connectors: {}\n", "people:\n", "people: {}\n"])
def test_a_project_may_have_no_people(tmp_path: Path, text: str) -> None:
    """Nobody is there then."""
    (tmp_path / "hikeshi.yaml").write_text(text, encoding="utf-8")

    config = load_config(tmp_path)

    assert config.people == {}
    assert config.person_of("root") is None


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("people: [mei]", "1:1: 'people' is a map from the ID of a person to {login:"),
        ("peple: {}", "1:1: unknown key 'peple'; did you mean 'people'?"),
        ("people:\n  Mei: {}", "2:3: 'Mei' cannot be the ID of a person; use a-z, 0-9, '_' and '-'"),
        ("people:\n  7: {}", "2:3: 7 cannot be the ID of a person"),
        ("people:\n  mei: mkobayashi", "2:3: 'mei' needs a map, such as {login:"),
        ("people:\n  mei: {logn: m}", "2:9: unknown key 'logn'; did you mean 'login'?"),
        ("people:\n  mei: {login: 7}", "2:9: 'login' of 'mei' is text, and this is 7"),
        ("people:\n  mei: {login: ' '}", "2:9: 'login' of 'mei' is text, and this is ' '"),
        ("people:\n  mei: {name: [a]}", "2:9: 'name' of 'mei' is text, and this is ['a']"),
        ("people:\n  mei: {roles: soc_lead}", "2:9: 'roles' of 'mei' is a list of names"),
        ("people:\n  mei: {roles: [7]}", "2:9: 'roles' of 'mei' is a list of names"),
        ("people:\n  mei: {roles: ['role:soc_lead']}", "playbooks put 'role:' before them"),
        ("people:\n  mei: {login: m}\n  ken: {login: m}", "3:9: the login 'm' of 'ken' means 'mei' already"),
        ("people:\n  mei: {login: ken}\n  ken: {}", "2:9: the login 'ken' of 'mei' means 'ken' already"),
        ("people:\n  ken: {login: k}\n  mei: {login: ken}", "3:9: the login 'ken' of 'mei' means 'ken' already"),
    ],
)
def test_each_mistake_is_named_at_its_place(tmp_path: Path, line: str, expected: str) -> None:
    """One mistake is one problem, with line and column."""
    found = problems(tmp_path, line + "\n")

    assert len(found) == 1
    assert expected in found[0]


def test_all_mistakes_come_in_one_pass(tmp_path: Path) -> None:
    """People are read even if something before them is wrong."""
    text = "connectors: []\npeople:\n  mei: {logn: x, roles: a}\n  Ken: {}\n"

    assert [problem.split(": ")[0] for problem in problems(tmp_path, text)] == ["1:1", "3:9", "3:18", "4:3"]
