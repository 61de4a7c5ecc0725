"""What Slack's error codes mean. Slack answers logic errors with status 200 and `{"ok": false, "error": CODE}`.

The rule: every code that Slack documents for the methods we call stands in exactly one of these rows; a code that
stands in none is no proof that nothing happened.
Source: https://docs.slack.dev/reference/methods/chat.postMessage, .../chat.update and .../users.lookupByEmail, section
"Errors".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hikeshi.connector import (
    Applied,
    Conflict,
    ConnectorError,
    Forbidden,
    Invalid,
    NotFound,
    RateLimited,
    Timeout,
    Unauthorized,
    Unavailable,
)

__all__ = ["CODES", "error_of_code"]

_ROWS: dict[type[ConnectorError], str] = {
    NotFound: """
        channel_not_found users_not_found user_not_found thread_not_found team_not_found duplicate_channel_not_found
        duplicate_message_not_found draft_not_found message_not_found
    """,
    Unauthorized: """
        invalid_auth not_authed account_inactive token_revoked token_expired not_allowed_token_type
        two_factor_setup_required
    """,
    Forbidden: """
        not_in_channel missing_scope no_permission access_denied accesslimited app_access_restricted ekm_access_denied
        enterprise_is_restricted restricted_action restricted_action_non_threadable_channel
        restricted_action_read_only_channel restricted_action_thread_locked restricted_action_thread_only_channel
        cant_update_message send_on_behalf_not_allowed is_bot messages_tab_disabled user_not_visible
        slack_connect_canvas_sharing_blocked slack_connect_file_link_sharing_blocked
        slack_connect_lists_sharing_blocked
    """,
    Conflict: """
        is_archived cannot_reply_to_message draft_already_deleted draft_already_sent draft_has_conflict
        edit_window_closed is_inactive
    """,
    RateLimited: "rate_limited ratelimited message_limit_exceeded",
    Timeout: "request_timeout",
    Unavailable: """
        internal_error fatal_error service_unavailable org_login_required team_added_to_org external_channel_migrating
    """,
    Invalid: """
        msg_too_long no_text invalid_arguments invalid_arg_name invalid_array_arg invalid_blocks invalid_blocks_format
        invalid_charset invalid_form_data invalid_metadata_format invalid_metadata_schema invalid_post_type
        missing_post_type json_not_object invalid_json markdown_text_conflict msg_blocks_too_long
        attachment_payload_limit_exceeded too_many_attachments too_many_contact_cards metadata_too_large
        metadata_must_be_sent_from_app missing_file_data as_user_not_supported deprecated_endpoint method_deprecated
        unknown_method block_mismatch invalid_attachments
    """,
}

CODES: Mapping[str, type[ConnectorError]] = {code: kind for kind, row in _ROWS.items() for code in row.split()}

# "It's possible some aspect of the operation succeeded before the error was raised" (Slack of the first two).
_PERHAPS_DONE = frozenset({"internal_error", "fatal_error", "service_unavailable"})

_ADVICE = {
    "channel_not_found": "check the name or use the channel's ID; the app sees a private channel only as its member",
    "not_in_channel": "invite the app to the channel, or grant it chat:write.public",
    "users_not_found": "nobody in this workspace has that e-mail address, or the address is not visible to the app",
    "team_not_found": "with an organisation-wide token, channels are given by ID",
    "ekm_access_denied": "the workspace's administrators have suspended messages there",
    "message_limit_exceeded": "the workspace has used up the messages of its plan",
    "edit_window_closed": "the workspace's settings do not let messages be edited so late",
    "is_archived": "unarchive the channel or choose another",
    "token_expired": "this connector uses a bot token without rotation",
}


def error_of_code(code: str, answer: Mapping[str, Any], where: str, retry_after_s: float | None) -> ConnectorError:
    """Return the error that a code stands for. An unknown code is Invalid, and may have had its effect."""
    message = f"{where}: {code}" + _advice(code, answer)
    kind = CODES.get(code)
    if kind is None:
        return Invalid(message, applied=Applied.MAYBE)
    applied = Applied.MAYBE if code in _PERHAPS_DONE else Applied.NO
    return kind(message, applied=applied, retry_after_s=retry_after_s)


def _advice(code: str, answer: Mapping[str, Any]) -> str:
    if code == "missing_scope" and isinstance(answer.get("needed"), str):
        return f" (grant the app the scope {answer['needed']})"
    return f" ({_ADVICE[code]})" if code in _ADVICE else ""
