"""The made estates: the same from the same seed, and with the incident in them."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from hikeshi.testing.estate import Estate, EstateError
from hikeshi.testing.estate_maker import load_estate, make_estate
from hikeshi.testing.manufacturer import (
    C2_ADDRESS,
    CANADIAN_DEVICES,
    ESTONIAN_DEVICES,
    FILE_SERVER,
    HOSTILE_NAMES,
    INFECTED_HOSTS,
    MALWARE_SHA256,
    PATIENT_ZERO,
    SECOND_C2_ADDRESS,
    SHARED_NAMES,
)

EXAMPLE = Path(__file__).parents[3] / "examples" / "estates" / "manufacturer.json"


@pytest.fixture(scope="module")
def made() -> Estate:
    return make_estate()


def test_the_same_seed_gives_the_same_bytes(made):
    """Two estates of one seed are equal byte for byte; another seed gives another estate."""
    assert make_estate().snapshot_bytes() == made.snapshot_bytes()
    assert make_estate(seed=8).snapshot_bytes() != made.snapshot_bytes()


def test_a_made_estate_survives_saving(made, tmp_path: Path):
    """A full estate can be saved and loaded without losing anything."""
    made.save(tmp_path / "full.json")
    assert load_estate(tmp_path / "full.json").snapshot_bytes() == made.snapshot_bytes()


def test_sizes_are_what_was_asked_for():
    """Hosts and users come in the numbers that were asked for, down to the smallest estate with room for the story."""
    small = make_estate(hosts=30, users=16, connections=100)
    assert (len(small.hosts), len(small.users)) == (30, 16)
    with pytest.raises(EstateError, match="at least 30 hosts and 16 users"):
        make_estate(hosts=29)


def test_some_names_are_ambiguous(made):
    """Three host names occur at two sites each, and a display name belongs to two people."""
    for name in SHARED_NAMES:
        assert len({host.site for host in made.hosts_named(name)}) == 2
    assert [user.upn for user in made.users.values() if user.display_name == "Kenji Sato"] == [
        "kenji.sato@minato.example",
        "kenji.sato2@minato.example",
    ]


def test_ids_and_addresses_are_not_ambiguous(made):
    """Every host has its own address and every user an own UPN."""
    addresses = [ip for host in made.hosts.values() for ip in host.ips]
    upns = [user.upn for user in made.users.values()]
    assert len(set(addresses)) == len(addresses)
    assert len(set(upns)) == len(upns)


def test_the_infected_hosts_are_the_ones_of_the_story(made):
    """File server, two devices in Canada and four in Estonia talk to the known address; patient zero does not."""
    talking = {made.hosts[each.host_id].name for each in made.connections_to(C2_ADDRESS)}
    assert talking == {FILE_SERVER, *CANADIAN_DEVICES, *ESTONIAN_DEVICES}
    assert {made.hosts[each.host_id].name for each in made.connections_to(SECOND_C2_ADDRESS)} == {PATIENT_ZERO}
    assert {made.hosts[each.host_id].site for each in made.connections_to(C2_ADDRESS)} == {"tyo", "yyc", "tll"}


def test_patient_zero_is_found_by_the_hash(made):
    """The tool's hash was seen on every infected host, first on the control module, 36 hours before."""
    seen = [each for each in made.sightings if each.sha256 == MALWARE_SHA256]
    assert {made.hosts[each.host_id].name for each in seen} == set(INFECTED_HOSTS)
    assert made.hosts[seen[0].host_id].name == PATIENT_ZERO
    assert made.base - seen[0].at == timedelta(hours=36)


def test_nothing_happens_after_the_base_time(made):
    """Everything in a new estate lies in its past, and lists of events are in order."""
    for events in (made.connections, made.logons, made.sightings):
        times = [each.at for each in events]
        assert times == sorted(times)
        assert times[-1] <= made.base


def test_people_include_the_awkward_ones(made):
    """There are disabled accounts, a guest, holders of privileged roles, and a group whose members follow a rule."""
    assert [user.upn for user in made.users.values() if user.guest] == [
        "ada.reviewer_audit.example#EXT#@minato.example"
    ]
    assert sum(not user.enabled for user in made.users.values()) == 2
    admin = made.user("adm-kobayashi@minato.example")
    assert {"Domain Admins", "Global Administrators"} <= {g.name for g in made.groups_of(admin.id) if g.privileged}
    assert [group.name for group in made.groups.values() if group.dynamic] == ["All Employees"]


def test_some_alerts_carry_hostile_names(made):
    """Alerts name devices as an attacker would; no host of the estate has such a name."""
    reported = {alert.host_name for alert in made.alerts.values() if alert.host_id is None}
    assert reported == set(HOSTILE_NAMES)
    assert not any(made.hosts_named(name) for name in HOSTILE_NAMES)


def test_some_channels_cannot_be_posted_to(made):
    """There is an archived channel and one that the bot is not in."""
    assert [channel.name for channel in made.channels.values() if channel.archived] == ["incidents-2024"]
    assert "executives" in {channel.name for channel in made.channels.values() if not channel.member}


def test_the_example_recipe_is_made_for_now():
    """A recipe without a base time gives an estate whose last hours are the real ones."""
    estate = load_estate(EXAMPLE)
    assert abs(datetime.now(UTC) - estate.base) < timedelta(minutes=1)
    assert (estate.name, len(estate.hosts), len(estate.users)) == ("Minato Seiki", 200, 80)


def test_a_recipe_with_a_base_is_always_the_same(made, tmp_path: Path):
    """A recipe that gives its base time makes the same estate whenever it is loaded."""
    recipe = {"seed": 7, "hosts": 200, "users": 80, "name": made.name, "base": made.base.isoformat()}
    (tmp_path / "recipe.json").write_text(json.dumps(recipe))
    assert load_estate(tmp_path / "recipe.json").snapshot_bytes() == made.snapshot_bytes()


@pytest.mark.parametrize(
    ("recipe", "said"),
    [
        ({"seed": 7, "host": 200}, "host: Unexpected"),
        ({"seed": "7"}, "seed: Input should be a valid integer"),
        ({"seed": 7, "base": "2025-11-21T11:30:00"}, "base: Input should have timezone info"),
        ({"seed": 7, "base": "tonight"}, "base: Input should be a valid datetime"),
        ({"seed": 7, "name": 7}, "name: Input should be a valid string"),
        ({"seed": 7, "settle_s": "slow"}, "settle_s: Input should be a valid number"),
    ],
)
def test_a_wrong_recipe_is_refused(tmp_path: Path, recipe: dict[str, object], said: str):
    """A mistake in a recipe is an error that names the file and the field."""
    path = tmp_path / "recipe.json"
    path.write_text(json.dumps(recipe))
    with pytest.raises(EstateError, match=said) as caught:
        load_estate(path)
    assert f"{path} is not an estate recipe; its fields: seed, hosts" in str(caught.value)
