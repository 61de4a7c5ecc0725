"""Log servers as anchors: over TLS, with and without a certificate of our own, and with little courtesy."""

from __future__ import annotations

import json
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from socket import create_server, socket, socketpair

import pytest
from anchor_certificate import certificate
from cryptography.x509.oid import ExtendedKeyUsageOID

from hikeshi.audit.anchor_file import read_anchors
from hikeshi.audit.anchors import Sheet, SyslogAnchor
from hikeshi.audit.errors import AuditError
from hikeshi.audit.tls_message import send_over_tls
from hikeshi.journal import Checkpoint

NOW = datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC)
NOTE = "log\n3\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n\u2014 log x08go/ZJkuBS9UG/SffcvIAQxVBt\n"
SHEET = Sheet(Checkpoint(3, NOW, NOTE, b""), list)


@contextmanager
def log_server(
    certificate: Path, private: Path, *, client: Path | None = None, is_polite: bool = True, silent_s: float = 0.0
) -> Iterator[tuple[int, list[bytes]]]:
    """Serve one connection, and keep what it sends, with nothing as the last of it if the client says that it was all.

    With `client` it wants to be shown that certificate. An impolite one does not answer that that was all; it closes
    at once, or is silent for a while before.
    """
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=client)
    context.verify_mode = ssl.CERT_NONE if client is None else ssl.CERT_REQUIRED
    context.load_cert_chain(certificate, private)
    received: list[bytes] = []
    is_over = threading.Event()

    def serve() -> None:
        try:
            plain, _ = server.accept()
            with context.wrap_socket(plain, server_side=True, suppress_ragged_eofs=False) as channel:
                while chunk := channel.recv(4096):
                    received.append(chunk)
                received.append(b"")
                is_over.wait(silent_s)
                if is_polite:
                    channel.unwrap().close()
        except OSError:  # a client that does not believe us, or whom we do not believe
            return

    with create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield server.getsockname()[1], received
        finally:
            is_over.set()
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


def test_a_log_server_hears_that_this_was_all(tmp_path: Path) -> None:
    """Else it could not tell the end from a connection that was cut by somebody, and would note an error."""
    ca, private = certificate(tmp_path, ExtendedKeyUsageOID.SERVER_AUTH)
    with log_server(ca, private) as (port, received):
        SyslogAnchor("127.0.0.1", port, ca=ca).send(SHEET)

    assert received[-1] == b""


class Stuck(socket):
    """A connection on which large messages find no way out."""

    def sendall(self, data: bytes) -> None:  # type: ignore[override]
        if len(data) > 4000:
            raise TimeoutError("timed out")
        super().sendall(data)


def test_a_note_that_could_not_be_sent_in_time_was_not_sent(tmp_path: Path) -> None:
    """Only what comes after it need not come."""
    ca, private = certificate(tmp_path, ExtendedKeyUsageOID.SERVER_AUTH)
    context = ssl.create_default_context(cafile=ca)
    with log_server(ca, private) as (port, received), Stuck() as plain:
        plain.connect(("127.0.0.1", port))
        with pytest.raises(TimeoutError, match="timed out"):
            send_over_tls(plain, context, "127.0.0.1", b"x" * 5000, timeout_s=5.0, goodbye_s=0.2)

    assert received == []


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


def test_a_log_server_is_shown_our_certificate(tmp_path: Path) -> None:
    """If it wants one, and we have one."""
    ca, private = certificate(tmp_path, ExtendedKeyUsageOID.SERVER_AUTH)
    (tmp_path / "ours").mkdir()
    ours, key = certificate(tmp_path / "ours", ExtendedKeyUsageOID.CLIENT_AUTH)
    with log_server(ca, private, client=ours) as (port, received):
        SyslogAnchor("127.0.0.1", port, ca=ca, certificate=ours, key=key).send(SHEET)

    assert NOTE.splitlines()[2].encode() in b"".join(received)


def test_a_log_server_that_refuses_us_has_not_got_the_note(tmp_path: Path) -> None:
    """We have no certificate that it would take."""
    ca, private = certificate(tmp_path, ExtendedKeyUsageOID.SERVER_AUTH)
    (tmp_path / "ours").mkdir()
    ours, _ = certificate(tmp_path / "ours", ExtendedKeyUsageOID.CLIENT_AUTH)
    with log_server(ca, private, client=ours) as (port, received), pytest.raises(AuditError) as caught:
        SyslogAnchor("127.0.0.1", port, ca=ca).send(SHEET)

    assert "did not reach its anchor" in str(caught.value)
    assert f"(syslog:127.0.0.1:{port})" in str(caught.value)
    assert received == []


def refuse_late(server: socket, context: ssl.SSLContext) -> None:
    """Shake hands, and look at what the client has shown only after it has sent all that it wants to."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    channel = context.wrap_bio(incoming, outgoing, server_side=True)
    plain, _ = server.accept()
    with plain:
        incoming.write(plain.recv(65536))
        with suppress(ssl.SSLWantReadError):
            channel.do_handshake()
        plain.sendall(outgoing.read())
        plain.settimeout(0.2)
        with suppress(TimeoutError):
            while chunk := plain.recv(65536):
                incoming.write(chunk)
        with suppress(ssl.SSLError):
            channel.do_handshake()
        with suppress(OSError):
            plain.sendall(outgoing.read())


def test_a_log_server_that_refuses_us_at_last_has_not_got_the_note(tmp_path: Path) -> None:
    """With TLS 1.3 everything may be sent by then, and so its last word is waited for."""
    ca, private = certificate(tmp_path, ExtendedKeyUsageOID.SERVER_AUTH)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(ca, private)
    with create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=refuse_late, args=(server, context))
        thread.start()
        try:
            with pytest.raises(AuditError, match=r"did not reach its anchor: .*certificate required"):
                SyslogAnchor("127.0.0.1", server.getsockname()[1], ca=ca).send(SHEET)
        finally:
            thread.join(10)


def test_a_log_server_that_falls_silent_is_not_waited_for(tmp_path: Path) -> None:
    """A second is enough for a last word, however long everything else may take."""
    ca, private = certificate(tmp_path, ExtendedKeyUsageOID.SERVER_AUTH)
    with log_server(ca, private, is_polite=False, silent_s=12.0) as (port, received):
        before = time.monotonic()
        SyslogAnchor("127.0.0.1", port, ca=ca, timeout_s=30.0).send(SHEET)
        took_s = time.monotonic() - before

    assert took_s < 8.0
    assert NOTE.splitlines()[2].encode() in b"".join(received)


def close_at_once(server: socket) -> None:
    """Take a connection, read what comes first, and close it."""
    plain, _ = server.accept()
    with plain:
        plain.recv(65536)


@pytest.mark.parametrize("closes", [True, False])
def test_a_server_that_says_nothing_of_tls_has_not_got_the_note(closes: bool) -> None:
    """One that closes at once is not waited for; one that is silent is, for as long as it may take."""
    with create_server(("127.0.0.1", 0)) as server:
        before = time.monotonic()
        anchor = SyslogAnchor("127.0.0.1", server.getsockname()[1], timeout_s=20.0 if closes else 0.3)
        thread = threading.Thread(target=close_at_once, args=(server,)) if closes else None
        if thread is not None:
            thread.start()
        with pytest.raises(AuditError, match="did not reach its anchor"):
            anchor.send(SHEET)
        took_s = time.monotonic() - before
        if thread is not None:
            thread.join(10)

    assert took_s < 5.0


def test_whoever_has_no_time_left_waits_no_longer() -> None:
    """However much the other side has to say: time is counted for the whole conversation."""
    ours, theirs = socketpair()
    with ours, theirs:
        theirs.sendall(b"x")
        with pytest.raises(TimeoutError, match="did not answer in time"):
            send_over_tls(ours, ssl.create_default_context(), "log", b"note", timeout_s=0.0, goodbye_s=0.0)


def test_a_log_server_listens_where_the_standard_says() -> None:
    """Unless the project says otherwise; receipts are kept under this name."""
    assert SyslogAnchor("log.example").name == "syslog:log.example:6514"
    assert SyslogAnchor("log.example", 601).name == "syslog:log.example:601"
