"""Slack's error codes and answers that are none: each becomes the right class, with the right `applied`."""

from typing import Any

import httpx
import pytest

from hikeshi.capabilities import Effect
from hikeshi.connector import (
    Applied,
    Conflict,
    ConnectorError,
    Forbidden,
    Invalid,
    NotFound,
    RateLimited,
    Secret,
    Timeout,
    Unauthorized,
    Unavailable,
)
from hikeshi.connector.door import Door, through
from hikeshi.connector.registry import build
from hikeshi.secrets import Redactor
from hikeshi_connectors.slack import Slack
from hikeshi_connectors.slack.error_codes import CODES

TOKEN = "xoxb-unit-test-token"

# The codes documented for chat.postMessage and users.lookupByEmail. Source: docs.slack.dev, as collected by
# github.com/slack-ruby/slack-api-ref on 2026-08-20.
DOCUMENTED = """
access_denied accesslimited account_inactive app_access_restricted as_user_not_supported
attachment_payload_limit_exceeded cannot_reply_to_message channel_not_found deprecated_endpoint
draft_already_deleted draft_already_sent draft_has_conflict draft_not_found duplicate_channel_not_found
duplicate_message_not_found ekm_access_denied enterprise_is_restricted fatal_error invalid_arg_name
invalid_array_arg invalid_blocks invalid_blocks_format invalid_charset invalid_form_data invalid_metadata_format
invalid_metadata_schema invalid_post_type is_archived is_bot markdown_text_conflict message_limit_exceeded
messages_tab_disabled metadata_must_be_sent_from_app metadata_too_large method_deprecated missing_file_data
missing_post_type missing_scope msg_blocks_too_long no_permission no_text not_allowed_token_type not_authed
not_in_channel org_login_required rate_limited ratelimited request_timeout restricted_action
restricted_action_non_threadable_channel restricted_action_read_only_channel restricted_action_thread_locked
restricted_action_thread_only_channel send_on_behalf_not_allowed service_unavailable
slack_connect_canvas_sharing_blocked slack_connect_file_link_sharing_blocked slack_connect_lists_sharing_blocked
team_added_to_org team_not_found token_expired token_revoked too_many_attachments too_many_contact_cards
two_factor_setup_required unknown_method users_not_found
""".split()  # noqa: SIM905 - sixty-seven lines otherwise


async def failing(status: int = 200, headers: dict[str, str] | None = None, **content: Any) -> ConnectorError:
    def answer(_: httpx.Request) -> httpx.Response:
        return httpx.Response(status, headers=headers, **content)

    connector = build(
        Slack, "slack", {"bot_token": Secret.of_value(TOKEN)}, Redactor(), transport=httpx.MockTransport(answer)
    )
    assert isinstance(connector, Slack)
    with (
        through(Door(mode="live", effect=Effect.NOTIFY, action="messaging.post", intended=True)),
        pytest.raises(ConnectorError) as caught,
    ):
        await connector.post("#soc", "x")
    assert TOKEN not in repr(caught.value) + str(caught.value)
    return caught.value


@pytest.mark.parametrize(
    ("code", "kind", "applied"),
    [
        ("channel_not_found", NotFound, Applied.NO),
        ("thread_not_found", NotFound, Applied.NO),
        ("not_in_channel", Forbidden, Applied.NO),
        ("missing_scope", Forbidden, Applied.NO),
        ("restricted_action", Forbidden, Applied.NO),
        ("ekm_access_denied", Forbidden, Applied.NO),
        ("is_archived", Conflict, Applied.NO),
        ("invalid_auth", Unauthorized, Applied.NO),
        ("not_authed", Unauthorized, Applied.NO),
        ("account_inactive", Unauthorized, Applied.NO),
        ("token_revoked", Unauthorized, Applied.NO),
        ("token_expired", Unauthorized, Applied.NO),
        ("msg_too_long", Invalid, Applied.NO),
        ("no_text", Invalid, Applied.NO),
        ("unknown_method", Invalid, Applied.NO),
        ("rate_limited", RateLimited, Applied.NO),
        ("ratelimited", RateLimited, Applied.NO),
        ("request_timeout", Timeout, Applied.NO),
        ("team_added_to_org", Unavailable, Applied.NO),
        ("service_unavailable", Unavailable, Applied.MAYBE),
        ("internal_error", Unavailable, Applied.MAYBE),
        ("fatal_error", Unavailable, Applied.MAYBE),
        ("a_code_of_next_year", Invalid, Applied.MAYBE),
    ],
)
async def test_error_code_becomes_its_class(code: str, kind: type[ConnectorError], applied: Applied):
    """The code is told, its class is right, and only what may have happened is 'maybe'."""
    error = await failing(json={"ok": False, "error": code})
    assert (type(error), error.applied) == (kind, applied)
    assert code in error.message


def test_every_code_has_one_class():
    """No code stands in two rows of the table."""
    from hikeshi_connectors.slack import error_codes

    rows = [code for row in error_codes._ROWS.values() for code in row.split()]
    assert len(rows) == len(set(rows)) == len(CODES)


def test_every_documented_code_has_its_class():
    """None of the codes that Slack documents for our two methods is unknown."""
    assert set(DOCUMENTED) - set(CODES) == set()
    assert len(DOCUMENTED) == 67


async def test_missing_scope_names_what_to_grant():
    """The administrator reads which scope is missing."""
    error = await failing(
        json={"ok": False, "error": "missing_scope", "needed": "chat:write", "provided": "users:read"}
    )
    assert "chat:write" in error.message


async def test_429_gives_the_delay_slack_asks_for():
    """Retry-After is in seconds."""
    error = await failing(429, {"retry-after": "30"}, json={"ok": False, "error": "ratelimited"})
    assert (type(error), error.retry_after_s, error.applied) == (RateLimited, 30.0, Applied.NO)


@pytest.mark.parametrize(
    ("status", "kind", "applied"),
    [
        (400, Invalid, Applied.NO),
        (403, Forbidden, Applied.NO),
        (404, NotFound, Applied.NO),
        (500, Unavailable, Applied.MAYBE),
        (503, Unavailable, Applied.MAYBE),
        (504, Timeout, Applied.MAYBE),
    ],
)
async def test_http_status_becomes_its_class(status: int, kind: type[ConnectorError], applied: Applied):
    """What a proxy or Slack's front says by status is understood as well."""
    error = await failing(status, text="<html>no</html>")
    assert (type(error), error.applied) == (kind, applied)


@pytest.mark.parametrize(
    "content",
    [
        {"text": "<html>sign in</html>"},
        {"text": ""},
        {"text": '{"ok":tr'},
        {"json": []},
        {"json": None},
        {"json": {}},
        {"json": {"ok": "true"}},
        {"json": {"ok": False}},
        {"json": {"ok": False, "error": 7}},
        {"json": {"ok": True}},
        {"json": {"ok": True, "channel": None, "ts": 1}},
    ],
)
async def test_answer_that_is_none_of_slacks_is_invalid_and_may_have_had_its_effect(content: dict[str, Any]):
    """A 200 that proves nothing is no success, and no proof of the contrary."""
    error = await failing(**content)
    assert (type(error), error.applied) == (Invalid, Applied.MAYBE)
