"""Postfix, with a configuration, a queue and mailboxes of its own: nothing of this machine's is touched."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import smtplib
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mail_server import certificate_in

__all__ = ["DOMAIN", "Postfix", "postfix", "why_not_postfix"]

DOMAIN = "corp.example"
_NOBODY = 65534
_MAIN = """
compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/data
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
myhostname = mail.test
mydestination =
mynetworks = 127.0.0.0/8
alias_maps =
alias_database =
virtual_mailbox_domains = {domain}
virtual_mailbox_maps = texthash:{folder}/conf/mailboxes
virtual_mailbox_base = {folder}/mail
virtual_uid_maps = static:{nobody}
virtual_gid_maps = static:{nobody}
smtpd_relay_restrictions = reject_unauth_destination
smtpd_tls_cert_file = {folder}/tls/certificate.pem
smtpd_tls_key_file = {folder}/tls/key.pem
smtpd_tls_security_level = encrypt
message_size_limit = 50000
maillog_file = {folder}/log
maillog_file_prefixes = {folder}
"""
_SERVICES = """
127.0.0.1:{port} inet n - n - - smtpd
127.0.0.1:{port_tls} inet n - n - - smtpd -o smtpd_tls_wrappermode=yes
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
error unix - - n - - error
proxymap unix - - n - - proxymap
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""


def why_not_postfix() -> str | None:
    """Return why there is no such server here, or None."""
    if shutil.which("postfix", path=_PATH) is None:
        return (
            "the Debian package postfix is not there (it takes the place of another mail server: install it yourself)"
        )
    return None if os.geteuid() == 0 else "Postfix can only be started by root"


_PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])


@dataclass(frozen=True, slots=True)
class Postfix:
    """A server that runs: with STARTTLS on one port, with TLS from the first byte on the other."""

    folder: Path
    port: int
    port_tls: int

    @property
    def certificate(self) -> Path:
        return self.folder / "tls" / "certificate.pem"

    def mails(self, mailbox: str, count: int, within_s: float = 20.0) -> list[bytes]:
        """Return what came into a mailbox, once it is so many mails."""
        until = time.monotonic() + within_s
        while True:
            files = sorted((self.folder / "mail" / mailbox / "new").glob("*"), key=lambda each: each.stat().st_mtime_ns)
            if len(files) >= count:
                return [file.read_bytes() for file in files]
            assert time.monotonic() < until, self.log()
            time.sleep(0.05)

    def log(self) -> str:
        path = self.folder / "log"
        return path.read_text(encoding="utf-8", errors="replace")[-3000:] if path.exists() else "nothing was logged"


@contextlib.contextmanager
def postfix() -> Iterator[Postfix]:
    """Run Postfix for the time of the block."""
    folder = Path(tempfile.mkdtemp(prefix="hikeshi-postfix-"))  # its processes have to get there as other users
    folder.chmod(0o755)
    process = None
    try:
        server = _configured(folder)
        command = ["postfix", "-c", str(folder / "conf"), "start-fg"]
        with (folder / "output").open("wb") as output:
            process = subprocess.Popen(command, stdout=output, stderr=output, env={**os.environ, "PATH": _PATH})
        _wait_for(server, process)
        yield server
    finally:
        if process is not None:
            _stop(folder, process)
        shutil.rmtree(folder, ignore_errors=True)


def _stop(folder: Path, process: subprocess.Popen[bytes]) -> None:
    """End the script that was started, and the master behind it, which is no child of ours and leads its own group."""
    master = folder / "queue" / "pid" / "master.pid"
    with contextlib.suppress(OSError, ValueError):
        os.killpg(int(master.read_text()), signal.SIGTERM)
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(OSError, ValueError):
            os.killpg(int(master.read_text()), signal.SIGKILL)
        process.kill()
        process.wait(10)


def _configured(folder: Path) -> Postfix:
    owner = pwd.getpwnam("postfix").pw_uid
    certificate_in(folder / "tls")
    for name, user in (("conf", 0), ("queue", 0), ("data", owner), ("mail", _NOBODY)):
        (folder / name).mkdir()
        os.chown(folder / name, user, -1)
    server = Postfix(folder, _free_port(), _free_port())
    (folder / "conf" / "main.cf").write_text(_MAIN.format(folder=folder, domain=DOMAIN, nobody=_NOBODY))
    (folder / "conf" / "master.cf").write_text(_SERVICES.format(port=server.port, port_tls=server.port_tls))
    (folder / "conf" / "mailboxes").write_text(f"soc@{DOMAIN} soc/\njo@{DOMAIN} jo/\n")
    return server


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for(server: Postfix, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + 30
    while True:
        try:
            with smtplib.SMTP("127.0.0.1", server.port, timeout=5):
                return
        except OSError:
            assert process.poll() is None, (server.folder / "output").read_text() + server.log()
            assert time.monotonic() < until, server.log()
            time.sleep(0.1)
