"""The guarded HTTP client: the only way a connector reaches its product over HTTP.

The rule: a request leaves only if it matches a declared read route, or if the gate has opened the door of an intended
change in a live run. In a plan everything else is captured and goes nowhere.
"""

from __future__ import annotations

import json as json_codec
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any
from urllib.parse import urlencode, urlsplit

import httpx

from hikeshi import __version__
from hikeshi.connector.door import Door, PreviewedRequest, current_door
from hikeshi.connector.errors import Applied, ConnectorError, Invalid, RouteRefused, Timeout, Unauthorized, Unavailable
from hikeshi.connector.pace import Pace, Pacer
from hikeshi.connector.pool import ConnectionStack, NotPublic
from hikeshi.connector.response import CapturedResponse, Response, default_check
from hikeshi.connector.route import Route, SeenRequest

__all__ = ["HttpClient"]

_BODY_MOST_BYTES = 64 * 1024 * 1024
_HEADERS = {"accept": "*/*", "accept-encoding": "gzip, deflate", "user-agent": f"hikeshi/{__version__}"}
Authorize = Callable[[], Awaitable[Mapping[str, str]]]
Sign = Callable[[SeenRequest], Awaitable[Mapping[str, str]]]
Seal = Callable[[SeenRequest], Awaitable[SeenRequest]]


class HttpClient:
    """One connector instance's client: its base addresses, read routes, credentials and error door."""

    def __init__(
        self,
        *,
        name: str,
        bases: Mapping[str, str],
        read_routes: Sequence[Route],
        timeout_s: float = 30.0,
        transport: httpx.AsyncBaseTransport | None = None,
        ca_file: str | None = None,
        volatile: Sequence[str] = (),
        pace: Pace | None = None,
        public_only: bool = False,
        never: Sequence[Route] = (),
    ) -> None:
        self.name = name
        # As httpx writes them, so that an address in upper case or with the usual port is the same one everywhere.
        self._bases = {key: _as_written(url).rstrip("/") for key, url in bases.items()}
        self._read_routes = tuple(read_routes)
        self._never = tuple(never)
        self._volatile = tuple(volatile)
        # The transport itself, not a client around it: a client keeps cookies, which no preview would show.
        self._transport = transport or ConnectionStack(ca_file, public_only=public_only)
        self._timeouts = httpx.Timeout(timeout_s, connect=min(timeout_s, 10.0)).as_dict()
        self._pacer = None if pace is None else Pacer(pace)
        self.authorize: Authorize | None = None
        self.sign: Sign | None = None  # headers that depend on the request itself, such as its signature
        # The request with a secret put in that its product wants in the address or the body. What plans, records and
        # errors show is the request before; this is called last, and nobody sees what it gives.
        self.seal: Seal | None = None
        self.forget_credentials: Callable[[], None] | None = None
        self.check: Callable[[Response], None] = default_check
        self.mask: Callable[[str], str] = str  # takes secrets out of a text

    async def get(self, path: str, **options: Any) -> Response:
        """Send a GET; see `request`."""
        return await self.request("GET", path, **options)

    async def post(self, path: str, **options: Any) -> Response:
        """Send a POST; see `request`."""
        return await self.request("POST", path, **options)

    async def patch(self, path: str, **options: Any) -> Response:
        """Send a PATCH; see `request`."""
        return await self.request("PATCH", path, **options)

    async def put(self, path: str, **options: Any) -> Response:
        """Send a PUT; see `request`."""
        return await self.request("PUT", path, **options)

    async def delete(self, path: str, **options: Any) -> Response:
        """Send a DELETE; see `request`."""
        return await self.request("DELETE", path, **options)

    async def request(
        self,
        method: str,
        path: str,
        *,
        base: str = "",
        params: Mapping[str, Any] | None = None,
        json: Any = None,
        form: Mapping[str, Any] | None = None,
        text: str | None = None,
        headers: Mapping[str, str] | None = None,
        auth: bool = True,
        last: bool = False,
    ) -> Response:
        """Send one request and return its answer, judged by the connector's `check`.

        The body is one of `json`, `form` and `text`, whose type stands in `headers`. `path` is below the base address
        named `base`, or an absolute URL under one of the base addresses (a link to a next page). `last` promises that
        a change makes no request after this one, so that a plan's preview is known to be complete even though the
        answer is read. Raises ConnectorError; RouteRefused is the connector author's fault.
        """
        url = self._url(path, base, params)
        body, type_header = _encode(json, form, text)
        sent_headers = {**type_header, **{key.lower(): value for key, value in (headers or {}).items()}}
        seen = SeenRequest(method, url, sent_headers, body)
        is_read = self._is_read(seen)
        self._refuse_traps(seen)
        if not is_read and not self._door().admit(_preview(seen, self._volatile), last=last):
            return CapturedResponse()
        response = await self._send_authorized(seen, auth=auth, is_read=is_read)
        self.check(self._without_secrets(response))
        return response

    async def aclose(self) -> None:
        """Close all connections."""
        await self._transport.aclose()

    def _url(self, path: str, base: str, params: Mapping[str, Any] | None) -> str:
        if path[:1] in ("", "/", "?"):
            url, below = self._bases[base] + path, [self._bases[base]]
        elif "://" in path:
            url, below = path, list(self._bases.values())
        else:
            raise RouteRefused(f"{self.name}: the path {path!r} does not begin with '/'")
        if params:
            pairs = [(key, item) for key, value in params.items() for item in _each(value)]
            url += ("&" if "?" in url else "?") + urlencode(pairs)
        # What is judged has to be what is sent, so httpx's own normalisation comes first.
        try:
            sent = _written(url)
        except httpx.InvalidURL:
            raise RouteRefused(f"{self.name}: {path!r} does not make a URL") from None
        if not any(sent == each or sent.startswith((f"{each}/", f"{each}?")) for each in below):
            raise RouteRefused(
                f"{self.name}: {urlsplit(sent).hostname} is not an address of this connector, or not there"
            )
        return sent

    def _is_read(self, seen: SeenRequest) -> bool:
        seen.refuse_tricks()
        return any(route.matches(seen, self._bases[route.base]) for route in self._read_routes)

    def _refuse_traps(self, seen: SeenRequest) -> None:
        """Raise RouteRefused for a request that this connector never sends, whoever asks for it."""
        for route in self._never:
            if route.matches(seen, self._bases[route.base]):
                raise RouteRefused(f"{self.name}: {seen.method} {urlsplit(seen.url).path} is never sent: a trap")

    def _without_secrets(self, response: Response) -> Response:
        """Mask what an error answer repeats of us, before anybody quotes it: half a secret can't be masked any more."""
        if response.status < 400 or (masked := self.mask(response.text)) == response.text:
            return response
        return replace(response, content=masked.encode())

    def _door(self) -> Door:
        door = current_door()
        if door is None:
            raise RouteRefused(f"{self.name}: only its declared read routes are open outside of an action")
        return door

    async def _send_authorized(self, seen: SeenRequest, *, auth: bool, is_read: bool) -> Response:
        response = await self._send(seen, await self._credentials(seen) if auth else {}, is_read=is_read)
        if response.status == 401 and auth and self.forget_credentials:
            # A 401 provably changed nothing: fetch fresh credentials, once.
            self.forget_credentials()
            response = await self._send(seen, await self._credentials(seen), is_read=is_read)
            if response.status == 401:
                raise Unauthorized(f"{self.name}: the product refuses fresh credentials; check them in hikeshi.yaml")
        return response

    async def _credentials(self, seen: SeenRequest) -> Mapping[str, str]:
        try:
            found = {} if self.authorize is None else await self.authorize()
            return found if self.sign is None else {**found, **await self.sign(seen)}
        except ConnectorError as exc:
            exc.applied = Applied.NO  # whatever became of the sign-in, the request itself did not leave
            raise

    async def _send(self, seen: SeenRequest, auth_headers: Mapping[str, str], *, is_read: bool) -> Response:
        if self._pacer is None:
            return await self._send_now(seen, auth_headers, is_read=is_read)
        async with self._pacer.passage():
            return await self._send_now(seen, auth_headers, is_read=is_read)

    async def _send_now(self, seen: SeenRequest, auth_headers: Mapping[str, str], *, is_read: bool) -> Response:
        sealed = await self._sealed(seen)
        request = httpx.Request(
            sealed.method,
            _parsed(sealed.url),
            headers={**_HEADERS, **sealed.headers, **auth_headers},
            content=sealed.content,
            extensions={"timeout": self._timeouts},
        )
        if not is_read:
            self._door().leave()
        try:
            answer = await self._transport.handle_async_request(request)
            try:
                body = await _read(answer)
            finally:
                await answer.aclose()
        except httpx.HTTPError as exc:
            raise self._foreign(exc, seen) from None
        if answer.is_redirect:
            # Some products answer a change that they made with the place to look at.
            raise Invalid(
                f"{self.name}: {seen.method} {urlsplit(seen.url).path} was redirected; check the base address",
                applied=Applied.NO if is_read else Applied.MAYBE,
            )
        return Response(
            answer.status_code, {k.lower(): v for k, v in answer.headers.items()}, body, seen.method, seen.url
        )

    async def _sealed(self, seen: SeenRequest) -> SeenRequest:
        """Return the request as it leaves. Raises what `seal` raises; RouteRefused if that would go to another host."""
        if self.seal is None:
            return seen
        try:
            sealed = await self.seal(seen)
        except ConnectorError as exc:
            exc.applied = Applied.NO  # it did not leave
            raise
        if urlsplit(sealed.url)[:2] != urlsplit(seen.url)[:2] or sealed.method != seen.method:
            raise RouteRefused(f"{self.name}: the sealed request would go elsewhere than the one that was admitted")
        return sealed

    def _foreign(self, exc: httpx.HTTPError, seen: SeenRequest) -> ConnectorError:
        """Translate httpx's errors. Only those raised before a connection stood prove that nothing was sent.

        httpx's texts may repeat a URL or a header, so only the kind is told.
        """
        where = f"{self.name}: {seen.method} {urlsplit(seen.url).netloc}{urlsplit(seen.url).path}"
        if isinstance(exc, NotPublic):
            return Invalid(f"{where}: the host has a private address, and this connector may only reach public ones")
        if isinstance(exc, (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol)):
            return Unavailable(f"{where}: cannot connect ({type(exc).__name__})", applied=Applied.NO)
        if isinstance(exc, httpx.TimeoutException):
            return Timeout(f"{where}: no answer in time ({type(exc).__name__})", applied=Applied.MAYBE)
        return Unavailable(f"{where}: the connection broke ({type(exc).__name__})", applied=Applied.MAYBE)


@lru_cache(maxsize=256)
def _parsed(url: str) -> httpx.URL:
    """Parsing is dear: without this each request does it twice, and most repeat an address."""
    return httpx.URL(url)


@lru_cache(maxsize=256)
def _written(url: str) -> str:
    """Return an address as httpx writes it. Raises httpx.InvalidURL."""
    return str(_parsed(url))


def _as_written(base: str) -> str:
    try:
        return _written(base)
    except httpx.InvalidURL:
        return base  # every request says so


async def _read(answer: httpx.Response) -> bytes:
    parts: list[bytes] = []
    size = 0
    # Where there is nothing to unpack, the way through httpx's decoders costs more than the body.
    async for chunk in answer.aiter_bytes() if "content-encoding" in answer.headers else _plain(answer):
        size += len(chunk)
        if size > _BODY_MOST_BYTES:
            raise httpx.ReadError("the answer is too large")
        parts.append(chunk)
    return b"".join(parts)


def _plain(answer: httpx.Response) -> httpx.AsyncByteStream:
    assert isinstance(answer.stream, httpx.AsyncByteStream)
    return answer.stream


def _each(value: Any) -> Sequence[Any]:
    return value if isinstance(value, (list, tuple)) else (value,)


def _encode(json: Any, form: Mapping[str, Any] | None, text: str | None) -> tuple[bytes, dict[str, str]]:
    if json is not None:
        return json_codec.dumps(json, separators=(",", ":")).encode(), {"content-type": "application/json"}
    if form is not None:
        return urlencode(form).encode(), {"content-type": "application/x-www-form-urlencoded"}
    return (text or "").encode(), {}


def _preview(seen: SeenRequest, volatile: tuple[str, ...]) -> PreviewedRequest:
    if seen.is_form:
        body: Any = dict(seen.form)
    else:
        body = _body_of(seen) if seen.content else None
    return PreviewedRequest(seen.method, seen.url, body, volatile)


def _body_of(seen: SeenRequest) -> Any:
    text = seen.content.decode()
    return json_codec.loads(text) if "json" in seen.headers.get("content-type", "") else text
