"""What an answer of a Vault means: the value, or the one sentence that an operator needs.

Rule of this file: of an answer, only its status and the state of a version are ever told.
"""

from __future__ import annotations

import json
from typing import Any

from hikeshi.secrets.unavailable import SecretUnavailable
from hikeshi.secrets.vault_entry import VaultEntry

__all__ = ["value_in"]

_MEANINGS = {
    400: "the request was refused (400); see VAULT_NAMESPACE, and whether the mount is a key-value engine",
    401: "the token was not accepted (401); get a new one",
    403: "the token may not read it, or has ended (403); it needs a policy with 'read' on {policy}",
    405: "the mount cannot be read like this (405); it has to be a key-value engine, version 2",
    412: "this node does not have it yet (412); try again",
    429: "too many requests (429); try again in a while",
    501: "the Vault is not initialised (501)",
    503: "the Vault is sealed or in maintenance (503); unseal it",
}


def value_in(status: int, body: bytes, entry: VaultEntry) -> str:
    """Return the value in an answer. Raises SecretUnavailable, which says what to do."""
    data = _data(body)
    if status == 200 and isinstance(data.get("data"), dict):
        _check_version(data, entry)
        return _value(data["data"], entry)
    if status in (200, 404):
        raise _unavailable(entry, _why_absent(data, entry) or f"the answer ({status}) is not of a key-value engine")
    if 300 <= status < 400:
        raise _unavailable(
            entry, f"the answer is a redirect ({status}), which is not followed; set VAULT_ADDR to the active node"
        )
    meaning = _MEANINGS.get(status, f"the answer has the status {status}; see the log of the Vault")
    raise _unavailable(entry, meaning.format(policy=f"{entry.mount}/data/{entry.path}"))


def _data(body: bytes) -> dict[str, Any]:
    """Return what the envelope holds; nothing for what is no envelope."""
    try:
        envelope = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    data = envelope.get("data") if isinstance(envelope, dict) else None
    return data if isinstance(data, dict) else {}


def _check_version(data: dict[str, Any], entry: VaultEntry) -> None:
    metadata = data.get("metadata")
    found = metadata.get("version") if isinstance(metadata, dict) else None
    if entry.version is not None and found != entry.version:
        raise _unavailable(entry, "the answer is another version than was asked for; see what is between, a cache?")


def _value(values: dict[str, Any], entry: VaultEntry) -> str:
    if entry.key not in values:
        raise _unavailable(entry, f"the entry has no key {entry.key!r}; see 'vault kv get', and add it or correct it")
    value = values[entry.key]
    if not isinstance(value, str):
        raise _unavailable(entry, "the value is no text; store it as one")
    return value


def _why_absent(data: dict[str, Any], entry: VaultEntry) -> str:
    metadata = data.get("metadata")
    version = "its newest version" if entry.version is None else f"version {entry.version}"
    if isinstance(metadata, dict) and metadata.get("destroyed") is True:
        return f"{version} was destroyed; write a new one"
    if isinstance(metadata, dict) and metadata.get("deletion_time"):
        return f"{version} was deleted; restore it with 'vault kv undelete', or write a new one"
    if entry.path.startswith("data/"):
        return "there is no such entry (404); leave out 'data/', as 'vault kv get' does"
    thing = "no such entry" if entry.version is None else f"no such entry, or no version {entry.version} of it"
    return f"there is {thing} (404); the part before the first slash is the mount, a key-value engine of version 2"


def _unavailable(entry: VaultEntry, why: str) -> SecretUnavailable:
    return SecretUnavailable(f"the vault secret {entry}: {why}")
