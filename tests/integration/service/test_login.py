"""The door of the console: coming in with a token or by single sign-on, and what is kept out."""

import contextlib
import json
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from desk import PEOPLE, Desk, Served, desk_in, wait_until

COOKIE = "hikeshi_session"


def browser(url: str) -> httpx.Client:
    return httpx.Client(base_url=url, timeout=15, headers={"sec-fetch-site": "same-origin", "accept": "text/html"})


def come_in(desk: Desk, served: Served, role: str) -> httpx.Client:
    client = browser(served.url)
    answer = client.post("/login", data={"token": desk.tokens[role], "next": "/runs"})
    assert answer.status_code == 200, answer.text
    return client


def test_nobody_sees_a_page_who_has_not_come_in(served: Served) -> None:
    """Every page sends to the door and says where to go on; what is no page of this server is no place to go on."""
    with browser(served.url) as client:
        answer = client.get("/runs/abc?x=1")
        assert (answer.status_code, answer.headers["location"]) == (303, "/login?next=/runs/abc%3Fx%3D1")
        assert client.post("/runs").status_code == 403
        for elsewhere in ("https://evil.example", "//evil.example", "/\\evil.example", "javascript:alert(1)"):
            page = client.get("/login", params={"next": elsewhere}).text
            assert 'name="next" value="/"' in page


@pytest.mark.safety(31)
def test_a_token_opens_a_session_in_a_cookie_that_no_script_reads(desk: Desk, served: Served) -> None:
    """Strict, so that no other site's request carries it; and going out ends it for good."""
    with browser(served.url) as client:
        answer = client.post("/login", data={"token": desk.tokens["viewer"], "next": "/holds"})
        cookie = answer.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=strict" in cookie
        assert 'url=/holds"' in answer.text
        secret = client.cookies[COOKIE]
        assert client.get("/").status_code == 200
        assert httpx.get(f"{served.url}/api/v1/me", headers={"Authorization": f"Bearer {secret}"}).status_code == 401
        assert httpx.get(f"{served.url}/api/v1/me", cookies={COOKIE: secret}).status_code == 401
        assert client.post("/logout", headers={"sec-fetch-site": "cross-site"}).status_code == 403
        assert client.get("/").status_code == 200
        assert client.post("/logout").status_code == 303
        assert httpx.get(f"{served.url}/", cookies={COOKIE: secret}).status_code == 303


def test_a_wrong_token_opens_nothing_and_many_of_them_have_to_wait(desk: Desk) -> None:
    """Ten a minute from one place; the page says what to do. In a service of its own: it counts for a minute."""
    with desk.served("--no-triggers") as served, browser(served.url) as client:
        codes = [client.post("/login", data={"token": f"hik_{number}"}).status_code for number in range(12)]
        assert codes[:10] == [401] * 10
        assert codes[10:] == [429, 429]
        assert "Wait a minute" in client.post("/login", data={"token": "x"}).text
        japanese = client.get("/login", headers={"accept-language": "ja"}).text
        assert '<html lang="ja">' in japanese


@pytest.mark.parametrize(
    "headers",
    [{"sec-fetch-site": "cross-site"}, {"sec-fetch-site": "same-site"}, {"origin": "https://evil.example"}],
)
def test_another_site_cannot_sign_anybody_in(desk: Desk, served: Served, headers: dict[str, str]) -> None:
    """Else somebody would work in the session of whoever made them click."""
    answer = httpx.post(f"{served.url}/login", data={"token": desk.tokens["viewer"]}, headers=headers)
    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers


def test_every_answer_tells_browsers_what_it_may_do(served: Served) -> None:
    """Not be framed, not be sniffed, load nothing from elsewhere."""
    for path in ("/login", "/api/v1/me", "/health", "/", "/no-such"):
        headers = httpx.get(served.url + path).headers
        assert headers["x-frame-options"] == "DENY"
        assert headers["x-content-type-options"] == "nosniff"
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert "https:" not in headers["content-security-policy"]
        assert "server" not in headers


# --- single sign-on ---------------------------------------------------------------------------------------------------


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def provider() -> Iterator[str]:
    """A real OpenID Connect provider with three people."""
    port = free_port()
    claims = [
        {"sub": "1", "email": "mkobayashi", "email_verified": True},
        {"sub": "2", "email": "nobody", "email_verified": True},
        {"sub": "3", "email": "amori", "email_verified": False},
    ]
    command = [str(Path(sys.executable).with_name("oidc-provider-mock")), "--port", str(port)]
    for each in claims:
        command += ["--user-claims", json.dumps(each)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    issuer = f"http://localhost:{port}"
    try:

        def is_there() -> bool:
            try:
                return httpx.get(f"{issuer}/.well-known/openid-configuration").status_code == 200
            except httpx.TransportError:
                return False

        wait_until(is_there, within_s=30)
        yield issuer
    finally:
        process.kill()
        process.wait()


def sign_on(client: httpx.Client, subject: str) -> httpx.Response:
    """Go to the provider as a browser does, be somebody there, and come back."""
    away = client.get("/login/sso/?next=/holds")
    assert away.status_code == 302, away.text
    there = away.headers["location"]
    assert "code_challenge_method=S256" in there
    back = httpx.post(there, data={"sub": subject})
    assert back.status_code in (302, 303), back.text
    return client.get(urlsplit(back.headers["location"])._replace(scheme="", netloc="").geturl())


def test_people_of_the_project_come_in_by_single_sign_on(tmp_path: Path) -> None:
    """With the roles of their `access`; who is unknown here or not verified there stays outside, so does a forgery."""
    with provider() as issuer:
        port = free_port()
        (tmp_path / "secret").write_text("not-much-of-a-secret")
        oidc = {"issuer": issuer, "client_id": "hikeshi", "client_secret": f"${{file:{tmp_path / 'secret'}}}"}
        people = {name: {**person, "access": ["responder"]} for name, person in PEOPLE.items()}
        console = {"url": f"http://127.0.0.1:{port}", "oidc": oidc}
        with (
            desk_in(tmp_path, console=console, people=people) as desk,
            desk.served("--no-triggers", "--port", str(port)) as served,
            browser(served.url) as client,
        ):
            assert "/login/sso/" in client.get("/login").text
            answer = sign_on(client, "1")
            assert answer.status_code == 200, answer.text
            assert 'url=/holds"' in answer.text
            assert client.get("/").status_code == 200
            for subject in ("2", "3"):
                with browser(served.url) as stranger:
                    assert sign_on(stranger, subject).status_code == 403
                    assert COOKIE not in stranger.cookies
            with browser(served.url) as thief:
                forged = thief.get("/login/sso/back", params={"code": "x", "state": "y"})
                assert forged.status_code == 502
                assert COOKIE not in thief.cookies
            assert not re.search("not-much-of-a-secret", "".join(served.said))
