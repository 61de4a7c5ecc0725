"""What opens the doors, as it is stored: records of a stream of its own in the journal, and a table of them.

The rule: only the hash of a secret is ever written.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from typing import Any

from hikeshi.journal import Record

__all__ = ["STREAM", "AccessProjection"]

STREAM = "access"
"""The name under which its records are in the journal. No run is called so."""


class AccessProjection:
    """One row for each token and each session, also those that are over."""

    name = "access"
    version = 1
    schema = """
        CREATE TABLE tokens (
            token TEXT PRIMARY KEY,
            hash TEXT NOT NULL UNIQUE,
            kind TEXT NOT NULL,
            name TEXT NOT NULL,
            person TEXT,
            roles TEXT NOT NULL,
            made_by TEXT NOT NULL,
            made_at TEXT NOT NULL,
            expires_at TEXT NOT NULL,
            parent TEXT,
            revoked_at TEXT,
            revoked_by TEXT
        );
    """

    def apply(self, tx: sqlite3.Connection, record: Record) -> None:
        if record.run != STREAM:
            return
        data: Mapping[str, Any] = record.data
        match record.kind:
            case "TokenMade":
                tx.execute(
                    "INSERT INTO tokens (token, hash, kind, name, person, roles, made_by, made_at, expires_at, parent)"
                    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    (
                        *(data[key] for key in ("token", "hash", "kind", "name", "person")),
                        json.dumps(data["roles"]),
                        *(data["by"], record.at.isoformat(), data["expires_at"], data["parent"]),
                    ),
                )
            case "TokenRevoked":
                tx.execute(
                    "UPDATE tokens SET revoked_at = ?, revoked_by = ?"
                    " WHERE (token = ? OR parent = ?) AND revoked_at IS NULL",
                    (record.at.isoformat(), data["by"], data["token"], data["token"]),
                )
