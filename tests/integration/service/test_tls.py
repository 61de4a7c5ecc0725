"""HTTPS by the service itself, and behind a proxy that speaks it."""

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from desk import Desk

COOKIE = "hikeshi_session"


def certificate(folder: Path) -> tuple[Path, Path]:
    """Write a certificate for localhost that signs itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    chain, secret = folder / "chain.pem", folder / "key.pem"
    chain.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private = serialization.PrivateFormat.PKCS8
    secret.write_bytes(key.private_bytes(serialization.Encoding.PEM, private, serialization.NoEncryption()))
    return chain, secret


def test_it_speaks_https_and_its_cookie_stays_there(desk: Desk, tmp_path: Path) -> None:
    """Browsers are told to come back by HTTPS alone."""
    chain, key = certificate(tmp_path)
    options = ("--no-triggers", "--tls-certificate", str(chain), "--tls-key", str(key))
    with desk.served(*options, trust=chain) as served:
        url = served.url.replace("127.0.0.1", "localhost")
        assert url.startswith("https://")
        with httpx.Client(base_url=url, verify=ssl.create_default_context(cafile=str(chain))) as client:
            answer = client.post("/login", data={"token": desk.tokens["viewer"]})
            assert "Secure" in answer.headers["set-cookie"]
            assert answer.headers["strict-transport-security"].startswith("max-age=")


def test_a_proxy_is_believed_only_if_somebody_said_so(desk: Desk) -> None:
    """Else anybody could say that they came by HTTPS, or from somewhere else."""
    forwarded = {"x-forwarded-proto": "https", "x-forwarded-for": "203.0.113.7"}
    for options, secure in (((), False), (("--behind-proxy",), True)):
        with desk.served("--no-triggers", *options) as served:
            answer = httpx.post(f"{served.url}/login", data={"token": desk.tokens["viewer"]}, headers=forwarded)
            assert ("Secure" in answer.headers["set-cookie"]) is secure
            httpx.get(f"{served.url}/health", headers=forwarded)
        assert any('"client": "203.0.113.7"' in line for line in served.said) is secure
