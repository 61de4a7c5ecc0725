"""ServiceNow: incidents as tickets, and the computers of its CMDB as assets."""

from hikeshi_connectors.servicenow.connector import ServiceNow

__all__ = ["ServiceNow"]
