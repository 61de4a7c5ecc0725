"""Playbooks in folders."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from hikeshi.capabilities import BUILT_IN, Catalogue
from hikeshi.playbook import Library, NotLoadable, UnknownPlaybook, check_folder
from hikeshi.playbook.library import read_playbook, shipped_folder

STEP = "steps: [{action: edr.list_alerts}]\n"


def catalogue() -> Catalogue:
    found = Catalogue()
    for capability in BUILT_IN:
        found.add(capability.specs())
    return found


def write(folder: Path, **texts: str) -> Path:
    folder.mkdir(exist_ok=True)
    for name, text in texts.items():
        (folder / f"{name}.yaml").write_text(text)
    return folder


def test_one_pass_reports_every_file_of_a_folder(tmp_path: Path) -> None:
    """Bad YAML in one file hides nothing in the others; each problem has file, line, column and a suggestion."""
    folder = write(
        tmp_path / "playbooks",
        cycle="id: cycle\nsteps:\n  - {id: a, action: edr.list_alerts, needs: [b]}\n"
        "  - {id: b, action: edr.list_alerts}\n",
        misspelt="id: misspelt\nsevrity: high\n" + STEP,
        reference="id: reference\nsteps:\n  - {id: find, action: edr.get_host, with: {name: x}}\n"
        '  - {action: messaging.post, with: {channel: c, text: "{{ steps.fnd.name }}"}}\n',
        twice="id: twice\nsteps:\n  - {id: a, action: edr.list_alerts}\n  - {id: a, action: edr.list_alerts}\n",
        types="id: types\nsteps:\n  - {action: edr.list_alerts, with: {severity: hihg}}\n",
        yaml="id: yaml\nsteps:\n  - action: edr.list_alerts\n   with: {}\n",
        good="id: good\n" + STEP,
    )

    problems = check_folder([folder], catalogue())

    found = [(Path(item.position.file).stem, item.position.line, item.position.column, item.code) for item in problems]
    assert found == [
        ("cycle", 3, 46, "cycle"),
        ("misspelt", 2, 1, "unknown-key"),
        ("reference", 4, 59, "unknown-step"),
        ("twice", 4, 10, "duplicate-id"),
        ("types", 3, 48, "wrong-argument"),
        ("yaml", 4, 4, "yaml-syntax"),
    ]
    assert [item.suggestion for item in problems] == [None, "severity", "find", None, "high", None]
    assert str(problems[1]) == f"{folder}/misspelt.yaml:2:1: a playbook has no key 'sevrity'; did you mean 'severity'?"


def test_playbooks_are_found_by_their_id_not_their_file(tmp_path: Path) -> None:
    """Sub-folders are searched; tests, hidden folders and other files are left out."""
    folder = write(tmp_path, a="id: 'first-one'  # comment\n" + STEP)
    write(tmp_path / "deep", b='name: B\nid: "second"\n' + STEP)
    write(tmp_path / ".git", c="id: hidden\n" + STEP)
    (tmp_path / "a.test.yaml").write_text("id: tests\n")
    (tmp_path / "notes.txt").write_text("id: notes\n")
    (tmp_path / "d.yml").write_text("{id: flow-style, " + STEP.strip() + "}")
    library = Library([folder])

    assert library.ids() == ["first-one", "flow-style", "second"]
    assert library.load("second").name == "B"


def test_an_unknown_id_comes_with_the_nearest_one(tmp_path: Path) -> None:
    """The error says where was looked."""
    library = Library([write(tmp_path, a="id: isolate-host\n" + STEP)])

    with pytest.raises(UnknownPlaybook, match="did you mean 'isolate-host'") as caught:
        library.load("isolate-hots")

    assert str(tmp_path) in str(caught.value)
    assert library.playbook("isolate-hots") is None


def test_a_playbook_with_problems_does_not_load(tmp_path: Path) -> None:
    """The error has all of them."""
    library = Library([write(tmp_path, a="id: a\nnmae: x\nsteps: []\n")])

    with pytest.raises(NotLoadable) as caught:
        library.load("a")

    assert [problem.code for problem in caught.value.problems] == ["unknown-key", "empty-list"]
    assert library.playbook("a") is None


def test_a_projects_own_playbook_takes_the_place_of_a_shipped_one(tmp_path: Path) -> None:
    """The earlier folder wins, and the listing says so."""
    own = write(tmp_path / "own", mine="id: a\nname: own\n" + STEP)
    shipped = write(tmp_path / "shipped", theirs="id: a\nname: shipped\n" + STEP, other="id: b\n" + STEP)
    library = Library([own, shipped])

    assert library.load("a").name == "own"
    assert library.files["a"].overrides == (shipped / "theirs.yaml",)
    assert library.ids() == ["a", "b"]


def test_two_playbooks_of_one_id_in_a_folder_are_refused(tmp_path: Path) -> None:
    """Neither runs, and both files are named."""
    folder = write(tmp_path, one="id: same\n" + STEP, two="id: same\n" + STEP)

    with pytest.raises(NotLoadable, match="given twice"):
        Library([folder]).load("same")
    problems = check_folder([folder], catalogue())
    assert [(problem.code, Path(problem.position.file).name) for problem in problems] == [
        ("duplicate-playbook", "two.yaml")
    ]
    assert "one.yaml" in problems[0].message


def test_what_the_id_line_says_is_verified_when_it_is_loaded(tmp_path: Path) -> None:
    """A file that looks like one ID and is another never runs as the first."""
    folder = write(tmp_path, trick='"id": real\nname: "\n\nid: fake\n\n"\n' + STEP)

    with pytest.raises(NotLoadable) as caught:
        Library([folder]).load("fake")

    assert [problem.code for problem in caught.value.problems] == ["unclear-id"]


def test_one_playbook_of_many_is_found_without_parsing_the_others(tmp_path: Path) -> None:
    """Five hundred files cost reading their first lines: what is wrong in them is not looked at."""
    texts = {f"p{number}": f"id: p{number}\nsteps: [{{: broken\n" for number in range(500)}
    library = Library([write(tmp_path, **texts, good="id: good\n" + STEP)])
    started = time.perf_counter()

    assert library.load("good").id == "good"
    assert time.perf_counter() - started < 1.0
    assert len(library.ids()) == 501


@pytest.mark.parametrize(
    ("data", "code", "line", "column"),
    [
        (b"id: p\nname: caf\xe9\n", "yaml-encoding", 2, 10),
        ("id: p\n".encode("utf-16"), "yaml-encoding", 1, 1),
        (b"", "yaml-empty", 1, 1),
    ],
)
def test_a_file_that_is_not_utf_8_text_is_a_problem(
    tmp_path: Path, data: bytes, code: str, line: int, column: int
) -> None:
    """The place is that of the first wrong byte."""
    path = tmp_path / "p.yaml"
    path.write_bytes(data)

    playbook, problems = read_playbook(path, "p.yaml")

    assert playbook is None
    assert [(item.code, item.position.line, item.position.column) for item in problems] == [(code, line, column)]


def test_a_file_that_is_not_there_is_a_problem(tmp_path: Path) -> None:
    """So a mistyped path on the command line is said like any other mistake."""
    assert [problem.code for problem in check_folder([tmp_path / "nothing.yaml"], catalogue())] == ["unreadable"]


def test_a_single_file_is_checked_with_the_library_it_belongs_to(tmp_path: Path) -> None:
    """The playbooks it runs are found there."""
    folder = write(tmp_path, a="id: a\nsteps: [{playbook: b}]\n", b="id: b\n" + STEP)

    assert check_folder([folder / "a.yaml"], catalogue(), library=Library([folder])) == []
    assert [problem.code for problem in check_folder([folder / "a.yaml"], catalogue())] == ["unknown-playbook"]


def test_the_shipped_playbooks_are_found_from_a_project(tmp_path: Path) -> None:
    """They come after the project's own."""
    shipped = shipped_folder()

    assert shipped is not None
    assert Library.of_project(tmp_path).folders == (tmp_path / "playbooks", shipped)
    assert Library.of_project(shipped.parent).folders == (shipped,)
