"""PagerDuty: wakes whoever is on call, and notes changes that wake nobody."""

from hikeshi_connectors.pagerduty.connector import PagerDuty

__all__ = ["PagerDuty"]
