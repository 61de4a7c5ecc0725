"""An OpenLDAP server with the overlay ppolicy, in a temporary folder and on loopback ports, in the foreground."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from directory_eyes import Eyes

from hikeshi_connectors.ldap.simulated_tls import make_certificate

__all__ = ["BASE_DN", "PASSWORD", "SERVICE", "SHORT", "USER_PASSWORD", "Slapd", "slapd", "why_no_slapd"]

BASE_DN = "dc=minato,dc=example"
PASSWORD = "invented-password"
USER_PASSWORD = "another-invented-password"
SERVICE = f"cn=hikeshi,{BASE_DN}"
SHORT = f"cn=short,{BASE_DN}"
_START_S = 20.0
_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
_MODULES = Path("/usr/lib/ldap")
_CONFIGURATION = f"""
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath {_MODULES}
moduleload back_mdb
moduleload ppolicy
pidfile FOLDER/pid
TLSCertificateFile CERTIFICATE
TLSCertificateKeyFile KEY
database mdb
suffix {BASE_DN}
directory FOLDER/data
maxsize 16777216
rootdn cn=root,{BASE_DN}
rootpw {PASSWORD}
access to attrs=userPassword by dn.exact="{SERVICE}" none by anonymous auth by * none
access to dn.subtree="ou=people,{BASE_DN}" attrs=pwdAccountLockedTime by dn.exact="{SERVICE}" write by * none
access to dn.subtree="ou=groups,{BASE_DN}" attrs=member by dn.exact="{SERVICE}" write by * read
access to * by users read by anonymous auth
limits dn.exact="{SHORT}" size.prtotal=2
overlay ppolicy
ppolicy_default cn=default,ou=policies,{BASE_DN}
"""
_TREE = f"""
dn: {BASE_DN}
objectClass: dcObject
objectClass: organization
o: Minato

dn: ou=people,{BASE_DN}
objectClass: organizationalUnit

dn: ou=groups,{BASE_DN}
objectClass: organizationalUnit

dn: ou=policies,{BASE_DN}
objectClass: organizationalUnit

dn: cn=default,ou=policies,{BASE_DN}
objectClass: device
objectClass: pwdPolicy
pwdAttribute: userPassword
pwdLockout: TRUE
pwdMaxFailure: 5

dn: {SERVICE}
objectClass: organizationalRole
objectClass: simpleSecurityObject
userPassword: {PASSWORD}

dn: {SHORT}
objectClass: organizationalRole
objectClass: simpleSecurityObject
userPassword: {PASSWORD}
"""


@dataclass(frozen=True, slots=True)
class Slapd:
    """One tree, and its owner's eyes on it."""

    plain: str
    protected: str
    ca_file: str
    eyes: Eyes

    def dn(self, name: str) -> str:
        return f"uid={name},ou=people,{BASE_DN}"

    def group_dn(self, name: str) -> str:
        return f"cn={name},ou=groups,{BASE_DN}"

    def add_user(self, name: str) -> None:
        """Add an account that signs in with USER_PASSWORD."""
        given = {"cn": [f"{name.title()} 芽衣"], "sn": [name], "mail": [f"{name}@minato.example"]}
        self.eyes.add(self.dn(name), ["inetOrgPerson"], userPassword=USER_PASSWORD, **given)

    def add_group(self, name: str, *members: str) -> None:
        self.eyes.add(self.group_dn(name), ["groupOfNames"], member=[self.dn(each) for each in members])


def why_no_slapd() -> str | None:
    """Return why there can be no server on this machine, or None."""
    if shutil.which("slapd", path=_PATH) is None or not (_MODULES / "ppolicy.so").exists():
        return "not installed: slapd (see tests/real/packages.txt)"
    return None


@contextlib.contextmanager
def slapd() -> Iterator[Slapd]:
    """Serve a tree for the time of the block."""
    folder = Path(tempfile.mkdtemp(prefix="hk-slapd-"))
    try:
        certificate = make_certificate(folder, "127.0.0.1")
        (folder / "data").mkdir()
        configuration = folder / "slapd.conf"
        text = _CONFIGURATION.replace("FOLDER", str(folder))
        text = text.replace("CERTIFICATE", str(certificate.file)).replace("KEY", str(certificate.key_file))
        configuration.write_text(text, encoding="utf-8")
        _run("slapadd", "-f", str(configuration), given=_TREE)
        plain, protected = _free_ports()
        with _serving(configuration, folder, plain, protected):
            eyes = Eyes("127.0.0.1", protected, f"cn=root,{BASE_DN}", PASSWORD)
            addresses = f"ldap://127.0.0.1:{plain}", f"ldaps://127.0.0.1:{protected}"
            yield Slapd(*addresses, str(certificate.file), eyes)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _serving(configuration: Path, folder: Path, *ports: int) -> Iterator[None]:
    urls = f"ldap://127.0.0.1:{ports[0]}/ ldaps://127.0.0.1:{ports[1]}/"
    with (folder / "output").open("wb") as output:
        process = subprocess.Popen(
            ["slapd", "-f", str(configuration), "-h", urls, "-d", "0"],
            env={**os.environ, "PATH": _PATH},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        _wait_for(process, folder, ports)
        yield
    finally:
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(5)


def _wait_for(process: subprocess.Popen[bytes], folder: Path, ports: tuple[int, ...]) -> None:
    deadline = time.monotonic() + _START_S
    for port in ports:
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=2).close()
                break
            except OSError:
                said = (folder / "output").read_text(errors="replace")[-2000:]
                assert process.poll() is None, f"slapd ended: {said}"
                assert time.monotonic() < deadline, f"slapd does not answer: {said}"
                time.sleep(0.05)


def _free_ports() -> tuple[int, int]:
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        return int(one.getsockname()[1]), int(other.getsockname()[1])


def _run(*words: str, given: str) -> None:
    done = subprocess.run(
        words, env={**os.environ, "PATH": _PATH}, input=given, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, f"{words[0]} failed: {done.stderr[-2000:]}"
