"""What a connector's author imports."""

from hikeshi.connector.answers import json_list, json_object, objects_under, said_in, understood
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
from hikeshi.connector.jobs import finished
from hikeshi.connector.lots import lots, sent_in_lots
from hikeshi.connector.pace import Pace
from hikeshi.connector.pages import all_pages, next_link
from hikeshi.connector.response import (
    Response,
    default_check,
    epoch_or_delay_s,
    error_of_status,
    retry_after_s,
    until_epoch_s,
)
from hikeshi.connector.route import Route, xml_root
from hikeshi.connector.text import cut
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
    "Pace",
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
    "all_pages",
    "cut",
    "default_check",
    "epoch_or_delay_s",
    "error_of_status",
    "finished",
    "json_list",
    "json_object",
    "lots",
    "next_link",
    "objects_under",
    "retry_after_s",
    "said_in",
    "sent_in_lots",
    "understood",
    "until_epoch_s",
    "xml_root",
]
