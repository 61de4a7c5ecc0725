"""The estate: one simulated organisation that every vendor simulator serves.

Everything here is vendor-neutral. A simulator translates its vendor's API to this state and back, so a change
that is made through one product is visible through the others. The state belongs to one event loop and has no locks.

Time: nothing happens in the background. What was due in the meantime (a containment that took effect, a tag that
ran out, a commit that finished) is caught up with by `settle()`, which the simulation calls before every request.
"""

import heapq
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import fields
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Self

from hikeshi.testing.estate_state import (
    Alert,
    AlertStatus,
    Channel,
    CommitJob,
    Connection,
    EstateError,
    EstateState,
    Firewall,
    FirewallConfig,
    Group,
    Host,
    Ioc,
    IsolationState,
    Logon,
    Message,
    OsFamily,
    Severity,
    Sighting,
    SignIn,
    Ticket,
    User,
    estate_codec,
    parse_estate,
    read_json,
)

__all__ = [
    "Alert",
    "AlertStatus",
    "Channel",
    "Clock",
    "CommitJob",
    "Connection",
    "Estate",
    "EstateError",
    "EstateState",
    "Firewall",
    "FirewallConfig",
    "Group",
    "Host",
    "Ioc",
    "IsolationState",
    "Logon",
    "Message",
    "OsFamily",
    "RunningClock",
    "Severity",
    "Sighting",
    "SignIn",
    "Ticket",
    "User",
]

Clock = Callable[[], datetime]


class RunningClock:
    """A clock that starts at a given moment and runs at the usual speed."""

    def __init__(self, start: datetime, seconds: Callable[[], float] = time.monotonic) -> None:
        self._start = start
        self._seconds = seconds
        self._zero = seconds()

    def __call__(self) -> datetime:
        return self._start + timedelta(seconds=self._seconds() - self._zero)


Due = tuple[datetime, int, Callable[[datetime], None]]


class Estate(EstateState):
    """An estate that lives: its state, its clock, and the changes that take a while.

    Simulators read and write the fields directly. Four things take time and therefore have methods: containment,
    tags with a timeout, indicators with an expiry, and commits.
    """

    def __init__(self, state: EstateState, *, clock: Clock | None = None) -> None:
        self._clock = clock or RunningClock(state.base)
        self._take(state)

    def __repr__(self) -> str:
        return f"<Estate {self.name!r}: {len(self.hosts)} hosts, {len(self.users)} users>"

    def _take(self, state: EstateState) -> None:
        self._advanced = timedelta()
        self._due: list[Due] = []
        self._scheduled = 0
        for each in fields(EstateState):
            setattr(self, each.name, getattr(state, each.name))
        self._schedule_everything()

    # --- time

    def now(self) -> datetime:
        """Return the estate's time, UTC: its clock plus what it was advanced by."""
        return self._clock() + self._advanced

    def advance(self, seconds: float) -> datetime:
        """Move the estate's time forward, settle, and return the new time.
        Raises EstateError for a step back: the caller's mistake."""
        if seconds < 0:
            raise EstateError(f"an estate's time cannot go back (advance by {seconds} s): reset the estate instead")
        self._advanced += timedelta(seconds=seconds)
        self.settle()
        return self.now()

    def settle(self) -> None:
        """Catch up with everything that was due by now."""
        if not self._due:
            return
        now = self.now()
        while self._due and self._due[0][0] <= now:
            at, _, happen = heapq.heappop(self._due)
            happen(at)

    def _at(self, at: datetime, happen: Callable[[datetime], None]) -> None:
        self._scheduled += 1
        heapq.heappush(self._due, (at, self._scheduled, happen))

    def _schedule_everything(self) -> None:
        for host in self.hosts.values():
            self._schedule_isolation(host)
        for ip, tags in self.firewall.registered_tags.items():
            for tag, expires_at in tags.items():
                self._schedule_tag(ip, tag, expires_at)
        for ioc in self.iocs.values():
            self._schedule_ioc(ioc)
        for job in self.firewall.jobs.values():
            self._schedule_job(job)

    # --- hosts

    def contain(self, host_id: str) -> None:
        """Begin to contain a host; it is contained after `settle_s`. Raises EstateError if it is not 'normal'."""
        self._begin(host_id, expected="normal", pending="containment_pending")

    def lift_containment(self, host_id: str) -> None:
        """Begin to lift a containment; it is lifted after `settle_s`. Raises EstateError if it is not 'contained'."""
        self._begin(host_id, expected="contained", pending="lift_containment_pending")

    def _begin(self, host_id: str, *, expected: IsolationState, pending: IsolationState) -> None:
        self.settle()
        host = self.hosts[host_id]
        if host.isolation != expected:
            raise EstateError(f"host {host.name} ({host_id}) is {host.isolation}, not {expected}")
        host.isolation = pending
        host.isolation_due = self.now() + timedelta(seconds=self.settle_s)
        self._schedule_isolation(host)

    def _schedule_isolation(self, host: Host) -> None:
        due = host.isolation_due
        if due is None:
            return

        def finish(at: datetime) -> None:
            if host.isolation_due == at and host.online:
                host.isolation = "contained" if host.isolation == "containment_pending" else "normal"
                host.isolation_due = None

        self._at(due, finish)

    def set_online(self, host_id: str, online: bool) -> None:
        """Connect a host, which then does what is pending, or disconnect it."""
        self.settle()
        host = self.hosts[host_id]
        host.online = online
        if online:
            host.last_seen = self.now()
            self._schedule_isolation(host)

    def hosts_named(self, name: str) -> list[Host]:
        """Return the hosts with this name, case-insensitively: none, one or several."""
        wanted = name.casefold()
        return [host for host in self.hosts.values() if host.name.casefold() == wanted]

    def host_with_ip(self, ip: str) -> Host | None:
        """Return the host that has this address, or None."""
        return next((host for host in self.hosts.values() if ip in host.ips), None)

    # --- people

    def user(self, key: str) -> User | None:
        """Return the user with this id, UPN or mail address, or None."""
        found = self.users.get(key)
        if found is not None:
            return found
        wanted = key.casefold()
        return next((each for each in self.users.values() if wanted in _logins(each)), None)

    def groups_of(self, user_id: str) -> list[Group]:
        """Return the groups a user is a direct member of, sorted by name."""
        return sorted((g for g in self.groups.values() if user_id in g.members), key=lambda g: g.name)

    def revoke_sessions(self, user_id: str) -> None:
        """End a user's sign-in sessions: those from before now are no longer valid."""
        self.users[user_id].sessions_valid_from = self.now()

    def live_sign_ins(self, user_id: str) -> list[SignIn]:
        """Return the sign-in sessions of a user that have not been revoked."""
        user = self.users[user_id]
        return [session for session in user.sign_ins if session.at >= user.sessions_valid_from]

    # --- firewall

    def register_tag(self, ip: str, tag: str, timeout_s: float | None = None) -> bool:
        """Put a tag on an address, for `timeout_s` or for good. Return False, changing nothing, if it is there."""
        self.settle()
        tags = self.firewall.registered_tags.setdefault(ip, {})
        if tag in tags:
            return False
        expires_at = None if timeout_s is None else self.now() + timedelta(seconds=timeout_s)
        tags[tag] = expires_at
        self._schedule_tag(ip, tag, expires_at)
        return True

    def unregister_tag(self, ip: str, tag: str) -> bool:
        """Take a tag off an address. Return False if it was not there."""
        self.settle()
        tags = self.firewall.registered_tags.get(ip, {})
        if tag not in tags:
            return False
        del tags[tag]
        if not tags:
            del self.firewall.registered_tags[ip]
        return True

    def _schedule_tag(self, ip: str, tag: str, expires_at: datetime | None) -> None:
        if expires_at is None:
            return

        def expire(at: datetime) -> None:
            tags = self.firewall.registered_tags.get(ip, {})
            if tags.get(tag) == at:
                del tags[tag]
                if not tags:
                    del self.firewall.registered_tags[ip]

        self._at(expires_at, expire)

    def commit(self, *, error: str | None = None) -> CommitJob | None:
        """Begin to commit the firewall's candidate configuration, which takes `settle_s`.
        Return the job, or None when there is nothing to commit. With `error` the job fails and says so."""
        self.settle()
        if error is None and self.firewall.candidate == self.firewall.running:
            return None
        now = self.now()
        due_at = now + timedelta(seconds=self.settle_s)
        number = max(self.firewall.jobs, default=0) + 1
        job = CommitJob(number, now, due_at, self.firewall.candidate.copy(), error)
        self.firewall.jobs[number] = job
        self._schedule_job(job)
        return job

    def _schedule_job(self, job: CommitJob) -> None:
        if job.result is not None:
            return

        def finish(at: datetime) -> None:
            job.done_at = at
            job.result = "OK" if job.error is None else "FAIL"
            if job.error is None:
                self.firewall.running = job.config.copy()

        self._at(job.due_at, finish)

    # --- indicators, traffic

    def add_ioc(self, ioc: Ioc) -> None:
        """Add an indicator, or replace the one with its id; it goes away by itself at `expires_at`."""
        self.iocs[ioc.id] = ioc
        self._schedule_ioc(ioc)

    def remove_ioc(self, ioc_id: str) -> bool:
        """Remove an indicator. Return False if there was none with this id."""
        return self.iocs.pop(ioc_id, None) is not None

    def _schedule_ioc(self, ioc: Ioc) -> None:
        if ioc.expires_at is None:
            return

        def expire(at: datetime) -> None:
            if self.iocs.get(ioc.id) is ioc and ioc.expires_at == at:
                del self.iocs[ioc.id]

        self._at(ioc.expires_at, expire)

    def connections_to(self, destination: str) -> Iterator[Connection]:
        """Yield the connections to an address or a domain name, oldest first."""
        return (c for c in self.connections if destination in (c.address, c.domain))

    # --- snapshots

    def snapshot(self) -> dict[str, Any]:
        """Return the whole state as JSON values in a fixed order: equal states give equal bytes."""
        self.settle()
        dumped: dict[str, Any] = estate_codec().dump_python(self, mode="json")
        return dumped

    def snapshot_bytes(self) -> bytes:
        """Return the snapshot as UTF-8 JSON."""
        return json.dumps(self.snapshot(), ensure_ascii=False, indent=1).encode()

    def save(self, path: Path) -> None:
        """Write the snapshot to a file that `load` reads."""
        path.write_bytes(self.snapshot_bytes() + b"\n")

    def restore(self, snapshot: dict[str, Any]) -> None:
        """Take over the state of a snapshot, in place, and forget how far time was advanced.
        Raises EstateError when the snapshot is not one."""
        self._take(parse_estate(snapshot, "the snapshot"))

    @classmethod
    def from_snapshot(
        cls, snapshot: dict[str, Any], *, source: str = "the snapshot", clock: Clock | None = None
    ) -> Self:
        """Return an estate with the state of a snapshot; its clock starts at the snapshot's `base` unless given.
        Raises EstateError, naming every problem, when the snapshot is not one."""
        return cls(parse_estate(snapshot, source), clock=clock)

    @classmethod
    def load(cls, path: Path, *, clock: Clock | None = None) -> Self:
        """Return the estate that `save` wrote. Raises EstateError when the file is not one."""
        return cls.from_snapshot(read_json(path), source=str(path), clock=clock)


def _logins(user: User) -> set[str]:
    return {each.casefold() for each in (user.upn, user.mail) if each}
