"""The sign-in of an app: client credentials become a token of one scope.

Source: https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow
"""

from __future__ import annotations

from typing import Final

from pydantic import Field

from hikeshi.connector import (
    Applied,
    Connector,
    ConnectorError,
    ConnectorSettings,
    Route,
    Secret,
    TokenCache,
    Unauthorized,
    json_object,
)

__all__ = ["SIGN_IN_ROUTE", "AppSettings", "app_tokens"]

SIGN_IN_ROUTE: Final = Route(
    "POST", "/*/oauth2/v2.0/token", base="login", where={"form:grant_type": "client_credentials"}
)
"""The one read route to the base address `login`."""


class AppSettings(ConnectorSettings):
    """An app registration in one tenant. National clouds need other addresses and another scope."""

    login_url: str = "https://login.microsoftonline.com"
    tenant_id: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9.-]{0,252}$")
    client_id: str = Field(min_length=1)
    client_secret: Secret


def app_tokens(connector: Connector, settings: AppSettings, scope: str) -> TokenCache:
    """Return the tokens that `connector` gets for a scope. Fetching one raises Unauthorized and the usual errors."""

    async def fetch() -> tuple[str, float]:
        form = {
            "grant_type": "client_credentials",
            "client_id": settings.client_id,
            "client_secret": connector.reveal(settings.client_secret),
            "scope": scope,
        }
        path = f"/{settings.tenant_id}/oauth2/v2.0/token"
        try:
            answer = await connector.http.post(path, base="login", auth=False, form=form)
            body = json_object(answer)
        except ConnectorError as exc:
            # Whatever became of this request, the one that waits for the token was never sent.
            exc.applied = Applied.NO
            raise
        token, life_s = body.get("access_token"), body.get("expires_in")
        if not isinstance(token, str) or not token or not isinstance(life_s, (int, float)):
            raise Unauthorized(f"{answer.where}: the answer holds no access token")
        return token, float(life_s)

    return TokenCache(fetch, connector.redactor)
