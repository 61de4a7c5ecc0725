"""A Vault: one read of HashiCorp Vault or OpenBao over HTTP, configured by the variables that its own tools use.

Source: https://developer.hashicorp.com/vault/api-docs/secret/kv/kv-v2#read-secret-version
Rule of this file: nothing that a Vault answered, and no exception of the HTTP library, is repeated to anybody.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from hikeshi.quick_dataclass import dataclass
from hikeshi.secrets.lookup import LIMIT_S
from hikeshi.secrets.unavailable import SecretUnavailable
from hikeshi.secrets.vault_answer import value_in
from hikeshi.secrets.vault_entry import VaultEntry

if TYPE_CHECKING:
    import httpx

__all__ = ["Vault"]

_LARGEST = 1 << 20  # bytes; an entry is limited to 512 KiB by the storage of a Vault, and to 1 MiB by Consul's


@dataclass(frozen=True, slots=True)
class Vault:
    """`address` has no slash at its end. An empty `namespace` or `ca_file` is none."""

    address: str
    token: str
    namespace: str = ""
    ca_file: str = ""

    def __repr__(self) -> str:
        return f"Vault({self.address})"

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Vault:
        """Return the Vault that VAULT_ADDR names. Raises SecretUnavailable, which names the variable to mend."""
        namespace = environment.get("VAULT_NAMESPACE", "").strip().strip("/")
        if not _fits_a_header(namespace, empty=True):
            raise SecretUnavailable("VAULT_NAMESPACE has characters that no namespace has; correct it")
        address = _address(environment.get("VAULT_ADDR", "").strip())
        return cls(address, _token(environment), namespace, environment.get("VAULT_CACERT", "").strip())

    def read(self, entry: VaultEntry) -> str:
        """Return the value of an entry. Raises SecretUnavailable."""
        import httpx

        try:
            # Proxies, .netrc and certificates of the environment are meant for others, and a token travels here.
            with (
                httpx.Client(timeout=LIMIT_S, trust_env=False, verify=self._trust()) as client,
                client.stream("GET", self.address + entry.target, headers=self._headers()) as response,
            ):
                return value_in(response.status_code, _body(response, entry), entry)
        except (httpx.HTTPError, httpx.InvalidURL) as exc:
            why = _why_not_reached(exc)
        raise SecretUnavailable(f"the vault secret {entry}: {self.address}: {why}")

    def _headers(self) -> dict[str, str]:
        headers = {"x-vault-token": self.token, "x-vault-request": "true", "accept-encoding": "identity"}
        return {**headers, "x-vault-namespace": self.namespace} if self.namespace else headers

    def _trust(self) -> ssl.SSLContext:
        try:
            return ssl.create_default_context(cafile=self.ca_file or None)
        except OSError as exc:  # ssl's errors are of this kind
            kind = type(exc).__name__
        raise SecretUnavailable(f"VAULT_CACERT names {self.ca_file}, which is no file of certificates: {kind}")


def _address(text: str) -> str:
    from urllib.parse import urlsplit

    if not text:
        raise SecretUnavailable("VAULT_ADDR is not set; set it to the address of the Vault, https://HOST:8200")
    try:
        parts = urlsplit(text)
        usable = bool(parts.hostname) and (parts.port is None or parts.port > 0) and text.isprintable()
    except ValueError:
        usable = False
    if not usable or parts.scheme not in ("https", "http") or parts.username is not None or parts.query:
        raise SecretUnavailable(
            "VAULT_ADDR is no address such as https://HOST:8200; correct it"
        )  # it may hold anything
    if parts.scheme == "http" and parts.hostname not in ("127.0.0.1", "::1", "localhost"):
        raise SecretUnavailable("VAULT_ADDR is http:// and not this machine: the token would be readable; use https://")
    return text.rstrip("/")


def _token(environment: Mapping[str, str]) -> str:
    token = environment.get("VAULT_TOKEN", "").strip()
    source = "VAULT_TOKEN"
    if not token and environment.get("VAULT_TOKEN_FILE"):
        path = environment["VAULT_TOKEN_FILE"]
        source = f"the file {path} of VAULT_TOKEN_FILE"
        token = _content(path).strip()
    elif not token:
        raise SecretUnavailable("neither VAULT_TOKEN nor VAULT_TOKEN_FILE is set; one of them has to give a token")
    if not _fits_a_header(token):
        raise SecretUnavailable(f"{source} holds no token: it is empty, or has characters that no token has")
    return token


def _content(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, ValueError) as exc:
        kind = type(exc).__name__
    raise SecretUnavailable(f"the file {path} of VAULT_TOKEN_FILE cannot be read: {kind}")


def _fits_a_header(text: str, *, empty: bool = False) -> bool:
    # The HTTP library repeats a header that it can't send in its error.
    return (empty or bool(text)) and text.isascii() and text.isprintable() and " " not in text


def _body(response: httpx.Response, entry: VaultEntry) -> bytes:
    body = b""
    for piece in response.iter_raw():
        body += piece
        if len(body) > _LARGEST:
            raise SecretUnavailable(f"the vault secret {entry}: the answer is larger than any entry; see VAULT_ADDR")
    return body


def _why_not_reached(exc: Exception) -> str:
    import httpx

    if isinstance(exc, httpx.TimeoutException):
        return f"no answer within {LIMIT_S:g} s; is it reachable?"
    if _is_about_certificates(exc):
        return "its certificate is not trusted; see VAULT_CACERT"
    if isinstance(exc, httpx.ConnectError):
        return "cannot be connected to; see VAULT_ADDR"
    return f"the connection failed ({type(exc).__name__}); see VAULT_ADDR, and try again"


def _is_about_certificates(exc: BaseException) -> bool:
    cause: BaseException | None = exc
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return True
        cause = cause.__cause__ or cause.__context__
    return False
