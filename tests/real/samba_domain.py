"""A domain controller of Samba, provisioned in a temporary folder, in a network namespace at the end of a wire.

It is a process of the test's own, in the foreground, and gone when the block is left, whatever happened in it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from directory_eyes import Eyes

from hikeshi_connectors.ldap.simulated_tls import make_certificate

__all__ = ["PASSWORD", "USER_PASSWORD", "Domain", "domain", "why_no_domain"]

PASSWORD = "Invented-Passw0rd"
USER_PASSWORD = "An-0ther-Passw0rd"
_START_S = 60.0
_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
_ENVIRONMENT = {**os.environ, "PATH": _PATH}


@dataclass(frozen=True, slots=True)
class Domain:
    """One domain, DC=hikeshi,DC=test, and an administrator's eyes on it."""

    address: str
    ca_file: str
    eyes: Eyes

    base_dn = "DC=hikeshi,DC=test"
    administrator = "Administrator@hikeshi.test"

    def dn(self, name: str) -> str:
        return "CN={},CN=Users,{}".format(name.replace(",", "\\,"), self.base_dn)

    def add_user(self, name: str, control: int = 512) -> None:
        """Add an account that signs in with USER_PASSWORD."""
        self.eyes.add(
            self.dn(name),
            ["user"],
            sAMAccountName=name,
            userPrincipalName=f"{name}@hikeshi.test",
            mail=f"{name}@hikeshi.test",
            displayName=f"{name.title()} 芽衣",
            department="IT",
            unicodePwd=f'"{USER_PASSWORD}"'.encode("utf-16-le"),
            userAccountControl=str(control),
        )

    def add_group(self, name: str, *members: str) -> None:
        given = {"member": [self.dn(each) for each in members]} if members else {}
        account = "".join(each for each in name if each.isalnum() or each == " ")  # it takes fewer signs than a DN
        self.eyes.add(self.dn(name), ["group"], sAMAccountName=account, **given)


def why_no_domain() -> str | None:
    """Return why there can be no domain controller on this machine, or None."""
    missing = [each for each in ("ip", "samba", "samba-tool") if shutil.which(each, path=_PATH) is None]
    if missing:
        return f"not installed: {', '.join(missing)} (see tests/real/packages.txt)"
    if os.geteuid() != 0:
        return "network namespaces and the ports of a domain controller need root"
    name = f"hikeshi-try-ad-{os.getpid()}"
    if subprocess.run(["ip", "netns", "add", name], env=_ENVIRONMENT, capture_output=True, check=False).returncode:
        return "this machine lets nobody make network namespaces"
    _run("ip", "netns", "del", name)
    return None


@contextlib.contextmanager
def domain() -> Iterator[Domain]:
    """Provision a domain and serve it for the time of the block; that takes a quarter of a minute."""
    number = os.getpid() % 16_000
    net = f"10.{213 + number // 64 % 8}.{number // 512}.{number % 64 * 4}"
    ours, theirs = (f"{net.rpartition('.')[0]}.{int(net.rpartition('.')[2]) + each}" for each in (1, 2))
    folder = Path(tempfile.mkdtemp(prefix="hk-ad-"))
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        namespace = stack.enter_context(_namespace(f"hk-ad-{os.getpid()}", f"hkad{os.getpid()}"[:15], ours, theirs))
        certificate = make_certificate(folder, theirs)
        _provision(folder, theirs, [f"tls certfile={certificate.file}", f"tls keyfile={certificate.key_file}"])
        stack.enter_context(_serving(namespace, folder))
        eyes = Eyes(theirs, 636, Domain.administrator, PASSWORD)
        _wait_for(eyes, folder)
        yield Domain(f"ldaps://{theirs}", str(certificate.file), eyes)


@contextlib.contextmanager
def _namespace(name: str, wire: str, ours: str, theirs: str) -> Iterator[str]:
    _run("ip", "netns", "add", name)
    try:
        _run("ip", "link", "add", wire, "type", "veth", "peer", "name", "eth0", "netns", name)
        _run("ip", "addr", "add", f"{ours}/30", "dev", wire)
        _run("ip", "link", "set", wire, "up")
        _run("ip", "-n", name, "addr", "add", f"{theirs}/30", "dev", "eth0")
        for each in ("eth0", "lo"):
            _run("ip", "-n", name, "link", "set", each, "up")
        yield name
    finally:
        # Whatever still runs in there was started here.
        for pid in _run("ip", "netns", "pids", name).split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        _run("ip", "netns", "del", name)  # with it goes the wire


def _provision(folder: Path, address: str, options: list[str]) -> None:
    given = [
        "interfaces=lo eth0",
        "bind interfaces only=yes",
        "dns forwarder=127.0.0.1",
        "tls enabled=yes",
        "tls cafile=",
    ]
    given += [f"log file={folder}/log.%m", "logging=file", *options]
    _run(
        *("samba-tool", "domain", "provision", "--realm=HIKESHI.TEST", "--domain=HIKESHI", "--server-role=dc"),
        *("--dns-backend=SAMBA_INTERNAL", f"--adminpass={PASSWORD}", f"--targetdir={folder / 'dc'}"),
        *("--host-name=dc1", f"--host-ip={address}", *(f"--option={each}" for each in given)),
    )


@contextlib.contextmanager
def _serving(namespace: str, folder: Path) -> Iterator[None]:
    configuration = folder / "dc" / "etc" / "smb.conf"
    words = ["ip", "netns", "exec", namespace, "samba", "-F", "-s", str(configuration), "--no-process-group"]
    with (folder / "output").open("wb") as output:
        process = subprocess.Popen(
            [*words, "--debug-stdout"],
            env=_ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(5)


def _wait_for(eyes: Eyes, folder: Path) -> None:
    deadline = time.monotonic() + _START_S
    while True:
        try:
            socket.create_connection((eyes.host, eyes.port), timeout=2).close()
            if eyes.signs_in(eyes.user, eyes.password)[0] == 0:
                return
            why = "it refuses the administrator"
        except Exception as exc:  # noqa: BLE001 - ldap3 has a class for each way in which nobody is there yet
            why = repr(exc)
        if time.monotonic() > deadline:
            said = (folder / "output").read_text(errors="replace")[-2000:]
            raise AssertionError(f"the domain controller does not answer ({why}):\n{said}")
        time.sleep(0.25)


def _run(*words: str) -> str:
    done = subprocess.run(words, env=_ENVIRONMENT, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, f"{' '.join(words[:4])} failed: {done.stderr[-2000:]}"
    return done.stdout
