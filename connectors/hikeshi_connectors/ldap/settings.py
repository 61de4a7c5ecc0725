"""What hikeshi.yaml says of one directory."""

from __future__ import annotations

from typing import Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from hikeshi.connector import ConnectorSettings, Secret

__all__ = ["LdapSettings"]

_ATTRIBUTE = r"^[A-Za-z][A-Za-z0-9-]*$"


class LdapSettings(ConnectorSettings):
    """Where the directory is, who asks, and how it keeps accounts and groups.

    Raises ValueError for an address that is none, and for a password that would travel unprotected.
    """

    kind: Literal["active_directory", "openldap"]
    base_dn: str = Field(min_length=3)
    bind_user: str = Field(min_length=1)
    password: Secret
    start_tls: bool = False
    password_in_plain_text: bool = False
    privileged_groups: tuple[str, ...] = ()
    page_size: int = Field(default=500, ge=1, le=1000)
    # OpenLDAP only
    user_class: str = Field(default="inetOrgPerson", pattern=_ATTRIBUTE)
    login_attribute: str = Field(default="uid", pattern=_ATTRIBUTE)
    member_attribute: Literal["member", "uniqueMember"] = "member"
    lock_attribute: str = Field(default="pwdAccountLockedTime", pattern=_ATTRIBUTE)
    lock_value: str = Field(default="000001010000Z", min_length=1)

    @model_validator(mode="after")
    def _protected(self) -> Self:
        address = urlsplit(self.base_url)
        if address.scheme not in ("ldaps", "ldap") or not address.hostname or address.path not in ("", "/"):
            raise ValueError("base_url is ldaps://HOST or ldap://HOST, with a port if it is not the usual one")
        if address.scheme == "ldaps" and self.start_tls:
            raise ValueError("ldaps:// is protected from the start; start_tls belongs to ldap://")
        if address.scheme == "ldap" and not self.start_tls and not self.password_in_plain_text:
            raise ValueError(
                "the password would travel in plain text: use ldaps://, or start_tls: true, or allow it in so many "
                "words with password_in_plain_text: true"
            )
        return self

    @property
    def host(self) -> str:
        return urlsplit(self.base_url).hostname or ""

    @property
    def port(self) -> int:
        address = urlsplit(self.base_url)
        return address.port or (636 if address.scheme == "ldaps" else 389)

    @property
    def is_tls(self) -> bool:
        return urlsplit(self.base_url).scheme == "ldaps"
