"""Makes estates: the manufacturer of `manufacturer`, in the size that is asked for, on the evening of its incident.

The same seed, sizes and base time give the same bytes.
"""

import random
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import ClassVar

from pydantic import AwareDatetime, ConfigDict, StrictFloat, StrictInt, TypeAdapter, ValidationError

from hikeshi.testing.estate import (
    Alert,
    AlertStatus,
    Channel,
    Clock,
    Connection,
    Estate,
    EstateError,
    EstateState,
    Group,
    Host,
    Logon,
    OsFamily,
    Sighting,
    SignIn,
    User,
)
from hikeshi.testing.estate_state import read_json
from hikeshi.testing.manufacturer import (
    BACKGROUND_ALERTS,
    C2_ADDRESS,
    C2_DOMAIN,
    C2_PORT,
    CANADIAN_DEVICES,
    DOMAIN,
    EPOCH,
    ESTONIAN_DEVICES,
    FILE_SERVER,
    FILLERS,
    FIXED_HOSTS,
    HOSTILE_NAMES,
    INFECTED_HOSTS,
    JOBS,
    MALWARE_PATH,
    MALWARE_SHA256,
    NAME,
    ORDINARY_DESTINATIONS,
    PATIENT_ZERO,
    PEOPLES_NAMES,
    REMOTE_TOOL,
    SECOND_C2_ADDRESS,
    SECOND_C2_DOMAIN,
    SITES,
)

MIN_HOSTS = 30
MIN_USERS = 16


@dataclass(frozen=True)
class _Recipe:
    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    seed: StrictInt
    hosts: StrictInt = 200
    users: StrictInt = 80
    connections: StrictInt = 3000
    name: str = NAME
    settle_s: StrictFloat = 0.3
    base: AwareDatetime | None = None


def make_estate(
    seed: int = 7,
    hosts: int = 200,
    users: int = 80,
    *,
    connections: int = 3000,
    base: datetime = EPOCH,
    name: str = NAME,
    settle_s: float = 0.3,
    clock: Clock | None = None,
) -> Estate:
    """Return an estate; equal arguments give equal snapshots.

    `base` is the moment of the first alert, UTC; the estate's clock starts there unless one is given. Give the
    current time where an engine works on the estate by the wall clock. `connections` counts ordinary traffic.
    Raises EstateError when there is no room for the story: the caller's mistake.
    """
    if hosts < MIN_HOSTS or users < MIN_USERS:
        raise EstateError(f"the incident needs at least {MIN_HOSTS} hosts and {MIN_USERS} users")
    state = EstateState(name, base, settle_s)
    _Maker(state, random.Random(seed)).make(hosts, users, connections)  # noqa: S311 - a story, not a secret
    return Estate(state, clock=clock)


def load_estate(path: Path, *, base: datetime | None = None, clock: Clock | None = None) -> Estate:
    """Return the estate of a file: a full snapshot as `Estate.save` writes it, or a recipe such as
    `{"seed": 7, "hosts": 200, "users": 80, "name": "..."}`.

    A recipe without a `base` is made for `base` or, without that, for now, so that its last hours are the real ones.
    Raises EstateError when the file is neither.
    """
    data = read_json(path)
    if "seed" not in data:
        return Estate.from_snapshot(data, source=str(path), clock=clock)
    try:
        recipe = TypeAdapter(_Recipe).validate_python(data)
    except ValidationError as exc:
        known = ", ".join(each.name for each in fields(_Recipe))
        wrong = "\n".join(f"  {each['loc'][0]}: {each['msg']}" for each in exc.errors())
        raise EstateError(f"{path} is not an estate recipe; its fields: {known}\n{wrong}") from exc
    now = datetime.now(UTC).replace(microsecond=0)
    return make_estate(
        recipe.seed,
        recipe.hosts,
        recipe.users,
        connections=recipe.connections,
        base=(recipe.base or base or now).astimezone(UTC),
        name=recipe.name,
        settle_s=recipe.settle_s,
        clock=clock,
    )


class _Maker:
    """Fills one state. The order of the calls is part of the result: each draws from the same random numbers."""

    def __init__(self, state: EstateState, rng: random.Random) -> None:
        self._state = state
        self._rng = rng
        self._last_octets: dict[str, Iterator[int]] = {code: iter(range(20, 65_000)) for code in SITES}

    def make(self, hosts: int, users: int, connections: int) -> None:
        self._make_hosts(hosts)
        self._make_users(users)
        self._make_groups()
        self._make_logons()
        self._make_traffic(connections)
        self._make_incident()
        self._make_alerts()
        self._make_channels()
        self._state.connections.sort(key=lambda c: (c.at, c.host_id, c.address))
        self._state.logons.sort(key=lambda each: (each.at, each.host_id, each.user_id))
        self._state.sightings.sort(key=lambda each: (each.at, each.host_id))

    # --- small draws

    def _ago(self, **span: float) -> datetime:
        return self._state.base - timedelta(**span)

    def _some_time_ago(self, hours: float) -> datetime:
        return self._ago(seconds=self._rng.randrange(60, int(hours * 3600)))

    def _hex(self, bits: int = 128) -> str:
        return f"{self._rng.getrandbits(bits):0{bits // 4}x}"

    def _uuid(self) -> str:
        return str(uuid.UUID(int=self._rng.getrandbits(128), version=4))

    def _host(self, name: str) -> Host:
        return next(host for host in self._state.hosts.values() if host.name == name)

    # --- hosts

    def _make_hosts(self, total: int) -> None:
        for name, site, kind, os, os_version, tags in FIXED_HOSTS:
            self._add_host(name, site, kind, os, os_version, tags)
        taken = {name for name, *_ in FIXED_HOSTS}
        numbers = {(prefix, site): 0 for prefix, *_ in FILLERS for site in SITES}
        codes = list(SITES)
        while len(self._state.hosts) < total:
            (prefix, kind, os, os_version, _) = self._rng.choices(FILLERS, [each[-1] for each in FILLERS])[0]
            site = self._rng.choices(codes, [SITES[code].weight for code in codes])[0]
            numbers[prefix, site] += 1
            name = f"{prefix}-{site}-{numbers[prefix, site]:03}"
            if name not in taken:
                self._add_host(name, site, kind, os, os_version, {"server"} if kind == "server" else set())

    def _add_host(self, name: str, site: str, kind: str, os: OsFamily, os_version: str, tags: set[str]) -> None:
        number = next(self._last_octets[site])
        host_id = self._hex()
        online = kind == "domain_controller" or name in INFECTED_HOSTS or self._rng.random() > 0.04
        unseen_s = self._rng.randrange(5, 900) if online else self._rng.randrange(86_400, 40 * 86_400)
        mac = "02:" + ":".join(f"{self._rng.randrange(256):02x}" for _ in range(5))
        self._state.hosts[host_id] = Host(
            id=host_id,
            name=name,
            os=os,
            os_version=os_version,
            site=site,
            domain=DOMAIN,
            ips=[f"{SITES[site].network}.{number // 250}.{number % 250 + 1}"],
            mac=mac,
            last_seen=self._ago(seconds=unseen_s),
            agent_version=self._rng.choice(["7.16.18605", "7.18.19005", "7.18.19005"]),
            kind=kind,
            online=online,
            tags=set(tags),
            groups={f"{SITES[site].place}", "Servers" if "server" in tags or "tier-0" in tags else "Endpoints"},
        )

    # --- people

    def _make_users(self, total: int) -> None:
        self._add_user("tyo", "Kenji", "Sato", "Finance", "Accountant", login="kenji.sato")
        self._add_user("ngo", "Kenji", "Sato", "Production", "Plant Supervisor", login="kenji.sato2")
        self._add_user("tyo", "Mei", "Kobayashi", "IT", "Systems Administrator", login="mei.kobayashi")
        self._add_user("tyo", "Mei", "Kobayashi (admin)", "IT", "Systems Administrator", login="adm-kobayashi")
        self._add_user("tll", "Siim", "Ilves (admin)", "IT", "Systems Administrator", login="adm-ilves")
        self._add_user("tyo", "Break", "Glass", "IT", "Emergency Account", login="break-glass-01")
        self._add_user("tyo", "Incident", "Automation", "IT", "Service Account", login="svc-responder")
        self._add_user("tll", "Rasmus", "Kask", "Production", "Line Engineer", login="rasmus.kask")
        self._add_user("yyc", "Priya", "Singh", "Sales", "Account Manager", login="priya.singh")
        left = self._add_user("yyc", "Jack", "Fraser", "Sales", "Account Manager", login="jack.fraser")
        away = self._add_user("ngo", "Emi", "Mori", "Logistics", "Planner", login="emi.mori")
        left.enabled = away.enabled = False
        guest = self._add_user("tyo", "Ada", "Reviewer", "External", "Auditor", login="ada.reviewer")
        guest.guest = True
        guest.mail = "ada.reviewer@audit.example"
        guest.upn = f"ada.reviewer_audit.example#EXT#@{DOMAIN}"
        codes = list(SITES)
        while len(self._state.users) < total:
            site = self._rng.choices(codes, [SITES[code].weight for code in codes])[0]
            families, givens = PEOPLES_NAMES[site]
            department, title = self._rng.choice(JOBS)
            self._add_user(site, self._rng.choice(givens), self._rng.choice(families), department, title)

    def _add_user(
        self, site: str, given: str, family: str, department: str, title: str, *, login: str | None = None
    ) -> User:
        sam = login or self._free_login(f"{given}.{family}".lower().translate(str.maketrans("äöõü", "aoou")))
        upn = f"{sam}@{DOMAIN}"
        sign_ins = [
            SignIn(self._hex(64), self._some_time_ago(72), f"{SITES[site].network}.200.{n + 1}", "Office")
            for n in range(self._rng.randrange(4))
        ]
        user = User(
            id=self._uuid(),
            upn=upn,
            sam=sam,
            display_name=f"{given} {family}",
            department=department,
            job_title=title,
            site=site,
            sessions_valid_from=self._ago(days=self._rng.randrange(10, 300)),
            mail=upn,
            sign_ins=sorted(sign_ins, key=lambda each: each.at),
        )
        self._state.users[user.id] = user
        return user

    def _free_login(self, wanted: str) -> str:
        taken = {user.sam for user in self._state.users.values()}
        login, number = wanted, 1
        while login in taken:
            number += 1
            login = f"{wanted}{number}"
        return login

    def _login(self, sam: str) -> User:
        return next(user for user in self._state.users.values() if user.sam == sam)

    def _make_groups(self) -> None:
        people = list(self._state.users.values())
        staff = {user.id for user in people if not user.guest}
        admins = {self._login(sam).id for sam in ("adm-kobayashi", "adm-ilves")}
        emergency = {self._login("break-glass-01").id}

        def of(department: str) -> set[str]:
            return {user.id for user in people if user.department == department and user.id in staff}

        self._add_group(
            "Global Administrators", {self._login("adm-kobayashi").id} | emergency, privileged=True, role=True
        )
        self._add_group("Security Administrators", {self._login("svc-responder").id}, privileged=True, role=True)
        self._add_group("Domain Admins", admins, privileged=True)
        self._add_group("Backup Operators", admins, privileged=True)
        self._add_group("All Employees", staff, dynamic=True)
        self._add_group("VPN Users", {each for each in sorted(staff) if self._rng.random() < 0.6})
        self._add_group("File Server Editors", of("Finance") | of("Engineering"))
        self._add_group("Plant Remote Access", of("Production"))
        self._add_group("Finance Approvers", of("Finance"))
        self._add_group("External Reviewers", {user.id for user in people if user.guest})

    def _add_group(
        self, name: str, members: set[str], *, privileged: bool = False, role: bool = False, dynamic: bool = False
    ) -> None:
        group = Group(self._uuid(), name, f"{name} of {NAME}", privileged, role, dynamic, set(members))
        self._state.groups[group.id] = group

    def _make_logons(self) -> None:
        people = [user for user in self._state.users.values() if user.enabled and not user.guest]
        owners = [user for user in people if not user.sam.startswith(("adm-", "break-", "svc-"))]
        here = {code: [user for user in owners if user.site == code] or owners for code in SITES}
        fixed = {"pc-tll-003": "rasmus.kask", PATIENT_ZERO: "rasmus.kask", "pc-yyc-014": "priya.singh"}
        for host in self._state.hosts.values():
            personal = host.kind in ("workstation", "laptop") and "shared" not in host.tags
            user = self._login(fixed[host.name]) if host.name in fixed else self._rng.choice(here[host.site])
            if personal:
                host.owner_email = user.mail
            self._log_on(host, user, self._some_time_ago(48))
            for _ in range(self._rng.randrange(2)):
                self._log_on(host, self._rng.choice(here[host.site]), self._some_time_ago(72))
        self._log_on(self._host(FILE_SERVER), self._login("adm-kobayashi"), self._ago(hours=5))
        self._log_on(self._host(FILE_SERVER), self._login("kenji.sato"), self._ago(minutes=50))
        self._log_on(self._host("srv-tll-mes-01"), self._login("adm-ilves"), self._ago(hours=30))

    def _log_on(self, host: Host, user: User, at: datetime) -> None:
        host.users.add(user.sam)
        self._state.logons.append(Logon(at, host.id, user.id))

    # --- traffic

    def _make_traffic(self, count: int) -> None:
        hosts = list(self._state.hosts.values())
        weights = [each[-1] for each in ORDINARY_DESTINATIONS]
        for _ in range(count):
            host = self._rng.choice(hosts)
            domain, address, app, _ = self._rng.choices(ORDINARY_DESTINATIONS, weights)[0]
            port = 123 if app == "ntp" else 443
            sent = int(self._rng.lognormvariate(8.5, 1.4))
            got = int(self._rng.lognormvariate(10.5, 1.6))
            self._talk(host, self._some_time_ago(72), address, domain, port=port, app=app, sent=sent, got=got)

    def _talk(
        self, host: Host, at: datetime, address: str, domain: str, *, app: str, sent: int, got: int, port: int = C2_PORT
    ) -> None:
        self._state.connections.append(
            Connection(at, host.id, host.ips[0], address, port, sent, got, app, domain=domain)
        )

    # --- the incident

    def _make_incident(self) -> None:
        self._beacon(PATIENT_ZERO, SECOND_C2_ADDRESS, SECOND_C2_DOMAIN, since_h=36)
        for name in ESTONIAN_DEVICES:
            self._beacon(name, C2_ADDRESS, C2_DOMAIN, since_h=self._rng.uniform(8, 28))
        for name in CANADIAN_DEVICES:
            self._beacon(name, C2_ADDRESS, C2_DOMAIN, since_h=self._rng.uniform(3, 8))
        self._beacon(FILE_SERVER, C2_ADDRESS, C2_DOMAIN, since_h=0.6)
        self._login("kenji.sato").risk = "high"
        self._login("rasmus.kask").risk = "medium"
        server = self._host(FILE_SERVER)
        # The remote session, and the leak: a few megabytes, nothing personal.
        self._talk(server, self._ago(minutes=22), C2_ADDRESS, C2_DOMAIN, app="fleetmate", sent=6_412_288, got=912_004)
        for name in INFECTED_HOSTS:
            self._host(name).last_seen = self._ago(seconds=30)

    def _beacon(self, name: str, address: str, domain: str, *, since_h: float) -> None:
        host = self._host(name)
        began = self._ago(hours=since_h)
        self._state.sightings.append(Sighting(began, host.id, MALWARE_SHA256, MALWARE_PATH))
        for n in range(min(60, max(4, int(since_h * 3)))):
            at = began + timedelta(minutes=20 * n + 1 + self._rng.randrange(4))
            if at < self._state.base:
                self._talk(host, at, address, domain, app="ssl", sent=self._rng.randrange(700, 1400), got=412)

    # --- alerts and chat

    def _make_alerts(self) -> None:
        server, zero = self._host(FILE_SERVER), self._host(PATIENT_ZERO)
        self._add_alert(
            Alert(
                id="",
                at=self._state.base,
                severity="high",
                title="Remote management tool newly installed",
                description=f"{REMOTE_TOOL} was installed on {FILE_SERVER} and opened a session to {C2_DOMAIN}.",
                host_id=server.id,
                host_name=server.name,
                user_id=self._login("kenji.sato").id,
                sha256=MALWARE_SHA256,
                address=C2_ADDRESS,
                technique="T1219",
            )
        )
        self._add_alert(
            Alert(
                id="",
                at=self._ago(hours=36),
                severity="low",
                title="Unsigned program started as a service",
                host_id=zero.id,
                host_name=zero.name,
                sha256=MALWARE_SHA256,
                technique="T1543.003",
            )
        )
        for name in HOSTILE_NAMES:
            at = self._some_time_ago(24)
            self._add_alert(Alert("", at, "medium", f"Unknown device {name}", host_name=name, technique="T1200"))
        hosts = list(self._state.hosts.values())
        statuses: list[AlertStatus] = ["new", "in_progress", "closed", "closed"]
        for _ in range(30):
            severity, title, technique = self._rng.choice(BACKGROUND_ALERTS)
            host = self._rng.choice(hosts)
            at = self._some_time_ago(72)
            status = self._rng.choice(statuses)
            self._add_alert(
                Alert("", at, severity, title, host_id=host.id, host_name=host.name, technique=technique, status=status)
            )

    def _add_alert(self, alert: Alert) -> None:
        alert = replace(alert, id=f"alert-{self._hex(96)}")
        self._state.alerts[alert.id] = alert

    def _make_channels(self) -> None:
        for number, (name, archived, member, private) in enumerate(
            [
                ("incidents", False, True, False),
                ("security", False, True, False),
                ("general", False, True, False),
                ("it-operations", False, True, False),
                ("incidents-2024", True, True, False),
                ("executives", False, False, True),
                ("facilities", False, False, False),
                ("management", False, True, True),
                ("soc-on-call", False, True, True),
            ],
            start=1,
        ):
            channel_id = f"C0{number:02}{self._hex(28).upper()}"
            self._state.channels[channel_id] = Channel(channel_id, name, archived, member, private)
