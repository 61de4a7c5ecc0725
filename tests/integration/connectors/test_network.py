"""Real sockets under the guarded client: TLS, errors that say whether something was sent, the last look at the door."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from hikeshi.capabilities import Effect
from hikeshi.connector.door import Door, through
from hikeshi.connector.pool import ConnectionStack

_OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def serving(serve: Serve, context: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        finally:
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=context)
    async with server:
        scheme = "http" if context is None else "https"
        yield f"{scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}/"


async def answer_all(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while (await reader.readuntil(b"\r\n\r\n")) != b"":
        writer.write(_OK)
        await writer.drain()


@asynccontextmanager
async def client(ca_file: Path | None = None) -> AsyncIterator[httpx.AsyncClient]:
    transport = ConnectionStack(None if ca_file is None else str(ca_file))
    async with httpx.AsyncClient(transport=transport, timeout=2, trust_env=False) as made:
        yield made


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for the loopback address that signs itself, with its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "loopback")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now, now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = tmp_path_factory.mktemp("tls") / "both.pem"
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    file.write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain) + made.public_bytes(pem))
    return file


def speaks_tls(certificate: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    return context


async def test_tls_with_the_authority_of_the_organisation_works(certificate: Path) -> None:
    """Twice over one connection."""
    async with serving(answer_all, speaks_tls(certificate)) as url, client(certificate) as http:
        assert [(await http.get(url)).text for _ in range(2)] == ["ok", "ok"]


async def test_a_certificate_that_nobody_vouches_for_is_not_connected_to(certificate: Path) -> None:
    """The error says that nothing was sent."""
    async with serving(answer_all, speaks_tls(certificate)) as url, client() as http:
        with pytest.raises(httpx.ConnectError, match="certificate"):
            await http.get(url)


async def test_nobody_there_is_an_error_of_connecting() -> None:
    """Nothing was sent."""
    async with serving(answer_all) as url:
        pass
    async with client() as http:
        with pytest.raises(httpx.ConnectError):
            await http.get(url)


async def test_an_answer_that_never_comes_is_a_timeout_of_reading() -> None:
    """Something was sent."""

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with serving(silent) as url, client() as http:
        with pytest.raises(httpx.ReadTimeout):
            await http.get(url, timeout=0.1)


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf"])
async def test_a_connection_that_breaks_in_an_answer_is_no_error_of_connecting(answer: bytes) -> None:
    """Something was sent, and what became of it is not known."""

    async def cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)

    async with serving(cut) as url, client() as http:
        with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
            await http.get(url)


async def test_a_connection_that_the_product_closed_meanwhile_is_not_used_again() -> None:
    """A change would be sent into the void, and its outcome be unknown for nothing."""

    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(_OK)

    async with serving(once) as url, client() as http:
        for _ in range(3):
            assert (await http.get(url)).text == "ok"
            await asyncio.sleep(0.02)


@pytest.mark.safety(18)
async def test_a_lease_that_ends_while_a_connection_is_made_keeps_the_change_from_leaving() -> None:
    """The product sees a connection, and not one byte on it."""
    received: list[bytes] = []
    looks: list[str] = []
    made = asyncio.Event()

    async def note(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        made.set()
        received.append(await reader.read())

    def check() -> None:
        looks.append("look")
        if len(looks) > 1:
            raise PermissionError("the lease is over")

    async with serving(note) as url, client() as http:
        door = Door(mode="live", effect=Effect.CHANGE, action="edr.isolate_host", intended=True, check=check)
        with through(door):
            door.leave()
            with pytest.raises(PermissionError):
                await http.post(url, json={"host": "pc1"})
        await asyncio.wait_for(made.wait(), 2)
    assert received in ([b""], [])
    assert len(looks) == 2


@pytest.mark.safety(18)
async def test_a_notification_and_a_read_are_not_looked_at_again() -> None:
    """They may be repeated, so nobody pays for a second look."""
    looks: list[str] = []
    async with serving(answer_all) as url, client() as http:
        for effect in (Effect.NOTIFY, Effect.READ):
            door = Door(mode="live", effect=effect, action="x.y", intended=True, check=lambda: looks.append("look"))
            door.sent = True
            with through(door):
                assert (await http.get(url)).text == "ok"
    assert looks == []
