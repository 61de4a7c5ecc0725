"""The base of the connectors of AWS products."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from hikeshi.connector import Connector, ConnectorSettings, Response
from hikeshi_connectors.aws.answers import check_answer
from hikeshi_connectors.aws.client import AwsClient
from hikeshi_connectors.aws.service import STS, Service
from hikeshi_connectors.aws.settings import AwsSettings

__all__ = ["AwsConnector"]


class AwsConnector(Connector):
    """A connector whose product speaks AWS's protocols. A subclass names the `services` that it calls."""

    Settings: ClassVar[type[ConnectorSettings]] = AwsSettings
    services: ClassVar[tuple[Service, ...]] = ()

    @classmethod
    def bases(cls, settings: ConnectorSettings) -> Mapping[str, str]:
        """Return the address of each service by its name; the first one's is the default."""
        assert isinstance(settings, AwsSettings)
        found = {each.name: each.address(settings.region, settings.base_url) for each in (*cls.services, STS)}
        return {"": found[cls.services[0].name], **found}

    def set_up(self) -> None:
        assert isinstance(self.settings, AwsSettings)
        self.aws = AwsClient(self, self.settings)

    def check(self, response: Response) -> None:
        check_answer(response)
