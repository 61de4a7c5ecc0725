"""Which product does what: none bound, two of a kind, and projects that are written wrongly."""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from drill import CrowdStrikeSimulator, Drill, PanOsSimulator, Place, served

from hikeshi.app import PlaybookProblems
from hikeshi.core import RunState
from hikeshi.core.events import ActionIntended, Event
from hikeshi.project import ProjectError
from hikeshi.testing.manufacturer import C2_ADDRESS, C2_DOMAIN, FILE_SERVER, MALWARE_SHA256, PATIENT_ZERO

EU_ONLY = PATIENT_ZERO


def nothing_was_started(drill: Drill) -> bool:
    """Say whether the journal, if there is one at all, has no run."""
    return not (drill.folder / ".hikeshi" / "journal.db").exists() or drill.hikeshi.runs() == []


def named(place: Place, **names: str) -> dict[str, Any]:
    """Return the settings of a place's connectors, under other names."""
    settings = place.simulation.project_settings(place.url)
    return {new: settings[old] for old, new in names.items()}


# --- nobody bound


@pytest.mark.parametrize("mode", ["run", "plan"])
@pytest.mark.parametrize(
    ("missing", "playbook", "inputs", "told"),
    [
        ("falcon", "isolate-host", {"hostname": FILE_SERVER}, "edr."),
        ("falcon", "contain-host", {"hostname": FILE_SERVER}, "edr."),
        ("fw_hq", "contain-host", {"hostname": FILE_SERVER}, "firewall."),
        ("entra", "restrict-user", {"user": "kenji.sato@minato.example"}, "identity."),
        ("slack", "notify-stakeholders", {"severity": "low", "title": "A drill"}, "messaging."),
    ],
)
async def test_a_playbook_whose_product_is_not_bound_does_not_start(
    empty: Drill, place: Place, missing: str, playbook: str, inputs: dict[str, Any], told: str, mode: str
) -> None:
    """A capability that nobody serves is a problem of the project before the run, with the place in the playbook."""
    settings = place.simulation.project_settings(place.url)
    del settings[missing]
    empty.configure(settings)

    with pytest.raises(PlaybookProblems, match=told) as caught:
        await getattr(empty, mode)(playbook, inputs)

    assert ".yaml:" in str(caught.value)
    assert nothing_was_started(empty)
    assert place.changes() == []


# --- two EDRs


@pytest.fixture
def other() -> Iterator[Place]:
    """Another organisation's estate: the same names, other identifiers; only there is the patient zero."""
    with served([CrowdStrikeSimulator, PanOsSimulator], seed=8) as other:
        yield other


@pytest.fixture
def two_edrs(empty: Drill, place: Place, other: Place) -> Drill:
    del place.estate.hosts[place.host(EU_ONLY).id]
    empty.configure({**named(place, falcon="falcon", slack="slack"), **named(other, falcon="falcon-eu")})
    return empty


async def test_a_host_is_isolated_by_the_edr_that_owns_it(two_edrs: Drill, place: Place, other: Place) -> None:
    """With two EDRs a change goes to the one from which the host was read, and to no other."""
    outcome = await two_edrs.run("isolate-host", {"hostname": EU_ONLY})

    assert outcome.status == "succeeded"
    assert outcome.report["outputs"]["host"]["connector"] == "falcon-eu"
    assert other.isolated() == [EU_ONLY]
    assert place.changes() == []
    assert [hold["connector"] for hold in outcome.holds] == ["falcon-eu"]


async def test_a_name_that_two_edrs_know_isolates_nothing(two_edrs: Drill, place: Place, other: Place) -> None:
    """Each EDR has one host of the name: two candidates, each with the instance it belongs to."""
    outcome = await two_edrs.run("isolate-host", {"hostname": FILE_SERVER})

    error = outcome.steps["find"]["error"]
    assert error["kind"] == "ambiguous"
    assert {(each["connector"], each["id"]) for each in error["candidates"]} == {
        ("falcon", place.host(FILE_SERVER).id), ("falcon-eu", other.host(FILE_SERVER).id),
    }  # fmt: skip
    assert "falcon-eu" in error["message"]
    assert place.changes() == other.changes() == []


async def test_a_look_up_with_one_edr_down_finds_nobody(two_edrs: Drill, place: Place, other: Place) -> None:
    """One match in the EDR that answers is not known to be the only one: the look-up fails and says who is down."""
    place.order(product="crowdstrike", drop="before", times=None)

    outcome = await two_edrs.run("isolate-host", {"hostname": EU_ONLY})

    error = outcome.steps["find"]["error"]
    assert (outcome.status, error["kind"]) == ("failed", "unavailable")
    assert "falcon:" in error["message"]
    assert other.changes() == []


async def test_hashes_are_blocked_by_every_edr(two_edrs: Drill, place: Place, other: Place) -> None:
    """An indicator belongs to nobody, so each EDR blocks it, with a hold of its own."""
    two_edrs.configure(
        {**named(place, falcon="falcon", fw_hq="fw_hq"), **named(other, falcon="falcon-eu")},
    )

    outcome = await two_edrs.run("block-indicators", {"indicators": [MALWARE_SHA256]})

    assert outcome.status == "succeeded"
    assert place.prevented() == other.prevented() == {MALWARE_SHA256}
    assert sorted(hold["connector"] for hold in outcome.holds) == ["falcon", "falcon-eu"]


# --- two firewalls


@pytest.fixture
def two_firewalls(empty: Drill, place: Place, other: Place) -> Drill:
    empty.configure({**named(place, fw_hq="fw_hq", falcon="falcon"), **named(other, fw_hq="fw_plant")})
    return empty


async def test_indicators_are_blocked_by_every_firewall(two_firewalls: Drill, place: Place, other: Place) -> None:
    """Both firewalls block, each as a part of the step with an outcome and a hold of its own."""
    outcome = await two_firewalls.run("block-indicators", {"indicators": [C2_ADDRESS, C2_DOMAIN]})

    assert outcome.status == "succeeded"
    assert place.tagged() == other.tagged() == {C2_ADDRESS}
    assert place.listed() == other.listed() == {f"{C2_DOMAIN}/"}
    for name in ("fw_hq", "fw_plant"):
        assert outcome.steps[f"block.addresses[0][{name}]"]["status"] == "succeeded"
    assert sorted((hold["connector"], hold["label"]) for hold in outcome.holds) == [
        ("fw_hq", C2_ADDRESS), ("fw_hq", C2_DOMAIN), ("fw_plant", C2_ADDRESS), ("fw_plant", C2_DOMAIN),
    ]  # fmt: skip


async def test_a_firewall_that_is_down_does_not_keep_the_other_from_blocking(
    two_firewalls: Drill, place: Place, other: Place
) -> None:
    """One block stands and is held, the step fails, and it says which firewall does not block."""
    other.order(product="panos", drop="before", times=None)

    outcome = await two_firewalls.run("block-indicators", {"indicators": [C2_ADDRESS]})

    down = outcome.steps["block.addresses[0][fw_plant]"]
    assert outcome.status == "failed"
    assert outcome.report["failures"] == ["block.addresses[0][fw_plant]"]
    assert outcome.steps["block.addresses"]["status"] == "failed"
    assert (down["status"], down["error"]["kind"]) == ("failed", "unavailable")
    assert "fw_plant" in down["error"]["message"]
    assert outcome.steps["block.addresses[0][fw_hq]"]["status"] == "succeeded"
    assert (place.tagged(), other.tagged()) == ({C2_ADDRESS}, set())
    assert [(hold["connector"], hold["status"]) for hold in outcome.holds] == [("fw_hq", "active")]


async def test_a_plan_shows_the_requests_to_each_firewall(two_firewalls: Drill, place: Place, other: Place) -> None:
    """Each firewall has its own entry in the plan, with requests to its own address."""
    plan = await two_firewalls.plan("block-indicators", {"indicators": [C2_ADDRESS]})

    urls = {path: action["requests"][0]["url"] for path, action in plan.actions.items()}
    assert urls == {
        "block.addresses[0][fw_hq]": f"{place.url}/panos/api/",
        "block.addresses[0][fw_plant]": f"{other.url}/panos/api/",
    }


async def test_an_explicit_binding_leaves_the_other_firewall_alone(
    two_firewalls: Drill, place: Place, other: Place
) -> None:
    """`bindings` names the firewalls that serve the capability; one that is not among them gets nothing."""
    two_firewalls.configure(
        {**named(place, fw_hq="fw_hq", falcon="falcon"), **named(other, fw_hq="fw_plant")},
        bindings={"firewall": ["fw_plant"]},
    )

    await two_firewalls.run("block-indicators", {"indicators": [C2_ADDRESS]})

    assert (place.tagged(), other.tagged()) == (set(), {C2_ADDRESS})


# --- projects that are written wrongly

Spoil = Callable[[dict[str, Any]], object]


def _plain_secret(settings: dict[str, Any]) -> None:
    settings["slack"]["bot_token"] = "xoxb-in-plain-sight"


WRONG_PRODUCT: dict[str, tuple[Spoil, str, str]] = {
    "an unknown product": (lambda s: s["slack"].update(product="slak"), "slak", "slack"),
    "a missing product": (lambda s: s["falcon"].pop("product"), "falcon", "product"),
    "a product that is no text": (lambda s: s["falcon"].update(product=7), "falcon", "product"),
}
WRONG_SETTINGS: dict[str, tuple[Spoil, str, str]] = {
    "a missing key": (lambda s: s["slack"].pop("bot_token"), "slack", "bot_token"),
    "an unknown key": (lambda s: s["slack"].update(colour="red"), "slack", "colour"),
    "a secret in plain text": (_plain_secret, "slack", "bot_token"),
    "an unknown kind of reference": (lambda s: s["slack"].update(bot_token="${gpg:x}"), "slack", "bot_token"),
    "a wrong type": (lambda s: s["fw_hq"].update(timeout_s="soon"), "fw_hq", "timeout_s"),
    "a wrong time zone": (lambda s: s["fw_hq"].update(timezone="Asia/Edo"), "fw_hq", "Asia/Edo"),
    "a region that does not exist": (lambda s: s["falcon"].update(region="eu-9"), "falcon", "region"),
}


async def _refused(drill: Drill, place: Place, spoil: Spoil, mode: str) -> str:
    """Spoil the project's file, expect that no run starts and nothing is sent, and return what is told."""
    path = drill.folder / "hikeshi.yaml"
    document = json.loads(path.read_text())
    spoil(document["connectors"])
    path.write_text(json.dumps(document))

    with pytest.raises(ProjectError) as caught:
        await getattr(drill, mode)("contain-host", {"hostname": FILE_SERVER, "indicators": [C2_ADDRESS]})

    assert nothing_was_started(drill)
    assert place.changes() == []
    assert place.requests("crowdstrike").total() == 0
    return "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("mode", ["run", "plan"])
@pytest.mark.parametrize(("spoil", "where", "what"), WRONG_PRODUCT.values(), ids=WRONG_PRODUCT.keys())
async def test_a_wrong_product_is_told_before_anything_is_sent(
    drill: Drill, place: Place, spoil: Spoil, where: str, what: str, mode: str
) -> None:
    """A connector that does not exist keeps a run from starting; the file and the product are named."""
    told = await _refused(drill, place, spoil, mode)

    assert "hikeshi.yaml" in told
    assert where in told
    assert what in told


@pytest.mark.parametrize("mode", ["run", "plan"])
@pytest.mark.parametrize(("spoil", "where", "what"), WRONG_SETTINGS.values(), ids=WRONG_SETTINGS.keys())
async def test_wrong_settings_are_told_before_anything_is_sent(
    drill: Drill, place: Place, spoil: Spoil, where: str, what: str, mode: str
) -> None:
    """Settings that cannot work keep a run from starting; the file, the connector and the key are named."""
    told = await _refused(drill, place, spoil, mode)

    assert "hikeshi.yaml" in told
    assert where in told
    assert what in told
    assert "xoxb-in-plain-sight" not in told


async def test_wrong_settings_of_a_connector_that_no_step_needs_keep_nobody_from_acting(
    drill: Drill, place: Place
) -> None:
    """A host can be isolated while the settings of the chat service are wrong."""
    path = drill.folder / "hikeshi.yaml"
    document = json.loads(path.read_text())
    _plain_secret(document["connectors"])
    path.write_text(json.dumps(document))

    outcome = await drill.run("isolate-host", {"hostname": FILE_SERVER})

    assert outcome.status == "succeeded"
    assert place.isolated() == [FILE_SERVER]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("connectors: [", "no valid YAML"),
        ("connectors: {falcon: {product: crowdstrike}}\nbinding: {edr: [falcon]}\n", "did you mean 'bindings'"),
        ("connectors: {falcon: {product: crowdstrike}}\nbindings: {edr: [falkon]}\n", "did you mean 'falcon'"),
        ("connectors: {Falcon EU: {product: crowdstrike}}\n", "cannot name a connector"),
        ("- a list\n", "has to be a map"),
    ],
)
def test_a_project_file_that_is_wrong_says_where(empty: Drill, text: str, told: str) -> None:
    """Mistakes in hikeshi.yaml are named with file, line and column when the project is opened."""
    empty.folder.mkdir()
    (empty.folder / "hikeshi.yaml").write_text(text)

    with pytest.raises(ProjectError, match=r"hikeshi\.yaml:\d+:\d+: ") as caught:
        assert empty.hikeshi

    assert told in str(caught.value)


@pytest.mark.parametrize("mode", ["run", "plan"])
async def test_a_secret_that_is_not_there_names_its_reference(drill: Drill, place: Place, mode: str) -> None:
    """A reference to a file that does not exist keeps a run from starting, even if only the last step needs it."""
    (drill.secrets / "slack-bot_token").unlink()

    with pytest.raises(ProjectError, match=r"hikeshi\.yaml: .*slack-bot_token"):
        await getattr(drill, mode)("contain-host", {"hostname": FILE_SERVER})

    assert nothing_was_started(drill)
    assert place.changes() == []


async def test_a_secret_that_no_step_needs_keeps_nobody_from_acting(drill: Drill, place: Place) -> None:
    """A host can be isolated while the secret of the chat service is missing."""
    (drill.secrets / "slack-bot_token").unlink()

    outcome = await drill.run("isolate-host", {"hostname": FILE_SERVER})

    assert outcome.status == "succeeded"
    assert place.isolated() == [FILE_SERVER]


async def test_a_secret_that_goes_away_under_way_fails_the_step_by_its_reference(drill: Drill, place: Place) -> None:
    """What happens to a secret after the start is an error of the step that needs it, and names the reference."""
    gone = drill.secrets / "slack-bot_token"

    def take_it_away(event: Event, state: RunState) -> None:
        if isinstance(event, ActionIntended):
            gone.unlink(missing_ok=True)

    outcome = await drill.run("contain-host", {"hostname": FILE_SERVER, "severity": "low"}, watchers=[take_it_away])

    error = outcome.steps["notify.tell.team[slack]"]["error"]
    assert outcome.status == "failed"
    assert error["kind"] == "secret_unavailable"
    assert "slack-bot_token" in error["message"]
    assert place.isolated() == [FILE_SERVER]


def test_a_folder_that_does_not_exist_is_no_project(tmp_path: Path) -> None:
    """A wrong folder is told as such, and not taken for an empty project."""
    with pytest.raises(ProjectError, match="no such folder"):
        assert Drill(tmp_path / "nowhere", tmp_path).hikeshi
