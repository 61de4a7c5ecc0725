"""Published lists in the service: who may fetch them, what is answered, and what is remembered of it."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import structlog
import structlog.testing
from starlette.applications import Starlette

from hikeshi.api import guard
from hikeshi.api.guard import Guard
from hikeshi.api.list_routes import ListDoor
from hikeshi.api.metrics import metrics_text
from hikeshi.app import Hikeshi
from hikeshi.capabilities import Effect, Indicator
from hikeshi.connector.door import Door, through
from hikeshi.connector.registry import Registry
from hikeshi.project import load_config
from hikeshi.service.service import Service
from hikeshi_connectors.edl import Edl

ADDRESS = Indicator(kind="ipv4", value="203.0.113.7")
FIREWALL = "10.0.0.1"


@dataclass
class Post:
    """A service with lists, and the way to it from an address."""

    folder: Path
    app: Hikeshi
    service: Service
    edl: Edl
    asgi: Any

    def client(self, address: str = FIREWALL) -> httpx.AsyncClient:
        transport = httpx.ASGITransport(app=self.asgi, client=(address, 40000))
        return httpx.AsyncClient(transport=transport, base_url="http://hikeshi.example/lists/edges")

    async def get(self, path: str, address: str = FIREWALL, **options: Any) -> httpx.Response:
        async with self.client(address) as client:
            return await client.get(path, **options)

    async def block(self, *indicators: Indicator, expires_in_s: int | None = None) -> None:
        with through(Door(mode="live", effect=Effect.CHANGE, action="firewall.block_indicators", intended=True)):
            await self.edl.block_indicators(list(indicators), "c2", expires_in_s)


@asynccontextmanager
async def post(folder: Path, **settings: Any) -> AsyncIterator[Post]:
    """Open a project with one set of lists; secrets become references to files."""
    written: dict[str, Any] = {"product": "edl", "folder": str(folder / "lists"), "polled_within_s": None}
    for name, value in settings.items():
        if name in ("password", "secret_path"):
            (folder / name).write_text(value)
            value = f"${{file:{folder / name}}}"
        written[name] = value
    project = folder / "project"
    project.mkdir(exist_ok=True)
    (project / "hikeshi.yaml").write_text(json.dumps({"connectors": {"edges": written}}))
    registry = Registry()
    registry.add(Edl)
    app = Hikeshi(load_config(project), registry=registry)
    edl = app.instances.get("edges")
    assert isinstance(edl, Edl)
    service = Service(app)
    try:
        yield Post(folder, app, service, edl, Guard(ListDoor(Starlette(), service)))
    finally:
        await app.aclose()


async def test_a_list_is_plain_text_one_entry_a_line(tmp_path: Path) -> None:
    """As every firewall reads it, with what it needs to ask only for changes."""
    async with post(tmp_path, pollers=[FIREWALL]) as at:
        await at.block(ADDRESS, Indicator(kind="cidr", value="198.51.100.0/24"))
        answer = await at.get("/ip.txt")
        assert (answer.status_code, answer.text) == (200, "198.51.100.0/24\n203.0.113.7\n")
        assert answer.headers["content-type"] == "text/plain; charset=utf-8"
        assert answer.headers["cache-control"] == "no-cache"
        for condition in (
            {"If-None-Match": answer.headers["etag"]},
            {"If-None-Match": f'"other", W/{answer.headers["etag"]}'},
            {"If-Modified-Since": answer.headers["last-modified"]},
        ):
            again = await at.get("/ip.txt", headers=condition)
            assert (again.status_code, again.content) == (304, b"")
            assert again.headers["etag"] == answer.headers["etag"]
        await at.block(Indicator(kind="ipv6", value="2001:db8::1"))
        changed = await at.get("/ip.txt", headers={"If-None-Match": answer.headers["etag"]})
        assert changed.text.count("\n") == 3


@pytest.mark.parametrize("condition", [{"If-None-Match": '"x"'}, {"If-Modified-Since": "yesterday"}, {}])
async def test_whoever_has_something_else_gets_the_list(tmp_path: Path, condition: Mapping[str, str]) -> None:
    """A condition that is not understood is none."""
    async with post(tmp_path, pollers=[FIREWALL]) as at:
        await at.block(ADDRESS)
        assert (await at.get("/ipv4.txt", headers=condition)).text == "203.0.113.7\n"


async def test_an_entry_ends_in_the_answer(tmp_path: Path) -> None:
    """Without anything else running, and for those who ask only for changes as well."""
    async with post(tmp_path, pollers=[FIREWALL]) as at:
        await at.block(ADDRESS, expires_in_s=60)
        first = await at.get("/ip.txt")
        now = at.edl.store.clock()
        at.edl.store.clock = lambda: now + 61
        second = await at.get("/ip.txt", headers={"If-None-Match": first.headers["etag"]})
        assert (second.status_code, second.text) == (200, "")


@pytest.mark.parametrize(
    ("settings", "path", "auth", "address"),
    [
        ({"password": "pa:ss"}, "/ip.txt", ("edl", "pa:ss"), "192.0.2.9"),
        ({"password": "p", "user": "fw"}, "/ip.txt", ("fw", "p"), FIREWALL),
        ({"secret_path": "long-secret"}, "/long-secret/ip.txt", None, "192.0.2.9"),
        ({"pollers": [FIREWALL]}, "/ip.txt", None, FIREWALL),
        ({"password": "p", "secret_path": "s", "pollers": [FIREWALL]}, "/s/ip.txt", ("edl", "p"), FIREWALL),
    ],
)
async def test_each_condition_that_is_set_has_to_hold(
    tmp_path: Path, settings: dict[str, Any], path: str, auth: tuple[str, str] | None, address: str
) -> None:
    """The right caller gets in, and nobody who lacks one of them, whatever there is behind the door."""
    async with post(tmp_path, **settings) as at:
        assert (await at.get(path, address, auth=auth)).status_code == 200
        wrong: list[httpx.Response] = []
        if "password" in settings:
            wrong += [await at.get(path, address, auth=given) for given in (None, ("edl", "x"), ("x", "p"), ("", ""))]
            wrong.append(await at.get(path, address, headers={"Authorization": "Basic ::not base64::"}))
            wrong.append(await at.get(path, address, headers={"Authorization": "Bearer p"}))
        if "secret_path" in settings:
            wrong += [
                await at.get(other, address, auth=auth) for other in ("/ip.txt", "/x/ip.txt", "/long-secre/ip.txt")
            ]
        else:
            wrong.append(await at.get("/x/ip.txt", address, auth=auth))
        if "pollers" in settings:
            wrong += [await at.get(path, other, auth=auth) for other in ("10.0.0.2", "10.0.0.11", "")]
        assert {answer.status_code for answer in wrong} == {401}
        assert {answer.text for answer in wrong} == {"who fetches a list has to say who they are\n"}
        assert not any(each.polled_by == "10.0.0.2" for each in at.edl.published_lists().standings())


async def test_nobody_learns_which_instances_there_are(tmp_path: Path) -> None:
    """An instance that is not there, one without lists and one that is locked look alike; a list's name comes after."""
    async with post(tmp_path, password="p") as at:
        answers = [await at.get(path) for path in ("/ip.txt", "/nothing.txt", "/../other/ip.txt")]
        async with at.client() as client:
            answers.append(await client.get("http://hikeshi.example/lists/other/ip.txt"))
        assert len({(answer.status_code, answer.text) for answer in answers}) == 1
        assert (await at.get("/nothing.txt", auth=("edl", "p"))).status_code == 404
        assert (await at.get("/ip.csv", auth=("edl", "p"))).status_code == 404
        assert (await at.get("/ip", auth=("edl", "p"))).status_code == 404


async def test_lists_are_only_fetched(tmp_path: Path) -> None:
    """Nothing but GET and HEAD is answered, and HEAD is no poll."""
    async with post(tmp_path, pollers=[FIREWALL]) as at, at.client() as client:
        for method in ("POST", "PUT", "DELETE", "PATCH"):
            assert (await client.request(method, "/ip.txt")).status_code == 405
        head = await client.head("/ip.txt")
        assert (head.status_code, head.content) == (200, b"")
        assert at.edl.published_lists().standings()[-1].polled_at is None


async def test_polls_are_remembered_and_counted(tmp_path: Path) -> None:
    """When and by whom, whether or not there was anything new; people see it among the metrics."""
    async with post(tmp_path, pollers=[FIREWALL, "10.0.0.2"], polled_within_s=600) as at:
        before = metrics_text(at.service)
        assert 'hikeshi_list_polled_at_seconds{instance="edges",list="ipv4"} 0' in before
        first = await at.get("/ipv4.txt")
        await at.get("/ipv4.txt", "10.0.0.2", headers={"If-None-Match": first.headers["etag"]})
        await at.block(ADDRESS)
        lists = {each.name: each for each in await at.edl.polled_lists()}
        assert (lists["ipv4"].polled_by, lists["ipv4"].entries) == ("10.0.0.2", 1)
        assert lists["domain"].polled_at is None
        after = metrics_text(at.service)
        assert 'hikeshi_list_entries{instance="edges",list="ipv4"} 1' in after
        assert 'hikeshi_list_polled_at_seconds{instance="edges",list="ipv4"} 0' not in after


async def test_a_file_that_cannot_be_read_is_no_empty_list(tmp_path: Path) -> None:
    """Firewalls keep what they have when they get an error."""
    async with post(tmp_path, pollers=[FIREWALL]) as at:
        (tmp_path / "lists").mkdir()
        (tmp_path / "lists" / "edges.sqlite").write_bytes(b"no database" * 200)
        answer = await at.get("/ip.txt")
        assert answer.status_code == 503
        assert "retry-after" in answer.headers
        assert "hikeshi_list_entries" not in metrics_text(at.service)


async def test_no_secret_of_a_list_is_written_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the secret in the path nor the password is in the log, an answer, an error or a representation."""
    password, path = "canary-5f1d0c9a7e-password", "canary-5f1d0c9a7e-path"
    monkeypatch.setattr(guard, "_log", structlog.get_logger())  # the one there keeps what another test configured
    with structlog.testing.capture_logs() as lines:
        shown = await _everything_shown(tmp_path, password, path)
    assert "canary" not in "".join([*shown, repr(lines)])
    assert "/lists/edges/.../ip.txt" in {line["path"] for line in lines}


async def _everything_shown(folder: Path, password: str, path: str) -> list[str]:
    async with post(folder, password=password, secret_path=path) as at:
        shown = [repr(at.edl), repr(at.edl.settings), at.edl.settings.model_dump_json()]
        for got in (
            await at.get(f"/{path}/ip.txt", auth=("edl", password)),
            await at.get(f"/{path}/nothing.txt", auth=("edl", password)),
            await at.get(f"/{path}/ip.txt", auth=("edl", password + "x")),
            await at.get(f"/{path}", auth=("edl", password)),
            await at.get(f"/{path}/"),
        ):
            shown += [got.text, repr(got.headers)]
    return shown


async def test_everything_else_is_left_to_whoever_answers_it(tmp_path: Path) -> None:
    """The door takes its own paths and no others."""
    async with post(tmp_path, pollers=[FIREWALL]) as at, at.client() as client:
        for path in ("/", "/lists", "/listsx/edges/ip.txt", "/api/v1/lists/edges/ip.txt"):
            answer = await client.get(f"http://hikeshi.example{path}")
            assert (answer.status_code, answer.text) == (404, "Not Found")


PLAYBOOK = """\
id: block
inputs: {indicators: {type: list, items: indicator}}
steps:
  - id: block
    for_each: inputs.indicators
    batch: 10
    action: firewall.block_indicators
    with: {indicators: "{{ item }}", reason: c2, expires_in_s: 3600}
    retry: {attempts: 1}
"""


async def test_a_run_blocks_once_a_firewall_polls_and_its_undo_takes_it_off(tmp_path: Path) -> None:
    """Before, it fails without effect, and says that nobody fetches the list."""
    (tmp_path / "project" / "playbooks").mkdir(parents=True)
    (tmp_path / "project" / "playbooks" / "block.yaml").write_text(PLAYBOOK)
    inputs = {"indicators": [ADDRESS.model_dump(), {"kind": "cidr", "value": "198.51.100.0/24"}]}
    async with post(tmp_path, pollers=[FIREWALL], polled_within_s=600) as at:
        failed = await at.app.start_run("block", inputs, actor="mei", mode="live")
        assert failed.finished == "failed"
        error = failed.nodes[failed.failures[0]].error
        assert error is not None
        assert (error.kind, error.applied) == ("unavailable", "no")
        assert "never polled" in error.message
        assert (await at.get("/ip.txt")).text == ""
        state = await at.app.start_run("block", inputs, actor="mei", mode="live")
        assert state.finished == "succeeded"
        assert (await at.get("/ip.txt")).text == "198.51.100.0/24\n203.0.113.7\n"
        now = at.edl.store.clock()
        at.edl.store.clock = lambda: now + 1800  # nobody has polled for long, and it can be undone all the same
        plan = await at.app.plan_undo(state.run)
        undone = await at.app.undo(plan, actor="mei", reason="false alarm")
        assert undone.finished == "succeeded"
        assert (await at.get("/ip.txt")).text == ""
