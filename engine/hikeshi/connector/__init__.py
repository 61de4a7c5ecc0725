"""What a connector's author imports."""

from hikeshi.connector.connector import Connector, ConnectorSettings
from hikeshi.connector.credentials import TokenCache
from hikeshi.connector.door import PreviewedRequest
from hikeshi.connector.errors import (
    Ambiguous,
    Applied,
    Conflict,
    ConnectorError,
    Forbidden,
    Invalid,
    NotFound,
    OutcomeUnknown,
    PartialFailure,
    RateLimited,
    RouteRefused,
    Timeout,
    Unauthorized,
    Unavailable,
    Unsupported,
)
from hikeshi.connector.response import Response, default_check, error_of_status, retry_after_s
from hikeshi.connector.route import Route, xml_root
from hikeshi.secrets import Secret

__all__ = [
    "Ambiguous",
    "Applied",
    "Conflict",
    "Connector",
    "ConnectorError",
    "ConnectorSettings",
    "Forbidden",
    "Invalid",
    "NotFound",
    "OutcomeUnknown",
    "PartialFailure",
    "PreviewedRequest",
    "RateLimited",
    "Response",
    "Route",
    "RouteRefused",
    "Secret",
    "Timeout",
    "TokenCache",
    "Unauthorized",
    "Unavailable",
    "Unsupported",
    "default_check",
    "error_of_status",
    "retry_after_s",
    "xml_root",
]
