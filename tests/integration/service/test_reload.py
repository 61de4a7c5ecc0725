"""Files that change while a service runs: what is good is used from now on, what is broken stays as it was."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from desk import Desk, desk_in, wait_until

GREET = """\
id: greet
name: {name}
inputs: {{{inputs}}}
steps:
  - {{id: find, action: edr.find_hosts, with: {{name: nobody}}}}
"""


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Desk]:
    with desk_in(tmp_path) as desk:
        desk.add_playbook("greet", GREET.format(name="First", inputs=""))
        yield desk


def test_a_changed_playbook_is_used_and_a_broken_one_is_not(own: Desk) -> None:
    """A slip in an editor must not take away what people need at night; and it is shown."""
    with own.served("--no-triggers") as served, own.client(served, "responder") as mei:

        def row() -> dict:
            return next(each for each in mei.get("/playbooks").json()["items"] if each["id"] == "greet")

        assert row()["name"] == "First"
        own.add_playbook("greet", GREET.format(name="Second", inputs=""))
        wait_until(lambda: row()["name"] == "Second")
        own.add_playbook("greet", "id: greet\nname: [\n")
        wait_until(lambda: row()["problems"])
        assert row()["name"] == "Second"
        begun = mei.post("/playbooks/greet/run", json={"inputs": {}})
        assert begun.status_code == 202, begun.text
        own.add_playbook("greet", GREET.format(name="Third", inputs="who: {type: string}"))
        wait_until(lambda: row()["name"] == "Third")
        assert mei.post("/playbooks/greet/run", json={"inputs": {}}).status_code == 422
        (own.folder / "playbooks" / "greet.yaml").unlink()
        wait_until(lambda: "greet" not in mei.get("/playbooks").text)


def test_a_changed_configuration_is_used_and_a_broken_one_is_not(own: Desk) -> None:
    """Nor one that forgets a connector by which something is held."""
    path = own.folder / "hikeshi.yaml"
    good = json.loads(path.read_text())
    name = next(
        each.name
        for each in own.simulation.estate.hosts.values()
        if len(own.simulation.estate.hosts_named(each.name)) == 1
    )
    with own.served("--no-triggers") as served, own.client(served, "responder") as mei:

        def names() -> set[str]:
            return {each["name"] for each in mei.get("/connectors").json()["instances"]}

        before = names()
        run = mei.post("/playbooks/isolate-host/run", json={"inputs": {"hostname": name}}).json()["run"]
        wait_until(lambda: mei.get(f"/runs/{run}").json()["status"] == "succeeded")
        edr = mei.get("/holds").json()["items"][0]["connector"]
        slack = next(each for each, settings in good["connectors"].items() if settings["product"] == "slack")

        without_slack = {each: settings for each, settings in good["connectors"].items() if each != slack}
        path.write_text(json.dumps({**good, "connectors": without_slack}))
        wait_until(lambda: names() == before - {slack})
        path.write_text(json.dumps({**good, "connectors": {slack: good["connectors"][slack]}}))
        wait_until(lambda: any(f"the connector {edr!r} is gone" in line for line in served.said))
        path.write_text("connectors: [")
        wait_until(lambda: any("no valid YAML" in line for line in served.said))
        assert names() == before - {slack}
        path.write_text(json.dumps({**good, "people": {"zoe": {"roles": ["soc"]}}}))
        wait_until(lambda: mei.get("/connectors").status_code == 401)  # mei is no person of the project any more
        with own.client(served, "viewer") as viewer:
            assert edr in {each["name"] for each in viewer.get("/connectors").json()["instances"]}
