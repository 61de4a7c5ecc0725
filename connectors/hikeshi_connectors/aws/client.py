"""Calls to AWS over the guarded client: signed, in each service's own protocol, with an assumed role if one is set."""

from __future__ import annotations

import asyncio
import json as json_codec
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final

from hikeshi.connector import Connector, Response, Unauthorized, all_pages, json_object
from hikeshi.connector.route import SeenRequest
from hikeshi_connectors.aws.answers import Node, result_in
from hikeshi_connectors.aws.service import STS, Service
from hikeshi_connectors.aws.settings import AwsSettings
from hikeshi_connectors.aws.signing import Keys, signed

__all__ = ["AwsClient"]

_ROLE_LIFE_S: Final = 3600  # what every role allows, and the most for a role that a role assumes
_EARLY_S: Final = 300.0
_JSON_TYPE: Final = {"content-type": "application/x-amz-json-1.1"}

# The signature names the service, which the address need not: an emulator has one address for all of them.
_signing_for: ContextVar[tuple[Service, bool] | None] = ContextVar("hikeshi_aws_signing_for", default=None)


class AwsClient:
    """One connector instance's way to AWS. `requests` are all made through the connector's own HTTP client."""

    def __init__(
        self, connector: Connector, settings: AwsSettings, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._connector = connector
        self._settings = settings
        self._clock = clock
        self._role: Keys | None = None
        self._role_until = 0.0
        self._lock = asyncio.Lock()
        connector.http.sign = self._signature

    async def form(
        self, service: Service, operation: str, params: Mapping[str, Any], *, last: bool = False
    ) -> Response:
        """Send an operation in the query protocol. `params` may hold lists and mappings: `Name.1`, `Name.member.1`."""
        form = {"Action": operation, "Version": service.version, **dict(_flat(service, params))}
        return await self._send(service, "POST", "/", form=form, last=last)

    async def read_form(self, service: Service, operation: str, params: Mapping[str, Any]) -> Node:
        """Send an operation that reads and return its result."""
        return result_in(await self.form(service, operation, params), operation)

    async def pages(self, service: Service, operation: str, params: Mapping[str, Any], under: str) -> list[Node]:
        """Return the members of a list in full. Source: "Marker" and "IsTruncated" (IAM), "nextToken" (EC2)."""

        async def page(mark: str | None) -> tuple[Sequence[Node], str | None]:
            name = "NextToken" if service.name == "ec2" else "Marker"
            result = await self.read_form(service, operation, {**params, **({name: mark} if mark else {})})
            if service.name == "ec2":
                return result.all_under(under), result.maybe("nextToken")
            more = result.maybe("IsTruncated") == "true"
            return result.all_under(under), result.text("Marker") if more else None

        return await all_pages(page, f"{self._connector.name}: {operation}")

    async def json(self, service: Service, operation: str, body: Mapping[str, Any], *, last: bool = False) -> Response:
        """Send an operation in the JSON protocol."""
        headers = {**_JSON_TYPE, "x-amz-target": f"{service.target}.{operation}"}
        text = json_codec.dumps(body, separators=(",", ":"))
        return await self._send(service, "POST", "/", text=text, headers=headers, last=last)

    async def read_json(self, service: Service, operation: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Send an operation that reads and return its JSON object."""
        return json_object(await self.json(service, operation, body))

    async def rest(self, service: Service, method: str, path: str, **options: Any) -> Response:
        """Send a request to a service that has a path for each operation."""
        return await self._send(service, method, path, **options)

    async def own_arn(self) -> str:
        """Return who the configured keys belong to, before a role is assumed: an ARN."""
        with _for(STS, own=True):
            form = {"Action": "GetCallerIdentity", "Version": STS.version}
            answer = await self._connector.http.post("/", base=STS.name, form=form)
        return result_in(answer, "GetCallerIdentity").text("Arn")

    async def _send(self, service: Service, method: str, path: str, **options: Any) -> Response:
        before = self._role
        with _for(service):
            try:
                return await self._connector.http.request(method, path, base=service.name, **options)
            except Unauthorized:
                # Keys of a role can end early, and a refusal of keys provably changed nothing: once more with new ones.
                if before is None or options.get("last"):
                    raise
                if self._role is before:
                    self._role = None
                return await self._connector.http.request(method, path, base=service.name, **options)

    # --- signatures

    async def _signature(self, request: SeenRequest) -> Mapping[str, str]:
        scope = _signing_for.get()
        assert scope is not None, "a request to AWS that was not made by AwsClient"
        service, own = scope
        keys = self._own_keys() if own or not self._settings.role_arn else await self._role_keys()
        return signed(request, keys, service.name, service.place(self._settings.region))

    def _own_keys(self) -> Keys:
        settings, token = self._settings, self._settings.session_token
        return Keys(
            self._connector.reveal(settings.access_key_id),
            self._connector.reveal(settings.secret_access_key),
            None if token is None else self._connector.reveal(token),
        )

    async def _role_keys(self) -> Keys:
        async with self._lock:
            if self._role is None or self._clock() >= self._role_until:
                self._role = await self._assumed()
                self._role_until = self._clock() + _ROLE_LIFE_S - _EARLY_S
            return self._role

    async def _assumed(self) -> Keys:
        """Assume the role. Its keys live for as long as was asked for, or AWS refuses.

        Source: https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html (DurationSeconds).
        """
        form: dict[str, Any] = {"Action": "AssumeRole", "Version": STS.version, "RoleArn": self._settings.role_arn}
        form |= {"RoleSessionName": "hikeshi", "DurationSeconds": _ROLE_LIFE_S}
        if self._settings.external_id:
            form["ExternalId"] = self._settings.external_id
        with _for(STS, own=True):
            answer = await self._connector.http.post("/", base=STS.name, form=form)
        found = result_in(answer, "AssumeRole").under("Credentials")
        keys = Keys(found.text("AccessKeyId"), found.text("SecretAccessKey"), found.text("SessionToken"))
        for value in (keys.secret_access_key, keys.token or ""):
            self._connector.redactor.add(value)
        return keys


@contextmanager
def _for(service: Service, *, own: bool = False) -> Iterator[None]:
    token = _signing_for.set((service, own))
    try:
        yield
    finally:
        _signing_for.reset(token)


def _flat(service: Service, params: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield the fields of a form. Lists are `Name.member.N` in the query protocol, and `Name.N` in EC2's."""
    for name, value in params.items():
        key = f"{prefix}{name}"
        if isinstance(value, Mapping):
            yield from _flat(service, value, f"{key}.")
        elif isinstance(value, (list, tuple)):
            between = f"{key}." if service.name == "ec2" else f"{key}.member."
            for number, each in enumerate(value, 1):
                item = each if isinstance(each, Mapping) else {"": each}
                for inner, text in _flat(service, item):
                    yield f"{between}{number}" + (f".{inner}" if inner else ""), text
        else:
            yield key, str(value)
