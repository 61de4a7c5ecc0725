"""Splunk Enterprise and Splunk Cloud Platform, with Enterprise Security if it is there."""

from hikeshi_connectors.splunk.connector import Splunk

__all__ = ["Splunk"]
