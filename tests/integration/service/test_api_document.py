"""The OpenAPI document against the running server: schemathesis, and a table of who may do what."""

import os
import re
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from desk import Desk, Served

from hikeshi.access.roles import Role

PAGE = Path(__file__).resolve().parents[3] / "docs" / "api-roles.md"
_METHODS = ("get", "post", "put", "patch", "delete")
# Probes ask these, and nobody who can't come in learns anything from them.
_OPEN = {"/health", "/ready"}
# It takes away the token that the others come in with, and this one goes on until its run is over.
_APART = ("/api/v1/tokens/{token}/revoke", "/api/v1/runs/{run}/events")


@pytest.mark.parametrize(
    "options",
    [
        pytest.param([each for path in _APART for each in ("--exclude-path", path)], id="all-but-two"),
        pytest.param(
            ["--phases", "coverage,fuzzing", *(each for path in _APART for each in ("--include-path", path))],
            id="the-two",
        ),
    ],
)
def test_the_server_does_what_its_document_says(desk: Desk, served: Served, options: list[str], tmp_path: Path) -> None:
    """Every check of schemathesis, with a token that may do everything, and not one failure."""
    command = [str(Path(sys.executable).with_name("schemathesis")), "run", f"{served.url}/api/v1/openapi.json"]
    token = f"Authorization: Bearer {desk.tokens['admin']}"
    limits = ["--checks", "all", "--max-examples", "4", "--request-timeout", "20", "--seed", "7", "--no-color"]
    done = subprocess.run(
        [*command, "-H", token, *limits, *options],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    tried = re.search(r"(\d+) generated, (\d+) passed", done.stdout)

    assert done.returncode == 0, done.stdout[-6000:]
    assert tried is not None, done.stdout[-2000:]
    assert tried[1] == tried[2]
    assert int(tried[1]) > 30
    assert httpx.get(f"{served.url}/ready").status_code == 200


def operations(served: Served) -> list[tuple[str, str, list[str] | None]]:
    """Return every route: its method, its path, and the roles that may use it."""
    document = httpx.get(f"{served.url}/api/v1/openapi.json").json()
    return sorted(
        (path, method.upper(), operation.get("x-roles"))
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if method in _METHODS
    )


def table(rows: list[tuple[str, str, list[str] | None]]) -> str:
    """Return the page."""
    lines = [
        "# What each role may do",
        "",
        "Made from the running server: a test asks every route without a token, and with a token of each role.",
        "Without one the answer is 401, with a role that has no mark it is 403.",
        "",
        f"| route | {' | '.join(Role)} |",
        f"|---|{'---|' * len(Role)}",
    ]
    for path, method, roles in rows:
        marks = ["open" if roles is None else "yes" if role in roles else "" for role in Role]
        lines.append(f"| {method} `{path}` | {' | '.join(marks)} |")
    return "\n".join(lines) + "\n"


@pytest.mark.safety(31)
def test_every_route_asks_who_is_there_and_whether_they_may(desk: Desk, served: Served) -> None:
    """401 without a token and with wrong ones, 403 with too small a role; the page in docs/ is this table."""
    rows = operations(served)
    admin = desk.tokens["admin"]
    other = f"{admin[:-1]}{'E' if admin[-1] == 'A' else 'A'}"
    wrong = ("", "Bearer", "Bearer x", f"Basic {admin}", f"Bearer {other}")
    assert len(rows) > 40
    for path, method, roles in rows:
        url = served.url + re.sub(r"\{\w+\}", "none", path)
        if roles is None:
            assert path in _OPEN
            continue
        for header in wrong:
            given = {"Authorization": header} if header else {}
            assert httpx.request(method, url, headers=given).status_code == 401, (method, path, header)
        for role in Role:
            answer = httpx.request(method, url, headers={"Authorization": f"Bearer {desk.tokens[role]}"}, timeout=20)
            assert (answer.status_code == 403) is (role not in roles), (method, path, role, answer.text)
    if "HIKESHI_WRITE" in os.environ:
        PAGE.write_text(table(rows), encoding="utf-8")
    assert PAGE.read_text(encoding="utf-8") == table(rows), "not current: HIKESHI_WRITE=1 writes the page"


@pytest.mark.safety(31)
def test_requests_are_recorded_with_their_actor_the_refused_ones_too(desk: Desk, served: Served) -> None:
    """In the journal, under the day."""
    from hikeshi.app import Hikeshi

    with desk.client(served, "viewer") as viewer, desk.client(served, "responder") as mei:
        viewer.post("/stops", json={"stop": "everything"})
        mei.post("/runs/none/cancel", json={"reason": "test"})
    httpx.get(f"{served.url}/api/v1/me")  # from nobody who is known: the first one is recorded at once
    app = Hikeshi.open(desk.folder)
    rows = app.journal.query("SELECT run FROM heads WHERE run LIKE 'requests-%'")
    records = [record.data for row in rows for record in app.journal.read(row["run"])]
    app.journal.close()
    said = {(data["by"], data["what"], data["allowed"]) for data in records if "what" in data}
    assert ("token:viewer", "POST /api/v1/stops", False) in said
    assert ("mei", "cancel", True) in said
    assert any("from" in data for data in records)
    assert not any(token in str(records) for token in desk.tokens.values())


def test_a_revoked_an_expired_and_a_stranger_s_token_open_nothing(desk: Desk, served: Served) -> None:
    """Nor does one whose person was taken out of the project."""
    import asyncio

    from hikeshi.access.tokens import Tokens
    from hikeshi.app import Hikeshi

    async def make() -> list[str]:
        app = Hikeshi.open(desk.folder)
        tokens = Tokens(app.journal, app.clock.now, lambda: {"gone": "Somebody who left"})
        _, text_old = await tokens.make("old", [Role.VIEWER], good_for_s=0.001, by="test")
        _, text_gone = await tokens.make("gone", [Role.VIEWER], good_for_s=60, by="test", person="gone")
        lost, text_lost = await tokens.make("lost", [Role.VIEWER], good_for_s=60, by="test")
        _, text_session = await tokens.make("s", [Role.VIEWER], good_for_s=60, by="test", kind="session")
        await tokens.revoke(lost.token, by="test")
        await app.aclose()
        return [text_old, text_gone, text_lost, text_session]

    for text in asyncio.run(make()):
        answer = httpx.get(f"{served.url}/api/v1/me", headers={"Authorization": f"Bearer {text}"})
        assert answer.status_code == 401, answer.text
