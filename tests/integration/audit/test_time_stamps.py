"""Time stamps of checkpoints: asked for, checked, and kept only if they say what was asked."""

from __future__ import annotations

import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from socket import create_server

import pytest
from anchor_certificate import certificate
from cryptography.x509.oid import ExtendedKeyUsageOID

from hikeshi.audit.anchors import Sheet, TimestampAnchor
from hikeshi.audit.errors import AuditError
from hikeshi.journal import Checkpoint

NOW = datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC)
NOTE = "log\n3\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n\u2014 log x08go/ZJkuBS9UG/SffcvIAQxVBt\n"
SHEET = Sheet(Checkpoint(3, NOW, NOTE, b""), list)

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


@pytest.mark.parametrize(("status", "is_kept"), [(0, True), (1, True), (2, False), (5, False)])
def test_a_time_stamp_that_was_not_granted_is_not_kept(stamp: tuple[Path, Answer], status: int, is_kept: bool) -> None:
    """It was if the status is 0, or 1: with changes that the authority made to the request."""
    _, answer = stamp

    def altered(request: bytes) -> bytes:
        return answer(request).replace(b"\x30\x03\x02\x01\x00", b"\x30\x03\x02\x01%c" % status, 1)

    with authority(altered) as url:
        if is_kept:
            assert TimestampAnchor(url).send(SHEET)
        else:
            with pytest.raises(AuditError, match=f"refused with status {status}"):
                TimestampAnchor(url).send(SHEET)


def test_an_authority_that_is_not_there_is_a_problem(stamp: tuple[Path, Answer]) -> None:
    """With its name, which receipts are kept under."""
    with create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/"

    with pytest.raises(AuditError, match="did not reach its anchor") as caught:
        TimestampAnchor(url).send(SHEET)
    assert f"(timestamp:{url})" in str(caught.value)
