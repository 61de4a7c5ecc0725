"""A domain controller over the estate: LDAP under TLS on a loopback port, with the codes and texts of Active Directory.

There is no HTTP here; faults are ordered as for the other products and strike modifications, or the operation that they
name as their method: BIND, SEARCH or MODIFY. A status stands for the result that means the same.
"""

from __future__ import annotations

import socket
import ssl
import threading
import time
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar
from urllib.parse import quote

from starlette.routing import BaseRoute

from hikeshi.testing.estate import Estate
from hikeshi.testing.faults import Fault, Faults
from hikeshi.testing.simulator import Simulator
from hikeshi_connectors.ldap.entry import Modification, ldif
from hikeshi_connectors.ldap.simulated_server import Answer, LdapServer, Test
from hikeshi_connectors.ldap.simulated_tls import make_certificate
from hikeshi_connectors.ldap.simulated_tree import BASE_DN, Change, Refusal, Tree

__all__ = ["USER_PASSWORD", "LdapSimulator"]

USER_PASSWORD = "simulated-user-password"  # noqa: S105 - everybody's
_CODES = {401: 49, 403: 50, 404: 32, 409: 68, 429: 51, 503: 52}
_LOGIN_PAGE = b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\n\r\n<!DOCTYPE html><h1>Sign in</h1>"
_REFUSED = "80090308: LdapErr: DSID-0C0903A9, comment: AcceptSecurityContext error, data {}, v1db1"


class LdapSimulator(Simulator):
    """One domain. `page_most` is how many entries a search gives at once; without pages, more is an error.

    `tells_sids` says whether it tells an account the SIDs of its connection, as domain controllers do.
    """

    product = "ldap"
    instance_name = "directory"
    demo_settings: ClassVar[Mapping[str, str]] = {
        "kind": "active_directory",
        "base_dn": BASE_DN,
        "bind_user": "svc-hikeshi@minato.example",
        "password": "simulated-directory-password",
    }

    def __init__(self, estate: Estate, *, faults: Faults, credentials: Mapping[str, str] | None = None) -> None:
        super().__init__(estate, faults=faults, credentials=credentials)
        self.page_most = 1000
        self.tells_sids = True
        self.tree = Tree(estate)
        self._one_at_a_time = threading.Lock()
        self._there: _Place | None = None

    def routes(self) -> list[BaseRoute]:
        return []

    def settings_at(self, base_url: str) -> dict[str, Any]:
        given = self.connector_settings(base_url)
        return {**given, "base_url": self._place().address, "ca_file": str(self._place().certificate.file)}

    @classmethod
    def connector_settings(cls, base_url: str) -> dict[str, Any]:  # noqa: ARG003 - the port is the system's to choose
        return {"product": cls.product, "base_url": "ldaps://127.0.0.1:636", **cls.demo_settings}

    @contextmanager
    def beside(self) -> Iterator[None]:
        place = self._place()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(place.certificate.file, place.certificate.key_file)
        with LdapServer(self, place.listener, context) as server:
            thread = threading.Thread(target=server.serve_forever, args=(0.02,), name="directory", daemon=True)
            thread.start()
            try:
                yield
            finally:
                server.shutdown()
                thread.join()
                self._there = None
                place.close()

    def _place(self) -> _Place:
        """Return where the directory listens, or will listen: settings are asked for before it is served, too."""
        if self._there is None:
            self._there = _Place()
            weakref.finalize(self, self._there.close)
        return self._there

    def shows(self) -> dict[str, Any]:
        users = self.estate.users.values()
        return {"disabled_accounts": found} if (found := sorted(each.sam for each in users if not each.enabled)) else {}

    # --- what the server asks, in threads

    def bind(self, name: str, password: str) -> Answer:
        return self._struck("BIND", name, lambda: self._signed_in(name, password))

    def root(self, name: str) -> Answer:
        return self._struck("SEARCH", "", lambda: Answer(entries=[("", {"tokenGroups": self._sids(name)})]))

    def search(self, base: str, scope: int, wanted: Test, attributes: Sequence[str]) -> Answer:
        return self._struck("SEARCH", base, lambda: self._searched(base, scope, wanted, attributes))

    def modify(self, dn: str, changes: Sequence[Change]) -> Answer:
        return self._struck("MODIFY", dn, lambda: self._modified(dn, changes))

    def _signed_in(self, name: str, password: str) -> Answer:
        if name.casefold() == self.credentials["bind_user"].casefold():
            return Answer() if password == self.credentials["password"] else Answer(49, _REFUSED.format("52e"))
        user = self.tree.user_named(name)
        if user is None or password != USER_PASSWORD:
            return Answer(49, _REFUSED.format("52e"))
        return Answer() if user.enabled else Answer(49, _REFUSED.format("533"))

    def _sids(self, name: str) -> Sequence[bytes]:
        return self.tree.token_of(name) if self.tells_sids else []

    def _searched(self, base: str, scope: int, wanted: Test, attributes: Sequence[str]) -> Answer:
        if not self.tree.is_base(base):
            return Answer(32, f"00002030: No such Base DN: {base}")
        end = base.casefold() if scope == 0 else f",{base.casefold()}"
        found: list[tuple[str, Mapping[str, Sequence[bytes]]]] = [
            (dn, {name: list(given) for name in attributes if (given := values(name.lower()))})
            for dn, values in self.tree.entries()
            if (dn.casefold() == base.casefold() or (scope and dn.casefold().endswith(end))) and wanted(values)
        ]
        return Answer(entries=found)

    def _modified(self, dn: str, changes: Sequence[Change]) -> Answer:
        try:
            self.tree.modify(dn, changes)
            answer = Answer()
        except Refusal as refusal:
            answer = Answer(refusal.code, refusal.text)
        parts = [
            Modification(operation, name, tuple(each.decode("utf-8", "replace") for each in values))
            for operation, name, values in changes
        ]
        self.record_change("MODIFY", self._url(dn), ldif(dn, parts), applied=answer.code == 0)
        return answer

    def _url(self, dn: str) -> str:
        return f"{self._place().address}/{quote(dn, safe='=,')}"

    # --- faults

    def _struck(self, operation: str, path: str, work: Any) -> Answer:
        fault = self._fault(operation, path)
        if fault is not None and fault.delay_s is not None and fault.when == "before":
            time.sleep(fault.delay_s)
        with self._one_at_a_time:
            self.estate.settle()
            skipped = fault is not None and fault.when == "before" and fault.delay_s is None and not _lets_work(fault)
            answer = self._unworked(operation, path) if skipped else work()
        return answer if fault is None else _spoilt(fault, answer)

    def _fault(self, operation: str, path: str) -> Fault | None:
        named = any(each.get("method") == operation for each in self.faults.waiting())
        if operation != "MODIFY" and not named:
            return None
        return self.faults.take(self.product, operation, path)

    def _unworked(self, operation: str, path: str) -> Answer:
        if operation == "MODIFY":
            self.record_change("MODIFY", self._url(path), None, applied=False)
        return Answer()


class _Place:
    """A loopback port that is ours, and a certificate for it."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self._folder = TemporaryDirectory(prefix="hikeshi-ldap-")
        self.certificate = make_certificate(Path(self._folder.name), "127.0.0.1")
        self.address = f"ldaps://127.0.0.1:{self.listener.getsockname()[1]}"

    def close(self) -> None:
        self.listener.close()
        self._folder.cleanup()


def _lets_work(fault: Fault) -> bool:
    return fault.half or fault.body_bytes is not None


def _spoilt(fault: Fault, answer: Answer) -> Answer:
    """Return what the fault makes of an answer."""
    if fault.delay_s is not None and fault.when == "after":
        time.sleep(fault.delay_s)
    if fault.drop is not None:
        answer.spoil = lambda _: None
    elif fault.html:
        answer.spoil = lambda _: _LOGIN_PAGE
    elif fault.half:
        answer.spoil = lambda content: content[: len(content) // 2]
    elif fault.too_many_requests_s is not None:
        return Answer(51, "busy")
    elif fault.body_bytes is not None:
        answer.text = answer.text.ljust(fault.body_bytes)
    elif fault.status == 200:
        answer.spoil = lambda _: b"\x30\x05\x02\x01\x00\x05\x00"  # a message that is of no kind there is
    elif fault.status is not None:
        return Answer(_CODES.get(fault.status, 80), "ordered")
    return answer
