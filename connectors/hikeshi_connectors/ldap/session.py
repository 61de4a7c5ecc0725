"""One signed-in connection to a directory. ldap3 waits for answers, so each of its calls runs in a thread.

A connection serves one action and is not kept: a change then travels on a connection that has just answered, and an
error says clearly whether anything was sent before it.
"""

from __future__ import annotations

import asyncio
import importlib
import socket
import ssl
import warnings
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from functools import lru_cache, partial
from typing import Any, Final, TypeVar

from hikeshi.connector import Applied, ConnectorError, Invalid, Timeout, Unavailable, Unsupported
from hikeshi_connectors.ldap.entry import Entry, Modification
from hikeshi_connectors.ldap.results import error_of_bind, error_of_result
from hikeshi_connectors.ldap.settings import LdapSettings

__all__ = ["Session", "open_session"]

T = TypeVar("T")
_PAGED: Final = "1.2.840.113556.1.4.319"  # RFC 2696
_WHO_AM_I: Final = "1.3.6.1.4.1.4203.1.11.3"  # RFC 4532
_PAGES_MOST: Final = 10_000
_OPEN_MOST_S: Final = 10.0
_READ_BYTES: Final = 262_144
_OPERATIONS: Final = {"add": "MODIFY_ADD", "delete": "MODIFY_DELETE", "replace": "MODIFY_REPLACE"}


def load_ldap3() -> Any:
    """Return the library. Raises Unsupported with the command that installs it."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it uses old names of pyasn1
            return importlib.import_module("ldap3")
    except ModuleNotFoundError:
        raise Unsupported("the connector ldap needs ldap3: pip install 'hikeshi[ldap]'") from None


@asynccontextmanager
async def open_session(name: str, settings: LdapSettings, password: str) -> AsyncIterator[Session]:
    """Open a connection and sign in; it ends with the block. Raises ConnectorError, of which nothing was applied."""
    session = Session(name, settings)
    try:
        await session.sign_in(password)
        yield session
    finally:
        session.cut()


class Session:
    """What may be asked for over one connection. Its methods are called one after the other."""

    def __init__(self, name: str, settings: LdapSettings) -> None:
        self._settings = settings
        self._where = f"{name}: {settings.base_url.rstrip('/')}"
        self._ldap3 = load_ldap3()
        self._connection: Any = None
        # A thread of its own: in a pool a modification could wait for a turn after its last permission.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="ldap")

    async def sign_in(self, password: str) -> None:
        """Connect, protect the connection, and bind. Raises ConnectorError."""
        try:
            await self._in_thread(lambda: self._open(password))
        except ConnectorError as exc:
            exc.applied = Applied.NO
            raise

    async def search(self, base: str, wanted: str, attributes: Sequence[str]) -> list[Entry]:
        """Return every entry below `base` that fits a filter, page by page.

        Parts of the tree that other servers hold are left out. Raises ConnectorError; a list cut short is one.
        """
        found: list[Entry] = []
        cookie: bytes | None = None
        for _ in range(_PAGES_MOST):
            entries, cookie = await self._in_thread(partial(self._page, base, wanted, attributes, cookie))
            found += entries
            if not cookie:
                return found
        # The cookie may be the same for every page, so only their number tells that there is no end.
        raise Invalid(f"{self._where}, searching {base}: more than {_PAGES_MOST} pages")

    async def token(self) -> list[bytes]:
        """Return the SIDs that this connection acts with, the account's own among them. Raises ConnectorError.

        Sources: MS-ADTS 3.1.1.3.2 (tokenGroups of the root); Samba 4.17.12.
        """
        return await self._in_thread(self._token)

    async def name(self) -> str:
        """Return who signed in, as the directory calls it, or "" if it does not say. Raises ConnectorError.

        Source: RFC 4532; without the `dn:` or `u:` before the name (RFC 4513, 5.2.1.8).
        """
        return await self._in_thread(self._name)

    async def modify(self, dn: str, parts: Sequence[Modification]) -> None:
        """Send one modification, whose parts happen together or not at all. Raises ConnectorError."""
        await self._in_thread(lambda: self._modify(dn, parts))

    def cut(self) -> None:
        """End the connection, whatever is under way on it."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(Exception):
                if not connection.closed and connection.bound:
                    connection.socket.settimeout(0.2)
                    connection.unbind()
            self._shut(connection)
        self._thread.shutdown(wait=False, cancel_futures=True)

    # --- in a thread

    async def _in_thread(self, work: Callable[[], T]) -> T:
        """Run what waits. Somebody who stops waiting ends it, too: nothing is sent behind their back."""
        future = asyncio.get_running_loop().run_in_executor(self._thread, work)
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            self._shut(self._connection)
            with suppress(Exception):
                await asyncio.wait([future], timeout=1)
                future.exception()
            raise

    def _open(self, password: str) -> None:
        ldap3, settings = self._ldap3, self._settings
        tls = _tls(ldap3, settings.ca_file)
        server = ldap3.Server(
            settings.host,
            port=settings.port,
            use_ssl=settings.is_tls,
            tls=tls,
            get_info=ldap3.NONE,
            connect_timeout=min(settings.timeout_s, _OPEN_MOST_S),
        )
        self._connection = connection = ldap3.Connection(
            server,
            user=settings.bind_user,
            password=password,
            authentication=ldap3.SIMPLE,
            client_strategy=ldap3.SYNC,
            auto_referrals=False,
            auto_bind=ldap3.AUTO_BIND_NONE,
            auto_escape=False,
            check_names=False,
            raise_exceptions=False,
        )
        connection.strategy.socket_size = _READ_BYTES  # its own 4096 make long lists slow
        with self._translated("signing in"):
            connection.open(read_server_info=False)
            if settings.start_tls:
                connection.start_tls(read_server_info=False)
            connection.socket.settimeout(settings.timeout_s)
            connection.bind(read_server_info=False)
        result = connection.result
        if result["result"] != 0:
            raise error_of_bind(result["result"], result["description"], str(result["message"]), self._where)

    def _page(
        self, base: str, wanted: str, attributes: Sequence[str], cookie: bytes | None
    ) -> tuple[list[Entry], bytes | None]:
        connection = self._connection
        with self._translated(f"searching {base}"):
            connection.search(
                base,
                wanted,
                search_scope=self._ldap3.SUBTREE,
                dereference_aliases=self._ldap3.DEREF_NEVER,
                attributes=list(attributes),
                paged_size=self._settings.page_size,
                paged_criticality=True,
                paged_cookie=cookie,
            )
        self._judge("searchResDone", f"searching {base}", is_change=False)
        found = [_entry(each) for each in connection.response if each["type"] == "searchResEntry"]
        control = connection.result.get("controls", {}).get(_PAGED)
        return found, (control["value"]["cookie"] or None) if control else None

    def _token(self) -> list[bytes]:
        doing = "asking who signed in"
        with self._translated(doing):
            self._connection.search("", "(objectClass=*)", search_scope=self._ldap3.BASE, attributes=["tokenGroups"])
        self._judge("searchResDone", doing, is_change=False)
        found = [_entry(each) for each in self._connection.response if each["type"] == "searchResEntry"]
        return [sid for each in found for sid in each.values("tokenGroups")]

    def _name(self) -> str:
        with self._translated("asking who signed in"):
            # Through extend.standard, ldap3 makes an answer that it does not understand look like none.
            self._connection.extended(_WHO_AM_I)
        result = self._connection.result
        if not isinstance(result, dict) or result.get("type") != "extendedResp":
            raise Invalid(f"{self._where}, asking who signed in, gave an answer to something else")
        if result["result"] != 0:
            return ""  # most directories that do not know the question say protocolError
        said: str = (result.get("responseValue") or b"").decode("utf-8", "replace")
        return said.partition(":")[2]

    def _modify(self, dn: str, parts: Sequence[Modification]) -> None:
        changes: dict[str, list[tuple[Any, list[str]]]] = {}
        for part in parts:
            operation = getattr(self._ldap3, _OPERATIONS[part.operation])
            changes.setdefault(part.attribute, []).append((operation, list(part.values)))
        with self._translated(f"modifying {dn}", is_change=True):
            self._connection.modify(dn, changes)
        self._judge("modifyResponse", f"modifying {dn}", is_change=True)

    def _judge(self, kind: str, doing: str, *, is_change: bool) -> None:
        result, where = self._connection.result, f"{self._where}, {doing},"
        if not isinstance(result, dict) or result.get("type") != kind:
            raise Invalid(f"{where} gave an answer to something else", applied=_applied(is_change))
        if result["result"] != 0:
            said = str(result["message"])
            raise error_of_result(result["result"], result["description"], said, where, is_change=is_change)

    def _translated(self, doing: str, *, is_change: bool = False) -> _Door:
        return _Door(f"{self._where}, {doing}", is_change)

    def _shut(self, connection: Any) -> None:
        with suppress(Exception):
            connection.socket.shutdown(socket.SHUT_RDWR)
        with suppress(Exception):
            connection.socket.close()


class _Door:
    """Where ldap3's errors become ours. Its texts may repeat what was sent, so only the kind is told."""

    def __init__(self, where: str, is_change: bool) -> None:
        self._where, self._is_change = where, is_change

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: Any, exc: BaseException | None, _trace: Any) -> None:
        if exc is None or not isinstance(exc, Exception):
            return
        kind = type(exc).__name__
        applied = _applied(self._is_change)
        if isinstance(exc, ssl.SSLCertVerificationError) or "CERTIFICATE_VERIFY_FAILED" in str(exc):
            hint = "name the authority's certificate in ca_file, and the server as its certificate does"
            raise Unavailable(f"{self._where}: the server's certificate is not to be trusted; {hint}") from None
        if isinstance(exc, TimeoutError):
            raise Timeout(f"{self._where}: no answer in time", applied=applied) from None
        if isinstance(exc, OSError) or kind.startswith(("LDAPSocket", "LDAPSessionTerminated", "LDAPStartTLS")):
            raise Unavailable(f"{self._where}: no connection, or it broke ({kind})", applied=applied) from None
        # What is left: the answer was no LDAP, or ldap3 refused the request.
        raise Invalid(f"{self._where}: not understood ({kind})", applied=applied) from None


def _applied(is_change: bool) -> Applied:
    return Applied.MAYBE if is_change else Applied.NO


def _entry(response: Any) -> Entry:
    return Entry(
        response["dn"], {name.lower(): list(value or ()) for name, value in response["raw_attributes"].items()}
    )


def _tls(ldap3: Any, ca_file: str | None) -> Any:
    """Return ldap3's TLS with Python's own checks of certificate and name: ldap3's know neither addresses nor 3.12."""

    class Checked(ldap3.Tls):  # type: ignore[misc]  # ldap3 has no types
        def wrap_socket(self, connection: Any, do_handshake: bool = False) -> None:  # noqa: ARG002 - ldap3's signature
            # Otherwise the sign-in waits 40 ms for an acknowledgement that the other side delays.
            connection.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            context = _context(ca_file)
            connection.socket = context.wrap_socket(connection.socket, server_hostname=connection.server.host)

    return Checked(validate=ssl.CERT_REQUIRED)


@lru_cache(maxsize=16)
def _context(ca_file: str | None) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=ca_file)  # it costs 50 ms
