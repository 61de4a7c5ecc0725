"""What a browser says of where a request comes from, and what the console's door makes of it."""

import pytest

from hikeshi.console.doors import is_from_here


def scope(**headers: str) -> dict[str, object]:
    pairs = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return {"headers": [(b"host", b"hikeshi.example"), *pairs]}


@pytest.mark.parametrize(
    "headers",
    [
        {"sec_fetch_site": "same-origin", "origin": "https://hikeshi.example"},
        {"sec_fetch_site": "same-origin", "origin": "null"},  # a form of a page that gives no referrer
        {"origin": "https://hikeshi.example"},
        {},
    ],
)
def test_a_page_of_this_server_may_ask(headers: dict[str, str]) -> None:
    """Signing in works in every browser, and for programs that say nothing of themselves."""
    assert is_from_here(scope(**headers))


@pytest.mark.parametrize(
    "headers",
    [
        {"sec_fetch_site": "cross-site", "origin": "https://evil.example"},
        {"sec_fetch_site": "same-site", "origin": "https://other.hikeshi.example"},
        {"sec_fetch_site": "cross-site", "origin": "https://hikeshi.example"},
        {"origin": "https://evil.example"},
        {"origin": "null"},
    ],
)
def test_a_page_of_another_site_may_not(headers: dict[str, str]) -> None:
    """A form on another site can't sign anybody in or out, and its script can't open our socket."""
    assert not is_from_here(scope(**headers))
