"""What an operator says of an HTTP API: where it is, how to sign in, and which of its requests change nothing."""

from __future__ import annotations

from typing import Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, model_validator

from hikeshi.connector import ConnectorSettings, Route, Secret

__all__ = ["HttpSettings", "ReadRoute"]

Method = Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]


class ReadRoute(BaseModel):
    """One kind of request that changes nothing. In `path`, `*` stands for one segment and `**` for any number.

    `where` says what else has to be so, as `query:NAME`, `form:NAME` or `header:NAME` -> a pattern.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    method: Method = "GET"
    path: str = Field(pattern=r"^/[^?#\s]*$")
    where: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _places(self) -> ReadRoute:
        wrong = [key for key in self.where if key.partition(":")[0] not in ("query", "form", "header")]
        if wrong:
            raise ValueError(f"'where' speaks of query:NAME, form:NAME or header:NAME, and not of {wrong[0]!r}")
        return self

    def route(self) -> Route:
        """Return the route for the guarded client."""
        return Route(self.method, self.path, where=self.where)


class HttpSettings(ConnectorSettings):
    """`token` is sent as `Authorization: Bearer`, `username` and `password` as Basic, `api_key` in `api_key_header`."""

    token: Secret | None = None
    username: str | None = None
    password: Secret | None = None
    api_key: Secret | None = None
    api_key_header: str = Field(default="X-API-Key", pattern=r"^[A-Za-z0-9-]+$")
    read_routes: tuple[ReadRoute, ...] = ()
    allow_private: bool = False
    allow_plain_http: bool = False

    @model_validator(mode="after")
    def _complete(self) -> HttpSettings:
        ways = [self.token is not None, self.password is not None, self.api_key is not None]
        if sum(ways) > 1:
            raise ValueError("one of 'token', 'password' and 'api_key' is enough")
        if (self.username is None) != (self.password is None):
            raise ValueError("'username' and 'password' belong together")
        if urlsplit(self.base_url).scheme != "https" and not self.allow_plain_http:
            raise ValueError("base_url has to begin with https://; 'allow_plain_http: true' permits http://")
        return self
