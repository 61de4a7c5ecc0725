"""Places outside of this machine's reach to which each checkpoint is sent: a file, a log server, a time stamp."""

from __future__ import annotations

import fcntl
import os
import socket
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Protocol

from hikeshi.audit.errors import AuditError
from hikeshi.journal import Checkpoint, Place
from hikeshi.quick_dataclass import dataclass

__all__ = ["Anchor", "FileAnchor", "Sheet", "SyslogAnchor", "TimestampAnchor"]

_LONGEST_GOODBYE_S: Final = 1.0
_TRY_AGAIN: Final = "The checkpoint is kept, and sent with the next one"


@dataclass(frozen=True, slots=True)
class Sheet:
    """A checkpoint on its way to an anchor, and the records that are new since the last one which that anchor got."""

    checkpoint: Checkpoint
    pages: Callable[[], Iterable[Sequence[Place]]]

    def line(self) -> str:
        """Return the checkpoint on one line of JSON, in ASCII."""
        import json

        return json.dumps({"size": self.checkpoint.size, "note": self.checkpoint.note})


class Anchor(Protocol):
    """Where checkpoints are sent. `name` says where, and stays the same."""

    @property
    def name(self) -> str: ...
    def send(self, sheet: Sheet) -> bytes:
        """Send a checkpoint and return what came back, if anything. May take seconds. Raises AuditError."""


@dataclass(frozen=True, slots=True)
class FileAnchor:
    """A file elsewhere, such as on a server's share or a disk that is written once. Lines are only ever added.

    With `leaves` it also gets, for each record, its run, number and hash: then the first bad record can be named in
    every case, also when many were replaced at once. That is about 100 bytes a record, and nothing of its contents.
    """

    path: Path
    leaves: bool = True

    @property
    def name(self) -> str:
        # Whoever names the project by another path, or from another folder, means the same file.
        return f"file:{os.path.abspath(self.path)}"

    def send(self, sheet: Sheet) -> bytes:
        try:
            descriptor = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX)  # lines of two processes never mix
                if self.leaves:
                    for page in sheet.pages():
                        _add_line(descriptor, _leaves_line(page))
                _add_line(descriptor, sheet.line())
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except OSError as exc:
            raise _not_sent(self.name, exc) from exc
        return b""


@dataclass(frozen=True, slots=True)
class SyslogAnchor:
    """A log server, over TLS. Sources: RFC 5425 (octet counting), RFC 5424 (the message). It does not answer."""

    host: str
    port: int = 6514
    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    timeout_s: float = 5.0

    @property
    def name(self) -> str:
        return f"syslog:{self.host}:{self.port}"

    def send(self, sheet: Sheet) -> bytes:
        import ssl

        from hikeshi.audit.tls_message import send_over_tls

        frame = syslog_frame(sheet.line(), sheet.checkpoint.at, socket.gethostname(), os.getpid())
        try:
            context = ssl.create_default_context(cafile=self.ca)
            if self.certificate is not None:
                context.load_cert_chain(self.certificate, self.key)
            with socket.create_connection((self.host, self.port), self.timeout_s) as plain:
                limits = {"timeout_s": self.timeout_s, "goodbye_s": _LONGEST_GOODBYE_S}
                send_over_tls(plain, context, self.host, frame, **limits)
        except OSError as exc:  # ssl's errors among them
            raise _not_sent(self.name, exc) from exc
        return b""


def syslog_frame(text: str, at: datetime, host: str, process: int) -> bytes:
    """Return a message for a log server, with its length before it. The text is in ASCII and without line breaks.

    Facility 13 (log audit), severity 6 (informational).
    """
    stamp = at.isoformat(timespec="microseconds").replace("+00:00", "Z")
    name = "".join(sign for sign in host if "!" <= sign <= "~")[:255] or "-"
    message = f"<110>1 {stamp} {name} hikeshi {process} checkpoint - {text}".encode("ascii")
    return b"%d %b" % (len(message), message)


@dataclass(frozen=True, slots=True)
class TimestampAnchor:
    """A time-stamping authority: it signs that the checkpoint was there at its time. Source: RFC 3161.

    What comes back is kept in the journal and goes out with exports. It proves a time; that nothing was cut off since,
    only a copy elsewhere proves. With `ca` the answer's signature is checked at once.
    """

    url: str
    ca: Path | None = None
    timeout_s: float = 5.0

    @property
    def name(self) -> str:
        return f"timestamp:{self.url}"

    def send(self, sheet: Sheet) -> bytes:
        tsp = _rfc3161(self.name)
        note = sheet.checkpoint.note.encode()
        request = tsp.TimestampRequestBuilder().data(note).hash_algorithm(tsp.HashAlgorithm.SHA256).build()
        answer = self._ask(request.as_bytes())
        try:
            response = tsp.decode_timestamp_response(answer)
            problem = self._problem(tsp, request, response, note)
        except Exception as exc:  # the library's errors have no common class; whatever it is, it is no time stamp
            raise AuditError(f"What came back is no time stamp ({type(exc).__name__})", self.name, _TRY_AGAIN) from exc
        if problem:
            raise AuditError(f"The time stamp is not to be believed: {problem}", self.name, _TRY_AGAIN)
        return answer

    def _ask(self, request: bytes) -> bytes:
        from urllib.request import Request, urlopen

        asked = Request(self.url, request, {"Content-Type": "application/timestamp-query"})  # noqa: S310 - http or https
        try:
            with urlopen(asked, timeout=self.timeout_s) as response:  # noqa: S310 - the same
                return bytes(response.read(_LARGEST_ANSWER_BYTES))
        except OSError as exc:
            raise _not_sent(self.name, exc) from exc

    def _problem(self, tsp: Any, request: Any, response: Any, note: bytes) -> str | None:
        from hashlib import sha256

        if response.status not in (0, 1):
            return f"it was refused with status {response.status}"
        if response.tst_info.message_imprint.message != sha256(note).digest():
            return "it is about something else"
        if response.tst_info.nonce != request.nonce:
            return "it answers another request"
        if self.ca is not None:
            from cryptography.x509 import load_pem_x509_certificates

            builder = tsp.VerifierBuilder.from_request(request)
            for root in load_pem_x509_certificates(self.ca.read_bytes()):
                builder = builder.add_root_certificate(root)
            builder.build().verify_message(response, note)
        return None


_LARGEST_ANSWER_BYTES: Final = 1024 * 1024


def _rfc3161(name: str) -> Any:
    try:
        import rfc3161_client
    except ImportError as exc:
        raise AuditError(
            "Time stamps need a library that is not installed", name, "Install it: pip install 'hikeshi[audit]'"
        ) from exc
    return rfc3161_client


def _leaves_line(page: Sequence[Place]) -> str:
    import json

    leaves = [[each.run, each.seq, each.hash.hex()] for each in page]
    return json.dumps({"first": page[0].position, "leaves": leaves}, separators=(",", ":"))


def _add_line(descriptor: int, line: str) -> None:
    """Write one line; what a process left half-written, that died there, stays a line of its own."""
    size = os.fstat(descriptor).st_size
    is_torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
    left = memoryview(f"{chr(10) if is_torn else ''}{line}\n".encode())
    while left:
        left = left[os.write(descriptor, left) :]


def _not_sent(name: str, exc: OSError) -> AuditError:
    reason = exc.strerror or str(exc) or type(exc).__name__
    return AuditError(f"The checkpoint did not reach its anchor: {reason}", name, _TRY_AGAIN)
