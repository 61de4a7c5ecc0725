"""Where a secret is in a Vault: one key of one entry of a key-value engine, version 2."""

from __future__ import annotations

import re
from urllib.parse import quote

from hikeshi.quick_dataclass import dataclass

__all__ = ["VaultEntry"]

_FORM = "a vault reference is ${vault:MOUNT/PATH#KEY} or, for one version, ${vault:MOUNT/PATH#KEY@3}"
_KEY = re.compile(r"(?P<key>[^#]+?)(?:@(?P<version>[0-9]+))?")


@dataclass(frozen=True, slots=True)
class VaultEntry:
    """`mount` and `path` as `vault kv get` takes them, without the `data/` of the API. No version: the newest."""

    mount: str
    path: str
    key: str
    version: int | None = None

    def __str__(self) -> str:
        return f"{self.mount}/{self.path}#{self.key}" + ("" if self.version is None else f"@{self.version}")

    @classmethod
    def parse(cls, rest: str) -> VaultEntry:
        """Return the entry that `mount/path#key@version` stands for. Raises ValueError, which does not repeat it."""
        where, _, what = rest.partition("#")
        mount, _, path = where.partition("/")
        found = _KEY.fullmatch(what)
        if found is None or not rest.isprintable() or not _is_path(mount, *path.split("/")):
            raise ValueError(_FORM)
        version = found["version"]
        if version is not None and (len(version) > 9 or int(version) < 1):
            raise ValueError(f"{_FORM}; versions count from 1")
        return cls(mount, path, found["key"], None if version is None else int(version))

    @property
    def target(self) -> str:
        """What is asked for, below the address of the Vault. A slash inside of a segment can't come about."""
        asked = "" if self.version is None else f"?version={self.version}"
        return f"/v1/{quote(self.mount, safe='')}/data/{quote(self.path)}{asked}"


def _is_path(*segments: str) -> bool:
    # A path with dots would be another one to whoever normalises it on the way.
    return all(segment.strip() not in ("", ".", "..") for segment in segments)
