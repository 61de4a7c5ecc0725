"""Anchors that are reached over a network: a log server with TLS, and a time-stamping authority."""

from __future__ import annotations

import ipaddress
import json
import shutil
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from socket import create_server

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from hikeshi.audit.anchor_file import read_anchors
from hikeshi.audit.anchors import Sheet, SyslogAnchor, TimestampAnchor
from hikeshi.audit.errors import AuditError
from hikeshi.journal import Checkpoint

NOW = datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC)
NOTE = "log\n3\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n\u2014 log x08go/ZJkuBS9UG/SffcvIAQxVBt\n"
SHEET = Sheet(Checkpoint(3, NOW, NOTE, b""), list)


def certificate(folder: Path, usage: x509.ObjectIdentifier) -> tuple[Path, Path]:
    """Write a certificate for 127.0.0.1 that vouches for itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    at = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(at - timedelta(days=1))
        .not_valid_after(at + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.ExtendedKeyUsage([usage]), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate, private = folder / "certificate.pem", folder / "private.pem"
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return certificate, private


@contextmanager
def log_server(certificate: Path, private: Path, *, is_polite: bool = True) -> Iterator[tuple[int, list[bytes]]]:
    """Serve one connection, and keep what it sends; an impolite one does not answer that that was all."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, private)
    received: list[bytes] = []

    def serve() -> None:
        try:
            plain, _ = server.accept()
            with context.wrap_socket(plain, server_side=True) as channel:
                while chunk := channel.recv(4096):
                    received.append(chunk)
                if is_polite:
                    channel.unwrap().close()
        except OSError:  # a client that does not believe us
            return

    with create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield server.getsockname()[1], received
        finally:
            thread.join(10)


def test_a_log_server_gets_the_note_over_tls(tmp_path: Path) -> None:
    """What it wrote is read back as an anchor."""
    ca, private = certificate(tmp_path, ExtendedKeyUsageOID.SERVER_AUTH)
    with log_server(ca, private) as (port, received):
        assert SyslogAnchor("127.0.0.1", port, ca=ca).send(SHEET) == b""

    length, _, message = b"".join(received).partition(b" ")
    assert int(length) == len(message)
    assert json.loads(message[message.index(b"{") :]) == {"size": 3, "note": NOTE}
    (tmp_path / "messages").write_bytes(b"Feb  3 04:05:06 host " + message + b"\n")
    assert read_anchors([tmp_path / "messages"]).notes == [NOTE]


def test_a_log_server_that_does_not_say_goodbye_has_got_the_note(tmp_path: Path) -> None:
    """Many don't, and the note was sent."""
    ca, private = certificate(tmp_path, ExtendedKeyUsageOID.SERVER_AUTH)
    with log_server(ca, private, is_polite=False) as (port, received):
        assert SyslogAnchor("127.0.0.1", port, ca=ca).send(SHEET) == b""

    assert NOTE.splitlines()[2].encode() in b"".join(received)


def test_a_log_server_that_cannot_show_who_it_is_gets_nothing(tmp_path: Path) -> None:
    """Its certificate is nobody's that the system knows."""
    ca, private = certificate(tmp_path, ExtendedKeyUsageOID.SERVER_AUTH)
    with log_server(ca, private) as (port, received), pytest.raises(AuditError, match="did not reach its anchor"):
        SyslogAnchor("127.0.0.1", port).send(SHEET)

    assert received == []


def test_a_log_server_that_is_not_there_is_a_problem(tmp_path: Path) -> None:
    """As is a file with certificates that is missing."""
    with create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    for anchor in (SyslogAnchor("127.0.0.1", port), SyslogAnchor("127.0.0.1", port, ca=tmp_path / "missing")):
        with pytest.raises(AuditError, match="did not reach its anchor"):
            anchor.send(SHEET)


# --- time stamps

CONFIGURATION = """\
[tsa]
default_tsa = it
[it]
serial = {folder}/serial
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256
ess_cert_id_alg = sha256
"""

Answer = Callable[[bytes], bytes]


@contextmanager
def authority(answer: Answer) -> Iterator[str]:
    """Serve answers to requests for time stamps; give the address."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            content = answer(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.send_header("Content-Type", "application/timestamp-reply")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            return

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()
            thread.join(10)


@pytest.fixture
def stamp(tmp_path: Path) -> tuple[Path, Answer]:
    """A certificate, and how a time stamp is made with it by OpenSSL."""
    pytest.importorskip("rfc3161_client", reason="time stamps need the extra hikeshi[audit]")
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("the authority of this test is OpenSSL")
    ca, private = certificate(tmp_path, ExtendedKeyUsageOID.TIME_STAMPING)
    (tmp_path / "tsa.cnf").write_text(CONFIGURATION.format(folder=tmp_path), encoding="utf-8")

    def answer(request: bytes) -> bytes:
        (tmp_path / "request").write_bytes(request)
        files = ["-queryfile", tmp_path / "request", "-out", tmp_path / "answer"]
        signer = ["-signer", ca, "-inkey", private, "-config", tmp_path / "tsa.cnf"]
        subprocess.run([openssl, "ts", "-reply", *files, *signer], check=True, capture_output=True)
        return (tmp_path / "answer").read_bytes()

    return ca, answer


def test_a_time_stamp_is_checked_and_kept(stamp: tuple[Path, Answer], tmp_path: Path) -> None:
    """OpenSSL verifies what is kept, against the note itself."""
    ca, answer = stamp
    with authority(answer) as url:
        receipt = TimestampAnchor(url, ca=ca).send(SHEET)

    (tmp_path / "note").write_text(NOTE, encoding="utf-8")
    (tmp_path / "receipt").write_bytes(receipt)
    command = ["openssl", "ts", "-verify", "-data", "note", "-in", "receipt", "-CAfile", str(ca)]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False)
    assert (ended.returncode, b"OK" in ended.stdout + ended.stderr) == (0, True)


def test_a_time_stamp_of_something_else_is_not_kept(stamp: tuple[Path, Answer]) -> None:
    """Nor an old one, nor what is none."""
    ca, answer = stamp
    other = Sheet(Checkpoint(4, NOW, NOTE.replace("3", "4"), b""), list)
    kept: list[bytes] = []

    def remembering(request: bytes) -> bytes:
        kept.append(answer(request))
        return kept[0]

    with authority(remembering) as url:
        TimestampAnchor(url).send(other)
        with pytest.raises(AuditError, match="about something else"):
            TimestampAnchor(url).send(SHEET)
        with pytest.raises(AuditError, match="another request"):
            TimestampAnchor(url).send(other)
    with authority(lambda _: b"no time stamp") as url, pytest.raises(AuditError, match="is no time stamp"):
        TimestampAnchor(url, ca=ca).send(SHEET)


def test_a_time_stamp_of_another_authority_is_not_kept(stamp: tuple[Path, Answer], tmp_path: Path) -> None:
    """If it is said which one is meant."""
    _, answer = stamp
    (tmp_path / "other").mkdir()
    other, _ = certificate(tmp_path / "other", ExtendedKeyUsageOID.TIME_STAMPING)

    with authority(answer) as url, pytest.raises(AuditError, match="no time stamp"):
        TimestampAnchor(url, ca=other).send(SHEET)
